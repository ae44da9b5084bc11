"""What is noted of the backup, and the holds that keep every object where it is while one runs.

The machine's own program makes the backup and tells by `nebula-server backup`; one target is set up at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nebula.db.database import Tx, aware
from nebula.domain.records import Backup


def hold(tx: Tx, holder: str, seconds: float) -> datetime:
    """Let no object be deleted for so long, from now; again to go on. Returns when it runs out.

    What a sweep found to be due before this is what no row needed then: it may still go, and no dump that is made
    afterwards names it.
    """
    tx.execute(
        "INSERT INTO purge_holds (holder, held_until) VALUES ($holder, $moment)"
        " ON CONFLICT (holder) DO UPDATE SET held_until = excluded.held_until",
        holder=holder,
        moment=tx.after(seconds),
    )
    return tx.after(seconds).replace(tzinfo=UTC)


def release(tx: Tx, holder: str) -> bool:
    """End a hold; False where it had run out before, so that objects may have gone meanwhile."""
    held = tx.execute(
        "DELETE FROM purge_holds WHERE holder = $holder RETURNING held_until > $now, holder", holder=holder, now=tx.now
    )
    return bool(held and held[0][0])


def is_held(tx: Tx) -> bool:
    """Say whether anything keeps objects from being deleted."""
    return bool(tx.select("SELECT holder, held_until FROM purge_holds WHERE held_until > $now", now=tx.now))


def set_up(tx: Tx, target: str, kept: str, warning: str | None) -> None:
    """Note where backups go, how long they are kept, and what is wrong with the target; another target begins anew."""
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
    """Note that no backup is set up."""
    tx.execute("DELETE FROM backups")


def note_made(tx: Tx, sentence: str) -> bool:
    """Note that a backup was made; False where none is set up."""
    return _noted(tx, "tried_at = $now, succeeded_at = $now, said = $said, error = NULL", sentence)


def note_failed(tx: Tx, sentence: str) -> bool:
    """Note why a backup was not made; False where none is set up."""
    return _noted(tx, "tried_at = $now, error = $said", sentence)


def note_read(tx: Tx, sentence: str) -> bool:
    """Note that a part of the backup was read and is whole; False where none is set up."""
    return _noted(tx, "read_at = $now, read_said = $said, read_error = NULL", sentence)


def note_unreadable(tx: Tx, sentence: str) -> bool:
    """Note what is wrong with what was read of the backup; False where none is set up."""
    return _noted(tx, "read_error = $said", sentence)


def find(tx: Tx) -> Backup | None:
    """Return what is noted of the backup; None where none is set up."""
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
