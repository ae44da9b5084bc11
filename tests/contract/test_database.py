"""The promises of db/database.py, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import uuid

import psycopg2
import pytest

from nebula.db.database import Database, Tx
from nebula.errors import StoreUnavailable


def _account(tx: Tx, name: str) -> str:
    entity = tx.e.Account(id=str(uuid.uuid4()), name=name, role="owner", password_hash="x", created_at=tx.now)
    tx.flush()
    return str(entity.id)


def _names(tx: Tx) -> list[str]:
    return sorted(account.name for account in tx.e.Account.select())


def test_write_keeps_a_name_exactly_as_it_is(database: Database) -> None:
    name = "  spaced \t#-ünïcode\\ "
    database.write(lambda tx: _account(tx, name))
    assert database.read(_names) == [name]


def test_read_keeps_nothing_that_it_changed(database: Database) -> None:
    database.read(lambda tx: _account(tx, "ghost"))
    assert database.read(_names) == []


def test_write_leaves_nothing_when_it_fails(database: Database) -> None:
    def fail(tx: Tx) -> None:
        _account(tx, "half")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        database.write(fail)
    assert database.read(_names) == []


def test_now_is_ordered_and_later_times_compare_as_times(database: Database) -> None:
    def failure(tx: Tx) -> None:
        tx.e.LoginFailure(subject="a", failures=1, last_at=tx.now, blocked_until=tx.after(60))

    database.write(failure)
    sql = "SELECT subject, failures FROM login_failures WHERE blocked_until > $moment"
    assert database.read(lambda tx: tx.select(sql, moment=tx.now)) == [("a", 1)]
    assert database.read(lambda tx: tx.select(sql, moment=tx.after(61))) == []


def test_execute_returns_the_changed_rows(database: Database) -> None:
    database.write(lambda tx: _account(tx, "ann"))
    sql = "UPDATE accounts SET role = 'member' WHERE name = $name RETURNING role, name"
    assert database.write(lambda tx: tx.execute(sql, name="ann")) == [("member", "ann")]


def test_write_is_lost_whole_when_the_connection_dies_in_the_middle(postgresql_url: str) -> None:
    """Pony alone would reconnect and commit the second row without the first (facts.md 1.1)."""
    database = Database(postgresql_url)

    def torn(tx: Tx) -> None:
        _account(tx, "before")
        ((pid, _),) = tx.execute("SELECT pg_backend_pid(), 0")
        killer = psycopg2.connect(postgresql_url)
        with killer.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        killer.close()
        _account(tx, "after")

    with pytest.raises(StoreUnavailable):
        database.write(torn)
    assert database.read(_names) == []
    database.close()


def test_read_whose_connection_dies_before_it_ends_says_that_the_database_is_away(postgresql_url: str) -> None:
    """Pony finds out when it rolls back, and wraps what the driver says in a list of exceptions."""
    database = Database(postgresql_url, threads=1)

    def torn(tx: Tx) -> None:
        ((pid, _),) = tx.select("SELECT pg_backend_pid(), 0")
        killer = psycopg2.connect(postgresql_url)
        with killer.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        killer.close()

    with pytest.raises(StoreUnavailable):
        database.read(torn)
    assert database.read(_names) == []
    database.close()


def test_write_works_again_after_the_server_ended_idle_connections(postgresql_url: str) -> None:
    database = Database(postgresql_url, threads=1)
    database.write(lambda tx: _account(tx, "one"))
    killer = psycopg2.connect(postgresql_url)
    with killer.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    killer.close()
    database.write(lambda tx: _account(tx, "two"))
    assert database.read(_names) == ["one", "two"]
    database.close()


def test_database_that_is_not_there_is_named(stores: object) -> None:
    database = Database("postgresql://nebula@127.0.0.1:9/none")
    with pytest.raises(StoreUnavailable) as raised:
        database.check()
    assert raised.value.store == "database"
    database.close()


def test_clock_is_read_by_one_that_waits_to_write_and_by_one_that_writes(database: Database) -> None:
    """On SQLite the second waits for the first, which must not need anything that the second holds."""
    is_writing, may_read = threading.Event(), threading.Event()
    read = []

    def write(tx: Tx) -> None:
        tx.execute("DELETE FROM links WHERE id = 'none'")
        is_writing.set()
        may_read.wait(30)
        read.append(tx.now)

    works = (write, lambda tx: read.append(tx.now))
    first, second = (threading.Thread(target=database.write, args=(work,), daemon=True) for work in works)
    first.start()
    assert is_writing.wait(30)
    second.start()
    second.join(0.5)  # on SQLite it is waiting by then
    may_read.set()
    for thread in (first, second):
        thread.join(30)
    assert len(read) == 2
