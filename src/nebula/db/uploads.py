"""The rows of uploads and the moves between their states.

Whoever works on an upload has its attempt number. Each change is a compare-and-set on that number and on the state. A
newer attempt raises the number; after that, the older attempt cannot change anything and raises Superseded.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nebula.db import objects
from nebula.db.database import Tx, aware
from nebula.db.moves import listed, sources
from nebula.domain import object_keys
from nebula.domain.limits import FINISHING_LEASE_S, LEASE_S, UPLOAD_LIFE_S
from nebula.domain.records import Upload
from nebula.domain.states import (
    ENDED_UPLOAD_STATES,
    FINISHING_UPLOAD_STATES,
    UPLOAD_MOVES,
    UploadState,
    Visibility,
)
from nebula.errors import Superseded

AT_ONCE = 100  # the most rows that the sweep reads at once
UNFINISHED = (UploadState.RECEIVING, *FINISHING_UPLOAD_STATES)
FINISHING = f"state IN {listed(FINISHING_UPLOAD_STATES)}"
ENDED = f"state IN {listed(ENDED_UPLOAD_STATES)}"

StoredPart = tuple[int, str, int]  # number, etag, size in bytes; the same as storage's Part, which db/ cannot import


def upload_record(row: Any) -> Upload:
    """Turn an upload's row into its record."""
    return Upload(
        id=row.id,
        account_id=row.account.id,
        state=UploadState(row.state),
        name=row.name,
        media_type=row.media_type,
        visibility=Visibility(row.visibility),
        announced_sha256=row.announced_sha256,
        length_bytes=row.length_bytes,
        offset_bytes=row.offset_bytes,
        object_key=row.object_key,
        multipart_id=row.multipart_id,
        attempt=row.attempt,
        tail_attempt=row.tail_attempt,
        resumable=row.resumable,
        file_id=row.file_id,
        error_code=row.error_code,
        error=row.error,
        created_at=aware(row.created_at),
        expires_at=aware(row.expires_at),
    )


def add(
    tx: Tx,
    *,
    upload_id: str,
    account_id: str,
    name: str,
    media_type: str,
    visibility: Visibility,
    announced_sha256: str | None,
    length_bytes: int | None,
    resumable: bool,
) -> Upload:
    """Add an upload in the state `receiving`. Its object key is chosen here, before any object exists.

    An upload that is not resumable has a lease, which its only connection renews.
    """
    row = tx.e.Upload(
        id=upload_id,
        account=account_id,
        state=UploadState.RECEIVING,
        name=name,
        media_type=media_type,
        visibility=visibility,
        announced_sha256=announced_sha256,
        length_bytes=length_bytes,
        offset_bytes=0,
        object_key=object_keys.original(upload_id),
        attempt=0,
        tail_attempt=0,
        resumable=resumable,
        lease_until=None if resumable else tx.after(LEASE_S),
        created_at=tx.now,
        updated_at=tx.now,
        expires_at=tx.after(UPLOAD_LIFE_S),
    )
    tx.flush()
    return upload_record(row)


def find(tx: Tx, upload_id: str) -> Upload | None:
    """Return an upload, without a check of whose it is."""
    row = tx.e.Upload.get(id=upload_id)
    return None if row is None else upload_record(row)


def parts(tx: Tx, upload_id: str) -> list[StoredPart]:
    """Return the acknowledged parts in order."""
    return tx.select(
        "SELECT number, etag, size_bytes FROM upload_parts WHERE upload_id = $id ORDER BY number", id=upload_id
    )


def begin(tx: Tx, upload_id: str, offset: int) -> Upload | None:
    """Raise the attempt number for a new request body. Returns None if the upload does not receive at `offset`."""
    row = tx.e.Upload.get_for_update(id=upload_id)
    if row is None or row.state != UploadState.RECEIVING or row.offset_bytes != offset:
        return None
    row.set(attempt=row.attempt + 1)
    tx.flush()
    return upload_record(row)


def name_multipart(tx: Tx, upload: Upload, multipart_id: str) -> Upload:
    """Record the id of the store's multipart upload, before its first part is sent."""
    row = _held(tx, upload, UploadState.RECEIVING)
    row.set(multipart_id=multipart_id)
    tx.flush()
    return upload_record(row)


def acknowledge(tx: Tx, upload: Upload, new_parts: list[StoredPart], offset: int, *, has_tail: bool) -> Upload:
    """Record what is stored safely: parts in the store and, if `has_tail`, the tail file of this attempt."""
    row = _held(tx, upload, UploadState.RECEIVING)
    _add_parts(tx, row, new_parts)
    row.set(offset_bytes=offset, **_alive(tx, row))
    if has_tail:
        row.set(tail_attempt=upload.attempt)
    tx.flush()
    return upload_record(row)


def complete(tx: Tx, upload: Upload) -> Upload:
    """Move from receiving to completing: every byte is acknowledged. This attempt gets the lease to finish it."""
    row = _moved(tx, upload, UploadState.COMPLETING)
    row.set(length_bytes=row.offset_bytes, lease_until=tx.after(FINISHING_LEASE_S))
    tx.flush()
    return upload_record(row)


def renew(tx: Tx, upload: Upload) -> None:
    """Show that the attempt is alive: renew its lease, and postpone the time at which the upload expires."""
    row = _held(tx, upload, *UNFINISHED)
    row.set(**_alive(tx, row))
    tx.flush()


def start_again(tx: Tx, upload: Upload, kept_parts: int, offset: int) -> None:
    """Go back to receiving at `offset`, up to which bytes are still stored. If no part is kept, forget the multipart.

    Raises Superseded if the row has changed since `upload` was read: the loss was found in an older state. Nobody can
    continue an upload that is not resumable, so its lease ends.
    """
    row = tx.e.Upload.get_for_update(id=upload.id)
    if row is None or upload_record(row) != upload:
        raise Superseded("The upload has moved on.")
    tx.execute("DELETE FROM upload_parts WHERE upload_id = $id AND number > $kept", id=upload.id, kept=kept_parts)
    _moved(tx, upload, UploadState.RECEIVING)
    row.set(attempt=row.attempt + 1, offset_bytes=offset)
    row.set(lease_until=None if row.resumable else tx.now, updated_at=tx.now)
    if kept_parts == 0:
        row.set(multipart_id=None)
    tx.flush()


def claim(tx: Tx, upload_id: str) -> Upload | None:
    """Take over an upload that is being finished and whose lease ran out. Returns None if it is not such an upload."""
    row = tx.e.Upload.get_for_update(id=upload_id)
    if (
        row is None
        or row.state not in FINISHING_UPLOAD_STATES
        or (row.lease_until is not None and row.lease_until > tx.now)
    ):
        return None
    row.set(attempt=row.attempt + 1, lease_until=tx.after(FINISHING_LEASE_S))
    tx.flush()
    return upload_record(row)


def verify(tx: Tx, upload: Upload) -> Upload:
    """Move from completing to verifying: the object exists."""
    row = _moved(tx, upload, UploadState.VERIFYING)
    row.set(updated_at=tx.now)
    tx.flush()
    return upload_record(row)


def finish(tx: Tx, upload: Upload, file_id: str) -> None:
    """Move from verifying to done. The same transaction must add the file's row."""
    row = _moved(tx, upload, UploadState.DONE)
    row.set(file_id=file_id, lease_until=None, updated_at=tx.now)
    tx.flush()


def fail(tx: Tx, upload: Upload, code: str, message: str, *, doomed_after_s: float = 0) -> None:
    """Fail an upload, forget its parts and doom its object. An attempt that still holds it is superseded.

    If another attempt may still be writing to the store, `doomed_after_s` postpones the deletion of the object.
    """
    row = _moved(tx, upload, UploadState.FAILED)
    row.set(error_code=code, error=message, attempt=row.attempt + 1, offset_bytes=0)
    row.set(lease_until=None, updated_at=tx.now, expires_at=tx.after(UPLOAD_LIFE_S))
    tx.flush()
    _forget_parts(tx, upload.id)
    objects.doom(tx, row.object_key, after_s=doomed_after_s)


def doom_leftover(tx: Tx, upload: Upload) -> None:
    """Doom the object that a superseded attempt may have written after its upload had ended; no content names it."""
    row = tx.e.Upload.get_for_update(id=upload.id)
    if row is None or row.state in ENDED_UPLOAD_STATES:
        objects.doom(tx, upload.object_key)


def remove(tx: Tx, upload_id: str) -> None:
    """Delete the row of an ended upload."""
    _forget_parts(tx, upload_id)
    tx.execute(f"DELETE FROM uploads WHERE id = $id AND {ENDED}", id=upload_id)


def left_alone(tx: Tx) -> list[str]:
    """Return the ids of uploads that are being finished and whose lease ran out."""
    return _ids(tx, f"{FINISHING} AND (lease_until IS NULL OR lease_until <= $now)", "updated_at")


def given_up(tx: Tx) -> list[Upload]:
    """Return uploads that receive nothing any more: they expired, or are not resumable and lost their connection."""
    upload_ids = _ids(
        tx,
        f"state = '{UploadState.RECEIVING}' AND (expires_at <= $now OR (resumable = FALSE AND lease_until <= $now))",
        "expires_at",
    )
    return [upload_record(tx.e.Upload[upload_id]) for upload_id in upload_ids]


def outlived(tx: Tx) -> list[str]:
    """Return the ids of ended uploads that have expired, because nobody asks for their result any more."""
    return _ids(tx, f"{ENDED} AND expires_at <= $now", "expires_at")


def is_new(tx: Tx, account_id: str, name: str, sha256: str) -> bool:
    """Return whether no file, trashed ones included, has this account, name and digest."""
    return not tx.select(
        "SELECT files.id, 0 FROM files JOIN contents ON contents.id = files.content_id"
        " WHERE files.account_id = $account AND files.name = $name AND contents.sha256 = $sha256",
        account=account_id,
        name=name,
        sha256=sha256,
    )


def is_taken(tx: Tx, account_id: str, name: str) -> bool:
    """Return whether the account has a file of this name outside the trash."""
    return bool(
        tx.select(
            "SELECT id, 0 FROM files WHERE account_id = $account AND name = $name AND deleted_at IS NULL LIMIT 1",
            account=account_id,
            name=name,
        )
    )


def _held(tx: Tx, upload: Upload, *states: UploadState) -> Any:
    row = tx.e.Upload.get_for_update(id=upload.id)
    if row is None or row.attempt != upload.attempt or row.state not in states:
        raise Superseded("Another request goes on with this upload, or it has ended.")
    return row


def _moved(tx: Tx, upload: Upload, target: UploadState) -> Any:
    """Move an upload that this attempt holds. Raises Superseded if its state allows no such move."""
    row = _held(tx, upload, *sources(UPLOAD_MOVES, target))
    row.state = target
    return row


def _alive(tx: Tx, row: Any) -> dict[str, datetime | None]:
    alive: dict[str, datetime | None] = {"updated_at": tx.now, "expires_at": tx.after(UPLOAD_LIFE_S)}
    if row.state in FINISHING_UPLOAD_STATES:
        alive["lease_until"] = tx.after(FINISHING_LEASE_S)
    elif not row.resumable:
        alive["lease_until"] = tx.after(LEASE_S)
    return alive


def _add_parts(tx: Tx, row: Any, new_parts: list[StoredPart]) -> None:
    # The part may be there already, if an earlier commit succeeded but its answer was lost.
    for number, etag, size_bytes in new_parts:
        tx.execute(
            "INSERT INTO upload_parts (upload_id, number, etag, size_bytes) VALUES ($id, $number, $etag, $size)"
            " ON CONFLICT (upload_id, number) DO UPDATE SET etag = excluded.etag, size_bytes = excluded.size_bytes",
            id=row.id,
            number=number,
            etag=etag,
            size=size_bytes,
        )


def _forget_parts(tx: Tx, upload_id: str) -> None:
    tx.execute("DELETE FROM upload_parts WHERE upload_id = $id", id=upload_id)


def _ids(tx: Tx, condition: str, order: str) -> list[str]:
    id_rows = tx.select(f"SELECT id, 0 FROM uploads WHERE {condition} ORDER BY {order} LIMIT {AT_ONCE}", now=tx.now)
    return [upload_id for upload_id, _ in id_rows]
