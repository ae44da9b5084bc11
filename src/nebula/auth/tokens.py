"""Access tokens (JWT, through PyJWT, whose only home this is) and the making of refresh tokens.

An access token is RFC 9068 in form: HS256, `typ` at+jwt, claims iss aud sub sid iat exp jti, the signing key's id in
the header. The algorithm is pinned and every claim required: PyJWT requires none and does not look at `typ` (RFC 8725).
The keyring is SECRET_KEY, newest first: the first signs, all verify. A key's id is derived from the key, so that a
rotation is one more key in front; the one behind it has an end, when its last token has run out, and counts for nothing
from then on. A valid signature alone admits nobody: services/accounts.py looks up the session.
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
MAX_LENGTH = 2048  # ours have about 420 characters
REFRESH_BYTES = 32


@dataclass(frozen=True)
class AccessClaims:
    """What a valid access token says."""

    account_id: str
    session_id: str
    jti: str


@dataclass(frozen=True)
class RefreshSecret:
    """A new refresh token: the text goes to the client, the digest to the database, and nothing else anywhere."""

    text: str = field(repr=False)
    digest: str

    @classmethod
    def make(cls) -> RefreshSecret:
        text = secrets.token_urlsafe(REFRESH_BYTES)
        return cls(text, refresh_digest(text))


def refresh_digest(text: str) -> str:
    """Return what is stored of a refresh token: its SHA-256 (32 random bytes need no slow hash)."""
    return hashlib.sha256(text.encode()).hexdigest()


def new_jti() -> str:
    """Return the id of an access token that is yet to be issued."""
    return str(uuid.uuid4())


def key_id(key: str) -> str:
    """Return a key's id, as the token's header names it."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


class AccessTokens:
    """Issues and reads access tokens. `keys` are newest first, an older one with its end where it has one."""

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
        """Return what a token says. Raises SignInRequired for every one that is not ours, whole and in time."""
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
    found = [claims[name] for name in ("sub", "sid", "jti")]
    if not all(isinstance(value, str) and value for value in found):
        raise _refused()
    return AccessClaims(*found)


def _refused() -> SignInRequired:
    return SignInRequired("The access token is not valid any more; refresh it or sign in again.", code="invalid_token")
