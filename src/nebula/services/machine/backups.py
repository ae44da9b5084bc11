"""The backup as the machine's program tells it, and as people see it. Making one is the machine's."""

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
class BackupStanding:
    """How the backup is; `backup` is None where none is set up."""

    state: BackupState
    is_running: bool
    backup: Backup | None


class Backups:
    """What is noted of the backup."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def hold(self) -> datetime:
        """Keep every object where it is, for a while; return until when. A backup that runs says so again and again."""
        return self._database.write(lambda tx: backups.hold(tx, HOLDER, PURGE_HOLD_S))

    def release(self) -> None:
        """Let the sweep delete again. Raises NotFound where the hold had run out: objects may have gone meanwhile."""
        if not self._database.write(lambda tx: backups.release(tx, HOLDER)):
            raise NotFound("Nothing is held any more: the hold had run out.")

    def set_up(self, target: str, kept: str, warning: str | None) -> None:
        """Note where backups go and how long they are kept; `warning` is what is wrong with that target."""
        if not target or not kept:
            raise InvalidInput("A backup has a target, and is kept for some time.")
        self._database.write(lambda tx: backups.set_up(tx, target, kept, warning))

    def forget(self) -> None:
        """Note that no backup is set up."""
        self._database.write(backups.forget)

    def note(self, step: str, sentence: str) -> None:
        """Note how it went: `made`, `failed`, `read` or `unreadable`. Raises NotFound where no backup is set up."""
        noted = {
            "made": backups.note_made,
            "failed": backups.note_failed,
            "read": backups.note_read,
            "unreadable": backups.note_unreadable,
        }[step]
        if not self._database.write(lambda tx: noted(tx, sentence)):
            raise NotFound("No backup is set up.")

    def standing(self) -> BackupStanding:
        """Return how the backup is."""

        def work(tx: Tx) -> BackupStanding:
            found = backups.find(tx)
            return BackupStanding(state(found, aware(tx.now)), backups.is_held(tx), found)

        return self._database.read(work)
