"""Access tokens (JWT, through PyJWT, which only this module uses) and new refresh tokens.

An access token has the form of RFC 9068: HS256, `typ` at+jwt, claims iss aud sub sid iat exp jti, and the signing key's
id in the header. The algorithm is pinned and every claim is required: PyJWT requires none and does not check `typ`
(RFC 8725). The keyring is SECRET_KEY, newest first: the first key signs, all keys verify. A key's id is derived from
the key, so a rotation only adds one key in front. The key behind it gets an end time, when its last token expires, and
is ignored from then on. A valid signature alone admits nobody: services/accounts.py looks up the session.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from nebula.config import key_and_end
from nebula.errors import SettingsError, SignInRequired

ISSUER = "nebula"
AUDIENCE = "nebula-api"
ALGORITHM = "HS256"
TYPE = "at+jwt"
CLAIMS = ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]
MAX_LENGTH = 2048  # our tokens have about 420 characters
REFRESH_BYTES = 32


@dataclass(frozen=True)
class AccessClaims:
    """The contents of a valid access token."""

    account_id: str
    session_id: str
    jti: str


@dataclass(frozen=True)
class RefreshSecret:
    """A new refresh token: the text goes only to the client, and the digest goes only to the database."""

    text: str = field(repr=False)
    digest: str

    @classmethod
    def make(cls) -> RefreshSecret:
        text = secrets.token_urlsafe(REFRESH_BYTES)
        return cls(text, refresh_digest(text))


def refresh_digest(text: str) -> str:
    """Return what is stored of a refresh token: its SHA-256 (32 random bytes do not need a slow hash)."""
    return hashlib.sha256(text.encode()).hexdigest()


def new_jti() -> str:
    """Return an id for a new access token."""
    return str(uuid.uuid4())


def key_id(key: str) -> str:
    """Return a key's id, as it is written in a token's header."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


class AccessTokens:
    """Issues and reads access tokens. `keys` are newest first; an older one may carry its end time."""

    def __init__(self, keys: Sequence[str], *, minutes: int, clock: Callable[[], float] = time.time) -> None:
        if not keys:
            raise SettingsError("SECRET_KEY is not set: give it one or more random keys of at least 32 bytes.")
        parts = [key_and_end(key) for key in keys]
        self._signing_key = parts[0][0]
        self._keyring = {key_id(key): (key, end.timestamp() if end else math.inf) for key, end in parts}
        self._clock = clock
        self.life_s = minutes * 60

    def issue(self, account_id: str, session_id: str, jti: str) -> str:
        """Sign an access token."""
        now = int(self._clock())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": account_id, "sid": session_id, "jti": jti}
        headers = {"typ": TYPE, "kid": key_id(self._signing_key)}
        return jwt.encode(
            claims | {"iat": now, "exp": now + self.life_s}, self._signing_key, algorithm=ALGORITHM, headers=headers
        )

    def read(self, token: str) -> AccessClaims:
        """Return what a token says. Raises SignInRequired if it is not ours, is incomplete, or has expired."""
        try:
            return _claims(self._verified(token))
        except jwt.PyJWTError:
            raise _refused() from None

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_LENGTH or not token.isascii():
            raise _refused()
        header = jwt.get_unverified_header(token)
        key, end = self._keyring.get(str(header.get("kid")), ("", 0.0))
        if self._clock() >= end or header.get("typ") != TYPE:
            raise _refused()
        options: Any = {"require": CLAIMS, "enforce_minimum_key_length": True}
        return jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=options)


def _claims(claims: dict[str, Any]) -> AccessClaims:
    values = [claims[name] for name in ("sub", "sid", "jti")]
    if not all(isinstance(value, str) and value for value in values):
        raise _refused()
    return AccessClaims(*values)


def _refused() -> SignInRequired:
    return SignInRequired("The access token is not valid any more; refresh it or sign in again.", code="invalid_token")
