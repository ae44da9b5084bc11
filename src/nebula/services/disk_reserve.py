"""The disk reserve: the space that uploads leave free for the database."""

from __future__ import annotations

import shutil
from pathlib import Path

from nebula.errors import NoRoom
from nebula.storage.contract import ObjectStorage


class Room:
    """Refuses what would use up the reserve, on the disk of the data directory and on the disk of the objects."""

    def __init__(self, storage: ObjectStorage, data_dir: Path, reserve_bytes: int) -> None:
        self._storage = storage
        self._data_dir = data_dir
        self._reserve_bytes = reserve_bytes

    def check(self, *, local_bytes: int, object_bytes: int = 0) -> None:
        """Raise NoRoom if so many bytes do not fit beside the reserve.

        The data directory and the objects may be on the same disk, which cannot be found out for an S3 store. So
        objects are counted on the store's disk if its free space is known, and the free space of the data directory's
        disk is checked again before every part.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._check(shutil.disk_usage(self._data_dir).free, local_bytes)
        store_free_bytes = self._storage.free_bytes()
        if store_free_bytes is not None:
            self._check(store_free_bytes, local_bytes + object_bytes)

    def _check(self, free_bytes: int, needed_bytes: int) -> None:
        if free_bytes - needed_bytes < self._reserve_bytes:
            raise NoRoom("The disk is full: only its reserve is left. Remove files (nebula rm --now), then try again.")
