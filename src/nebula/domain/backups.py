"""The condition of the backup: a pure decision from what was recorded about it."""

from __future__ import annotations

from datetime import datetime, timedelta

from nebula.domain.limits import BACKUP_OVERDUE_S
from nebula.domain.records import Backup
from nebula.domain.states import BackupState


def state(backup: Backup | None, now: datetime) -> BackupState:
    """Return the backup's condition at `now`, the database's clock. Overdue comes first because it costs the most."""
    if backup is None:
        return BackupState.NONE
    if now - (backup.succeeded_at or backup.set_up_at) > timedelta(seconds=BACKUP_OVERDUE_S):
        return BackupState.OVERDUE
    if backup.error is not None or backup.read_error is not None:
        return BackupState.FAILING
    return BackupState.WAITING if backup.succeeded_at is None else BackupState.OK
