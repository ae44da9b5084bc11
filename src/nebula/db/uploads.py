"""Uploads' rows and the moves between their states.

Who works on an upload holds its attempt number, and every change of theirs is a compare-and-set on it and on the state.
A newer attempt raises the number: the older one changes nothing from then on, and raises Superseded.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nebula.db import files
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

AT_ONCE = 100  # rows that one look of the sweep takes
UNFINISHED = (UploadState.RECEIVING, *FINISHING_UPLOAD_STATES)
FINISHING = f"state IN {listed(FINISHING_UPLOAD_STATES)}"
ENDED = f"state IN {listed(ENDED_UPLOAD_STATES)}"

StoredPart = tuple[int, str, int]  # number, etag, size: the store's Part, which db/ does not know


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
    """Make an upload that receives. Its object key is named here, before any object exists.

    One that is not resumable lives by a lease, which its only connection renews.
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
    """Return an upload, whoever asks."""
    row = tx.e.Upload.get(id=upload_id)
    return None if row is None else upload_record(row)


def parts(tx: Tx, upload_id: str) -> list[StoredPart]:
    """Return the acknowledged parts in order."""
    return tx.select(
        "SELECT number, etag, size_bytes FROM upload_parts WHERE upload_id = $id ORDER BY number", id=upload_id
    )


def begin(tx: Tx, upload_id: str, offset: int) -> Upload | None:
    """Raise the attempt number for a new body at `offset`; None where the upload does not receive there (any more)."""
    row = tx.e.Upload.get_for_update(id=upload_id)
    if row is None or row.state != UploadState.RECEIVING or row.offset_bytes != offset:
        return None
    row.set(attempt=row.attempt + 1)
    tx.flush()
    return upload_record(row)


def name_multipart(tx: Tx, upload: Upload, multipart_id: str) -> Upload:
    """Note the store's multipart upload, before its first part."""
    row = _held(tx, upload, UploadState.RECEIVING)
    row.set(multipart_id=multipart_id)
    tx.flush()
    return upload_record(row)


def acknowledge(tx: Tx, upload: Upload, new_parts: list[StoredPart], offset: int, *, has_tail: bool) -> Upload:
    """Note what is safe now: parts in the store and, with `has_tail`, the tail file of this attempt."""
    row = _held(tx, upload, UploadState.RECEIVING)
    _add_parts(tx, row, new_parts)
    row.set(offset_bytes=offset, **_alive(tx, row))
    if has_tail:
        row.set(tail_attempt=upload.attempt)
    tx.flush()
    return upload_record(row)


def complete(tx: Tx, upload: Upload) -> Upload:
    """Move on from receiving: every byte is acknowledged. This attempt holds the lease of what follows."""
    row = _moved(tx, upload, UploadState.COMPLETING)
    row.set(length_bytes=row.offset_bytes, lease_until=tx.after(FINISHING_LEASE_S))
    tx.flush()
    return upload_record(row)


def renew(tx: Tx, upload: Upload) -> None:
    """Say that the attempt is alive: its lease, and the upload's life, begin anew."""
    row = _held(tx, upload, *UNFINISHED)
    row.set(**_alive(tx, row))
    tx.flush()


def start_again(tx: Tx, upload: Upload, kept_parts: int, offset: int) -> None:
    """Go back to the bytes that are still there; with no part kept, also the multipart is forgotten.

    Superseded where the row is no longer as `upload` has it: who found the loss looked at an older state. A body that
    is not resumable has nobody to go on with it: its lease ends.
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
    """Take over an upload that is being finished and whose lease ran out; None where somebody holds it."""
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
    """Move on from completing: the object is there."""
    row = _moved(tx, upload, UploadState.VERIFYING)
    row.set(updated_at=tx.now)
    tx.flush()
    return upload_record(row)


def finish(tx: Tx, upload: Upload, file_id: str) -> None:
    """Move on from verifying: the file's row exists, in this same transaction."""
    row = _moved(tx, upload, UploadState.DONE)
    row.set(file_id=file_id, lease_until=None, updated_at=tx.now)
    tx.flush()


def fail(tx: Tx, upload: Upload, code: str, message: str, *, doomed_after_s: float = 0) -> None:
    """Give an upload up, whoever holds it then finds it superseded; nothing of it is kept.

    Where another may still be writing to the store, its object is deleted only `doomed_after_s` later.
    """
    row = _moved(tx, upload, UploadState.FAILED)
    row.set(error_code=code, error=message, attempt=row.attempt + 1, offset_bytes=0)
    row.set(lease_until=None, updated_at=tx.now, expires_at=tx.after(UPLOAD_LIFE_S))
    tx.flush()
    _forget_parts(tx, upload.id)
    files.doom(tx, row.object_key, after_s=doomed_after_s)


def doom_leftover(tx: Tx, upload: Upload) -> None:
    """Doom what a superseded attempt may have written after its upload had ended. No content names it any more."""
    row = tx.e.Upload.get_for_update(id=upload.id)
    if row is None or row.state in ENDED_UPLOAD_STATES:
        files.doom(tx, upload.object_key)


def remove(tx: Tx, upload_id: str) -> None:
    """Remove an ended upload's row."""
    _forget_parts(tx, upload_id)
    tx.execute(f"DELETE FROM uploads WHERE id = $id AND {ENDED}", id=upload_id)


def left_alone(tx: Tx) -> list[str]:
    """Return uploads that are being finished and whose lease ran out."""
    return _ids(tx, f"{FINISHING} AND (lease_until IS NULL OR lease_until <= $now)", "updated_at")


def given_up(tx: Tx) -> list[Upload]:
    """Return uploads that receive nothing any more: expired ones, and bodies that died with their connection."""
    found = _ids(
        tx,
        f"state = '{UploadState.RECEIVING}' AND (expires_at <= $now OR (resumable = FALSE AND lease_until <= $now))",
        "expires_at",
    )
    return [upload_record(tx.e.Upload[upload_id]) for upload_id in found]


def outlived(tx: Tx) -> list[str]:
    """Return ended uploads whose outcome nobody asks for any more."""
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
    """Return whether a living file of the account has this name."""
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
    # Again after a commit whose answer was lost: the part may be there.
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
    found = tx.select(f"SELECT id, 0 FROM uploads WHERE {condition} ORDER BY {order} LIMIT {AT_ONCE}", now=tx.now)
    return [upload_id for upload_id, _ in found]
