"""Write files through to a disk, and translate a disk's errors for a store."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nebula.domain.limits import PART_SIZE_BYTES
from nebula.errors import NoRoom, StoreUnavailable

FULL = (errno.ENOSPC, errno.EDQUOT)
BROKEN = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENODEV, errno.ENXIO)


@contextmanager
def answering() -> Iterator[None]:
    """Translate the errors of a full or broken disk; let other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom("The disk that holds the objects is full.") from error
        if error.errno in BROKEN:
            raise StoreUnavailable("objects") from error
        raise


def write_through(path: Path, body: bytes | bytearray | memoryview, place: int, flags: int = 0) -> None:
    """Write all of `body` at an offset of the file, through to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o644)
    try:
        rest = memoryview(body).cast("B")
        while rest:
            count = os.pwrite(descriptor, rest, place)
            rest, place = rest[count:], place + count
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: Path, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    with suppress(FileNotFoundError):  # a delete has pruned it in the meantime, so it contains nothing of ours
        sync(folder, os.O_DIRECTORY)


def sync_file_system(folder: Path) -> None:
    """Write the file system of a folder to its disk (syncfs(2), which Python does not offer)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def parts_of(path: Path) -> Iterator[tuple[int, memoryview]]:
    """Yield a file's parts by number. All of them use the same buffer."""
    buffer = bytearray(PART_SIZE_BYTES)
    with path.open("rb", buffering=0) as file:
        number = 0
        while count := _fill(file, buffer):
            number += 1
            yield number, memoryview(buffer)[:count]


def _fill(file: Any, buffer: bytearray) -> int:
    view, count = memoryview(buffer), 0
    while count < len(buffer) and (read := file.readinto(view[count:])):
        count += read
    return count
