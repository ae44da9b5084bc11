"""The contract of an object store. directory.py and s3.py pass one contract suite (tests/contract/test_storage.py).

Parts are numbered from 1; every part but the last has exactly PART_SIZE_BYTES. After `complete_multipart` or `put_file`
has returned, the object survives a power cut. Errors: ObjectNotFound, ObjectChanged, MultipartNotFound,
StoreUnavailable("objects").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from nebula.domain.limits import PART_SIZE_BYTES
from nebula.errors import ObjectChanged

SEGMENT_BYTES = 255
KEY_BYTES = 1024


@dataclass(frozen=True)
class Part:
    """One stored part of an unfinished multipart upload."""

    number: int
    etag: str
    size_bytes: int


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows about an object. `etag` is unquoted and changes whenever the bytes change."""

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime


def check_key(key: str) -> str:
    """Return the key. Raises ValueError if a store could take it for another place.

    Nebula makes all keys itself, so such a key is a programming error.
    """
    segments = key.split("/")
    if "\0" in key or len(key.encode()) > KEY_BYTES or any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(f"{key!r} is no object key")
    if any(len(segment.encode()) > SEGMENT_BYTES for segment in segments):
        raise ValueError(f"{key!r} has a segment of more than {SEGMENT_BYTES} bytes")
    return key


def check_parts(parts: list[Part], size_bytes: int) -> None:
    """Raise ObjectChanged if these parts are not the whole of an object of `size_bytes`, in order."""
    numbered = all(part.number == number for number, part in enumerate(parts, 1))
    full = all(part.size_bytes == PART_SIZE_BYTES for part in parts[:-1])
    if not numbered or not full or sum(part.size_bytes for part in parts) != size_bytes:
        raise ObjectChanged(f"These {len(parts)} parts do not make an object of {size_bytes} bytes.")


class ObjectReader(Protocol):
    """A byte range of an object, read in order.

    It never comes short: if the store breaks off, the reader asks it again from where it stopped.
    """

    def fileno(self) -> int | None:
        """Return a descriptor of a file that holds the object, for sendfile; None if there is none."""

    @property
    def offset(self) -> int:
        """Position in the object (and in the file behind `fileno`) of the next byte."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the byte range; return the number of bytes read, 0 only at the range's end."""

    def close(self) -> None:
        """Release the store's connection or file. May be called twice."""


class ObjectStorage(Protocol):
    """An object store. Safe to use from many threads."""

    def prepare(self) -> None:
        """Create the bucket or directory if it is missing."""

    def check(self) -> None:
        """Raise StoreUnavailable("objects") within 3 s if the store does not answer."""

    def create_multipart(self, key: str, media_type: str) -> str:
        """Begin a multipart upload; return the store's id for it."""

    def put_part(self, key: str, multipart_id: str, number: int, body: bytes | bytearray | memoryview) -> Part:
        """Store one part, durably. The same number again replaces the part. Raises MultipartNotFound.

        The etag identifies what was stored and is only compared: some stores derive it from the bytes, some do not.
        """

    def list_parts(self, key: str, multipart_id: str) -> list[Part]:
        """Return the stored parts in order. Raises MultipartNotFound."""

    def list_multiparts(self, key: str) -> list[str]:
        """Return the ids of the unfinished multipart uploads of exactly this key, also those that no row names."""

    def complete_multipart(self, key: str, multipart_id: str, parts: list[Part], size_bytes: int) -> ObjectInfo:
        """Join the parts into the object, durably. No parts make an empty object.

        A second call succeeds if the object has `size_bytes`, and raises MultipartNotFound otherwise. Raises
        ObjectChanged if `parts` are not the stored ones or are not the whole object.
        """

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """Discard an unfinished multipart upload. It is no error if there is none."""

    def put_file(self, key: str, path: Path, media_type: str) -> ObjectInfo:
        """Store a local file as one object, durably. Readers see all of it or nothing."""

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known about the object. Raises ObjectNotFound."""

    def open(self, key: str, start: int, length: int, etag: str | None = None) -> ObjectReader:
        """Open `length` bytes from `start`.

        Raises ObjectNotFound, or ObjectChanged if `etag` no longer matches or the byte range goes beyond the object.
        """

    def delete(self, key: str) -> None:
        """Remove an object. It is no error if there is none."""

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix, in key order."""

    def local_path(self, key: str) -> Path | None:
        """Return the path of the file that is the object; None if the object is not a file on this machine."""

    def free_bytes(self) -> int | None:
        """Return the free space where the objects are on this machine; None if they are elsewhere or it is unknown."""
