"""Accounts and the counts of failed sign-ins; `tidy` deletes old counts, sessions and refresh tokens."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from typing import Any

from nebula.db.database import Tx, aware
from nebula.domain import credentials
from nebula.domain.records import Account
from nebula.domain.states import Role
from nebula.errors import Conflict

TIDY_ROWS = 1000  # deleted from one table in one transaction: other writers wait for it
KEEP_S = 86400


def account_record(row: Any) -> Account:
    """Turn an account's row into its record."""
    return Account(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        password_hash=row.password_hash,
        created_at=aware(row.created_at),
        disabled_at=aware(row.disabled_at),
    )


def add(tx: Tx, name: str, role: Role, password_hash: str) -> Account:
    """Add an account. Raises Conflict(code="account_exists") if the name is taken."""
    if tx.e.Account.get(name=name) is not None:
        raise Conflict(f"There is an account named {name!r} already.", code="account_exists")
    row = tx.e.Account(
        id=str(uuid.uuid4()), name=name, role=role, password_hash=password_hash, created_at=tx.now, disabled_at=None
    )
    tx.flush()
    return account_record(row)


def find_by_name(tx: Tx, name: str) -> Account | None:
    """Return an account by its name, disabled or not."""
    row = tx.e.Account.get(name=name)
    return None if row is None else account_record(row)


def locked(tx: Tx, account_id: str) -> Account | None:
    """Lock an account's row and return the account. Nobody else can change or disable it until the commit."""
    row = tx.e.Account.get_for_update(id=account_id)
    return None if row is None else account_record(row)


def any_exists(tx: Tx) -> bool:
    """Return whether there is any account."""
    return bool(tx.select("SELECT id, name FROM accounts LIMIT 1"))


def everyone(tx: Tx) -> list[Account]:
    """Return every account, the oldest first."""
    return [account_record(row) for row in sorted(tx.e.Account.select(), key=lambda row: (row.created_at, row.name))]


def set_password(tx: Tx, account_id: str, password_hash: str) -> None:
    """Store a new password's hash."""
    tx.e.Account.get_for_update(id=account_id).password_hash = password_hash
    tx.flush()


def disable(tx: Tx, account_id: str) -> None:
    """Disable an account: it cannot sign in any more, and its links are revoked. Its files stay."""
    tx.execute(
        "UPDATE accounts SET disabled_at = $now WHERE id = $id AND disabled_at IS NULL", now=tx.now, id=account_id
    )
    tx.execute(
        "UPDATE links SET revoked_at = $now WHERE account_id = $id AND revoked_at IS NULL", now=tx.now, id=account_id
    )


def enable(tx: Tx, account_id: str) -> None:
    """Let a disabled account sign in again. Links that were revoked stay revoked."""
    tx.execute("UPDATE accounts SET disabled_at = NULL WHERE id = $id", id=account_id)


def blocked_s(tx: Tx, subjects: Iterable[str]) -> int:
    """Return for how many whole seconds any of `subjects` is still blocked; 0 if none is."""
    rows = [tx.e.LoginFailure.get(subject=subject) for subject in subjects]
    waits = [(row.blocked_until - tx.now).total_seconds() for row in rows if row is not None]
    return max(0, math.ceil(max(waits, default=0)))


def note_failures(tx: Tx, subjects: Iterable[str]) -> None:
    """Count a failed sign-in for each of `subjects`, and block each for a time that depends on its count."""
    # Sorted, because two transactions that lock the same rows in different orders can deadlock.
    for subject in sorted(subjects):
        ((failures, _),) = tx.execute(
            "INSERT INTO login_failures (subject, failures, last_at, blocked_until) VALUES ($subject, 1, $now, $now)"
            " ON CONFLICT (subject) DO UPDATE SET last_at = excluded.last_at, failures ="
            " CASE WHEN login_failures.last_at < $stale THEN 1 ELSE login_failures.failures + 1 END"
            " RETURNING failures, subject",
            subject=subject,
            now=tx.now,
            stale=tx.after(-credentials.FAILURE_LIFE_S),
        )
        tx.execute(
            "UPDATE login_failures SET blocked_until = $until WHERE subject = $subject",
            until=tx.after(credentials.delay_s(subject, failures)),
            subject=subject,
        )


def clear_failures(tx: Tx, subjects: Iterable[str]) -> None:
    """Delete the counts of failed sign-ins of `subjects`."""
    for subject in sorted(subjects):
        tx.execute("DELETE FROM login_failures WHERE subject = $subject", subject=subject)


def forget_own_failures(tx: Tx, address: str, name: str) -> None:
    """Delete the failed sign-ins of an account, and subtract from its address's count those at this account.

    Failures of the address at other accounts still count. Otherwise, somebody who can sign in to one account could
    guess the passwords of others without limit.
    """
    clear_failures(tx, [credentials.account_subject(name)])
    removed = tx.execute(
        "DELETE FROM login_failures WHERE subject = $subject"
        " RETURNING CASE WHEN last_at < $stale THEN 0 ELSE failures END, subject",
        subject=credentials.guess_subject(address, name),
        stale=tx.after(-credentials.FAILURE_LIFE_S),
    )
    if removed:
        _take_failures(tx, credentials.address_subject(address), removed[0][0])


def _take_failures(tx: Tx, subject: str, count: int) -> None:
    tx.execute("DELETE FROM login_failures WHERE subject = $subject AND failures <= $n", subject=subject, n=count)
    tx.execute("UPDATE login_failures SET failures = failures - $n WHERE subject = $subject", subject=subject, n=count)


def tidy(tx: Tx) -> None:
    """Delete invalid refresh tokens, sessions that ended over a day ago, and failed sign-ins over a day old.

    A spent or dead token of a live session stays until it expires, because seeing it again reveals theft. One call
    deletes at most TIDY_ROWS of each kind; the next sweep deletes the rest.
    """
    tx.execute(
        "DELETE FROM refresh_tokens WHERE digest IN (SELECT token.digest FROM refresh_tokens AS token"
        " JOIN sessions AS session ON session.id = token.session_id WHERE token.expires_at < $now"
        f" OR session.expires_at < $now OR session.revoked_at IS NOT NULL LIMIT {TIDY_ROWS})",
        now=tx.now,
    )
    tx.execute(
        "DELETE FROM sessions WHERE id IN (SELECT session.id FROM sessions AS session"
        " WHERE (session.expires_at < $old OR session.revoked_at < $old) AND NOT EXISTS"
        f" (SELECT 1 FROM refresh_tokens AS token WHERE token.session_id = session.id) LIMIT {TIDY_ROWS})",
        old=tx.after(-KEEP_S),
    )
    tx.execute(
        "DELETE FROM login_failures WHERE subject IN"
        f" (SELECT subject FROM login_failures WHERE last_at < $old LIMIT {TIDY_ROWS})",
        old=tx.after(-KEEP_S),
    )
