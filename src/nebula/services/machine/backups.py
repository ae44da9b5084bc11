"""The state of the backup, as the backup program reports it and as people see it. Backups are not made here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nebula.db import backups
from nebula.db.database import Database, Tx, aware
from nebula.domain.backups import state
from nebula.domain.limits import PURGE_HOLD_S
from nebula.domain.records import Backup
from nebula.domain.states import BackupState
from nebula.errors import InvalidInput, NotFound

HOLDER = "backup"


@dataclass(frozen=True)
class BackupOverview:
    """The state of the backup. `backup` is None if none is set up."""

    state: BackupState
    is_running: bool
    backup: Backup | None


class Backups:
    """The use cases of the backup record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self) -> datetime:
        """Keep the sweep from deleting objects for PURGE_HOLD_S; return when that time ends.

        A running backup calls this again and again to extend it.
        """
        return self._database.write(lambda tx: backups.hold(tx, HOLDER, PURGE_HOLD_S))

    def release(self) -> None:
        """Let the sweep delete objects again. Raises NotFound if that time had run out: objects may be gone by now."""
        if not self._database.write(lambda tx: backups.release(tx, HOLDER)):
            raise NotFound("Nothing is held any more: the hold had run out.")

    def set_up(self, target: str, kept: str, warning: str | None) -> None:
        """Record where backups go and how long they are kept. `warning` says what is wrong with that target."""
        if not target or not kept:
            raise InvalidInput("A backup has a target, and is kept for some time.")
        self._database.write(lambda tx: backups.set_up(tx, target, kept, warning))

    def forget(self) -> None:
        """Record that no backup is set up."""
        self._database.write(backups.forget)

    def note(self, step: str, sentence: str) -> None:
        """Record the result of a step: `made`, `failed`, `read` or `unreadable`. Raises NotFound if none is set up."""
        note_step = {
            "made": backups.note_made,
            "failed": backups.note_failed,
            "read": backups.note_read,
            "unreadable": backups.note_unreadable,
        }[step]
        if not self._database.write(lambda tx: note_step(tx, sentence)):
            raise NotFound("No backup is set up.")

    def overview(self) -> BackupOverview:
        """Return the state of the backup."""

        def work(tx: Tx) -> BackupOverview:
            backup = backups.find(tx)
            return BackupOverview(state(backup, aware(tx.now)), backups.is_held(tx), backup)

        return self._database.read(work)
