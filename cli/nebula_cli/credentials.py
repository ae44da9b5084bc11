"""Who is signed in where: one file of this user, one session a server, so that no server ever sees another's token."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nebula_cli import state
from nebula_cli.errors import SignInAgain, Unreachable

DEFAULT_SERVER = "http://127.0.0.1:8420"
# An access token is renewed this long before its end: it must not end on the way.
MARGIN_S = 30.0


@dataclass(frozen=True)
class Credentials:
    """One session's tokens. `access_expires_at` is by this machine's clock (Unix time)."""

    username: str
    session_id: str
    access_token: str
    access_expires_at: float
    refresh_token: str

    def is_fresh(self) -> bool:
        """Whether the access token can be used as far as this machine knows."""
        # A clock that was set back would make any token look fresh; the server's 401 tells then.
        return time.time() < self.access_expires_at - MARGIN_S


def from_tokens(username: str, tokens: dict[str, Any]) -> Credentials:
    """Take the API's answer to login or refresh."""
    try:
        expires_at = time.time() + float(tokens["expires_in"])
        return _credentials({**tokens, "username": username, "access_expires_at": expires_at})
    except (KeyError, TypeError, ValueError) as error:
        raise Unreachable(
            f"What answered the sign-in is not Nebula (no {error}); check the address: nebula ping"
        ) from error


class Keyring:
    """The credentials file. It is read anew at each question: other processes renew tokens too."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or state.directory()
        self._path = folder / "credentials.json"
        self._lock = folder / "credentials.lock"

    def server(self) -> str:
        """Return the server to talk to: NEBULA_SERVER, else the one remembered, else this machine."""
        return os.environ.get("NEBULA_SERVER") or self._read().server or DEFAULT_SERVER

    def get(self, server: str) -> Credentials:
        """Return the session at `server`. Raises SignInAgain where there is none."""
        credentials = self._read().sessions.get(server)
        if credentials is None:
            raise SignInAgain(f"Nobody is signed in at {server}; sign in: {login_command(server)}")
        return credentials

    def find(self, server: str) -> Credentials | None:
        """Return the session at `server`, if there is one that can be read."""
        with contextlib.suppress(state.Damaged):
            return self._read().sessions.get(server)
        return None

    def remember(self, server: str, credentials: Credentials) -> None:
        """Keep a new session, and `server` as the one to talk to from now on; a damaged file is replaced."""
        with self.locked():
            try:
                content = self._read()
            except state.Damaged:
                content = _Kept("", {})
            self._write(_Kept(server, content.sessions | {server: credentials}))

    def store(self, server: str, credentials: Credentials) -> None:
        """Write a renewed session down. The caller holds `locked`."""
        content = self._read()
        self._write(_Kept(content.server or server, content.sessions | {server: credentials}))

    def drop(self, server: str) -> None:
        """Forget the session at `server`. The caller holds `locked`."""
        content = self._read()
        self._write(_Kept(content.server, {url: session for url, session in content.sessions.items() if url != server}))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file against other processes: a refresh token must be spent by one of them only."""
        with state.locked(self._lock, busy=f"Another nebula keeps {self._lock} locked; end it and try again."):
            yield

    def _read(self) -> _Kept:
        content = state.read_json(self._path) or {}
        try:
            sessions = {str(url): _credentials(session) for url, session in content.get("sessions", {}).items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise state.Damaged(f"{self._path} is damaged; sign in again: nebula login") from error
        return _Kept(str(content.get("server") or ""), sessions)

    def _write(self, kept: _Kept) -> None:
        state.write_json(self._path, asdict(kept))


@dataclass(frozen=True)
class _Kept:
    """What the file holds."""

    server: str
    sessions: dict[str, Credentials]


def _credentials(kept: dict[str, Any]) -> Credentials:
    return Credentials(
        username=str(kept["username"]),
        session_id=str(kept["session_id"]),
        access_token=str(kept["access_token"]),
        access_expires_at=float(kept["access_expires_at"]),
        refresh_token=str(kept["refresh_token"]),
    )


def login_command(server: str) -> str:
    """Return what to type to sign in at `server`."""
    return "nebula login" if server == DEFAULT_SERVER else f"nebula login --server {server}"
