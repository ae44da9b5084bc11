"""`nebula-server up`: run everything on this machine with one command, on embedded stores or those in the settings.

It prepares (data directory, signing key, schema, bucket, port), keeps the gateway and workers alive, creates the first
account, and prints where everything is. In production, systemd does this instead, with the same processes.
"""

from __future__ import annotations

import dataclasses
import fcntl
import http.client
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nebula
from nebula import config
from nebula.api import gateway
from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens
from nebula.config import Settings
from nebula.db import migrate
from nebula.db.database import Database
from nebula.domain.states import Queue, Role
from nebula.errors import Conflict, SettingsError
from nebula.services.accounts import Accounts
from nebula.storage.choose import open_storage
from nebula.supervisor import Log, ManagedProcess, Supervisor
from nebula.worker import app as worker

HOST = "127.0.0.1"
PORTS = range(8420, 8520)
PROGRAMS = ("ffmpeg", "ffprobe", "setpriv")
LOCK_WAIT_S = 15.0
PING_TIMEOUT_S = 1.0


def run(environ: Mapping[str, str]) -> int:
    """Run everything until a signal; return the exit status."""
    settings = config.load(environ)
    _require_programs()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _sole_run(settings.data_dir) as lock, _listener(environ, settings.data_dir) as listener:
        environ = _resolved(environ, settings.data_dir, listener)
        settings = config.load(environ)
        _prepare(settings)
        with _accounts(settings) as accounts:
            new_password = _first_account(accounts, settings)
            parts = _parts(settings, environ, lock, listener)
            number = Supervisor(parts, _say).run(
                lambda: _answers(listener), lambda: _announce(settings, accounts, new_password)
            )
    _say("everything has stopped")
    return 128 + signal.SIGINT if number == signal.SIGINT else 0


def with_signing_key(environ: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """Return `environ` with a signing key: the one that is set, else the data directory's own, which is made once."""
    if environ.get("SECRET_KEY") or environ.get("SECRET_KEY_FILE"):
        return dict(environ)
    path = data_dir / "secret_key"
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(48))
    return {**environ, "SECRET_KEY_FILE": str(path)}


def _write_once(path: Path, text: str) -> None:
    # Write the file completely or not at all: a key that was cut short would be refused at every later start.
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def _require_programs() -> None:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise SettingsError(
            f"Not installed: {', '.join(missing)}. On Debian: apt-get install ffmpeg util-linux (or run script/server)."
        )


@contextmanager
def _sole_run(data_dir: Path) -> Iterator[int]:
    """Lock the data directory; yield the lock, which every part inherits.

    So the lock is free only after the last process of an earlier run has ended.
    """
    lock = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(lock, data_dir)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _take(lock: int, data_dir: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode().strip()
            # If the other `up` was killed, its parts will end in a moment.
            if _runs(holder) or time.monotonic() > deadline:
                raise Conflict(
                    f"Nebula already runs on {data_dir} (process {holder or 'unknown'}). Stop it first, or give this"
                    " one a directory of its own with NEBULA_DATA_DIR."
                ) from None
            time.sleep(0.1)


def _runs(pid: str) -> bool:
    return pid.isdigit() and Path("/proc", pid).exists()


@contextmanager
def _listener(environ: Mapping[str, str], data_dir: Path) -> Iterator[socket.socket]:
    """Listen on the gateway's address. The gateway inherits the socket, so its restarts refuse no connection."""
    bind = environ.get("NEBULA_BIND", "").strip()
    listener = _listen_as_told(bind) if bind else _listen_where_free(data_dir / "bind")
    with listener:
        yield listener


def _listen_as_told(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    try:
        return _listen(host.strip("[]"), int(port))
    except OSError as error:
        raise SettingsError(f"NEBULA_BIND is {bind}, and that address cannot be had: {error.strerror}.") from error
    except OverflowError:
        raise SettingsError(f"NEBULA_BIND is {bind}: a port is at most 65535.") from None


def _listen_where_free(memory: Path) -> socket.socket:
    remembered = _remembered(memory)
    first_choice = remembered or PORTS[0]
    for port in [first_choice, *PORTS]:
        try:
            listener = _listen(HOST, port)
        except OSError:
            continue
        if port != first_choice:
            _say(f"port {first_choice} is taken; from now on it is {port} (kept in {memory})")
        memory.write_text(f"{HOST}:{port}\n")
        return listener
    raise SettingsError(f"No port from {PORTS[0]} to {PORTS[-1]} is free; set NEBULA_BIND to ADDRESS:PORT.")


def _remembered(memory: Path) -> int | None:
    try:
        port = memory.read_text().strip().rpartition(":")[2]
    except FileNotFoundError:
        return None
    return int(port) if port.isdigit() and 0 < int(port) < 1 << 16 else None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _resolved(environ: Mapping[str, str], data_dir: Path, listener: socket.socket) -> dict[str, str]:
    """Return the environment of every part, with a value for each setting that was unset."""
    own = {"NEBULA_DATA_DIR": str(data_dir), "NEBULA_BIND": _address(listener), "PYTHONUNBUFFERED": "1"}
    return with_signing_key(environ, data_dir) | own


def _prepare(settings: Settings) -> None:
    migrate.upgrade(settings.database_url)
    open_storage(settings).prepare()
    for folder in (settings.queue_dir, settings.tails_dir, settings.scratch_dir):
        folder.mkdir(parents=True, exist_ok=True)


def _parts(settings: Settings, environ: Mapping[str, str], lock: int, listener: socket.socket) -> list[ManagedProcess]:
    # gunicorn accepts fd://N as an address: the socket that already listens.
    inherited = dataclasses.replace(settings, bind=f"fd://{listener.fileno()}")
    logs = settings.data_dir / "log"
    return [
        ManagedProcess(
            "gateway", gateway.argv(inherited), environ, Log(logs / "gateway.log"), (lock, listener.fileno())
        ),
        ManagedProcess("quick worker", worker.argv(Queue.QUICK), environ, Log(logs / "quick.log"), (lock,)),
        ManagedProcess("encode worker", worker.argv(Queue.ENCODE), environ, Log(logs / "encode.log"), (lock,)),
    ]


def _answers(listener: socket.socket) -> bool:
    host, port = listener.getsockname()[:2]
    connection = http.client.HTTPConnection({"0.0.0.0": HOST, "::": "::1"}.get(host, host), port, PING_TIMEOUT_S)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _accounts(settings: Settings) -> Iterator[Accounts]:
    database = Database(settings.database_url, threads=1)
    try:
        tokens = AccessTokens(settings.secret_keys, minutes=settings.access_token_minutes)
        yield Accounts(database, Passwords(), tokens, refresh_token_days=settings.refresh_token_days)
    finally:
        database.close()


def _first_account(accounts: Accounts, settings: Settings) -> str | None:
    """Create the first account with the configured password.

    If no password is configured, return a new one; the account is created with it when everything is up.
    """
    if accounts.has_accounts():
        return None
    if not settings.owner_password_file:
        letters = secrets.token_hex(10)
        return "-".join(letters[start : start + 5] for start in range(0, 20, 5))
    try:
        password = Path(settings.owner_password_file).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"NEBULA_OWNER_PASSWORD_FILE cannot be read: {error}.") from error
    accounts.create_account(settings.owner, password, Role.OWNER)
    return None


def _announce(settings: Settings, accounts: Accounts, made_up: str | None) -> None:
    url = f"http://{settings.bind}"
    print(f"\nNebula {nebula.__version__} is at {url}  (data: {settings.data_dir}; Ctrl-C stops it)")
    if made_up is not None:
        # The account is created only now: the password is shown once, and a failed start must not use that up.
        accounts.create_account(settings.owner, made_up, Role.OWNER)
        print(f"\nThe first account is {settings.owner}, its password {made_up}")
        print("This is shown once. Change it with: nebula passwd")
    client = _shown(Path(sys.executable).parent / "nebula")
    print("\nNext, in another terminal:")
    print(f"  {client} login --server {url} --username {settings.owner}")
    print(f"  {client} upload FILE")
    print(f"  {client} ls")
    print(f"  {client} play NAME\n", flush=True)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _say(message: str) -> None:
    print(f"nebula-server: {message}", file=sys.stderr, flush=True)
