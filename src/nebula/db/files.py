"""Contents and the files that name them: converts rows to records, and keeps both consistent when files change."""

from __future__ import annotations

import uuid
from typing import Any

from pony import orm

from nebula.db import links, objects
from nebula.db.database import Tx, aware
from nebula.db.work import jobs
from nebula.db.work.rows import discard
from nebula.domain.records import Content, File, Principal, Rendition
from nebula.domain.states import FileState, Visibility


def content_record(row: Any) -> Content:
    """Turn a content's row into its record."""
    return Content(
        id=row.id,
        account_id=row.account.id,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        object_key=row.object_key,
        media_type=row.media_type,
        state=FileState(row.state),
        web_ready=row.web_ready,
        duration_s=row.duration_s,
        width=row.width,
        height=row.height,
        created_at=aware(row.created_at),
    )


def file_record(row: Any) -> File:
    """Turn a file's row into its record."""
    return File(
        id=row.id,
        account_id=row.account_id,
        account_name=row.content.account.name,
        name=row.name,
        media_type=row.media_type,
        visibility=Visibility(row.visibility),
        created_at=aware(row.created_at),
        updated_at=aware(row.updated_at),
        deleted_at=aware(row.deleted_at),
        content=content_record(row.content),
    )


def rendition_record(row: Any) -> Rendition:
    """Turn a rendition's row into its record."""
    return Rendition(
        id=row.id,
        content_id=row.content.id,
        rung=row.rung,
        object_key=row.object_key,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        width=row.width,
        height=row.height,
        duration_s=row.duration_s,
        video_codec=row.video_codec,
        audio_codec=row.audio_codec,
        created_at=aware(row.created_at),
    )


def find_visible(tx: Tx, file_id: str, principal: Principal) -> File | None:
    """Return the file if this account may see it, even if it is in the trash."""
    row = tx.e.File.get(id=file_id)
    if row is None or not may_see(row, principal):
        return None
    return file_record(row)


def find(tx: Tx, file_id: str) -> File | None:
    """Return the file, without a check of who may see it."""
    row = tx.e.File.get(id=file_id)
    return None if row is None else file_record(row)


def renditions(tx: Tx, content_id: str) -> list[Rendition]:
    """Return a content's renditions, the highest first."""
    rows = tx.e.Rendition.select(lambda rendition: rendition.content.id == content_id)
    return sorted((rendition_record(row) for row in rows), key=lambda rendition: -rendition.height)


def add_stored(
    tx: Tx,
    *,
    account_id: str,
    name: str,
    media_type: str,
    visibility: Visibility,
    sha256: str,
    size_bytes: int,
    object_key: str,
) -> tuple[File, bool]:
    """Add the file of bytes that are stored; return it, and whether a new content uses `object_key`.

    If the account already has a file with this name and digest, that file is returned, restored from the trash and with
    the new visibility. Files with the same bytes and other names share one content. A new content gets its probe job in
    the same transaction.
    """
    content = tx.e.Content.get_for_update(account=account_id, sha256=sha256)
    took_object = content is None
    if content is None:
        content = tx.e.Content(
            id=str(uuid.uuid4()),
            account=account_id,
            sha256=sha256,
            size_bytes=size_bytes,
            object_key=object_key,
            media_type=media_type,
            state=FileState.PROCESSING,
            web_ready=False,
            created_at=tx.now,
        )
        tx.flush()
    file = _named(tx, content, account_id, name)
    if file is None:
        file = tx.e.File(
            id=str(uuid.uuid4()),
            content=content,
            account_id=account_id,
            name=name,
            media_type=media_type,
            visibility=visibility,
            created_at=tx.now,
            updated_at=tx.now,
        )
    file.set(deleted_at=None, visibility=visibility, updated_at=tx.now)
    tx.flush()
    jobs.queue_missing(tx, content)
    if content.account.disabled_at is not None:  # it was disabled while the bytes arrived
        jobs.cancel_all(tx, content)
    return file_record(file), took_object


def trash(tx: Tx, file_id: str) -> None:
    """Move a file to the trash and revoke its links. If no living file of its content is left, cancel the jobs too."""
    row, content = _locked(tx, file_id)
    links.revoke_of_file(tx, file_id)
    row.set(deleted_at=tx.now, updated_at=tx.now)
    tx.flush()
    if not living_files(tx, content.id):
        jobs.cancel_all(tx, content)


def restore(tx: Tx, file_id: str) -> None:
    """Take a file out of the trash, and queue the work that its content still needs."""
    row, content = _locked(tx, file_id)
    row.set(deleted_at=None, updated_at=tx.now)
    tx.flush()
    jobs.queue_missing(tx, content)


def purge(tx: Tx, file_id: str) -> None:
    """Delete a file for good. If it was the last one of its content, delete the content too and doom its objects."""
    row, content = _locked(tx, file_id)
    row.delete()
    tx.flush()
    if content.files.is_empty():
        jobs.cancel_all(tx, content)
        for job in list(content.jobs):
            discard(tx, job.id)
        objects.doom(tx, content.object_key)
        for rendition in list(content.renditions):
            objects.doom(tx, rendition.object_key)
        for subtitles in list(content.subtitles):
            objects.doom(tx, subtitles.object_key)
        content.delete()
        tx.flush()


def _locked(tx: Tx, file_id: str) -> tuple[Any, Any]:
    """Return the rows of a file and its content. The content is locked, so that its set of files cannot change."""
    row = tx.e.File[file_id]
    return row, tx.e.Content.get_for_update(id=row.content.id)


def _named(tx: Tx, content: Any, account_id: str, name: str) -> Any:
    return tx.e.File.get(content=content, account_id=account_id, name=name)


def may_see(row: Any, principal: Principal) -> bool:
    """Return whether this account may see the file of a row."""
    return bool(row.visibility == Visibility.HOUSEHOLD or row.account_id == principal.account_id)


def living_files(tx: Tx, content_id: str) -> int:
    """Count the files of a content that are not in the trash."""
    return int(orm.count(f for f in tx.e.File if f.content.id == content_id and f.deleted_at is None))
