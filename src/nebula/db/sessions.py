"""Sessions and their refresh tokens. Every change of a token family locks the row of its session first.

On PostgreSQL the lock is FOR UPDATE; on SQLite it is the whole write transaction (BEGIN IMMEDIATE). The row of a token
is read after the lock, so that two refreshes with the same token see each other's changes.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from pony import orm

from nebula.db.database import Tx, aware
from nebula.domain.records import Principal, Session
from nebula.domain.states import Role
from nebula.domain.tokens import RefreshMove, TokenFacts, decide

LISTED = 1000


@dataclass(frozen=True)
class Device:
    """The device that a sign-in or a refresh comes from."""

    address: str
    user_agent: str


@dataclass(frozen=True)
class NewTokens:
    """The two tokens about to be issued: the digest of the refresh token, and the id (`jti`) of the access token."""

    digest: str
    jti: str
    life_s: int


@dataclass(frozen=True)
class Refreshed:
    """The result of a refresh; `session` is None if the token is unknown."""

    move: RefreshMove
    session: Session | None


def session_record(row: Any) -> Session:
    """Turn a session's row into its record."""
    return Session(
        id=row.id,
        account_id=row.account.id,
        user_agent=row.user_agent,
        address=row.address,
        created_at=aware(row.created_at),
        last_used_at=aware(row.last_used_at),
        expires_at=aware(row.expires_at),
        revoked_at=aware(row.revoked_at),
    )


def begin(tx: Tx, account_id: str, device: Device, tokens: NewTokens) -> Session:
    """Add a session with its first refresh token."""
    row = tx.e.Session(
        id=str(uuid.uuid4()),
        account=account_id,
        user_agent=device.user_agent,
        address=device.address,
        created_at=tx.now,
        last_used_at=tx.now,
        expires_at=tx.after(tokens.life_s),
    )
    tx.flush()
    _issue(tx, row, tokens, parent=None)
    return session_record(row)


def refresh(tx: Tx, digest: str, device: Device, tokens: NewTokens) -> Refreshed:
    """Decide what to do about a presented refresh token, and do it. Commit the result: it may be a revocation."""
    token_rows = tx.select("SELECT session_id, digest FROM refresh_tokens WHERE digest = $digest", digest=digest)
    session = _locked(tx, token_rows[0][0]) if token_rows else None
    if session is None:
        return Refreshed(RefreshMove.REFUSE, None)
    token = tx.e.RefreshToken.get(digest=digest)
    heirs = _heirs(tx, session, token)
    move = decide(_token_facts(tx, session, token, heirs))
    if move is RefreshMove.REVOKE:
        session.revoked_at = tx.now
    elif move in {RefreshMove.ROTATE, RefreshMove.SIBLING}:
        token.spent_at = token.spent_at or tx.now
        for heir in heirs:
            heir.dead_at = heir.dead_at or tx.now
        session.set(last_used_at=tx.now, expires_at=tx.after(tokens.life_s))
        session.set(address=device.address, user_agent=device.user_agent)
        _issue(tx, session, tokens, parent=digest)
    tx.flush()
    return Refreshed(move, session_record(session))


def see(tx: Tx, session_id: str, jti: str) -> Principal | None:
    """Record that an access token was used; return its principal, or None if the token is not valid.

    This proves that the client received the answer to its last refresh. If the refresh token before it is presented
    again, a lost answer is no longer accepted as the reason.
    """
    session = _locked(tx, session_id)
    token = tx.e.RefreshToken.get(jti=jti)
    if token is None or session is None or token.session != session or token.dead_at is not None:
        return None
    if not _lives(tx, session):
        return None
    if token.access_seen_at is None:
        token.access_seen_at = tx.now
    return _principal(session)


def principal_of(tx: Tx, session_id: str) -> Principal | None:
    """Return the principal of a session, or None if the session has ended."""
    session = tx.e.Session.get(id=session_id)
    return _principal(session) if session is not None and _lives(tx, session) else None


def living(tx: Tx, account_id: str) -> list[Session]:
    """Return an account's live sessions (at most LISTED), the one that was used last first."""
    now = tx.now
    rows = tx.e.Session.select(
        lambda session: session.account.id == account_id and session.revoked_at is None and session.expires_at > now
    )
    ordered = rows.order_by(lambda session: (orm.desc(session.last_used_at), orm.desc(session.id)))
    return [session_record(row) for row in ordered.limit(LISTED)]


def end(tx: Tx, account_id: str, session_id: str) -> bool:
    """End one live session of an account; return whether there was one."""
    ended = tx.execute(
        "UPDATE sessions SET revoked_at = $now WHERE id = $session AND account_id = $account"
        " AND revoked_at IS NULL AND expires_at > $now RETURNING id, account_id",
        now=tx.now,
        session=session_id,
        account=account_id,
    )
    return bool(ended)


def end_all(tx: Tx, account_id: str, *, but: str = "") -> list[str]:
    """End every session of an account except `but`; return the ids of those that ended."""
    ended = tx.execute(
        "UPDATE sessions SET revoked_at = $now WHERE account_id = $account AND id <> $but AND revoked_at IS NULL"
        " RETURNING id, account_id",
        now=tx.now,
        account=account_id,
        but=but,
    )
    return [row[0] for row in ended]


def _locked(tx: Tx, session_id: str) -> Any:
    return tx.e.Session.get_for_update(id=session_id)


def _heirs(tx: Tx, session: Any, token: Any) -> list[Any]:
    """Return the tokens issued in a token's place: the successors of a spent one, or the siblings of a dead one."""
    parent = token.parent if token.dead_at is not None else token.digest
    heirs = tx.e.RefreshToken.select(lambda heir: heir.session == session and heir.parent == parent)
    return [heir for heir in heirs if heir.digest != token.digest]


def _token_facts(tx: Tx, session: Any, token: Any, heirs: list[Any]) -> TokenFacts:
    return TokenFacts(
        session_lives=_lives(tx, session),
        has_expired=token.expires_at <= tx.now,
        is_spent=token.spent_at is not None,
        is_dead=token.dead_at is not None,
        heirs_were_used=any(heir.spent_at is not None or heir.access_seen_at is not None for heir in heirs),
    )


def _issue(tx: Tx, session: Any, tokens: NewTokens, *, parent: str | None) -> None:
    tx.e.RefreshToken(
        digest=tokens.digest,
        session=session,
        parent=parent,
        jti=tokens.jti,
        issued_at=tx.now,
        expires_at=tx.after(tokens.life_s),
    )
    tx.flush()


def _lives(tx: Tx, session: Any) -> bool:
    return session.revoked_at is None and session.expires_at > tx.now and session.account.disabled_at is None


def _principal(session: Any) -> Principal:
    account = session.account
    return Principal(account.id, account.name, Role(account.role), session.id)
