"""A content and its files stay in step, whoever comes in between."""

from __future__ import annotations

import threading
import uuid

from nebula.db import files, objects
from nebula.db.database import Database, Tx
from nebula.domain.records import File
from nebula.domain.states import Visibility

BLOCKED_S = 0.5


def _account(tx: Tx) -> str:
    row = tx.e.Account(id=str(uuid.uuid4()), name="ann", role="owner", password_hash="x", created_at=tx.now)
    tx.flush()
    return str(row.id)


def _add(tx: Tx, account_id: str, name: str, key: str) -> File:
    file, _ = files.add_stored(
        tx,
        account_id=account_id,
        name=name,
        media_type="video/mp4",
        visibility=Visibility.HOUSEHOLD,
        sha256="0" * 64,
        size_bytes=1,
        object_key=key,
    )
    return file


def test_purging_the_last_file_waits_for_an_upload_of_the_same_bytes(database: Database) -> None:
    """Else the content, and by cascade the new file, went with the old one."""
    account_id = database.write(_account)
    first = database.write(lambda tx: _add(tx, account_id, "one", "originals/1"))
    added, purged, go = threading.Event(), threading.Event(), threading.Event()

    def add() -> None:
        def work(tx: Tx) -> None:
            _add(tx, account_id, "two", "originals/2")
            added.set()
            go.wait(20)

        database.write(work)

    def purge() -> None:
        database.write(lambda tx: files.purge(tx, first.id))
        purged.set()

    adding, purging = threading.Thread(target=add), threading.Thread(target=purge)
    adding.start()
    assert added.wait(20)
    purging.start()
    assert not purged.wait(BLOCKED_S)
    go.set()
    adding.join(20)
    purging.join(20)
    assert database.read(lambda tx: [file.name for file in tx.e.File.select()]) == ["two"]
    assert database.read(objects.due_objects) == []


def test_a_doomed_object_that_a_content_names_is_never_due(database: Database) -> None:
    account_id = database.write(_account)
    file = database.write(lambda tx: _add(tx, account_id, "one", "originals/1"))
    database.write(lambda tx: objects.doom(tx, "originals/1", after_s=-1))
    assert database.read(objects.due_objects) == []
    database.write(lambda tx: files.purge(tx, file.id))
    assert database.read(objects.due_objects) == ["originals/1"]


def test_an_object_that_was_doomed_anew_for_later_is_not_forgotten(database: Database) -> None:
    database.write(lambda tx: objects.doom(tx, "originals/1", after_s=60))
    database.write(lambda tx: objects.forget_doomed(tx, "originals/1"))
    assert database.read(lambda tx: [row.object_key for row in tx.e.DoomedObject.select()]) == ["originals/1"]
