"""Uploads, resumable (tus) or sent as one whole body (by name), from their first byte to their file.

Creating, continuing and cleaning up are here. receiving.py receives request bodies, finishing.py makes files of
uploads, and reconciling.py sets a row back to the bytes that a power cut left.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path

from nebula.db import uploads
from nebula.db.database import Database, Tx
from nebula.domain import names
from nebula.domain.limits import LEASE_S, MAX_UPLOAD_BYTES, PART_SIZE_BYTES
from nebula.domain.records import Principal, Upload
from nebula.domain.states import FINISHING_UPLOAD_STATES, UploadState, Visibility
from nebula.errors import (
    ChecksumMismatch,
    Conflict,
    DigestMismatch,
    Gone,
    MultipartNotFound,
    NebulaError,
    NoRoom,
    NotFound,
    PreconditionFailed,
    StoreUnavailable,
    Superseded,
    TooLarge,
)
from nebula.services.disk_reserve import Room
from nebula.services.uploads.active import Hashers, Receptions
from nebula.services.uploads.finishing import Finishing, Messages, Stored
from nebula.services.uploads.receiving import Hasher, IncomingBody, Reception, Stores
from nebula.services.uploads.reconciling import Reconciling, UploadSnapshot, read_snapshot
from nebula.services.uploads.tails import Tails
from nebula.storage.contract import ObjectStorage

log = logging.getLogger(__name__)

WAIT_S = 10.0  # how long the request with the last bytes waits for its file
TRIES = 5
STILL_TO_BE_DONE = (Superseded, StoreUnavailable, NoRoom)  # the sweep or another attempt goes on; not yet a failure


class Uploads:
    """The use cases of uploads. They run on the gateway's machine, because its disk has the tails."""

    def __init__(
        self,
        database: Database,
        storage: ObjectStorage,
        messages: Messages,
        *,
        tails_dir: Path,
        data_dir: Path,
        reserve_bytes: int,
    ) -> None:
        self._database = database
        self._tails = Tails(tails_dir)
        self._room = Room(storage, data_dir, reserve_bytes)
        self._stores = Stores(database, storage, self._tails, self._room)
        self._reconciling = Reconciling(self._stores)
        self._finishing = Finishing(self._stores, self._reconciling, messages)
        self._hashers = Hashers()
        self._receptions = Receptions()

    def close(self) -> None:
        """End the threads of this object."""
        self._finishing.close()

    def create(
        self,
        principal: Principal,
        *,
        name: str,
        media_type: str,
        visibility: Visibility,
        length_bytes: int,
        sha256: str | None,
    ) -> Upload:
        """Begin a resumable upload. If it has 0 bytes, finish it at once. Raises InvalidInput, TooLarge, NoRoom."""
        upload = self._add(principal, name, media_type, visibility, length_bytes, sha256, resumable=True)
        return upload if length_bytes else self.append(principal, upload.id, 0, IncomingBody(_Nothing(), 0))

    def find(self, principal: Principal, upload_id: str) -> Upload:
        """Return an upload of this account with the offset that is really there.

        If bytes were lost, this is less than was acknowledged before. Raises NotFound, Gone (it expired or was
        terminated), StoreUnavailable.
        """
        snapshot = self._reconciling.current(upload_id)
        upload = self._own(principal, snapshot)
        if upload.state in FINISHING_UPLOAD_STATES:
            self._finishing.take_over(upload_id)
        return upload

    def append(self, principal: Principal, upload_id: str, offset: int, body: IncomingBody) -> Upload:
        """Receive a body at `offset`. If it has the last bytes, wait up to 10 s for the file.

        A newer body supersedes one that is still being received. Raises Conflict (offset_mismatch, upload_restarted),
        Gone, TooLarge, ChecksumMismatch, NoRoom, and whatever error interrupted the body: the bytes before it are kept.
        """
        snapshot = self._begin(principal, upload_id, offset, body)
        if snapshot.upload.state is not UploadState.RECEIVING:
            return snapshot.upload
        reception = Reception(self._stores, snapshot.upload, len(snapshot.parts), self._hasher(snapshot), body)
        try:
            with self._receptions.entered(reception):
                reception.load_tail()
                reception.take()
        except MultipartNotFound as error:
            self._reconciling.current(upload_id)
            raise Conflict("Bytes of this upload are lost; ask for its offset.", code="upload_restarted") from error
        finally:
            file_future = self._left(reception)
        return self._waited_for(upload_id, file_future)

    def store(
        self,
        principal: Principal,
        *,
        name: str,
        media_type: str,
        visibility: Visibility,
        body: IncomingBody,
        sha256: str | None,
        only_new: bool,
    ) -> Stored:
        """Make a file of a whole body, or keep nothing.

        Raises PreconditionFailed (`only_new`, and a file outside the trash has the name), DigestMismatch, InvalidInput,
        TooLarge, NoRoom, and whatever error interrupted the body.
        """
        if only_new:
            self._check_not_taken(principal, names.checked(name))
        upload = self._add(principal, name, media_type, visibility, body.length, sha256, resumable=False)
        reception = Reception(self._stores, upload, 0, hashlib.sha256(), body)
        try:
            complete = reception.take_to_the_end()
            return self._finishing.finish(complete, reception.hasher, only_new=only_new)
        except BaseException as error:
            self._drop(reception.upload, error)
            raise

    def terminate(self, principal: Principal, upload_id: str) -> None:
        """End an upload and drop its bytes, unless they are a file already. Raises NotFound, Gone, Conflict."""
        for _ in range(TRIES):
            upload = self._own(principal, self._database.read(lambda tx: read_snapshot(tx, upload_id)))
            if upload.state in (UploadState.DONE, UploadState.FAILED):
                return self._remove(upload_id)
            with suppress(Superseded):  # a body began or ended at this moment
                self._finishing.give_up(upload, "terminated", "The upload was terminated.", doomed_after_s=LEASE_S)
                return self._receptions.interrupt(upload_id)
        raise Conflict("This upload changes too fast to be ended; try again.", code="upload_busy")

    def sweep(self) -> None:
        """Finish abandoned uploads, end expired ones, and remove rows and tail files that nobody needs any more.

        It waits for the uploads that it finishes as long as a client would (WAIT_S), then leaves them to its threads.
        """
        if not self._tails.exist():
            return
        file_futures = [self._finishing.take_over(upload_id) for upload_id in self._database.read(uploads.left_alone)]
        for upload in self._database.read(uploads.given_up):
            self._end(upload)
        for upload_id in self._database.read(uploads.outlived):
            self._remove(upload_id)
        self._sweep_tails()
        wait([future for future in file_futures if future is not None], WAIT_S)

    def _add(
        self,
        principal: Principal,
        name: str,
        media_type: str,
        visibility: Visibility,
        length_bytes: int | None,
        sha256: str | None,
        *,
        resumable: bool,
    ) -> Upload:
        if length_bytes is not None and length_bytes > MAX_UPLOAD_BYTES:
            raise TooLarge(f"A file may have {MAX_UPLOAD_BYTES} bytes at most.", code="file_too_large")
        names.checked(name)
        self._room.check(local_bytes=PART_SIZE_BYTES, object_bytes=length_bytes or 0)
        self._tails.prepare()
        upload = self._database.write(
            lambda tx: uploads.add(
                tx,
                upload_id=str(uuid.uuid4()),
                account_id=principal.account_id,
                name=name,
                media_type=media_type,
                visibility=visibility,
                announced_sha256=sha256,
                length_bytes=length_bytes,
                resumable=resumable,
            )
        )
        log.info("begun upload=%s account=%s bytes=%s", upload.id, upload.account_id, length_bytes)
        return upload

    def _own(self, principal: Principal, snapshot: UploadSnapshot | None) -> Upload:
        upload = snapshot.upload if snapshot else None
        if upload is None or upload.account_id != principal.account_id or not upload.resumable:
            raise NotFound("There is no such upload; begin a new one.", code="upload_not_found")
        if upload.error_code in ("terminated", "expired"):
            raise Gone(upload.error or "The upload has ended.", code=f"upload_{upload.error_code}")
        return upload

    def _begin(self, principal: Principal, upload_id: str, offset: int, body: IncomingBody) -> UploadSnapshot:
        snapshot = self._database.read(lambda tx: read_snapshot(tx, upload_id))
        upload = self._own(principal, snapshot)
        if upload.state is UploadState.FAILED:
            raise Gone(upload.error or "The upload has failed.", code="upload_failed")
        length = upload.length_bytes or 0
        if offset == length and body.length == 0 and upload.state is not UploadState.RECEIVING:
            return UploadSnapshot(upload, [])  # the client repeats the last body, because it did not get the response
        if offset == upload.offset_bytes and body.length is not None and offset + body.length > length:
            raise TooLarge("The body goes beyond the upload's length.", code="body_too_long")

        def work(tx: Tx) -> UploadSnapshot | None:
            return read_snapshot(tx, upload_id) if uploads.begin(tx, upload_id, offset) else None

        new_snapshot = self._database.write(work)
        if new_snapshot is None:
            raise Conflict(
                "The upload does not go on there; ask for its offset.",
                code="offset_mismatch",
                offset=upload.offset_bytes,
            )
        return new_snapshot

    def _hasher(self, snapshot: UploadSnapshot) -> Hasher | None:
        if not snapshot.parts:
            return hashlib.sha256()
        return self._hashers.take(snapshot.upload.id, snapshot.upload.attempt - 1, len(snapshot.parts))

    def _left(self, reception: Reception) -> Future[Stored] | None:
        """Keep what is needed after a body, however it ended: start to finish a complete upload, or keep its hasher."""
        upload = reception.upload
        if upload.state is UploadState.COMPLETING:
            return self._finishing.start(upload, reception.hasher)
        if reception.hasher is not None:
            self._hashers.put(upload.id, upload.attempt, reception.part_count, reception.hasher)
        return None

    def _waited_for(self, upload_id: str, finished: Future[Stored] | None) -> Upload:
        if finished is not None:
            with suppress(TimeoutError, *STILL_TO_BE_DONE):
                try:
                    finished.result(WAIT_S)
                except DigestMismatch as error:
                    raise ChecksumMismatch(error.message, code=error.code) from error
        upload = self._database.read(lambda tx: uploads.find(tx, upload_id))
        if upload is None:
            raise NotFound("The upload was terminated.", code="upload_not_found")
        return upload

    def _check_not_taken(self, principal: Principal, name: str) -> None:
        if self._database.read(lambda tx: uploads.is_taken(tx, principal.account_id, name)):
            raise PreconditionFailed("A file of yours has this name already.", code="name_taken")

    def _drop(self, upload: Upload, error: BaseException) -> None:
        code = error.code if isinstance(error, NebulaError) else "incomplete_body"
        with suppress(*STILL_TO_BE_DONE):  # it has ended or is a file already, or the sweep ends it
            self._finishing.give_up(upload, code, "The body did not become a file.")

    def _end(self, upload: Upload) -> None:
        code = "expired" if upload.resumable else "incomplete_body"
        with suppress(Superseded):
            self._finishing.give_up(upload, code, "No more bytes came in time.", doomed_after_s=LEASE_S)

    def _remove(self, upload_id: str) -> None:
        self._tails.remove(upload_id)  # first, because the sweep is slow to remove a tail that has no row
        self._database.write(lambda tx: uploads.remove(tx, upload_id))

    def _sweep_tails(self) -> None:
        """Remove the tail files that a crash left behind."""
        for upload_id in self._tails.upload_ids():
            upload = self._database.read(lambda tx, found=upload_id: uploads.find(tx, found))  # type: ignore[misc]
            if upload is None:
                self._tails.remove_outlived(upload_id)
            elif upload.state in (UploadState.DONE, UploadState.FAILED):
                self._tails.remove(upload_id)
            else:
                self._tails.remove(upload_id, before=upload.tail_attempt)


class _Nothing:
    """A body of no bytes."""

    def read(self, _size: int, /) -> bytes:
        return b""
