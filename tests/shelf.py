"""Stored files for tests of what comes after storing: rows and objects, made without an upload."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from datetime import datetime
from pathlib import Path

from nebula.config import Settings
from nebula.db import files, objects, subtitles
from nebula.db.database import Database, Tx, aware
from nebula.domain import object_keys
from nebula.domain.records import File, Rendition, Subtitles
from nebula.domain.states import FileState, Visibility
from nebula.storage.choose import open_storage
from tests.stores import wait_until


class Shelf:
    """Puts files where a server with these settings finds them."""

    def __init__(self, settings: Settings) -> None:
        self.storage = open_storage(settings)
        self.storage.prepare()
        self.database = Database(settings.database_url, threads=1)

    def close(self) -> None:
        self.database.close()

    def put(
        self,
        account_id: str,
        name: str,
        body: bytes,
        *,
        media_type: str = "video/x-matroska",
        visibility: Visibility = Visibility.HOUSEHOLD,
    ) -> File:
        """Store a file as an upload would."""
        key = object_keys.original(str(uuid.uuid4()))
        self._store(key, body)

        def work(tx: Tx) -> File:
            file, took_object = files.add_stored(
                tx,
                account_id=account_id,
                name=name,
                media_type=media_type,
                visibility=visibility,
                sha256=hashlib.sha256(body).hexdigest(),
                size_bytes=len(body),
                object_key=key,
            )
            if not took_object:
                objects.doom(tx, key)
            return file

        stored = self.database.write(work)
        self.wait_beyond(stored.created_at)
        return stored

    def add_rendition(self, file: File, body: bytes, *, rung: str = "720p", height: int = 720) -> Rendition:
        """Publish a rendition of a file, which is ready then."""
        key = object_keys.rendition(str(uuid.uuid4()), 1)
        self._store(key, body)

        def work(tx: Tx) -> Rendition:
            row = tx.e.Rendition(
                id=str(uuid.uuid4()),
                content=file.content.id,
                rung=rung,
                object_key=key,
                size_bytes=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                width=height * 16 // 9,
                height=height,
                duration_s=60.0,
                video_codec="h264",
                audio_codec="aac",
                created_at=tx.now,
            )
            tx.flush()
            row.content.state = FileState.READY
            return files.rendition_record(row)

        return self.database.write(work)

    def add_subtitles(self, file: File, body: bytes, *, number: int = 2, **columns: object) -> Subtitles:
        """Publish subtitles of a file."""
        key = object_keys.subtitles(str(uuid.uuid4()), 1, number)
        self._store(key, body)
        flags = {"is_default": False, "is_forced": False, "is_for_hearing_impaired": False}

        def work(tx: Tx) -> Subtitles:
            row = tx.e.Subtitles(
                id=str(uuid.uuid4()),
                content=file.content.id,
                number=number,
                codec="subrip",
                object_key=key,
                size_bytes=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                cues=1,
                created_at=tx.now,
                **(flags | {"language": "ger"} | columns),
            )
            tx.flush()
            return subtitles.record(row)

        return self.database.write(work)

    def change_content(self, file: File, **columns: object) -> None:
        """Set what a probe or a job would find out."""
        self.database.write(lambda tx: tx.e.Content[file.content.id].set(**columns))

    def end_jobs(self, file: File, state: str, error: str | None = None) -> None:
        """Let every job of a file be in `state`."""

        def work(tx: Tx) -> None:
            for job in tx.e.Content[file.content.id].jobs:
                job.set(state=state, error=error, finished_at=tx.now)

        self.database.write(work)

    def wait_beyond(self, moment: datetime) -> None:
        """Wait until the database's clock has gone on: listings go by time, and SQLite's clock has milliseconds."""
        wait_until(lambda: self.database.read(lambda tx: aware(tx.now)) > moment, what="the next moment")

    def trash(self, file: File) -> None:
        self.database.write(lambda tx: files.trash(tx, file.id))

    def restore(self, file: File) -> None:
        self.database.write(lambda tx: files.restore(tx, file.id))

    def _store(self, key: str, body: bytes) -> None:
        with tempfile.NamedTemporaryFile() as source:
            source.write(body)
            source.flush()
            self.storage.put_file(key, Path(source.name), "application/octet-stream")
