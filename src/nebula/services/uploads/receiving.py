"""Receives one request body of one upload: each full part goes to the store, and the rest to the local disk.

Bytes are acknowledged (their row is written) only after they are safely stored. A body keeps one part in memory, and no
transaction is open while it streams. The digest covers the acknowledged parts; a tail is hashed once it is in a part.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nebula.db import uploads
from nebula.db.database import Database, Tx
from nebula.domain.checksums import Checksum
from nebula.domain.limits import HEARTBEAT_S, MAX_UPLOAD_BYTES, PART_SIZE_BYTES, STALL_S
from nebula.domain.records import Upload
from nebula.domain.streams import ByteSource
from nebula.errors import (
    Busy,
    ChecksumMismatch,
    IncompleteBody,
    MultipartNotFound,
    SignInRequired,
    Superseded,
    TooLarge,
)
from nebula.services.disk_reserve import Room
from nebula.services.uploads.tails import Tails
from nebula.storage.contract import ObjectStorage, Part

READ_SIZE = 256 * 1024
WATCH_S = 10.0


class Hasher(Protocol):
    """A hash object of hashlib."""

    def update(self, data: memoryview, /) -> None: ...
    def copy(self) -> Hasher: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Stores:
    """Where uploads are stored: rows, objects, tail files, and the check of free disk space."""

    database: Database
    storage: ObjectStorage
    tails: Tails
    room: Room


@dataclass(frozen=True)
class IncomingBody:
    """A request body. `may_continue` is called from time to time; `interrupt` ends a blocked read."""

    source: ByteSource
    length: int | None  # None: chunked transfer, which ends by itself
    checksum: Checksum | None = None
    may_continue: Callable[[], bool] = lambda: True
    interrupt: Callable[[], None] = lambda: None


class Reception:
    """Receives a body. It is created after the attempt has begun; `upload` is the newest row that it knows."""

    def __init__(
        self, stores: Stores, upload: Upload, part_count: int, hasher: Hasher | None, body: IncomingBody
    ) -> None:
        self._stores = stores
        self.upload = upload
        self.part_count = part_count
        self.hasher = hasher  # of the acknowledged parts; None if another process received some of them
        self._ahead = hasher and hasher.copy()  # of all parts, including the unacknowledged ones
        self._body = body
        self._unacknowledged: list[Part] = []
        self._buffer = bytearray(self._capacity())
        self._filled = 0
        self._received = 0
        self._superseded = False
        self._writing = threading.Lock()
        self._watched_at = self._renewed_at = time.monotonic()

    def load_tail(self) -> None:
        """Load the bytes after the last full part into memory. Raises MultipartNotFound if they are lost."""
        length = self.upload.offset_bytes - self.part_count * PART_SIZE_BYTES
        fits = 0 <= length <= len(self._buffer)
        if not (fits and self._stores.tails.read_into(self.upload, memoryview(self._buffer)[:length])):
            raise MultipartNotFound("The last bytes of this upload are lost.")
        self._filled = length

    def take(self) -> Upload:
        """Receive the whole body. The bytes that arrived are kept, whatever ends the body.

        With a checksum, either all bytes are kept or none (ChecksumMismatch). If a body is too long, its tail is not
        kept.
        """
        if self._body.checksum is not None:
            self._receive()
            return self.keep()
        try:
            self._receive()
        except TooLarge:
            raise
        except BaseException:
            self.keep()
            raise
        return self.keep()

    def take_to_the_end(self) -> Upload:
        """Receive a body that is a whole file. If anything is missing, nothing is kept."""
        self._receive()
        return self.keep(ends=True)

    def keep(self, *, ends: bool = False) -> Upload:
        """Store the bytes that arrived, then acknowledge them.

        If these include the last byte, or with `ends`, the upload moves on to be completed.
        """
        with self._writing:
            self._check_superseded()
            ends = ends or self._offset == self.upload.length_bytes
            if self._received or self._unacknowledged or ends:
                self._keep_tail(ends)
            return self.upload

    def interrupt(self) -> None:
        """End this reception in favour of a newer one: its blocked read ends, and it acknowledges nothing more."""
        self._superseded = True
        self._body.interrupt()

    def wait_until_written(self) -> None:
        """Wait until the interrupted reception has stopped writing to the store.

        It would otherwise overwrite a part of the newer reception. Raises Busy if the store hangs.
        """
        if not self._writing.acquire(timeout=STALL_S):
            raise Busy("The connection before this one still writes to the store; try again in a moment.")
        self._writing.release()

    def _receive(self) -> None:
        hasher = self._body.checksum and hashlib.new(self._body.checksum.algorithm, usedforsecurity=False)
        if self._filled == PART_SIZE_BYTES:  # the store failed to take this part last time
            self._store_part()
        while piece := self._read():
            if hasher:
                hasher.update(piece)
            self._add(memoryview(piece))
            self._watch()
        if self._body.length is not None and self._received < self._body.length:
            raise IncompleteBody("The body ended before its announced length.")
        if self._body.checksum and hasher and hasher.digest() != self._body.checksum.digest:
            raise ChecksumMismatch("The body does not fit its Upload-Checksum; nothing of it was kept.")

    def _read(self) -> bytes:
        size = READ_SIZE if self._body.length is None else min(READ_SIZE, self._body.length - self._received)
        piece = self._body.source.read(size) if size else b""
        self._received += len(piece)
        if self._offset + len(piece) > self._most():
            raise TooLarge("The body goes beyond the upload's length.", code="body_too_long")
        return piece

    def _add(self, rest: memoryview) -> None:
        while rest:
            count = min(len(rest), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + count] = rest[:count]
            self._filled += count
            rest = rest[count:]
            if self._filled == PART_SIZE_BYTES:
                self._store_part()

    def _store_part(self) -> None:
        with self._writing:
            self._check_superseded()
            self._stores.room.check(local_bytes=PART_SIZE_BYTES, object_bytes=PART_SIZE_BYTES)
            number = self.part_count + len(self._unacknowledged) + 1
            part = self._stores.storage.put_part(
                self.upload.object_key, self._multipart_id(), number, memoryview(self._buffer)
            )
            if self._ahead is not None:
                self._ahead.update(memoryview(self._buffer))
            self._unacknowledged.append(part)
            self._filled = 0
            if self._body.checksum is None:
                self._acknowledge()

    def _multipart_id(self) -> str:
        if self.upload.multipart_id is not None:
            return self.upload.multipart_id
        key = self.upload.object_key
        multipart_id = self._stores.storage.create_multipart(key, self.upload.media_type)
        try:
            self.upload = self._stores.database.write(lambda tx: uploads.name_multipart(tx, self.upload, multipart_id))
        except Superseded:
            # No row names this multipart upload, so the sweep would not find it. It is empty.
            self._stores.storage.abort_multipart(key, multipart_id)
            raise
        return multipart_id

    def _keep_tail(self, ends: bool) -> None:
        # An upload without parts is stored from its tail file, even if it is empty.
        has_tail = self._filled > 0 or not (self.part_count or self._unacknowledged)
        if has_tail:
            self._stores.room.check(local_bytes=self._filled, object_bytes=self._filled)
            self._stores.tails.write(self.upload.id, self.upload.attempt, memoryview(self._buffer)[: self._filled])
        try:
            self._acknowledge(has_tail=has_tail, ends=ends)
        except Superseded:
            self._stores.tails.path(self.upload.id, self.upload.attempt).unlink(missing_ok=True)
            raise
        self._stores.tails.remove(self.upload.id, before=self.upload.attempt)

    def _acknowledge(self, *, has_tail: bool = False, ends: bool = False) -> None:
        parts = [(part.number, part.etag, part.size_bytes) for part in self._unacknowledged]
        upload, offset = self.upload, self._offset

        def work(tx: Tx) -> Upload:
            acknowledged = uploads.acknowledge(tx, upload, parts, offset, has_tail=has_tail)
            return uploads.complete(tx, acknowledged) if ends else acknowledged

        self.upload = self._stores.database.write(work)
        self.part_count += len(parts)
        self._unacknowledged.clear()
        self.hasher = self._ahead and self._ahead.copy()
        self._renewed_at = time.monotonic()

    def _watch(self) -> None:
        """From time to time, check that the body may go on, and renew the lease of its row."""
        now = time.monotonic()
        if now - self._watched_at >= WATCH_S:
            self._watched_at = now
            if not self._body.may_continue():
                raise SignInRequired("The session has ended; sign in again, then go on with the upload.")
        if now - self._renewed_at >= HEARTBEAT_S:
            self._renewed_at = now
            self._stores.database.write(lambda tx: uploads.renew(tx, self.upload))

    @property
    def _offset(self) -> int:
        return (self.part_count + len(self._unacknowledged)) * PART_SIZE_BYTES + self._filled

    def _most(self) -> int:
        return MAX_UPLOAD_BYTES if self.upload.length_bytes is None else self.upload.length_bytes

    def _capacity(self) -> int:
        return min(PART_SIZE_BYTES, self._most() - self.part_count * PART_SIZE_BYTES)

    def _check_superseded(self) -> None:
        if self._superseded:
            raise Superseded("A newer request goes on with this upload.")
