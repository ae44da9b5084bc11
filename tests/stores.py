"""Real PostgreSQL, Redis and MinIO on private ports. Each process that runs tests starts them once and ends them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nebula"
BUILT_MINIO = CACHE / "bin" / "minio"
MINIO_BUILD_S = 1800.0
# Below the ports that Linux picks by itself, for whoever binds to port 0 and for outgoing connections.
PORTS = range(20_000, 32_768)

_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a port that belongs to this process until it ends, even while nothing listens on it.

    No test in another process or checkout gets the same port: a socket with the port's name claims it, and only one
    socket can have a name (unix(7), abstract sockets).
    """
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError), socket.socket() as listener:
            claim.bind(f"\0nebula-tests-{port}")
            listener.bind(("127.0.0.1", port))
            _claims.append(claim)
            return port
        claim.close()
    raise AssertionError(f"no free port from {PORTS[0]} to {PORTS[-1]}")


def wait_until(condition: Callable[[], object], seconds: float = 30.0, what: str = "condition") -> None:
    """Poll until `condition` is true. An OSError means "not yet"."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


class Store:
    """The process of a store. A test may stop, pause and start it, and must leave it running."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=os.environ | self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self.answers, what=f"start of {self.folder.name}")

    def stop(self) -> None:
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the process that was started, and reap it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def missing(self) -> str:
        """Return what this machine lacks and how to get it, or "" if nothing is missing."""
        return ""

    def answers(self) -> bool:
        return accepts(self.port)


class PostgreSQL(Store):
    """Runs as the user postgres if the tests run as root, because PostgreSQL refuses to run as root."""

    password = secrets.token_urlsafe(16)

    @property
    def bin(self) -> Path:
        return max(Path("/usr/lib/postgresql").glob("*/bin/initdb")).parent

    def missing(self) -> str:
        found = any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        return "" if found else "PostgreSQL's server is not installed: apt-get install postgresql"

    @property
    def url(self) -> str:
        return f"postgresql://nebula:{self.password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        wait_until(self._is_unused, what="the end of the children of a killed postmaster")
        super().start()

    def stop(self) -> None:
        if self.process is not None:
            # If the postmaster alone were killed, its children would still use the data directory.
            self.process.send_signal(signal.SIGQUIT)  # immediate shutdown
            self.process.wait()
            self.process = None

    def _is_unused(self) -> bool:
        """Whether no process works in the data directory: children end when they notice that the postmaster is gone."""
        for directory in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):  # the process has just ended, or belongs to another user
                if directory.readlink() == self.folder:
                    return False
        return True

    def _initialise(self) -> None:
        self.folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        password_file = self.folder.parent / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)
        subprocess.run(
            [*self._as_postgres(), str(self.bin / "initdb"), "-D", str(self.folder), "-U", "nebula"]
            + ["-A", "scram-sha-256", "--pwfile", str(password_file), "-E", "UTF8", "--locale", "C.UTF-8"],
            check=True,
            capture_output=True,
        )

    def _as_postgres(self) -> list[str]:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []

    def command(self) -> list[str]:
        own = ["-D", str(self.folder), "-p", str(self.port)]
        settings = ["unix_socket_directories=", "listen_addresses=127.0.0.1", "fsync=off"]
        options = [word for setting in settings for word in ("-c", setting)]
        return [*self._as_postgres(), str(self.bin / "postgres"), *own, *options]

    def answers(self) -> bool:
        import psycopg2

        try:
            psycopg2.connect(f"{self.url}/postgres", connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


class Redis(Store):
    password = secrets.token_urlsafe(16)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def missing(self) -> str:
        return "" if shutil.which("redis-server") else "Redis is not installed: apt-get install redis-server"

    def command(self) -> list[str]:
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return ["redis-server", *own, "--appendonly", "yes", "--save", "", "--requirepass", self.password]


class MinIO(Store):
    access_key = "nebula-test"
    secret_key = secrets.token_urlsafe(24)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        return {
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_API_STALE_UPLOADS_EXPIRY": "8760h",
            "MINIO_API_DELETE_CLEANUP_INTERVAL": "30s",
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",  # or it would contact a host on the internet
        }

    @property
    def binary(self) -> str:
        return os.environ.get("NEBULA_TEST_MINIO", str(BUILT_MINIO))

    def missing(self) -> str:
        _wait_for_build()
        return "" if os.access(self.binary, os.X_OK) else f"MinIO is not at {self.binary}: script/build-minio"

    def command(self) -> list[str]:
        return [self.binary, "server", str(self.folder), "--address", f"127.0.0.1:{self.port}", "--quiet"]

    def answers(self) -> bool:
        # /ready already answers 200 before MinIO knows its keys and buckets.
        with urllib.request.urlopen(f"{self.endpoint}/minio/health/cluster", timeout=2) as answer:
            return bool(answer.status == 200)


@dataclass
class Stores:
    """The three stores. Each starts when a test first asks for it."""

    folder: Path
    _started: dict[type[Store], Store] = field(default_factory=dict)

    def _get(self, kind: type[Store]) -> Store:
        if kind not in self._started:
            store = kind(self.folder / kind.__name__.lower() / "data")
            if missing := store.missing():
                pytest.skip(missing)
            store.start()
            self._started[kind] = store
        return self._started[kind]

    @property
    def postgresql(self) -> PostgreSQL:
        return self._get(PostgreSQL)  # type: ignore[return-value]

    @property
    def redis(self) -> Redis:
        return self._get(Redis)  # type: ignore[return-value]

    @property
    def minio(self) -> MinIO:
        return self._get(MinIO)  # type: ignore[return-value]

    def stop(self) -> None:
        for store in self._started.values():
            store.stop()


def _wait_for_build() -> None:
    """Wait if script/build-minio is running (script/test starts it beside the tests); not at the cost of the test.

    The timer of pytest-timeout is this process's ITIMER_REAL. It stands still during the wait, which has its own limit.
    """
    lock = CACHE / "build-minio.lock"
    if not lock.exists():
        return
    left, interval = signal.setitimer(signal.ITIMER_REAL, MINIO_BUILD_S)
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
