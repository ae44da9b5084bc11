"""Holds an upload's row against what is really there: parts in the store, the tail on the disk.

A power cut may have cost the last of either, and a store may have lost a multipart upload. The upload then starts again
from the bytes that are left.
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
class Standing:
    """An upload's row with its acknowledged parts, read in one transaction."""

    upload: Upload
    parts: list[Part]


def read_standing(tx: Tx, upload_id: str) -> Standing | None:
    """Return an upload with its parts; None where it has no row."""
    upload = uploads.find(tx, upload_id)
    return None if upload is None else Standing(upload, [Part(*part) for part in uploads.parts(tx, upload_id)])


class Reconciling:
    """Finds losses and takes the row back to what is left."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def current(self, upload_id: str) -> Standing | None:
        """Return how an upload really stands; one that receives is taken back where bytes of it are lost.

        Raises StoreUnavailable where the store cannot be asked.
        """
        for _ in range(TRIES):
            standing = self._stores.database.read(lambda tx: read_standing(tx, upload_id))
            if standing is None or standing.upload.state is not UploadState.RECEIVING:
                return standing
            with suppress(Superseded):
                if not self.start_again_where_lost(standing):
                    return standing
        raise Conflict("This upload changes too fast to be looked at; try again.", code="upload_busy")

    def start_again_where_lost(self, standing: Standing) -> bool:
        """Take the row back to the bytes that are left; say whether any were lost.

        Raises Superseded where the row moved on meanwhile: what is missing then belongs to an older state.
        """
        upload = standing.upload
        left = self._parts_left(standing)
        kept = len(left) * PART_SIZE_BYTES
        tail = upload.offset_bytes - kept  # none: a tail file that lies about is an older one, and does not count
        if len(left) == len(standing.parts) and tail in (0, self._stores.tails.size(upload)):
            return False
        self._stores.database.write(lambda tx: uploads.start_again(tx, upload, len(left), kept))
        log.warning("bytes lost upload=%s from=%d to=%d", upload.id, upload.offset_bytes, kept)
        return True

    def _parts_left(self, standing: Standing) -> list[Part]:
        upload = standing.upload
        if upload.multipart_id is None or not standing.parts:
            return []
        try:
            stored = {
                part.number: part for part in self._stores.storage.list_parts(upload.object_key, upload.multipart_id)
            }
        except MultipartNotFound:
            return []
        left = []
        for part in standing.parts:
            if stored.get(part.number) != part:
                break
            left.append(part)
        return left
