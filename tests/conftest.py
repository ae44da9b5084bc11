"""Fixtures of every suite: real stores, both worlds, and the three people (owner, member, anonymous)."""

from __future__ import annotations

import secrets
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from nebula import config
from nebula.db import migrate
from nebula.db.database import Database
from tests.stores import Stores

WORLDS = ["embedded", "provisioned"]


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    """PostgreSQL, Redis and MinIO: `stores.postgresql.url`, `stores.redis.url`, `stores.minio.endpoint`."""
    with tempfile.TemporaryDirectory(prefix="nebula-stores-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user, to whom pytest's own folders are closed
        running = Stores(Path(folder))
        yield running
        running.stop()


@pytest.fixture(scope="session")
def postgresql_template(stores: Stores) -> str:
    """A migrated database that each test's own is copied from."""
    _administer(stores, "CREATE DATABASE nebula_template")
    migrate.upgrade(f"{stores.postgresql.url}/nebula_template")
    return "nebula_template"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "nebula.sqlite"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A migrated SQLite database of this test's own."""
    path = tmp_path / "data" / "nebula.sqlite"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(stores: Stores, postgresql_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(stores, f"CREATE DATABASE {name} TEMPLATE {postgresql_template}")
    yield f"{stores.postgresql.url}/{name}"
    _administer(stores, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database; the test runs on SQLite and on PostgreSQL."""
    opened = Database(request.getfixturevalue(f"{request.param}_url"))
    yield opened
    opened.close()


@pytest.fixture(params=WORLDS)
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a server of this test's own, in both worlds; its database is migrated."""
    common = {
        "NEBULA_DATA_DIR": str(tmp_path / "data"),
        "NEBULA_NODE": "test-node",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "NEBULA_RESERVE_BYTES": str(1 << 20),
        "NEBULA_SWEEP_INTERVAL": "2",
    }
    if request.param == "embedded":
        return common | {"DATABASE_URL": request.getfixturevalue("sqlite_url")}
    return common | _provisioned(request)


def _provisioned(request: pytest.FixtureRequest) -> dict[str, str]:
    stores: Stores = request.getfixturevalue("stores")
    return {
        "DATABASE_URL": request.getfixturevalue("postgresql_url"),
        "REDIS_URL": stores.redis.url,
        "S3_ENDPOINT": stores.minio.endpoint,
        "S3_ACCESS_KEY": stores.minio.access_key,
        "S3_SECRET_KEY": stores.minio.secret_key,
        "S3_BUCKET": f"test-{uuid.uuid4().hex[:12]}",
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> config.Settings:
    """The settings that `environ` makes."""
    return config.load(environ)


def _administer(stores: Stores, statement: str) -> None:
    connection = psycopg2.connect(f"{stores.postgresql.url}/postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
