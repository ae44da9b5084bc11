"""Compares an upload's row with the bytes that are really there: parts in the store, the tail on the disk.

A power cut may lose the newest of either, and a store may lose a multipart upload. Then the upload goes on from the
bytes that are left.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from nebula.db import uploads
from nebula.db.database import Tx
from nebula.domain.limits import PART_SIZE_BYTES
from nebula.domain.records import Upload
from nebula.domain.states import UploadState
from nebula.errors import Conflict, MultipartNotFound, Superseded
from nebula.services.uploads.receiving import Stores
from nebula.storage.contract import Part

log = logging.getLogger(__name__)

TRIES = 5


@dataclass(frozen=True)
class UploadSnapshot:
    """An upload's row with its acknowledged parts, read in one transaction."""

    upload: Upload
    parts: list[Part]


def read_snapshot(tx: Tx, upload_id: str) -> UploadSnapshot | None:
    """Return an upload with its parts, or None if it has no row."""
    upload = uploads.find(tx, upload_id)
    return None if upload is None else UploadSnapshot(upload, [Part(*part) for part in uploads.parts(tx, upload_id)])


class Reconciling:
    """Finds lost bytes and sets the row back to the bytes that are left."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def current(self, upload_id: str) -> UploadSnapshot | None:
        """Return the upload with its parts. If it is receiving and bytes are lost, its row is set back first.

        None if it has no row. Raises StoreUnavailable if the store cannot be asked; Conflict (upload_busy) if the row
        keeps changing.
        """
        for _ in range(TRIES):
            snapshot = self._stores.database.read(lambda tx: read_snapshot(tx, upload_id))
            if snapshot is None or snapshot.upload.state is not UploadState.RECEIVING:
                return snapshot
            with suppress(Superseded):
                if not self.start_again_where_lost(snapshot):
                    return snapshot
        raise Conflict("This upload changes too fast to be looked at; try again.", code="upload_busy")

    def start_again_where_lost(self, snapshot: UploadSnapshot) -> bool:
        """Set the row back to the bytes that are left. Returns True if any were lost.

        Raises Superseded if the row has changed meanwhile: the loss was then seen in an older state.
        """
        upload = snapshot.upload
        remaining_parts = self._parts_left(snapshot)
        remaining_bytes = len(remaining_parts) * PART_SIZE_BYTES
        tail = upload.offset_bytes - remaining_bytes  # if 0, a tail file on the disk is an old one and does not count
        if len(remaining_parts) == len(snapshot.parts) and tail in (0, self._stores.tails.size(upload)):
            return False
        self._stores.database.write(lambda tx: uploads.start_again(tx, upload, len(remaining_parts), remaining_bytes))
        log.warning("bytes lost upload=%s from=%d to=%d", upload.id, upload.offset_bytes, remaining_bytes)
        return True

    def _parts_left(self, snapshot: UploadSnapshot) -> list[Part]:
        upload = snapshot.upload
        if upload.multipart_id is None or not snapshot.parts:
            return []
        try:
            stored_parts = {
                part.number: part for part in self._stores.storage.list_parts(upload.object_key, upload.multipart_id)
            }
        except MultipartNotFound:
            return []
        remaining_parts = []
        for part in snapshot.parts:
            if stored_parts.get(part.number) != part:
                break
            remaining_parts.append(part)
        return remaining_parts
