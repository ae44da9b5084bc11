"""Fixtures for all tests: real stores, both worlds, and three people (owner, member, anonymous)."""

from __future__ import annotations

import functools
import secrets
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import hypothesis
import psycopg2
import pytest
from falcon import testing

from nebula import config
from nebula.db import migrate
from nebula.db.database import Database
from tests.clips import Clips
from tests.sharing import pytest_xdist_make_scheduler  # noqa: F401  (pytest finds its hook here)
from tests.skips import (  # noqa: F401  (pytest finds its hooks here)
    pytest_collectreport,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from tests.stores import Stores

if TYPE_CHECKING:
    from nebula.api.app import Gateway
    from tests.gateway import RunningGateway
    from tests.people import People
    from tests.shelf import Shelf

WORLDS = ["embedded", "provisioned"]

# A shell that starts the tests in the background lets them ignore SIGINT, and so every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A client of boto3 reads descriptions of S3 from disk, which takes a tenth of a second, and the tests make hundreds of
# clients. One loader for all of them reads the descriptions once.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

# A busy machine is no reason to fail: an example has no deadline, and drawing may be slow.
hypothesis.settings.register_profile("nebula", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("nebula")


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    """PostgreSQL, Redis and MinIO: `stores.postgresql.url`, `stores.redis.url`, `stores.minio.endpoint`."""
    with tempfile.TemporaryDirectory(prefix="nebula-stores-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user, who may not enter the folders of pytest
        running = Stores(Path(folder))
        yield running
        running.stop()


@pytest.fixture(scope="session")
def postgresql_template(stores: Stores) -> str:
    """The name of a migrated database. The database of each test is a copy of it."""
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
    """A migrated SQLite database for this test alone."""
    path = tmp_path / "data" / "nebula.sqlite"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(stores: Stores, postgresql_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database for this test alone."""
    with _postgresql_copy(stores, postgresql_template) as url:
        yield url


@pytest.fixture(scope="module")
def shared_postgresql_url(stores: Stores, postgresql_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database for a whole module, whose tests clear it. Making one takes up to a second."""
    with _postgresql_copy(stores, postgresql_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database; the test runs on SQLite and on PostgreSQL."""
    opened = Database(request.getfixturevalue(f"{request.param}_url"))
    yield opened
    opened.close()


@pytest.fixture(params=WORLDS)
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a server for this test alone, in both worlds. Its database is migrated."""
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
    """The settings of `environ`."""
    return config.load(environ)


@pytest.fixture
def app(settings: config.Settings) -> Iterator[Gateway]:
    """The WSGI application that gunicorn runs, in both worlds."""
    from nebula.api.app import create_app

    gateway = create_app(settings)
    yield gateway
    gateway.close()


@pytest.fixture
def client(app: Gateway) -> testing.TestClient:
    """A client of `app` without credentials."""
    return testing.TestClient(app)


@pytest.fixture
def people(settings: config.Settings, client: testing.TestClient) -> People:
    """Owner, member and anonymous: `people.member.get("/api/v1/files")`."""
    from tests.people import make_people

    return make_people(settings, client)


@pytest.fixture
def shelf(settings: config.Settings) -> Iterator[Shelf]:
    """Puts stored files into the world of `app` and `gateway`: `shelf.put(account_id, name, body)`."""
    from tests.shelf import Shelf

    opened = Shelf(settings)
    yield opened
    opened.close()


@pytest.fixture
def gateway(environ: dict[str, str], tmp_path: Path) -> Iterator[RunningGateway]:
    """The real gateway on its own port, in both worlds: `gateway.base_url`, `.kill()`, `.start()`."""
    from tests.gateway import running_gateway

    yield from running_gateway(environ, tmp_path / "gateway.log")


@contextmanager
def _postgresql_copy(stores: Stores, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(stores, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield f"{stores.postgresql.url}/{name}"
    _administer(stores, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def clips() -> Clips:
    """Tiny films of every kind: `clips.path("mkv_h264_ac3")`."""
    return Clips()


def _administer(stores: Stores, statement: str) -> None:
    connection = psycopg2.connect(f"{stores.postgresql.url}/postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
