"""The status of the backup, and the purge leases that prevent objects from being deleted while a backup runs.

A script outside the server makes the backup and reports with `nebula-server backup`. Only one target is set up at a
time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nebula.db.database import Tx, aware
from nebula.domain.records import Backup


def hold(tx: Tx, holder: str, seconds: float) -> datetime:
    """Start a purge lease: no object is deleted for `seconds` from now. Call again to renew it. Returns its end.

    A sweep that has already read its list of due objects may still delete those. No row needed them at that time, so no
    database dump that is made afterwards names them.
    """
    tx.execute(
        "INSERT INTO purge_holds (holder, held_until) VALUES ($holder, $moment)"
        " ON CONFLICT (holder) DO UPDATE SET held_until = excluded.held_until",
        holder=holder,
        moment=tx.after(seconds),
    )
    return tx.after(seconds).replace(tzinfo=UTC)


def release(tx: Tx, holder: str) -> bool:
    """End a purge lease. Returns False if it had already run out: objects may have been deleted since then."""
    ended_leases = tx.execute(
        "DELETE FROM purge_holds WHERE holder = $holder RETURNING held_until > $now, holder", holder=holder, now=tx.now
    )
    return bool(ended_leases and ended_leases[0][0])


def is_held(tx: Tx) -> bool:
    """Return whether a purge lease is in force."""
    return bool(tx.select("SELECT holder, held_until FROM purge_holds WHERE held_until > $now", now=tx.now))


def set_up(tx: Tx, target: str, kept: str, warning: str | None) -> None:
    """Record the target, how long backups are kept, and a warning. A new target replaces the old one and its status."""
    tx.execute("DELETE FROM backups WHERE target <> $target", target=target)
    tx.execute(
        "INSERT INTO backups (target, kept, warning, set_up_at) VALUES ($target, $kept, $warning, $now)"
        " ON CONFLICT (target) DO UPDATE SET kept = excluded.kept, warning = excluded.warning",
        target=target,
        kept=kept,
        warning=warning,
        now=tx.now,
    )


def forget(tx: Tx) -> None:
    """Record that no backup is set up."""
    tx.execute("DELETE FROM backups")


def note_made(tx: Tx, sentence: str) -> bool:
    """Record that a backup was made. Returns False if none is set up."""
    return _noted(tx, "tried_at = $now, succeeded_at = $now, said = $said, error = NULL", sentence)


def note_failed(tx: Tx, sentence: str) -> bool:
    """Record why a backup failed. Returns False if none is set up."""
    return _noted(tx, "tried_at = $now, error = $said", sentence)


def note_read(tx: Tx, sentence: str) -> bool:
    """Record that a part of the backup was read and is intact. Returns False if none is set up."""
    return _noted(tx, "read_at = $now, read_said = $said, read_error = NULL", sentence)


def note_unreadable(tx: Tx, sentence: str) -> bool:
    """Record what is wrong with the part of the backup that was read. Returns False if none is set up."""
    return _noted(tx, "read_error = $said", sentence)


def find(tx: Tx) -> Backup | None:
    """Return the status of the backup, or None if none is set up."""
    row: Any = tx.e.Backup.select().first()
    if row is None:
        return None
    return Backup(
        target=row.target,
        kept=row.kept,
        warning=row.warning,
        set_up_at=aware(row.set_up_at),
        tried_at=aware(row.tried_at),
        succeeded_at=aware(row.succeeded_at),
        said=row.said,
        error=row.error,
        read_at=aware(row.read_at),
        read_said=row.read_said,
        read_error=row.read_error,
    )


def _noted(tx: Tx, changes: str, sentence: str) -> bool:
    return bool(tx.execute(f"UPDATE backups SET {changes} RETURNING target, kept", said=sentence, now=tx.now))
