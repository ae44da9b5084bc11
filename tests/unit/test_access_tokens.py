"""Access tokens: what is ours is read, and every known trap of JWT is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.auth import tokens
from nebula.auth.tokens import AccessClaims, AccessTokens, key_id
from nebula.errors import SettingsError, SignInRequired

KEY = "k" * 64
OTHER_KEY = "o" * 64
WHOLE = {"iss": "nebula", "aud": "nebula-api", "sub": "account", "sid": "session", "jti": "token"}


def ours(**options: Any) -> AccessTokens:
    return AccessTokens([KEY], minutes=15, **options)


def forged(
    claims: dict[str, Any] | None = None,
    *,
    header: dict[str, Any] | None = None,
    key: str = KEY,
    without: str = "",
    algorithm: str = "HS256",
) -> str:
    now = int(time.time())
    content = WHOLE | {"iat": now, "exp": now + 600} | (claims or {})
    content.pop(without, None)
    headers = {"typ": "at+jwt", "kid": key_id(KEY)} | (header or {})
    return jwt.encode(content, key, algorithm=algorithm, headers=headers)


def by_hand(header: dict[str, Any], signature: bytes | None = None) -> str:
    now = int(time.time())
    parts = [header, WHOLE | {"iat": now, "exp": now + 600}]
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    made = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).digest() if signature is None else signature
    return f"{text}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def refused(token: str, by: AccessTokens | None = None) -> bool:
    with pytest.raises(SignInRequired) as raised:
        (by or ours()).read(token)
    return raised.value.code == "invalid_token"


def test_token_is_read_when_it_is_ours() -> None:
    assert ours().read(ours().issue("account", "session", "token")) == AccessClaims("account", "session", "token")


def test_token_has_the_form_of_rfc_9068_when_it_is_issued() -> None:
    token = ours().issue("account", "session", "token")
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt", "kid": key_id(KEY)}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.pop("exp") - claims.pop("iat") == 15 * 60
    assert claims == WHOLE
    assert len(token) < tokens.MAX_LENGTH / 2


def test_forger_makes_a_token_that_passes_when_nothing_is_wrong_with_it() -> None:
    """Without this the refusals below would prove nothing."""
    assert ours().read(forged()).jti == "token"
    assert ours().read(by_hand({"alg": "HS256", "typ": "at+jwt", "kid": key_id(KEY)})).jti == "token"


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "HS512", "RS256", ""])
def test_token_is_refused_when_its_algorithm_is_not_the_pinned_one(algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "at+jwt", "kid": key_id(KEY)}
    assert refused(by_hand(header))
    assert refused(by_hand(header, signature=b""))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_token_is_refused_when_another_algorithm_signed_it_with_our_key(algorithm: str) -> None:
    assert refused(forged(key=KEY, algorithm=algorithm))


@pytest.mark.parametrize("typ", ["JWT", "", None, "AT+JWT ", "refresh"])
def test_token_is_refused_when_it_is_of_another_type(typ: str | None) -> None:
    assert refused(by_hand({"alg": "HS256", "typ": typ, "kid": key_id(KEY)}))


def test_token_is_refused_when_it_names_no_type() -> None:
    assert refused(by_hand({"alg": "HS256", "kid": key_id(KEY)}))


@pytest.mark.parametrize("kid", [None, "", "00000000", 7, ["a"], {}, "../../dev/null"])
def test_token_is_refused_when_its_key_id_is_foreign(kid: Any) -> None:
    assert refused(by_hand({"alg": "HS256", "typ": "at+jwt", "kid": kid}))


def test_token_is_refused_when_it_names_no_key() -> None:
    assert refused(by_hand({"alg": "HS256", "typ": "at+jwt"}))


@pytest.mark.parametrize("claim", tokens.CLAIMS)
def test_token_is_refused_when_a_claim_is_missing(claim: str) -> None:
    assert refused(forged(without=claim))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "elsewhere"},
        {"aud": "elsewhere"},
        {"sub": ""},
        {"sid": ""},
        {"sid": 7},
        {"sid": None},
        {"jti": ""},
        {"exp": 1},
        {"exp": "soon"},
        {"iat": "now"},
        {"nbf": 1 << 40},
    ],
)
def test_token_is_refused_when_a_claim_is_wrong(claims: dict[str, Any]) -> None:
    assert refused(forged(claims))


def test_token_is_refused_when_it_has_expired() -> None:
    earlier = ours(clock=lambda: time.time() - 15 * 60 - 1)
    assert refused(earlier.issue("account", "session", "token"))


def test_token_is_refused_when_another_key_signed_it_under_our_key_id() -> None:
    assert refused(forged(key=OTHER_KEY))


def test_token_is_refused_when_it_demands_an_unknown_extension() -> None:
    assert refused(by_hand({"alg": "HS256", "typ": "at+jwt", "kid": key_id(KEY), "crit": ["x"], "x": 1}))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_token_is_refused_when_a_part_is_changed(part: int) -> None:
    parts = forged().split(".")
    parts[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]
    assert refused(".".join(parts))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "é" * 20, "x" * 10_000, "e30.e30.", "[" * 2000, "W10.W10.W10"]
)
def test_token_is_refused_when_it_is_none(token: str) -> None:
    assert refused(token)


@given(st.text(max_size=300))
def test_token_is_refused_whatever_it_is(text: str) -> None:
    assert refused(text)


def test_token_is_read_after_a_rotation_when_its_key_is_still_in_the_keyring() -> None:
    old = ours().issue("account", "session", "token")
    rotated = AccessTokens([OTHER_KEY, KEY], minutes=15)
    assert rotated.read(old).jti == "token"
    assert jwt.get_unverified_header(rotated.issue("a", "s", "t"))["kid"] == key_id(OTHER_KEY)


def test_token_is_refused_when_its_key_has_left_the_keyring() -> None:
    assert refused(ours().issue("account", "session", "token"), AccessTokens([OTHER_KEY], minutes=15))


def test_token_of_an_older_key_is_read_until_the_keys_end_and_not_after_it() -> None:
    old = ours().issue("account", "session", "token")
    end = datetime(2026, 11, 25, 2, 15, tzinfo=UTC)
    ring = [OTHER_KEY, f"{KEY}@2026-11-25T02:15Z"]
    before = AccessTokens(ring, minutes=15, clock=(end - timedelta(seconds=1)).timestamp)
    assert before.read(old).jti == "token"
    assert refused(old, AccessTokens(ring, minutes=15, clock=end.timestamp))


def test_gateway_does_not_start_when_there_is_no_key() -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY"):
        AccessTokens([], minutes=15)


def test_refresh_secret_shows_nothing_of_itself() -> None:
    secret = tokens.RefreshSecret.make()
    assert secret.text not in repr(secret)
    assert len(base64.urlsafe_b64decode(secret.text + "=")) == 32
    assert secret.digest == hashlib.sha256(secret.text.encode()).hexdigest()
