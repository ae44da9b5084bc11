"""The promises of services/uploads.py in both worlds: no acknowledged byte is lost, and no half file is ever seen."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nebula.config import Settings
from nebula.db import files, objects
from nebula.domain import limits
from nebula.domain.checksums import Checksum
from nebula.domain.records import Upload
from nebula.domain.states import FileState, Queue, UploadState, Visibility
from nebula.errors import (
    ChecksumMismatch,
    Conflict,
    DigestMismatch,
    Gone,
    IncompleteBody,
    NebulaError,
    NoRoom,
    NotFound,
    PreconditionFailed,
    SignInRequired,
    StoreUnavailable,
    Superseded,
    TooLarge,
)
from nebula.services.uploads import receiving
from nebula.services.uploads.receiving import IncomingBody
from tests.arrivals import PART, Arrivals, Fuse, Killed, Source, cut, data, sha256
from tests.stores import Stores, wait_until

SMALL = data(70_000, "small")
LARGE = data(PART + 70_000, "large")


@pytest.fixture(scope="module", params=["embedded", "provisioned"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of one world. Its stores serve the whole module: a database of each test's own takes a second."""
    data_dir = tmp_path_factory.mktemp("uploads")
    values: dict[str, Any] = {"data_dir": data_dir, "reserve_bytes": 1 << 20}
    if request.param == "embedded":
        template: Path = request.getfixturevalue("sqlite_template")
        (data_dir / "nebula.sqlite").write_bytes(template.read_bytes())
        return Settings(**values, database_url=f"sqlite:///{data_dir}/nebula.sqlite")
    stores: Stores = request.getfixturevalue("stores")
    return Settings(
        **values,
        database_url=request.getfixturevalue("shared_postgresql_url"),
        s3_endpoint=stores.minio.endpoint,
        s3_access_key=stores.minio.access_key,
        s3_secret_key=stores.minio.secret_key,
        s3_bucket=f"test-{uuid.uuid4().hex[:12]}",
    )


@pytest.fixture(scope="module")
def built(world: Settings) -> Iterator[Arrivals]:
    made = Arrivals(world)
    yield made
    made.close()


@pytest.fixture
def house(built: Arrivals) -> Iterator[Arrivals]:
    built.begin()
    yield built
    built.clear()


def _start(house: Arrivals, content: bytes, at: int) -> Upload:
    """Return an upload that was cut at a place."""
    upload = house.create(len(content))
    house.append_and_cut(upload, 0, content[:at])
    return upload


# From the first byte to the file


@pytest.mark.parametrize("size", [0, 1, 70_000, PART, PART + 1, 2 * PART])
def test_upload_becomes_a_file_with_its_digest(house: Arrivals, size: int) -> None:
    content = data(size)
    upload = house.create(size)
    done = house.append(upload, 0, content) if size else upload
    assert done.state is UploadState.DONE
    assert house.files() == [("a film.mkv", sha256(content), size)]
    assert house.stored_bytes(content) == content
    assert house.states() == [FileState.PROCESSING]
    assert house.messages.woken == [Queue.QUICK]
    assert house.tails() == []
    assert house.doomed() == []
    assert house.uploads.find(house.anna, upload.id).file_id == done.file_id


def test_upload_goes_on_where_it_was_cut(house: Arrivals) -> None:
    upload = _start(house, LARGE, 50_000)
    assert house.offset(upload) == 50_000
    house.append_and_cut(upload, 50_000, LARGE[50_000 : PART + 9])
    assert house.offset(upload) == PART + 9
    assert house.append(upload, PART + 9, LARGE[PART + 9 :]).state is UploadState.DONE
    assert house.stored_bytes(LARGE) == LARGE


def test_upload_goes_on_in_another_process(house: Arrivals) -> None:
    """Which has not seen the first part: the digest is found by reading the object."""
    upload = _start(house, LARGE, PART + 50_000)
    house.restart()
    assert house.append(upload, PART + 50_000, LARGE[PART + 50_000 :]).state is UploadState.DONE
    assert house.files() == [("a film.mkv", sha256(LARGE), len(LARGE))]


def test_body_whose_client_breaks_off_without_a_word_keeps_what_came(house: Arrivals) -> None:
    upload = house.create(len(SMALL))
    with pytest.raises(IncompleteBody, match="ended before"):
        house.uploads.append(house.anna, upload.id, 0, IncomingBody(Source(SMALL[:100]), 200))
    assert house.offset(upload) == 100


def test_body_that_stalls_keeps_what_came(house: Arrivals) -> None:
    def stall() -> None:
        raise TimeoutError("timed out")

    upload = house.create(len(SMALL))
    with pytest.raises(TimeoutError):
        house.uploads.append(house.anna, upload.id, 0, IncomingBody(Source(SMALL[:100], stall), 200))
    assert house.offset(upload) == 100


def test_chunked_body_cut_after_its_last_byte_is_finished(house: Arrivals) -> None:
    """Every byte came and was acknowledged; only the chunk that says so is missing."""
    upload = house.create(len(SMALL))
    with pytest.raises(ConnectionResetError):
        house.uploads.append(house.anna, upload.id, 0, IncomingBody(Source(SMALL, cut), None))
    wait_until(lambda: house.uploads.find(house.anna, upload.id).state is UploadState.DONE)


def test_body_at_another_offset_is_refused(house: Arrivals) -> None:
    upload = _start(house, SMALL, 100)
    for offset in (0, 99, 101, len(SMALL), 10**9):
        with pytest.raises(Conflict) as raised:
            house.append(upload, offset, b"x")
        assert raised.value.code == "offset_mismatch"
    assert house.offset(upload) == 100


@pytest.mark.parametrize("length", [None, 201])
def test_body_that_goes_beyond_the_length_is_refused(house: Arrivals, length: int | None) -> None:
    upload = house.create(200)
    with pytest.raises(TooLarge):
        house.uploads.append(house.anna, upload.id, 0, IncomingBody(Source(SMALL[:201]), length))
    assert house.offset(upload) == 0


def test_last_body_sent_again_gets_the_same_answer(house: Arrivals) -> None:
    upload = house.create(len(SMALL))
    done = house.append(upload, 0, SMALL)
    assert house.append(upload, len(SMALL), b"").file_id == done.file_id


def test_upload_is_invisible_to_another_account(house: Arrivals) -> None:
    upload = house.create(len(SMALL))
    for ask in (
        lambda: house.uploads.find(house.ben, upload.id),
        lambda: house.uploads.append(house.ben, upload.id, 0, IncomingBody(Source(b"x"), 1)),
        lambda: house.uploads.terminate(house.ben, upload.id),
    ):
        with pytest.raises(NotFound):
            ask()
    assert house.offset(upload) == 0


def test_body_ends_when_its_session_does(house: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "WATCH_S", 0)
    upload = house.create(len(SMALL))
    with pytest.raises(SignInRequired):
        house.append(upload, 0, SMALL, may_continue=lambda: False)


# Digests and checksums


def test_announced_digest_that_fits_is_accepted(house: Arrivals) -> None:
    upload = house.create(len(SMALL), digest=sha256(SMALL))
    assert house.append(upload, 0, SMALL).state is UploadState.DONE


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_announced_digest_that_does_not_fit_leaves_nothing(house: Arrivals, content: bytes) -> None:
    upload = house.create(len(content), digest=sha256(b"other"))
    with pytest.raises(ChecksumMismatch) as raised:
        house.append(upload, 0, content)
    assert raised.value.code == "digest_mismatch"
    assert house.files() == []
    assert house.doomed() == [upload.object_key]
    assert house.tails() == []
    failed = house.uploads.find(house.anna, upload.id)
    assert (failed.state, failed.offset_bytes, failed.error_code) == (UploadState.FAILED, 0, "digest_mismatch")
    with pytest.raises(Gone):
        house.append(upload, 0, content)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_checksum_that_fits_is_accepted(house: Arrivals, algorithm: str) -> None:
    upload = house.create(len(LARGE))
    first, rest = LARGE[: PART + 10], LARGE[PART + 10 :]
    house.append(upload, 0, first, checksum=Checksum(algorithm, hashlib.new(algorithm, first).digest()))
    assert house.offset(upload) == len(first)
    done = house.append(upload, len(first), rest, checksum=Checksum(algorithm, hashlib.new(algorithm, rest).digest()))
    assert done.state is UploadState.DONE
    assert house.stored_bytes(LARGE) == LARGE


def test_checksum_that_does_not_fit_keeps_nothing_of_the_body(house: Arrivals) -> None:
    upload = _start(house, LARGE, 1000)
    wrong = bytearray(LARGE)
    wrong[PART - 1] ^= 1
    rest = bytes(wrong[1000 : PART + 500])
    with pytest.raises(ChecksumMismatch):
        house.append(upload, 1000, rest, checksum=Checksum("sha1", hashlib.sha1(b"x").digest()))
    assert house.offset(upload) == 1000
    assert house.finish(upload, LARGE).state is UploadState.DONE
    assert house.stored_bytes(LARGE) == LARGE


def test_checksummed_body_that_is_cut_keeps_nothing(house: Arrivals) -> None:
    upload = house.create(len(LARGE))
    body = IncomingBody(Source(LARGE[: PART + 5], cut), len(LARGE), Checksum("sha1", hashlib.sha1(LARGE).digest()))
    with pytest.raises(ConnectionResetError):
        house.uploads.append(house.anna, upload.id, 0, body)
    assert house.offset(upload) == 0
    assert house.finish(upload, LARGE).state is UploadState.DONE


# The same bytes again


def test_same_bytes_under_another_name_share_the_content(house: Arrivals) -> None:
    first = house.store(SMALL, "one.mkv")
    second = house.store(SMALL, "two.mkv")
    assert first.file.content == second.file.content
    assert [name for name, _, _ in house.files()] == ["one.mkv", "two.mkv"]
    assert len(house.doomed()) == 1
    assert house.doomed() != [first.file.content.object_key]


def test_same_name_and_bytes_is_the_existing_file_with_the_visibility_announced_last(house: Arrivals) -> None:
    first = house.store(SMALL)
    second = house.store(SMALL, visibility=Visibility.PRIVATE)
    assert (first.created, second.created) == (True, False)
    assert second.file.id == first.file.id
    assert second.file.visibility is Visibility.PRIVATE


def test_same_name_with_other_bytes_is_a_second_file(house: Arrivals) -> None:
    assert house.store(SMALL).file.id != house.store(SMALL[1:]).file.id
    assert len(house.files()) == 2


def test_trashed_file_is_restored_by_its_bytes(house: Arrivals) -> None:
    first = house.store(SMALL)
    house.database.write(lambda tx: files.trash(tx, first.file.id))
    assert house.files() == []
    again = house.store(SMALL)
    assert (again.file.id, again.created, again.file.deleted_at) == (first.file.id, False, None)


def test_dedupe_never_looks_beyond_the_account(house: Arrivals) -> None:
    mine = house.store(SMALL)
    theirs = house.uploads.store(
        house.ben,
        name="a film.mkv",
        media_type="video/x-matroska",
        visibility=Visibility.HOUSEHOLD,
        body=IncomingBody(Source(SMALL), len(SMALL)),
        sha256=None,
        only_new=False,
    )
    assert theirs.file.content.id != mine.file.content.id


# Whole bodies


@pytest.mark.parametrize("size", [0, 70_000, PART, PART + 70_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_whole_body_becomes_a_file(house: Arrivals, size: int, is_chunked: bool) -> None:
    content = data(size)
    stored = house.store(
        content, body=IncomingBody(Source(content), None if is_chunked else size), sha256=sha256(content)
    )
    assert stored.created
    assert house.files() == [("a film.mkv", sha256(content), size)]
    assert house.stored_bytes(content) == content
    assert house.tails() == []


@pytest.mark.parametrize("at", [10, PART + 10])
@pytest.mark.parametrize("length", [None, 2 * PART])
def test_whole_body_that_is_cut_leaves_nothing(house: Arrivals, at: int, length: int | None) -> None:
    with pytest.raises(ConnectionResetError):
        house.store(b"", body=IncomingBody(Source(LARGE[:at], cut), length))
    with pytest.raises(IncompleteBody, match="ended before"):
        house.store(b"", body=IncomingBody(Source(LARGE[:at]), 2 * PART))
    assert house.files() == []
    assert house.tails() == []
    assert len(house.doomed()) == 2
    assert house.uploads_with_objects() == []


def test_whole_body_with_another_digest_leaves_nothing(house: Arrivals) -> None:
    with pytest.raises(DigestMismatch):
        house.store(SMALL, sha256=sha256(b"other"))
    assert house.files() == []
    assert len(house.doomed()) == 1


def test_only_new_refuses_a_taken_name_before_and_after_the_body(house: Arrivals) -> None:
    house.store(SMALL)
    with pytest.raises(PreconditionFailed):
        house.store(SMALL[1:], only_new=True)
    other = "in between.mkv"
    body = IncomingBody(Source(SMALL[2:], lambda: house.store(SMALL[3:], other) and None), None)
    with pytest.raises(PreconditionFailed):
        house.store(b"", other, body=body, only_new=True)
    assert [name for name, _, _ in house.files()] == ["a film.mkv", other]


def test_only_new_takes_a_name_that_is_in_the_trash(house: Arrivals) -> None:
    first = house.store(SMALL)
    house.database.write(lambda tx: files.trash(tx, first.file.id))
    assert house.store(SMALL[1:], only_new=True).created


def test_whole_body_whose_process_died_is_given_up_by_the_sweep(house: Arrivals) -> None:
    dying = house.process(fuse := Fuse(6))
    with pytest.raises(Killed):
        dying.store(
            house.anna,
            name="a film.mkv",
            media_type="video/mp4",
            visibility=Visibility.HOUSEHOLD,
            body=IncomingBody(Source(LARGE + LARGE), 2 * len(LARGE)),
            sha256=None,
            only_new=False,
        )
    assert fuse.burnt
    house.restart()
    house.uploads.sweep()
    assert house.files() == []
    (key,) = house.doomed()
    assert len(house.storage.list_multiparts(key)) == 1
    house.database.write(lambda tx: tx.execute("UPDATE doomed_objects SET delete_after = $now", now=tx.after(-1)))
    assert house.database.read(objects.due_objects) == [key]


def test_whole_body_is_no_upload_to_go_on_with(house: Arrivals) -> None:
    house.store(SMALL)
    ids = house.database.read(lambda tx: [row.id for row in tx.e.Upload.select()])
    for upload_id in ids:
        with pytest.raises(NotFound):
            house.uploads.find(house.anna, upload_id)


# Attempts


def test_newer_body_supersedes_a_stalled_one(house: Arrivals) -> None:
    """The older one acknowledges nothing, whatever of it was in memory."""
    stalled, interrupted = threading.Event(), threading.Event()
    outcome: list[BaseException] = []

    def stall() -> None:
        stalled.set()
        assert interrupted.wait(60)

    def older() -> None:
        other = data(PART + 5000)
        body = IncomingBody(Source(other[: PART + 100], stall), len(LARGE), interrupt=interrupted.set)
        try:
            house.uploads.append(house.anna, upload.id, 0, body)
        except NebulaError as error:
            outcome.append(error)

    upload = house.create(len(LARGE))
    thread = threading.Thread(target=older)
    thread.start()
    assert stalled.wait(60)
    assert house.offset(upload) == PART
    rest = LARGE[PART:]
    done = house.append(upload, PART, rest)
    thread.join(60)
    assert [type(error) for error in outcome] == [Superseded]
    assert done.state is UploadState.DONE
    assert done.offset_bytes == len(LARGE)


def test_body_of_another_process_acknowledges_nothing_once_it_is_superseded(house: Arrivals) -> None:
    """Nobody can wake it there: its next statement finds its attempt number gone."""
    upload = house.create(len(LARGE))
    other = house.process()

    def newer() -> None:
        assert house.append(upload, 0, LARGE).state is UploadState.DONE

    with pytest.raises(Superseded):
        other.append(house.anna, upload.id, 0, IncomingBody(Source(data(1000), newer), len(LARGE)))
    assert house.stored_bytes(LARGE) == LARGE
    assert house.tails() == []


def test_part_that_a_superseded_body_wrote_late_does_not_reach_the_file(house: Arrivals) -> None:
    """The store has its bytes in place of acknowledged ones then: they are asked for again."""
    upload = house.create(len(LARGE))
    house.append_and_cut(upload, 0, LARGE[: PART + 10])
    multipart_id = house.row(upload)["multipart_id"]
    house.storage.put_part(upload.object_key, multipart_id, 1, data(PART))
    assert house.offset(upload) == 0
    assert house.finish(upload, LARGE).state is UploadState.DONE
    assert house.stored_bytes(LARGE) == LARGE


# Losses


def test_lost_part_takes_the_offset_back(house: Arrivals) -> None:
    content = data(2 * PART + 10)
    upload = house.create(len(content))
    house.append_and_cut(upload, 0, content[: 2 * PART + 5])
    key, multipart_id = upload.object_key, house.row(upload)["multipart_id"]

    def forget(tx: object) -> None:  # what a power cut does to the store, seen from the row
        tx.execute("UPDATE upload_parts SET etag = 'gone' WHERE number = 2")  # type: ignore[attr-defined]

    house.database.write(forget)
    assert house.offset(upload) == PART
    assert [part.number for part in house.storage.list_parts(key, multipart_id)] == [1, 2]
    assert house.finish(upload, content).state is UploadState.DONE
    assert house.stored_bytes(content) == content


def test_lost_multipart_starts_again_at_offset_0(house: Arrivals) -> None:
    upload = _start(house, LARGE, PART + 10)
    house.storage.abort_multipart(upload.object_key, house.row(upload)["multipart_id"])
    assert house.offset(upload) == 0
    assert house.finish(upload, LARGE).state is UploadState.DONE
    assert house.stored_bytes(LARGE) == LARGE


def test_lost_multipart_is_noticed_by_the_last_body(house: Arrivals) -> None:
    upload = _start(house, LARGE, PART + 10)
    house.storage.abort_multipart(upload.object_key, house.row(upload)["multipart_id"])
    with pytest.raises(Conflict) as raised:
        house.append(upload, PART + 10, LARGE[PART + 10 :])
    assert raised.value.code == "upload_restarted"
    assert house.offset(upload) == 0
    assert house.finish(upload, LARGE).state is UploadState.DONE


def test_lost_multipart_is_noticed_by_the_next_part(house: Arrivals) -> None:
    content = data(2 * PART + 10)
    upload = _start(house, content, PART + 10)
    house.storage.abort_multipart(upload.object_key, house.row(upload)["multipart_id"])
    with pytest.raises(Conflict) as raised:
        house.append(upload, PART + 10, content[PART + 10 :])
    assert raised.value.code == "upload_restarted"
    assert house.offset(upload) == 0


def test_lost_tail_takes_the_offset_back_to_the_last_part(house: Arrivals) -> None:
    upload = _start(house, LARGE, PART + 10)
    for path in house.settings.tails_dir.iterdir():
        path.unlink()
    with pytest.raises(Conflict):
        house.append(upload, PART + 10, LARGE[PART + 10 :])
    assert house.offset(upload) == PART
    assert house.finish(upload, LARGE).state is UploadState.DONE
    assert house.stored_bytes(LARGE) == LARGE


# A store that does not answer, a disk that is full


class Refusing:
    """A store that refuses some of its calls."""

    def __init__(self, storage: object, *calls: str) -> None:
        self._storage = storage
        self.calls = set(calls)

    def __getattr__(self, name: str) -> object:
        if name in self.calls:
            raise StoreUnavailable("objects")
        return getattr(self._storage, name)


def test_bytes_that_the_store_does_not_take_are_kept_on_the_disk(house: Arrivals) -> None:
    upload = house.create(len(LARGE))
    house.uploads = house.process(storage=Refusing(house.storage, "create_multipart"))
    with pytest.raises(StoreUnavailable):
        house.append(upload, 0, LARGE)
    house.restart()
    assert house.offset(upload) == PART
    assert house.finish(upload, LARGE).state is UploadState.DONE
    assert house.stored_bytes(LARGE) == LARGE


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_upload_is_finished_by_the_sweep_when_the_store_is_back(house: Arrivals, content: bytes) -> None:
    upload = house.create(len(content))
    storage = Refusing(house.storage, "complete_multipart", "put_file")
    house.uploads = house.process(storage=storage)
    assert house.append(upload, 0, content).state is UploadState.COMPLETING
    assert house.files() == []
    storage.calls.clear()
    house.end_leases()
    house.uploads.sweep()
    assert house.uploads.find(house.anna, upload.id).state is UploadState.DONE
    assert house.stored_bytes(content) == content


def test_asking_for_an_upload_goes_on_with_it_when_nobody_does(house: Arrivals) -> None:
    upload = house.create(len(SMALL))
    storage = Refusing(house.storage, "put_file")
    house.uploads = house.process(storage=storage)
    house.append(upload, 0, SMALL)
    storage.calls.clear()
    house.end_leases()
    wait_until(lambda: house.uploads.find(house.anna, upload.id).state is UploadState.DONE)


def test_object_that_is_gone_fails_the_upload(house: Arrivals) -> None:
    upload = house.create(len(LARGE))
    storage = Refusing(house.storage, "open")
    house.append_and_cut(upload, 0, LARGE[: PART + 1])
    house.uploads = house.process(storage=storage)
    assert house.append(upload, PART + 1, LARGE[PART + 1 :]).state is UploadState.VERIFYING
    house.storage.delete(upload.object_key)
    storage.calls.clear()
    house.end_leases()
    house.uploads.sweep()
    assert house.uploads.find(house.anna, upload.id).error_code == "bytes_lost"


def _disk_bytes(house: Arrivals) -> int:
    # All of the disk: what is free right now changes while other tests write and delete.
    stat = os.statvfs(house.settings.data_dir)
    return stat.f_blocks * stat.f_frsize


def test_upload_that_would_touch_the_reserve_is_refused(house: Arrivals) -> None:
    house.settings = Settings(**{**vars(house.settings), "reserve_bytes": _disk_bytes(house)})
    house.uploads = house.process()
    with pytest.raises(NoRoom):
        house.create(len(SMALL))
    with pytest.raises(NoRoom):
        house.store(SMALL)


def test_bytes_that_would_touch_the_reserve_are_refused(house: Arrivals) -> None:
    upload = house.create(len(LARGE))
    house.settings = Settings(**{**vars(house.settings), "reserve_bytes": _disk_bytes(house)})
    house.uploads = house.process()
    for content in (LARGE, SMALL):
        with pytest.raises(NoRoom):
            house.append(upload, 0, content)
    assert house.offset(upload) == 0


def test_file_that_is_too_large_is_refused(house: Arrivals) -> None:
    with pytest.raises(TooLarge):
        house.create(limits.MAX_UPLOAD_BYTES + 1)


# Ends


def test_terminated_upload_is_gone(house: Arrivals) -> None:
    upload = _start(house, LARGE, PART + 10)
    house.uploads.terminate(house.anna, upload.id)
    assert house.doomed() == [upload.object_key]
    assert house.tails() == []
    for ask in (
        lambda: house.offset(upload),
        lambda: house.append(upload, PART + 10, b"x"),
        lambda: house.uploads.terminate(house.anna, upload.id),
    ):
        with pytest.raises(Gone):
            ask()


def test_terminating_wakes_the_body_that_is_under_way(house: Arrivals) -> None:
    upload = house.create(len(SMALL))
    interrupted = threading.Event()

    def terminate() -> None:
        house.uploads.terminate(house.anna, upload.id)
        assert interrupted.wait(60)

    body = IncomingBody(Source(SMALL[:100], terminate), len(SMALL), interrupt=interrupted.set)
    with pytest.raises(Superseded):
        house.uploads.append(house.anna, upload.id, 0, body)
    assert house.tails() == []


def test_terminating_a_done_upload_leaves_the_file(house: Arrivals) -> None:
    upload = house.create(len(SMALL))
    house.append(upload, 0, SMALL)
    house.uploads.terminate(house.anna, upload.id)
    with pytest.raises(NotFound):
        house.offset(upload)
    assert house.stored_bytes(SMALL) == SMALL
    assert house.doomed() == []


def test_expired_upload_is_given_up_and_later_forgotten(house: Arrivals) -> None:
    upload = _start(house, LARGE, PART + 10)
    house.expire(upload)
    house.uploads.sweep()
    assert house.doomed() == [upload.object_key]
    assert house.tails() == []
    with pytest.raises(Gone):
        house.offset(upload)
    house.expire(upload)
    house.uploads.sweep()
    with pytest.raises(NotFound):
        house.offset(upload)


def test_every_byte_prolongs_an_uploads_life(house: Arrivals) -> None:
    upload = _start(house, SMALL, 100)
    house.expire(upload)
    house.append_and_cut(upload, 100, SMALL[100:200])
    house.uploads.sweep()
    assert house.offset(upload) == 200


def test_sweep_leaves_a_live_upload_alone(house: Arrivals) -> None:
    upload = _start(house, LARGE, PART + 10)
    before, tails = house.row(upload), house.tails()
    house.uploads.sweep()
    assert house.row(upload) == before
    assert house.tails() == tails


def test_sweep_removes_tails_that_count_no_more(house: Arrivals) -> None:
    upload = _start(house, SMALL, 100)
    older = house.settings.tails_dir / f"{upload.id}.0"
    older.write_bytes(b"x")
    house.uploads.sweep()
    assert house.tails() == [f"{upload.id}.1"]


def test_sweep_keeps_the_tails_of_unknown_uploads_for_long(house: Arrivals) -> None:
    """A wrong DATABASE_URL must not cost acknowledged bytes."""
    _start(house, SMALL, 100)
    stranger = house.settings.tails_dir / "11111111-1111-4111-8111-111111111111.1"
    stranger.write_bytes(b"x")
    house.uploads.sweep()
    assert stranger.exists()
    long_ago = time.time() - 3 * limits.UPLOAD_LIFE_S
    os.utime(stranger, (long_ago, long_ago))
    house.uploads.sweep()
    assert not stranger.exists()


def test_sweep_of_another_machine_takes_nothing_over(house: Arrivals) -> None:
    upload = house.create(len(SMALL))
    house.uploads = house.process(storage=Refusing(house.storage, "put_file"))
    house.append(upload, 0, SMALL)
    house.end_leases()
    elsewhere = Arrivals.process
    tails_dir = house.settings.tails_dir
    house.settings = Settings(**{**vars(house.settings), "data_dir": tails_dir.parent / "another machine"})
    house.settings.data_dir.mkdir()
    elsewhere(house).sweep()
    assert house.row(upload)["state"] == UploadState.COMPLETING


# Crashes

MOST_CALLS = 40


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_crash_after_any_step_is_finished_or_resumable(house: Arrivals, content: bytes) -> None:
    """Each round a process dies after one more call to a store; a new one goes on from what is there."""
    for calls in range(MOST_CALLS):
        own = data(8) + content[8:]
        upload = house.create(len(own), f"after {calls}.mkv", sha256(own))
        fuse = Fuse(calls)
        with suppress(Killed, NebulaError):
            house.process(fuse).append(house.anna, upload.id, 0, IncomingBody(Source(own), len(own)))
        house.restart()
        house.uploads.sweep()
        assert house.finish(upload, own).state is UploadState.DONE
        assert house.stored_bytes(own) == own
        assert house.tails() == []
        assert upload.object_key not in house.doomed()
        if not fuse.burnt:
            assert calls > 8
            return
    raise AssertionError("it never came to its end")


def test_crash_after_any_step_of_a_whole_body_leaves_a_file_or_nothing(house: Arrivals) -> None:
    for calls in range(MOST_CALLS):
        own, name = data(8) + LARGE[8:], f"after {calls}.mkv"
        fuse = Fuse(calls)
        house.uploads = house.process(fuse)
        with suppress(Killed):
            house.store(own, name)
        house.restart()
        house.uploads.sweep()
        house.uploads.sweep()
        assert set(house.upload_states()) <= {UploadState.DONE, UploadState.FAILED}
        assert house.tails() == []
        if name in [made for made, _, _ in house.files()]:
            assert house.stored_bytes(own) == own
        if not fuse.burnt:
            assert calls > 10
            assert len(house.files()) > 1
            return
    raise AssertionError("it never came to its end")


def test_crash_after_any_step_of_the_sweep_is_made_up_for_by_the_next(house: Arrivals) -> None:
    for calls in range(MOST_CALLS):
        own = data(8) + SMALL[8:]
        upload = house.create(len(own), f"after {calls}.mkv")
        house.uploads = house.process(storage=Refusing(house.storage, "put_file"))
        house.append(upload, 0, own)
        house.end_leases()
        fuse = Fuse(calls)
        with suppress(Killed):
            house.process(fuse).sweep()
        house.restart()
        house.uploads.sweep()
        assert house.uploads.find(house.anna, upload.id).state is UploadState.DONE
        assert house.stored_bytes(own) == own
        if not fuse.burnt:
            assert calls > 5
            return
    raise AssertionError("it never came to its end")


def test_two_processes_that_finish_at_once_make_one_file(house: Arrivals) -> None:
    upload = house.create(len(LARGE))
    house.uploads = house.process(storage=Refusing(house.storage, "complete_multipart"))
    house.append(upload, 0, LARGE)

    class Slow:
        """A store in whose slowest moment another process takes over and finishes."""

        def __getattr__(self, name: str) -> object:
            if name == "complete_multipart":
                house.end_leases()
                house.restart()
                house.uploads.sweep()
            return getattr(house.storage, name)

    house.end_leases()
    house.process(storage=Slow()).sweep()
    assert house.files() == [("a film.mkv", sha256(LARGE), len(LARGE))]
    assert house.stored_bytes(LARGE) == LARGE


# Any partition of the bytes

FORTY = data(2 * PART + PART // 2, "forty")
CUTS = st.lists(st.integers(0, len(FORTY)), max_size=6).map(sorted)


@hypothesis_settings(
    max_examples=3,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example(cuts=[PART - 1, PART, PART + 1])
@example(cuts=[PART, 2 * PART])
@given(cuts=CUTS)
def test_any_partition_of_the_body_gives_the_same_object(house: Arrivals, cuts: list[int]) -> None:
    own = data(8) + FORTY[8:]
    upload = house.create(len(own), digest=sha256(own))
    done = upload
    for start, end in zip([0, *cuts], [*cuts, len(own)], strict=True):
        done = house.append(upload, start, own[start:end])
    assert done.state is UploadState.DONE
    assert house.stored_bytes(own) == own
