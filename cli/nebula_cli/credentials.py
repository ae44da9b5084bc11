"""The credentials file of this user: one session per server, so that no server ever sees another server's token."""

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
# An access token is renewed this long before it expires, so that it does not expire during a request.
MARGIN_S = 30.0


@dataclass(frozen=True)
class Credentials:
    """The tokens of one session. `access_expires_at` is Unix time by this machine's clock."""

    username: str
    session_id: str
    access_token: str
    access_expires_at: float
    refresh_token: str

    def is_fresh(self) -> bool:
        """Return whether the access token is still valid as far as this machine knows."""
        # If the clock was set back, every token looks fresh; the server then answers 401.
        return time.time() < self.access_expires_at - MARGIN_S


def from_tokens(username: str, tokens: dict[str, Any]) -> Credentials:
    """Make credentials from the API's answer to login or refresh. Raises Unreachable if it is not Nebula's."""
    try:
        expires_at = time.time() + float(tokens["expires_in"])
        return _credentials({**tokens, "username": username, "access_expires_at": expires_at})
    except (KeyError, TypeError, ValueError) as error:
        raise Unreachable(
            f"What answered the sign-in is not Nebula (no {error}); check the address: nebula ping"
        ) from error


class Keyring:
    """The credentials file. Each call reads it again, because other processes renew tokens too."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or state.directory()
        self._path = folder / "credentials.json"
        self._lock = folder / "credentials.lock"

    def server(self) -> str:
        """Return the server to talk to: NEBULA_SERVER, else the remembered one, else this machine."""
        return os.environ.get("NEBULA_SERVER") or self._read().server or DEFAULT_SERVER

    def get(self, server: str) -> Credentials:
        """Return the session at `server`. Raises SignInAgain if there is none."""
        credentials = self._read().sessions.get(server)
        if credentials is None:
            raise SignInAgain(f"Nobody is signed in at {server}; sign in: {login_command(server)}")
        return credentials

    def find(self, server: str) -> Credentials | None:
        """Return the session at `server`; None if there is none or the file is damaged."""
        with contextlib.suppress(state.Damaged):
            return self._read().sessions.get(server)
        return None

    def remember(self, server: str, credentials: Credentials) -> None:
        """Store a new session, and use `server` from now on. Replaces a damaged file."""
        with self.locked():
            try:
                content = self._read()
            except state.Damaged:
                content = _Kept("", {})
            self._write(_Kept(server, content.sessions | {server: credentials}))

    def store(self, server: str, credentials: Credentials) -> None:
        """Store a renewed session. The caller must hold `locked`."""
        content = self._read()
        self._write(_Kept(content.server or server, content.sessions | {server: credentials}))

    def drop(self, server: str) -> None:
        """Remove the session at `server`. The caller must hold `locked`."""
        content = self._read()
        self._write(_Kept(content.server, {url: session for url, session in content.sessions.items() if url != server}))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file against other processes: only one of them may use a refresh token."""
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
    """The content of the file."""

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
    """Return the command that signs in at `server`."""
    return "nebula login" if server == DEFAULT_SERVER else f"nebula login --server {server}"
