"""The state directory: private files, written completely or not at all, and locks between the processes of a user."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nebula_cli.errors import CliError, SignInAgain

LOCK_WAIT_S = 60.0


class Damaged(SignInAgain):
    """The content of a state file is not what Nebula writes."""


def directory() -> Path:
    """Return $XDG_STATE_HOME/nebula; create it if missing. Other users cannot read it."""
    home = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification says that a relative path must be ignored.
    base = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state"
    return private_directory(base / "nebula")


def private_directory(path: Path) -> Path:
    """Create the directory if it is missing, and remove other users' access to it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a state file; None if the file does not exist.

    Raises CliError if other users may read the file (its secrets may be known), Damaged if its content is not valid.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise CliError(f"Other users may read {path}; close it to them: chmod 600 {path}")
            content = json.loads(file.read())
    except FileNotFoundError:
        return None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Damaged(f"{path} is damaged; sign in again: nebula login")
    return content


def write_json(path: Path, thing: dict[str, Any]) -> None:
    """Write a state file: write a temporary file, sync it, rename it. A crash leaves the old or the new content."""
    aside = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(thing, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


@contextlib.contextmanager
def locked(path: Path, *, busy: str, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold a lock on the file `path`. Raises CliError(busy) if another process still holds it after `wait_s`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + wait_s
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise CliError(busy)
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file; return False if it is locked already. The lock ends when the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
