"""The disk's reserve: what uploads leave free for the database."""

from __future__ import annotations

import shutil
from pathlib import Path

from nebula.errors import NoRoom
from nebula.storage.contract import ObjectStorage


class Room:
    """Says no before the reserve is touched, on the disk of the data directory and on that of the objects."""

    def __init__(self, storage: ObjectStorage, data_dir: Path, reserve_bytes: int) -> None:
        self._storage = storage
        self._data_dir = data_dir
        self._reserve_bytes = reserve_bytes

    def check(self, *, local_bytes: int, object_bytes: int = 0) -> None:
        """Raise NoRoom where these many bytes do not fit beside the reserve.

        Both may lie on one disk, which nobody can tell for an S3 store: objects count on the store's disk where that is
        known, and what the data directory's disk has left is looked at again before every part.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._check(shutil.disk_usage(self._data_dir).free, local_bytes)
        stored = self._storage.free_bytes()
        if stored is not None:
            self._check(stored, local_bytes + object_bytes)

    def _check(self, free_bytes: int, needed_bytes: int) -> None:
        if free_bytes - needed_bytes < self._reserve_bytes:
            raise NoRoom("The disk is full: only its reserve is left. Remove files (nebula rm --now), then try again.")
