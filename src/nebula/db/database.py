"""Transactions on PostgreSQL or SQLite. Every call of this process runs on one of eight threads.

Pony keeps one connection per thread, so eight threads use eight connections. A transaction is a function that takes a
`Tx` and returns records, never entities. It may run twice, because a transaction is tried again after a conflict. Times
are naive UTC inside this package and aware outside; "now" is the database's clock.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

import psycopg2
import psycopg2.errors
from pony import orm
from pony.orm.core import SessionCache

from nebula.db.entities import define_entities
from nebula.errors import Forbidden, StoreUnavailable

T = TypeVar("T")

SQLITE = "sqlite:///"
THREADS = 8
TRIES = 3
POSTGRESQL_OPTIONS = (
    "-c statement_timeout=15s -c lock_timeout=5s -c idle_in_transaction_session_timeout=30s -c timezone=UTC"
)
# The error if a worker node's role (grants.py) is used for anything but making films.
NOT_HERE = "This machine's database role may not do this: run it on the laptop that has the gateway."
CONFLICTS_IN_SQLITE = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
CONFLICTS = ("40001", "40P01", "23505")  # serialization failure, deadlock, unique violation


class Tx:
    """One open transaction."""

    def __init__(self, database: orm.Database, entities: SimpleNamespace) -> None:
        self._database = database
        self._now: datetime | None = None
        self.e = entities

    @property
    def now(self) -> datetime:
        """The time of the database's clock in naive UTC, read once per transaction."""
        # Not functools.cached_property: before Python 3.12 it has one lock for all transactions. A thread that holds
        # that lock and waits for SQLite's lock would deadlock with one that holds SQLite's lock and waits for that one.
        if self._now is None:
            self._now = self._read_clock()
        return self._now

    def _read_clock(self) -> datetime:
        if self._database.provider_name == "sqlite":
            return datetime.fromisoformat(self.select("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now'), 0")[0][0])
        moment: datetime = self.select("SELECT clock_timestamp() AT TIME ZONE 'UTC', 0")[0][0]
        return moment

    def after(self, seconds: float) -> datetime:
        """Return the time that is `seconds` from now on the database's clock."""
        return self.now + timedelta(seconds=seconds)

    def lowered(self, expression: str) -> str:
        """Return SQL for `expression` in lower case. It works beyond ASCII too, whatever the server's locale."""
        if self._database.provider_name == "sqlite":
            return f"py_lower({expression})"  # Pony defines it; SQLite's LOWER handles only ASCII
        return f'LOWER({expression} COLLATE "und-x-icu")'

    def select(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a SELECT of two or more columns with `$name` parameters. It opens no write transaction."""
        rows: list[tuple[Any, ...]] = self._database.select(sql, {}, self._bound(values))
        return rows

    def execute(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement that changes rows, with `$name` parameters; return the rows of its RETURNING clause.

        Entities that this transaction loaded before do not show the change: load them afterwards.
        """
        self._database.flush()
        cursor = self._database.execute(sql, {}, self._bound(values))
        return list(cursor.fetchall()) if cursor.description else []

    def flush(self) -> None:
        """Send the changes of entities to the database, so that the next statement sees them."""
        self._database.flush()

    def _bound(self, values: dict[str, Any]) -> dict[str, Any]:
        # Pony stores SQLite's times as text with six decimals, and SQLite compares them as text.
        if self._database.provider_name != "sqlite":
            return values
        return {
            name: value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value
            for name, value in values.items()
        }


class Database:
    """A database with its threads and connections. Create it after a fork; `close` ends its threads."""

    def __init__(self, url: str, *, threads: int = THREADS) -> None:
        self._url = url
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="db")
        self._thread_count = threads
        self._is_closed = False
        self._bind_lock = threading.Lock()
        self._bound: tuple[orm.Database, SimpleNamespace] | None = None

    def read(self, work: Callable[[Tx], T]) -> T:
        """Run `work` and discard its changes. Each statement sees its own snapshot."""
        return self._threads.submit(self._run, work, False).result()

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in one transaction and commit it. It may run again after a conflict.

        Raises StoreUnavailable("database") if the database does not answer.
        """
        return self._threads.submit(self._run, work, True).result()

    def check(self) -> None:
        """Raise StoreUnavailable("database") if the database does not answer."""
        self.read(lambda tx: tx.now)

    def close(self) -> None:
        """End the threads and their connections. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        # Each thread must close its own connection. The barrier makes every thread run exactly one of these calls.
        barrier = threading.Barrier(self._thread_count)
        for _ in range(self._thread_count):
            self._threads.submit(self._disconnect, barrier)
        self._threads.shutdown(wait=True)

    def _disconnect(self, barrier: threading.Barrier) -> None:
        barrier.wait()
        if self._bound is not None:
            self._bound[0].disconnect()

    def _run(self, work: Callable[[Tx], T], immediate: bool) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                database, entities = self._connected()
                # Compare-and-set and FOR UPDATE protect the rows, not Pony's optimistic checks.
                with orm.db_session(immediate=immediate, optimistic=not immediate):
                    result = work(Tx(database, entities))
                    if not immediate:
                        orm.rollback()
                return result
            except Exception as error:
                root = _root(error)
                if _is_conflict(root) and attempt < TRIES:
                    continue
                if _is_lost(root):
                    raise StoreUnavailable("database") from error
                if isinstance(root, psycopg2.errors.InsufficientPrivilege):
                    raise Forbidden(NOT_HERE) from error
                raise
        raise AssertionError("unreachable")

    def _connected(self) -> tuple[orm.Database, SimpleNamespace]:
        with self._bind_lock:
            if self._bound is None:
                database = orm.Database()
                entities = define_entities(database)
                _bind(database, self._url)
                database.generate_mapping(create_tables=False, check_tables=False)
                self._bound = (database, entities)
            return self._bound


def sqlite_path(url: str) -> str | None:
    """Return PATH of sqlite:///PATH as it is (no part of it is a query or an escape), or None for other URLs."""
    return url.removeprefix(SQLITE) if url.startswith(SQLITE) else None


def aware(moment: datetime | None) -> Any:
    """Turn a stored naive UTC time into an aware one; None stays None."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def naive(moment: datetime) -> datetime:
    """Turn an aware time into the naive UTC that is stored."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _bind(database: orm.Database, url: str) -> None:
    path = sqlite_path(url)
    if path is not None:
        database.on_connect(provider="sqlite")(_configure_sqlite)
        database.bind("sqlite", filename=path, create_db=True, timeout=10.0)
    else:
        database.bind("postgres", url, options=POSTGRESQL_OPTIONS, connect_timeout=3, application_name="nebula")


def _configure_sqlite(_database: orm.Database, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _root(error: BaseException) -> BaseException:
    """Return the driver's exception. Pony wraps it once, twice (on save), or in a list (at the transaction's end)."""
    endings = (orm.core.CommitException, orm.core.PartialCommitException, orm.core.RollbackException)
    while True:
        if isinstance(error, endings) and error.exceptions:
            inner = error.exceptions[0][1]
        else:
            inner = getattr(error, "original_exc", None)
        if inner is None:
            return error
        error = inner


def _is_conflict(error: BaseException) -> bool:
    if isinstance(error, psycopg2.Error):
        return error.pgcode in CONFLICTS
    return getattr(error, "sqlite_errorcode", None) in CONFLICTS_IN_SQLITE


def _is_lost(error: BaseException) -> bool:
    # A locked SQLite database, a full disk and an unreachable PostgreSQL all raise OperationalError.
    return isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError, sqlite3.OperationalError, OSError))


def _guard_reconnect() -> None:
    """Make Pony refuse to reconnect inside a transaction.

    Pony 0.7.20 reconnects silently after a lost connection and commits only the statements after the loss. Those before
    it are lost without an exception. (tests/contract/test_database.py ends a connection in mid-transaction.)
    """
    original = SessionCache.reconnect
    if getattr(original, "guarded", False):
        return

    def reconnect(self: Any, exc: BaseException | None) -> Any:
        if exc is not None and self.in_transaction:
            raise exc
        return original(self, exc)

    reconnect.guarded = True  # type: ignore[attr-defined]
    SessionCache.reconnect = reconnect


_guard_reconnect()
