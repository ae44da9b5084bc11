"""Stores an attempt's results. A key is doomed before its object exists; the transaction that names it spares it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from nebula.db import objects
from nebula.db.database import Database, Tx
from nebula.errors import NebulaError, StoreUnavailable
from nebula.services.disk_reserve import Room
from nebula.services.films.attempt import Attempt
from nebula.storage.contract import ObjectStorage

T = TypeVar("T")

DOOM_AFTER_S = 86400  # far longer than storing a film takes


class Keeping:
    """Puts results into the store. If the process dies in between, only a doomed key remains."""

    def __init__(self, database: Database, storage: ObjectStorage, room: Room) -> None:
        self._database = database
        self._storage = storage
        self._room = room

    def keep(self, attempt: Attempt, object_key: str, path: Path, commit: Callable[[Tx], T]) -> T:
        """Store a film and commit the transaction that names it, in the same way as `keep_all`."""
        return self.keep_all(attempt, {object_key: path}, "video/mp4", commit)

    def keep_all(self, attempt: Attempt, paths: Mapping[str, Path], media_type: str, commit: Callable[[Tx], T]) -> T:
        """Store files under their keys, and commit the transaction that names them.

        If either fails, the objects are doomed and the error is passed on. If a store does not answer, tries again for
        INSIST_S.
        """
        self._room.check(local_bytes=0, object_bytes=sum(path.stat().st_size for path in paths.values()))
        attempt.insist(lambda: self._doom(paths, after_s=DOOM_AFTER_S))
        try:
            for object_key, path in paths.items():
                attempt.insist(lambda key=object_key, path=path: self._storage.put_file(key, path, media_type))  # type: ignore[misc]
            return attempt.write(commit)
        except NebulaError:
            with suppress(StoreUnavailable):  # if this fails, the sweep deletes them after DOOM_AFTER_S
                self._doom(paths)
            raise

    def _doom(self, object_keys: Iterable[str], *, after_s: float = 0) -> None:
        def work(tx: Tx) -> None:
            for object_key in object_keys:
                objects.doom(tx, object_key, after_s=after_s)

        self._database.write(work)
