"""Bring the schema to this code's revision, or say where it stands. Each revision is one transaction, on SQLite too.

Alembic takes SQLite's DDL for non-transactional and pysqlite commits behind its back: the engine below opens every
transaction itself (BEGIN IMMEDIATE), so that a failed revision leaves nothing. On PostgreSQL an advisory lock lets one
migration run at a time.

A revision file says `contracts = True` where code from before it cannot run on what it leaves. `expand` stops before
the first of those, so that the code that still serves goes on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from nebula.db import grants
from nebula.db.database import sqlite_path
from nebula.errors import Conflict, SchemaTooNew, StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x6E6562756C61  # "nebula"


@dataclass(frozen=True)
class SchemaStatus:
    """Where the schema stands: `current` is None for an empty database."""

    current: str | None
    head: str
    is_newer: bool = False  # `current` is none of this code's revisions: a later version wrote it

    @property
    def is_current(self) -> bool:
        return self.current == self.head


def upgrade(url: str, revision: str = "head", migrations: Path = MIGRATIONS) -> SchemaStatus:
    """Run the revisions that are missing, and let worker nodes do their part; return where the schema stands then.

    Raises SchemaTooNew where a later version has been here.
    """
    with _connection(url) as connection:
        found = _status(connection, migrations)
        if found.is_newer:
            raise SchemaTooNew(
                f"The database's schema is at revision {found.current}, which this version of Nebula does not know"
                f" (its own is {found.head}): a newer one wrote it. Run that version."
            )
        config = _config(migrations)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        grants.grant(connection)
        return _status(connection, migrations)


def expand(url: str, migrations: Path = MIGRATIONS) -> SchemaStatus:
    """Run the missing revisions that only add; return where the schema stands afterwards.

    Raises Conflict where one that adds comes after one that contracts: the two need a deploy each.
    """
    with _connection(url) as connection:
        found = _status(connection, migrations)
    return found if found.is_newer else upgrade(url, _last_that_adds(found, migrations), migrations)


def _last_that_adds(found: SchemaStatus, migrations: Path) -> str:
    scripts = ScriptDirectory.from_config(_config(migrations))
    missing = list(scripts.iterate_revisions("head", found.current or "base"))[::-1]
    contracting = [getattr(script.module, "contracts", False) for script in missing]
    if not any(contracting):
        return "head"
    first = contracting.index(True)
    if not all(contracting[first:]):
        raise Conflict(
            f"Revision {missing[first].revision} contracts, and a later one adds: deploy the first alone"
            f" (git push nebula ITS-COMMIT:main), then the rest.",
            code="contracts_first",
        )
    return str(missing[first].down_revision or "base")


def grant(url: str) -> bool:
    """Let worker nodes do their part (grants.py); False where the database has no role for them."""
    with _connection(url) as connection:
        return grants.grant(connection)


def status(url: str, migrations: Path = MIGRATIONS) -> SchemaStatus:
    """Return where the schema stands; nothing is changed."""
    with _connection(url) as connection:
        return _status(connection, migrations)


def _status(connection: sqlalchemy.Connection, migrations: Path) -> SchemaStatus:
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()  # reading began a transaction; each revision has its own
    scripts = ScriptDirectory.from_config(_config(migrations))
    known = {script.revision for script in scripts.walk_revisions()}
    return SchemaStatus(current, str(scripts.get_current_head()), current is not None and current not in known)


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connection(url: str) -> Iterator[sqlalchemy.Connection]:
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
                connection.commit()
            yield connection
    except sqlalchemy.exc.OperationalError as error:
        if not _is_lost(error):
            raise
        raise StoreUnavailable("database", f"The database does not answer: {str(error.orig).strip()}") from error
    finally:
        engine.dispose()  # ends the connection, and with it the advisory lock


def _is_lost(error: sqlalchemy.exc.OperationalError) -> bool:
    # Connecting has no statement. SQLite calls most mistakes in a statement operational errors too.
    is_locked = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return error.statement is None or error.connection_invalidated or is_locked


def _engine(url: str) -> sqlalchemy.Engine:
    path = sqlite_path(url)
    if path is None:
        # SQLAlchemy 2.1 reads a plain postgresql:// as psycopg 3.
        return sqlalchemy.create_engine("postgresql+psycopg2://" + url.split("://", 1)[1])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # Not from text: SQLAlchemy would take what follows a "?" in the path for options.
    engine = sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=path))

    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 10000")

    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sqlalchemy.event.listen(engine, "connect", connect)
    sqlalchemy.event.listen(engine, "begin", begin)
    return engine
