"""Finds a film's source in the store: checks that it exists, returns a path or URL, makes a local copy if needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nebula.domain.records import Content
from nebula.errors import ObjectNotFound, Stopped
from nebula.media.reading.serving import serving
from nebula.services.disk_reserve import Room
from nebula.services.films.attempt import Attempt
from nebula.storage.contract import ObjectInfo, ObjectStorage

COPY_BYTES = 1 << 20


class Sources:
    """The originals that films are made from."""

    def __init__(self, storage: ObjectStorage, room: Room, copies_dir: Path) -> None:
        self._storage = storage
        self._room = room
        self._copies_dir = copies_dir
        self._copying = threading.Lock()
        self._used: list[str] = []  # ids of the contents that are in use now

    def find(self, attempt: Attempt) -> str:
        """Return the original as a file path or a URL of this machine, for ffmpeg to read until the attempt ends.

        Raises the same errors as `check`.
        """
        key = attempt.claim.content.object_key
        stored = self.check(attempt.claim.content)
        path = self._storage.local_path(key)
        if path is not None:
            return str(path)
        return attempt.serve(
            serving(key, stored.size_bytes, lambda start, length: self._storage.open(key, start, length, stored.etag))
        )

    def check(self, content: Content) -> ObjectInfo:
        """Return the store's information on the original. Raises StoreUnavailable; ObjectNotFound if it was deleted."""
        try:
            return self._storage.stat(content.object_key)
        except ObjectNotFound:
            raise ObjectNotFound("The stored bytes of this file are gone.") from None

    def copy(self, attempt: Attempt, content: Content) -> Path:
        """Return the original as a local file: the store's own, or a copy in the attempt's scratch directory."""
        path = self._storage.local_path(content.object_key)
        if path is not None:
            return path
        target = attempt.folder / "source"
        self.fetch(attempt, content.object_key, content.size_bytes, target)
        return target

    def kept(self, attempt: Attempt, content: Content) -> Path:
        """Return the original as a local file. A copy stays for the next chunks of the same film."""
        local = self._storage.local_path(content.object_key)
        if local is not None:
            return local
        path = self._copies_dir / content.id
        with self._copying:
            if not path.exists():
                fresh = path.with_suffix(".part")
                self.fetch(attempt, content.object_key, content.size_bytes, fresh)
                fresh.rename(path)
        return path

    @contextmanager
    def used(self, content: Content | None) -> Iterator[None]:
        """Mark a content as in use while the block runs. First removes the copies of contents that are not in use."""
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

    def fetch(self, attempt: Attempt, object_key: str, size_bytes: int, target: Path) -> None:
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
