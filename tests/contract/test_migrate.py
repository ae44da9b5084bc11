"""The schema's history: it ends at what Pony maps, a revision is one transaction, two runs wait for each other."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy
from pony import orm

from nebula.db import migrate
from nebula.db.entities import define_entities
from nebula.errors import Conflict, SchemaTooNew
from tests.stores import Stores

BROKEN = """
import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{head}"

def upgrade() -> None:
    op.create_table("half_made", sa.Column("id", sa.Text(), primary_key=True))
    op.execute("INSERT INTO half_made (id) VALUES ('one')")
    with op.batch_alter_table("nodes") as nodes:
        nodes.add_column(sa.Column("half_added", sa.Text(), nullable=True))
    op.execute("SELECT no_such_column FROM half_made")
"""
SLOW = """
from alembic import op

revision = "9999"
down_revision = "{head}"

def upgrade() -> None:
    op.execute("CREATE TABLE slow (id text)")
    op.execute("SELECT pg_sleep(1)")
"""
ADDS = """
from alembic import op

revision = "{name}"
down_revision = "{down}"

def upgrade() -> None:
    op.execute("CREATE TABLE added_{name} (id text)")
"""
CONTRACTS = """
from alembic import op

revision = "{name}"
down_revision = "{down}"
contracts = True

def upgrade() -> None:
    op.execute("DROP TABLE power_changes")
"""


@pytest.fixture
def empty_postgresql(stores: Stores) -> Iterator[str]:
    """A database without a schema."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(f"{stores.postgresql.url}/postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield f"{stores.postgresql.url}/{name}"
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    url: str = request.getfixturevalue("empty_postgresql")
    return url


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """The real migrations in a folder that a test may add to."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_history_ends_at_the_schema_that_pony_maps(empty: str, tmp_path: Path) -> None:
    migrate.upgrade(empty)
    from_history = _schema(empty)
    if empty.startswith("sqlite:"):
        mapped = f"sqlite:///{tmp_path / 'mapped.sqlite'}"
        _make_by_pony(mapped)
        from_mapping = _schema(mapped)
    else:
        _statement(empty, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        _make_by_pony(empty)
        from_mapping = _schema(empty)
    from_history.pop("alembic_version")
    assert sorted(from_history) == sorted(from_mapping)
    for table in from_mapping:
        assert from_history[table] == from_mapping[table], table


def test_status_tells_an_empty_database_from_a_current_one_and_changes_nothing(empty: str) -> None:
    head = migrate.status(empty).head
    assert migrate.status(empty) == migrate.SchemaStatus(None, head)
    assert migrate.upgrade(empty) == migrate.SchemaStatus(head, head)
    assert migrate.status(empty).is_current


def test_second_run_changes_nothing(empty: str) -> None:
    migrate.upgrade(empty)
    before = _schema(empty)
    assert migrate.upgrade(empty).is_current
    assert _schema(empty) == before


def test_revision_that_fails_leaves_nothing_behind(empty: str, migrations: Path) -> None:
    head = migrate.upgrade(empty).head
    before = _schema(empty)
    _add(migrations, BROKEN, head)
    with pytest.raises(sqlalchemy.exc.SQLAlchemyError, match="no_such_column"):
        migrate.upgrade(empty, migrations=migrations)
    assert _schema(empty) == before
    assert migrate.status(empty).current == head


def test_revision_that_fails_keeps_those_before_it(empty: str, migrations: Path) -> None:
    head = migrate.status(empty).head
    _add(migrations, BROKEN, head)
    with pytest.raises(sqlalchemy.exc.SQLAlchemyError, match="no_such_column"):
        migrate.upgrade(empty, migrations=migrations)
    assert migrate.status(empty).current == head
    assert "half_made" not in _schema(empty)


def test_two_runs_at_once_wait_for_each_other(empty_postgresql: str, migrations: Path) -> None:
    _add(migrations, SLOW, migrate.status(empty_postgresql).head)
    with ThreadPoolExecutor(3) as runs:
        ends = [runs.submit(migrate.upgrade, empty_postgresql, migrations=migrations) for _ in range(3)]
        assert [end.result(60).current for end in ends] == ["9999"] * 3


def test_schema_of_a_later_version_is_refused_and_left_alone(empty: str, migrations: Path) -> None:
    head = migrate.upgrade(empty).head
    _statement(empty, "UPDATE alembic_version SET version_num = '9997'")
    assert migrate.status(empty) == migrate.SchemaStatus("9997", head, is_newer=True)
    with pytest.raises(SchemaTooNew, match="9997"):
        migrate.upgrade(empty)


def test_expanding_stops_before_the_first_revision_that_contracts(empty: str, migrations: Path) -> None:
    head = migrate.upgrade(empty).head
    _add_named(migrations, ADDS, "a1", head)
    _add_named(migrations, CONTRACTS, "a2", "a1")
    assert migrate.expand(empty, migrations=migrations).current == "a1"
    assert "power_changes" in _schema(empty)
    assert migrate.expand(empty, migrations=migrations).current == "a1"
    assert migrate.upgrade(empty, migrations=migrations).current == "a2"
    assert "power_changes" not in _schema(empty)


def test_expanding_goes_to_the_end_where_nothing_contracts(empty: str, migrations: Path) -> None:
    head = migrate.upgrade(empty).head
    _add_named(migrations, ADDS, "a1", head)
    assert migrate.expand(empty, migrations=migrations).is_current


def test_expanding_refuses_a_revision_that_adds_behind_one_that_contracts(empty: str, migrations: Path) -> None:
    head = migrate.upgrade(empty).head
    _add_named(migrations, CONTRACTS, "a1", head)
    _add_named(migrations, ADDS, "a2", "a1")
    with pytest.raises(Conflict, match="a1 contracts"):
        migrate.expand(empty, migrations=migrations)
    assert migrate.status(empty).current == head


def test_expanding_leaves_the_schema_of_a_later_version_alone(empty: str, migrations: Path) -> None:
    migrate.upgrade(empty)
    _statement(empty, "UPDATE alembic_version SET version_num = '9997'")
    assert migrate.expand(empty).is_newer


def _add_named(migrations: Path, revision: str, name: str, down: str) -> None:
    text = revision.replace("{name}", name).replace("{down}", down)
    (migrations / "versions" / f"{name}.py").write_text(text)


def _add(migrations: Path, revision: str, head: str) -> None:
    (migrations / "versions" / "9_added.py").write_text(revision.replace("{head}", head))


def _make_by_pony(url: str) -> None:
    database = orm.Database()
    define_entities(database)
    if url.startswith("sqlite:"):
        database.bind("sqlite", filename=url.removeprefix("sqlite:///"), create_db=True)
    else:
        database.bind("postgres", url)
    database.generate_mapping(create_tables=True)
    database.disconnect()


def _engine(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))


def _statement(url: str, *statements: str) -> None:
    engine = _engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()


def _schema(url: str) -> dict[str, dict[str, Any]]:
    """Return what each table is made of, in terms that do not depend on how it was made."""
    engine = _engine(url)
    inspector = sqlalchemy.inspect(engine)
    found = {table: _table(inspector, table) for table in inspector.get_table_names()}
    engine.dispose()
    return found


def _table(inspector: sqlalchemy.Inspector, table: str) -> dict[str, Any]:
    indexes = inspector.get_indexes(table)
    unique = [tuple(constraint["column_names"]) for constraint in inspector.get_unique_constraints(table)]
    unique += [tuple(index["column_names"]) for index in indexes if index["unique"]]
    return {
        "columns": {
            column["name"]: (_kind(column["type"]), column["nullable"]) for column in _columns(inspector, table)
        },
        "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
        "unique": sorted(set(unique)),
        "indexes": sorted(tuple(index["column_names"]) for index in indexes if not index["unique"]),
        "foreign keys": _foreign_keys(inspector, table),
    }


def _columns(inspector: sqlalchemy.Inspector, table: str) -> list[Any]:
    key = inspector.get_pk_constraint(table)["constrained_columns"]
    # SQLite calls a primary key nullable unless NOT NULL is written beside it.
    return [
        column | {"nullable": column["nullable"] and column["name"] not in key}
        for column in inspector.get_columns(table)
    ]


def _foreign_keys(inspector: sqlalchemy.Inspector, table: str) -> list[Any]:
    if inspector.dialect.name == "sqlite":
        # SQLAlchemy reads ON DELETE from the table's text there, and misses Pony's way of writing it.
        with inspector.engine.connect() as connection:
            rows = connection.exec_driver_sql(f"PRAGMA foreign_key_list({table})").mappings().all()
        return sorted(([row["from"]], row["table"], [row["to"]], row["on_delete"]) for row in rows)
    return sorted(
        (key["constrained_columns"], key["referred_table"], key["referred_columns"], key["options"].get("ondelete"))
        for key in inspector.get_foreign_keys(table)
    )


def _kind(column: Any) -> str:
    """Return a column's type without the spellings that mean the same."""
    spelled = str(column).split("(")[0].upper()
    same = {"DOUBLE PRECISION": "DOUBLE", "REAL": "DOUBLE", "FLOAT": "DOUBLE", "TIMESTAMP": "DATETIME"}
    return same.get(spelled, spelled)
