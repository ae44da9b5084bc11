"""Finishes an upload after its last byte: joins the parts, computes the digest, and creates the file's row.

Each step may run twice, here or in the sweep. An attempt that finishes an upload has a lease on its row, by its attempt
number. A separate thread renews the lease, so a long digest does not lose it; if the process is killed, the lease ends
within seconds.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from nebula.db import files, objects, uploads
from nebula.db.database import Tx
from nebula.domain.limits import FINISHING_HEARTBEAT_S, MIB, PART_SIZE_BYTES
from nebula.domain.records import File, Upload
from nebula.domain.states import Queue, UploadState
from nebula.errors import (
    Conflict,
    DigestMismatch,
    MultipartNotFound,
    NebulaError,
    ObjectChanged,
    ObjectNotFound,
    PreconditionFailed,
    StoreUnavailable,
    Superseded,
)
from nebula.services.uploads.receiving import Hasher, Stores
from nebula.services.uploads.reconciling import Reconciling, UploadSnapshot, read_snapshot

log = logging.getLogger(__name__)

THREADS = 4
READ_BYTES = MIB
CLOSE_S = 10.0


class Messages(Protocol):
    """What wakes the workers when there is work (messages.py)."""

    def wake(self, queue: Queue) -> None: ...


@dataclass(frozen=True)
class Stored:
    """The file that an upload became. `created` is False if the account had this file already."""

    file: File
    created: bool


class Finishing:
    """Finishes uploads, in the caller's thread or on a few threads of its own."""

    def __init__(self, stores: Stores, reconciling: Reconciling, messages: Messages) -> None:
        self._stores = stores
        self._reconciling = reconciling
        self._messages = messages
        self._pool = _Pool(THREADS)
        self._closing = threading.Event()

    def close(self) -> None:
        """End the threads of this object. The sweep finishes what they leave undone."""
        self._closing.set()
        self._pool.close()

    def start(self, upload: Upload, hasher: Hasher | None) -> Future[Stored]:
        """Finish an upload on another thread. The lease is renewed from the moment when the thread begins."""
        return self._pool.submit(lambda: self.finish(upload, hasher))

    def take_over(self, upload_id: str) -> Future[Stored] | None:
        """Finish an upload that nobody is finishing any more; None if another attempt still has a lease on it."""
        upload = self._stores.database.write(lambda tx: uploads.claim(tx, upload_id))
        if upload is None:
            return None
        log.info("taken over upload=%s attempt=%d", upload.id, upload.attempt)
        return self.start(upload, None)

    def finish(self, upload: Upload, hasher: Hasher | None, *, only_new: bool = False) -> Stored:
        """Finish an upload whose lease this attempt has. `hasher`, if there is one, has hashed all its parts.

        Raises DigestMismatch or PreconditionFailed (nothing is kept), Conflict (bytes are lost, so the upload receives
        again), Superseded (another attempt finishes it), StoreUnavailable and NoRoom (the sweep tries again).
        """
        try:
            with self._lease_kept(upload) as lost:
                snapshot = self._snapshot(upload)
                if snapshot.upload.state is UploadState.COMPLETING:
                    snapshot = self._complete(snapshot)
                stored = self._verify(snapshot, hasher, lost, only_new)
        except Superseded:
            self._stores.database.write(lambda tx: uploads.doom_leftover(tx, upload))
            raise
        self._messages.wake(Queue.QUICK)
        self._stores.tails.remove(upload.id)
        return stored

    def _snapshot(self, upload: Upload) -> UploadSnapshot:
        snapshot = self._stores.database.read(lambda tx: read_snapshot(tx, upload.id))
        if snapshot is None or snapshot.upload.attempt != upload.attempt:
            raise Superseded("Another finishes this upload, or it has ended.")
        return snapshot

    def _complete(self, snapshot: UploadSnapshot) -> UploadSnapshot:
        if not self._is_complete(snapshot):
            if self._reconciling.start_again_where_lost(snapshot):
                raise Conflict("Bytes of this upload are lost; ask for its offset and go on.", code="upload_restarted")
            self._join(snapshot)
        upload = self._stores.database.write(lambda tx: uploads.verify(tx, snapshot.upload))
        return UploadSnapshot(upload, snapshot.parts)

    def _is_complete(self, snapshot: UploadSnapshot) -> bool:
        """Return whether an earlier attempt has already made the object. No other upload uses its key."""
        with suppress(ObjectNotFound):
            return self._stores.storage.stat(snapshot.upload.object_key).size_bytes == snapshot.upload.length_bytes
        return False

    def _join(self, snapshot: UploadSnapshot) -> None:
        upload, storage = snapshot.upload, self._stores.storage
        if upload.multipart_id is None:
            self._put_tail(upload)
            return
        parts = list(snapshot.parts)
        try:
            if tail := self._tail(snapshot):
                parts.append(storage.put_part(upload.object_key, upload.multipart_id, len(parts) + 1, tail))
            storage.complete_multipart(upload.object_key, upload.multipart_id, parts, _length(upload))
        except (MultipartNotFound, ObjectChanged) as error:
            # Either another attempt was faster, or something was lost since the parts were checked: check again.
            if not self._is_complete(snapshot):
                raise StoreUnavailable("objects") from error

    def _put_tail(self, upload: Upload) -> None:
        path = self._stores.tails.path(upload.id, upload.tail_attempt)
        try:
            self._stores.storage.put_file(upload.object_key, path, upload.media_type)
        except FileNotFoundError as error:
            raise Superseded("The tail is not there any more: another has finished this upload.") from error

    def _tail(self, snapshot: UploadSnapshot) -> bytearray:
        tail = bytearray(_length(snapshot.upload) - len(snapshot.parts) * PART_SIZE_BYTES)
        if not self._stores.tails.read_into(snapshot.upload, memoryview(tail)):
            raise Superseded("The tail is not there any more: another has finished this upload.")
        return tail

    def _verify(self, snapshot: UploadSnapshot, hasher: Hasher | None, lost: threading.Event, only_new: bool) -> Stored:
        upload = snapshot.upload
        try:
            sha256 = self._digest(snapshot, hasher, lost)
        except (ObjectNotFound, ObjectChanged) as error:
            self.give_up(upload, "bytes_lost", "The stored bytes are gone; upload the file again.")
            raise DigestMismatch("The stored bytes are gone; upload the file again.", code="bytes_lost") from error
        if upload.announced_sha256 not in (None, sha256):
            message = "The bytes that came do not have the announced SHA-256; nothing of them was kept."
            self.give_up(upload, DigestMismatch.code, message)
            raise DigestMismatch(message)
        try:
            stored = self._stores.database.write(lambda tx: _publish(tx, upload, sha256, only_new))
        except PreconditionFailed as error:
            self.give_up(upload, error.code, error.message)
            raise
        log.info("stored upload=%s file=%s bytes=%d", upload.id, stored.file.id, _length(upload))
        return stored

    def _digest(self, snapshot: UploadSnapshot, hasher: Hasher | None, lost: threading.Event) -> str:
        if hasher is None:
            return self._digest_of_object(snapshot.upload, lost)
        hasher.update(memoryview(self._tail(snapshot)))
        return hasher.hexdigest()

    def _digest_of_object(self, upload: Upload, lost: threading.Event) -> str:
        hasher = hashlib.sha256()
        buffer = memoryview(bytearray(READ_BYTES))
        length = _length(upload)
        if length == 0:
            return hasher.hexdigest()
        reader = self._stores.storage.open(upload.object_key, 0, length)
        try:
            while count := reader.readinto(buffer):
                hasher.update(buffer[:count])
                if lost.is_set() or self._closing.is_set():
                    raise Superseded("Another finishes this upload.")
        finally:
            reader.close()
        return hasher.hexdigest()

    def give_up(self, upload: Upload, code: str, message: str, *, doomed_after_s: float = 0) -> None:
        """Fail an upload and keep nothing of it. Raises Superseded."""
        self._stores.database.write(lambda tx: uploads.fail(tx, upload, code, message, doomed_after_s=doomed_after_s))
        log.info("gave up upload=%s code=%s", upload.id, code)
        self._stores.tails.remove(upload.id)

    @contextmanager
    def _lease_kept(self, upload: Upload) -> Iterator[threading.Event]:
        """Renew the lease until the block ends. The event is set if another attempt has taken over the upload."""
        ended, lost = threading.Event(), threading.Event()

        def keep() -> None:
            while not ended.wait(FINISHING_HEARTBEAT_S):
                try:
                    self._stores.database.write(lambda tx: uploads.renew(tx, upload))
                except Superseded:
                    lost.set()
                    return
                except NebulaError as error:
                    log.warning("lease not renewed upload=%s code=%s", upload.id, error.code)

        self._stores.database.write(lambda tx: uploads.renew(tx, upload))
        thread = threading.Thread(target=keep, name=f"lease-{upload.id}", daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            ended.set()
            thread.join()


def _publish(tx: Tx, upload: Upload, sha256: str, only_new: bool) -> Stored:
    if only_new and uploads.is_taken(tx, upload.account_id, upload.name):
        raise PreconditionFailed("A file of yours has this name already.", code="name_taken")
    created = uploads.is_new(tx, upload.account_id, upload.name, sha256)
    file, took_object = files.add_stored(
        tx,
        account_id=upload.account_id,
        name=upload.name,
        media_type=upload.media_type,
        visibility=upload.visibility,
        sha256=sha256,
        size_bytes=_length(upload),
        object_key=upload.object_key,
    )
    uploads.finish(tx, upload, file.id)
    (objects.spare if took_object else objects.doom)(tx, upload.object_key)
    return Stored(file, created)


def _length(upload: Upload) -> int:
    return upload.offset_bytes


class _Pool:
    """A few threads that die with the process. The sweep finishes what they leave undone."""

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._waiting: SimpleQueue[tuple[Future[Stored], Callable[[], Stored]] | None] = SimpleQueue()

    def submit(self, work: Callable[[], Stored]) -> Future[Stored]:
        future: Future[Stored] = Future()
        self._waiting.put((future, work))
        with self._lock:  # started with the first work: a process that forks after making the pool has no threads yet
            if len(self._threads) < self._most:
                self._threads.append(threading.Thread(target=self._run, name="finishing", daemon=True))
                self._threads[-1].start()
        return future

    def close(self) -> None:
        with self._lock:
            for _ in self._threads:
                self._waiting.put(None)
            for thread in self._threads:
                thread.join(CLOSE_S)

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            future, work = waiting
            try:
                future.set_result(work())
            except NebulaError as error:
                log.warning("not finished code=%s: %s", error.code, error.message)
                future.set_exception(error)
            except Exception as error:
                log.exception("not finished")
                future.set_exception(error)
