"""Tail files: the acknowledged bytes of an upload after its last full part, on this machine's disk.

A file is named after the upload and the attempt that wrote it. It is written once and never changed. Until the upload's
row names the new file, the old one is valid.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nebula.domain.limits import UPLOAD_LIFE_S
from nebula.domain.records import Upload
from nebula.errors import NoRoom

FULL = (errno.ENOSPC, errno.EDQUOT)


class Tails:
    """The folder of the tail files. The first upload creates it, so only the gateway's machine has one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Create the folder if it is missing."""
        if not self.exist():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sync(self._folder.parent)

    def path(self, upload_id: str, attempt: int) -> Path:
        """Return the path of a tail file."""
        return self._folder / f"{upload_id}.{attempt}"

    def write(self, upload_id: str, attempt: int, data: memoryview) -> None:
        """Write a tail file and sync it to the disk. Raises NoRoom; then nothing of the file is left."""
        path = self.path(upload_id, attempt)
        try:
            self.prepare()
            _write(path, data)
            _sync(self._folder)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            if error.errno in FULL:
                raise NoRoom("The disk is full.") from error
            raise RuntimeError(f"The tail of an upload cannot be written: {error}") from error

    def size(self, upload: Upload) -> int:
        """Return the size in bytes of the upload's valid tail file; 0 if there is none."""
        try:
            return self.path(upload.id, upload.tail_attempt).stat().st_size
        except FileNotFoundError:
            return 0

    def read_into(self, upload: Upload, buffer: memoryview) -> bool:
        """Fill `buffer` from the upload's valid tail file. Returns True if the file has exactly the buffer's size."""
        if not buffer:
            return True
        try:
            with self.path(upload.id, upload.tail_attempt).open("rb", buffering=0) as file:
                return file.readinto(buffer) == len(buffer) and not file.read(1)
        except FileNotFoundError:
            return False

    def remove(self, upload_id: str, before: int | None = None) -> None:
        """Remove an upload's tail files: all, or only those of attempts before `before`."""
        for path in self._files(upload_id):
            if before is None or _attempt(path) < before:
                path.unlink(missing_ok=True)

    def exist(self) -> bool:
        """Return whether this machine has ever received uploads. Other machines have no tails to finish from."""
        return self._folder.is_dir()

    def upload_ids(self) -> Iterator[str]:
        """Yield the ids of the uploads that have tail files."""
        yield from sorted({_upload_id(path) for path in self._folder.iterdir()})

    def remove_outlived(self, upload_id: str) -> None:
        """Remove the tail files of an upload that has no row, if they are older than any unfinished upload can be.

        Younger files stay, because with a wrong DATABASE_URL no upload has a row. The age is a difference of two times
        on this machine's clock.
        """
        for path in self._files(upload_id):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - 2 * UPLOAD_LIFE_S:
                    path.unlink()

    def _files(self, upload_id: str) -> list[Path]:
        if not self.exist():
            return []
        return [path for path in self._folder.iterdir() if _upload_id(path) == upload_id]


def _upload_id(path: Path) -> str:
    return path.name.rpartition(".")[0]


def _attempt(path: Path) -> int:
    text = path.name.rpartition(".")[2]
    return int(text) if text.isdigit() else 0


def _write(path: Path, data: memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = data
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
