"""How the backup is, from what was noted of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nebula.domain.backups import state
from nebula.domain.records import Backup
from nebula.domain.states import BackupState

NOW = datetime(2026, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
FRESH = Backup(
    target="/mnt/backup",
    kept="the last one of each of 7 days",
    warning=None,
    set_up_at=NOW - HOUR,
    tried_at=None,
    succeeded_at=None,
    said=None,
    error=None,
    read_at=None,
    read_said=None,
    read_error=None,
)
MADE = replace(FRESH, set_up_at=NOW - 999 * HOUR, succeeded_at=NOW - HOUR)


@pytest.mark.parametrize(
    ("backup", "expected"),
    [
        (None, BackupState.NONE),
        (FRESH, BackupState.WAITING),
        (replace(FRESH, error="no disk"), BackupState.FAILING),
        (replace(FRESH, set_up_at=NOW - 49 * HOUR), BackupState.OVERDUE),
        (MADE, BackupState.OK),
        (replace(MADE, warning="the same disk"), BackupState.OK),
        (replace(MADE, succeeded_at=NOW - 47 * HOUR), BackupState.OK),
        (replace(MADE, succeeded_at=NOW - 49 * HOUR), BackupState.OVERDUE),
        (replace(MADE, succeeded_at=NOW - 49 * HOUR, error="no disk"), BackupState.OVERDUE),
        (replace(MADE, error="no disk"), BackupState.FAILING),
        (replace(MADE, read_error="damaged"), BackupState.FAILING),
    ],
)
def test_state_follows_from_what_was_noted(backup: Backup | None, expected: BackupState) -> None:
    assert state(backup, NOW) is expected
