"""Bring the schema to this code's revision, or return its status. Each revision is one transaction, on SQLite too.

Alembic assumes that DDL in SQLite is not transactional, and pysqlite commits without being asked. The engine below
therefore opens every transaction itself (BEGIN IMMEDIATE), so that a failed revision leaves nothing behind. On
PostgreSQL an advisory lock lets only one migration run at a time.

A revision file sets `contracts = True` if older code cannot run on the schema that it leaves. `expand` stops before the
first of those, so that the release that is still serving keeps working.
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
    """The revisions of the database and of the code. `current` is None if the database is empty."""

    current: str | None
    head: str
    is_newer: bool = False  # this code does not know `current`: a later version wrote it

    @property
    def is_current(self) -> bool:
        return self.current == self.head


def upgrade(url: str, revision: str = "head", migrations: Path = MIGRATIONS) -> SchemaStatus:
    """Run the missing revisions and the grants for worker nodes; return the new schema status.

    Raises SchemaTooNew if a later version has migrated this database.
    """
    with _connection(url) as connection:
        schema = _status(connection, migrations)
        if schema.is_newer:
            raise SchemaTooNew(
                f"The database's schema is at revision {schema.current}, which this version of Nebula does not know"
                f" (its own is {schema.head}): a newer one wrote it. Run that version."
            )
        config = _config(migrations)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        grants.grant(connection)
        return _status(connection, migrations)


def expand(url: str, migrations: Path = MIGRATIONS) -> SchemaStatus:
    """Run the missing revisions that only add; return the new schema status.

    Raises Conflict if a revision that adds comes after one that contracts: each of the two needs its own deploy.
    """
    with _connection(url) as connection:
        schema = _status(connection, migrations)
    return schema if schema.is_newer else upgrade(url, _last_that_adds(schema, migrations), migrations)


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
    """Grant worker nodes what they need (grants.py). Returns False if the database has no role for them."""
    with _connection(url) as connection:
        return grants.grant(connection)


def status(url: str, migrations: Path = MIGRATIONS) -> SchemaStatus:
    """Return the schema status, without changing anything."""
    with _connection(url) as connection:
        return _status(connection, migrations)


def _status(connection: sqlalchemy.Connection, migrations: Path) -> SchemaStatus:
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()  # reading began a transaction, but each revision needs its own
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
        engine.dispose()  # closes the connection, which releases the advisory lock


def _is_lost(error: sqlalchemy.exc.OperationalError) -> bool:
    # A failed connect has no statement. SQLite reports most mistakes in a statement as operational errors too.
    is_locked = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return error.statement is None or error.connection_invalidated or is_locked


def _engine(url: str) -> sqlalchemy.Engine:
    path = sqlite_path(url)
    if path is None:
        # SQLAlchemy 2.1 reads a plain postgresql:// as psycopg 3.
        return sqlalchemy.create_engine("postgresql+psycopg2://" + url.split("://", 1)[1])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # Not built from a string: SQLAlchemy would read what follows a "?" in the path as options.
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
