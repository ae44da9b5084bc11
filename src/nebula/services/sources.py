"""A film's source in the store: whether it is there, what ffmpeg reads it by, and a local copy where that is needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nebula.domain.records import Content
from nebula.errors import ObjectNotFound, Stopped
from nebula.services.attempt import Attempt
from nebula.services.room import Room
from nebula.storage.contract import ObjectStorage

SOURCE_LIFE_S = 7 * 86400  # of a presigned URL: the most that S3 takes; it must outlive lease and pause
COPY_BYTES = 1 << 20


class Sources:
    """The originals that films are made from."""

    def __init__(self, storage: ObjectStorage, room: Room, copies_dir: Path) -> None:
        self._storage = storage
        self._room = room
        self._copies_dir = copies_dir
        self._copying = threading.Lock()
        self._used: list[str] = []  # the contents that something is made of now

    def find(self, content: Content) -> str:
        """Return what ffmpeg reads the original by: a local path, or a presigned URL. Raises as `check` does."""
        self.check(content)
        return self._storage.media_source(content.object_key, SOURCE_LIFE_S)

    def check(self, content: Content) -> None:
        """Raise StoreUnavailable, or ObjectNotFound where the original was deleted meanwhile."""
        try:
            self._storage.stat(content.object_key)
        except ObjectNotFound:
            raise ObjectNotFound("The stored bytes of this file are gone.") from None

    def copy(self, attempt: Attempt[Any], content: Content) -> Path:
        """Copy the original into the attempt's scratch directory."""
        target = attempt.folder / "source"
        self.fetch(attempt, content.object_key, content.size_bytes, target)
        return target

    def kept(self, attempt: Attempt[Any], content: Content) -> Path:
        """Return a local copy of a content in use; it stays for the next chunks of the same film."""
        path = self._copies_dir / content.id
        with self._copying:
            if not path.exists():
                fresh = path.with_suffix(".part")
                self.fetch(attempt, content.object_key, content.size_bytes, fresh)
                fresh.rename(path)
        return path

    @contextmanager
    def used(self, content: Content | None) -> Iterator[None]:
        """Use a content while the block runs; first the copies of those that nobody uses are removed."""
        name = content.id if content else ""
        self._used.append(name)
        try:
            self._remove_copies()
            yield
        finally:
            self._used.remove(name)

    def _remove_copies(self) -> None:
        if self._copies_dir.is_dir():
            for path in self._copies_dir.iterdir():
                if path.stem not in self._used:
                    path.unlink(missing_ok=True)

    def fetch(self, attempt: Attempt[Any], object_key: str, size_bytes: int, target: Path) -> None:
        """Copy an object into the attempt's scratch directory. Raises NoRoom, Stopped, ObjectNotFound."""
        self._room.check(local_bytes=size_bytes)
        target.parent.mkdir(parents=True, exist_ok=True)
        reader = self._storage.open(object_key, 0, size_bytes)
        buffer = memoryview(bytearray(COPY_BYTES))
        try:
            with target.open("wb") as file:
                while count := reader.readinto(buffer):
                    file.write(buffer[:count])
                    if attempt.stop.is_set():
                        raise Stopped("The work was stopped.")
        finally:
            reader.close()
