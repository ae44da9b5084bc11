"""Storing what an attempt made: its key is doomed before the object exists, spared by the transaction that names it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from nebula.db import files
from nebula.db.database import Database, Tx
from nebula.errors import NebulaError, StoreUnavailable
from nebula.services.attempt import Attempt
from nebula.services.room import Room
from nebula.storage.contract import ObjectStorage

T = TypeVar("T")

DOOM_AFTER_S = 86400  # far longer than storing a film takes


class Keeping:
    """Puts results into the store; whatever dies in between leaves a doomed key and nothing else."""

    def __init__(self, database: Database, storage: ObjectStorage, room: Room) -> None:
        self._database = database
        self._storage = storage
        self._room = room

    def keep(self, attempt: Attempt[Any], object_key: str, path: Path, commit: Callable[[Tx], T]) -> T:
        """Store a file and commit the transaction that names it. Raises what either raises; the object is doomed then.

        A store that is away is waited for.
        """
        self._room.check(local_bytes=0, object_bytes=path.stat().st_size)
        attempt.insist(lambda: self._database.write(lambda tx: files.doom(tx, object_key, after_s=DOOM_AFTER_S)))
        try:
            attempt.insist(lambda: self._storage.put_file(object_key, path, "video/mp4"))
            return attempt.insist(lambda: self._database.write(commit))
        except NebulaError:
            with suppress(StoreUnavailable):  # else it is deleted when the first doom is due
                self._database.write(lambda tx: files.doom(tx, object_key))
            raise
