"""One suite over both stores: a directory, and real MinIO."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nebula import config
from nebula.domain.limits import PART_SIZE_BYTES
from nebula.errors import MultipartNotFound, ObjectChanged, ObjectNotFound
from nebula.storage.choose import open_storage
from nebula.storage.contract import ObjectStorage, Part, check_key, check_parts
from nebula.storage.directory import DirectoryStorage
from nebula.storage.s3 import S3Storage

KEY = "originals/0190a0c4-5f60-7000-8000-000000000001"
FULL = os.urandom(1 << 16) * (PART_SIZE_BYTES >> 16)
NO_UPLOADS = ["unknown", "../objects", uuid.uuid4().hex, "x" * 300, "a/b"]
ODD_KEYS = [
    "plain",
    "with space/and  two",
    "hash#and?question&amp;%41%2F",
    "-dash/--help",
    "back\\slash",
    "Grüße/日本語/🎬.mp4",
    "e\u0301 decomposed",
    "plus+equals=comma,semi;colon:at@",
    "quote'\"<>|*[]{}^`~$()!",
    "...dots/.hidden",
    "tab\tand trailing space ",
    "x" * 200 + "/" + "y" * 200,
]


@pytest.fixture(params=["directory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStorage:
    """A prepared, empty store."""
    made = DirectoryStorage(tmp_path / "store") if request.param == "directory" else _bucket(request)
    made.prepare()
    return made


def _bucket(request: pytest.FixtureRequest) -> S3Storage:
    minio = request.getfixturevalue("stores").minio
    return S3Storage(minio.endpoint, f"test-{uuid.uuid4().hex[:12]}", minio.access_key, minio.secret_key)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A small local file."""
    path = tmp_path / "local"
    path.write_bytes(b"0123456789")
    return path


def read(storage: ObjectStorage, key: str, start: int = 0, length: int | None = None, buffer: int = 1 << 18) -> bytes:
    reader = storage.open(key, start, storage.stat(key).size_bytes - start if length is None else length)
    try:
        return b"".join(chunks(reader, buffer))
    finally:
        reader.close()


def chunks(reader: object, buffer: int) -> Iterator[bytes]:
    view = memoryview(bytearray(buffer))
    while count := reader.readinto(view):  # type: ignore[attr-defined]
        yield bytes(view[:count])


def store(storage: ObjectStorage, key: str, *bodies: bytes) -> str:
    """Put the bodies as parts of a new multipart upload; return its id."""
    multipart_id = storage.create_multipart(key, "video/mp4")
    for number, body in enumerate(bodies, 1):
        storage.put_part(key, multipart_id, number, body)
    return multipart_id


def complete(storage: ObjectStorage, key: str, multipart_id: str) -> None:
    parts = storage.list_parts(key, multipart_id)
    storage.complete_multipart(key, multipart_id, parts, sum(part.size_bytes for part in parts))


def test_parts_become_one_object_with_all_bytes(storage):
    multipart_id = store(storage, KEY, FULL, FULL, b"the end")
    parts = storage.list_parts(KEY, multipart_id)
    info = storage.complete_multipart(KEY, multipart_id, parts, 2 * PART_SIZE_BYTES + 7)
    assert [(part.number, part.size_bytes) for part in parts] == [(1, PART_SIZE_BYTES), (2, PART_SIZE_BYTES), (3, 7)]
    assert info == storage.stat(KEY)
    assert info.size_bytes == 2 * PART_SIZE_BYTES + 7
    assert hashlib.sha256(read(storage, KEY)).digest() == hashlib.sha256(FULL * 2 + b"the end").digest()
    assert read(storage, KEY, PART_SIZE_BYTES - 2, 4) == FULL[-2:] + FULL[:2]


def test_put_part_returns_what_list_parts_says(storage):
    multipart_id = storage.create_multipart(KEY, "video/mp4")
    second = storage.put_part(KEY, multipart_id, 2, b"tail")
    first = storage.put_part(KEY, multipart_id, 1, FULL)
    assert storage.list_parts(KEY, multipart_id) == [first, second]


def test_a_part_may_be_any_kind_of_bytes(storage):
    body = bytearray(b"0123456789")
    for sent in (bytes(body), body, memoryview(body), memoryview(body)[:10], memoryview(bytes(body) + b"more")[:10]):
        complete(storage, KEY, store(storage, KEY, sent))
        assert read(storage, KEY) == b"0123456789"


def test_an_unfinished_upload_is_no_object(storage):
    store(storage, KEY, b"part")
    assert list(storage.list_objects()) == []
    with pytest.raises(ObjectNotFound):
        storage.stat(KEY)
    with pytest.raises(ObjectNotFound):
        storage.open(KEY, 0, 4)


def test_the_same_part_again_replaces_it_with_a_longer_one(storage):
    multipart_id = store(storage, KEY, FULL, b"short")
    storage.put_part(KEY, multipart_id, 2, b"longer than that")
    complete(storage, KEY, multipart_id)
    assert read(storage, KEY, PART_SIZE_BYTES) == b"longer than that"


def test_the_same_part_again_replaces_it_with_a_shorter_one(storage):
    multipart_id = store(storage, KEY, b"long as it was")
    storage.put_part(KEY, multipart_id, 1, b"short")
    complete(storage, KEY, multipart_id)
    assert read(storage, KEY) == b"short"


def test_completing_refuses_a_part_that_was_replaced_since(storage):
    multipart_id = store(storage, KEY, b"one")
    before = storage.list_parts(KEY, multipart_id)
    storage.put_part(KEY, multipart_id, 1, b"two")
    with pytest.raises(ObjectChanged):
        storage.complete_multipart(KEY, multipart_id, before, 3)
    complete(storage, KEY, multipart_id)
    assert read(storage, KEY) == b"two"


@pytest.mark.parametrize("sizes", [[3], [PART_SIZE_BYTES, 3], []], ids=["other size", "part that is not there", "none"])
def test_completing_refuses_parts_that_are_not_the_whole(storage, sizes):
    multipart_id = store(storage, KEY, b"four")
    etag = storage.list_parts(KEY, multipart_id)[0].etag
    parts = [Part(number, etag, size) for number, size in enumerate(sizes, 1)]
    with pytest.raises(ObjectChanged):
        storage.complete_multipart(KEY, multipart_id, parts, sum(sizes) if sizes[1:] else 4)
    with pytest.raises(ObjectNotFound):
        storage.stat(KEY)


def test_completing_refuses_parts_in_another_order(storage):
    multipart_id = store(storage, KEY, FULL, b"end")
    first, second = storage.list_parts(KEY, multipart_id)
    with pytest.raises(ObjectChanged):
        storage.complete_multipart(KEY, multipart_id, [second, first], PART_SIZE_BYTES + 3)


def test_a_part_beyond_the_announced_ones_is_dropped(storage):
    multipart_id = store(storage, KEY, b"kept", b"dropped")
    storage.complete_multipart(KEY, multipart_id, storage.list_parts(KEY, multipart_id)[:1], 4)
    assert read(storage, KEY) == b"kept"


def test_completing_twice_counts_as_done(storage):
    multipart_id = store(storage, KEY, b"once")
    parts = storage.list_parts(KEY, multipart_id)
    first = storage.complete_multipart(KEY, multipart_id, parts, 4)
    assert storage.complete_multipart(KEY, multipart_id, parts, 4) == first


def test_completing_fails_where_the_object_has_another_size(storage):
    complete(storage, KEY, store(storage, KEY, b"long"))
    multipart_id = store(storage, KEY, b"other")
    parts = storage.list_parts(KEY, multipart_id)
    storage.abort_multipart(KEY, multipart_id)
    with pytest.raises(MultipartNotFound):
        storage.complete_multipart(KEY, multipart_id, parts, 5)


@pytest.mark.parametrize("bodies", [[], [b""]], ids=["no part", "one empty part"])
def test_an_empty_object_is_an_object(storage, bodies):
    multipart_id = store(storage, KEY, *bodies)
    parts = storage.list_parts(KEY, multipart_id)
    info = storage.complete_multipart(KEY, multipart_id, parts, 0)
    assert info.size_bytes == 0
    assert storage.complete_multipart(KEY, multipart_id, parts, 0).size_bytes == 0
    assert storage.list_multiparts(KEY) == []
    assert read(storage, KEY) == b""


def test_an_aborted_upload_is_gone(storage):
    multipart_id = store(storage, KEY, b"part")
    parts = storage.list_parts(KEY, multipart_id)
    storage.abort_multipart(KEY, multipart_id)
    for attempt in (
        lambda: storage.list_parts(KEY, multipart_id),
        lambda: storage.put_part(KEY, multipart_id, 2, b"late"),
        lambda: storage.complete_multipart(KEY, multipart_id, parts, 4),
        lambda: storage.complete_multipart(KEY, multipart_id, [], 0),
    ):
        with pytest.raises(MultipartNotFound):
            attempt()
    with pytest.raises(ObjectNotFound):
        storage.stat(KEY)


def test_a_part_that_comes_after_completion_changes_nothing(storage):
    multipart_id = store(storage, KEY, b"done")
    complete(storage, KEY, multipart_id)
    with pytest.raises(MultipartNotFound):
        storage.put_part(KEY, multipart_id, 1, b"late")
    assert read(storage, KEY) == b"done"


def test_aborting_what_is_not_there_is_fine(storage):
    for multipart_id in NO_UPLOADS:
        storage.abort_multipart(KEY, multipart_id)


def test_an_unknown_upload_is_said_to_be_unknown(storage):
    for multipart_id in NO_UPLOADS:
        with pytest.raises(MultipartNotFound):
            storage.put_part(KEY, multipart_id, 1, b"part")
        with pytest.raises(MultipartNotFound):
            storage.list_parts(KEY, multipart_id)


def test_an_upload_belongs_to_its_key(storage):
    multipart_id = store(storage, KEY, b"part")
    parts = storage.list_parts(KEY, multipart_id)
    storage.abort_multipart("another", multipart_id)
    with pytest.raises(MultipartNotFound):
        storage.complete_multipart("another", multipart_id, parts, 4)
    assert storage.list_parts(KEY, multipart_id) == parts


def test_uploads_of_a_key_are_found_although_no_row_names_them(storage):
    both = sorted([store(storage, KEY), store(storage, KEY, b"part")])
    store(storage, KEY + "x", b"another key")
    assert storage.list_multiparts(KEY) == both
    for multipart_id in both:
        storage.abort_multipart(KEY, multipart_id)
    assert storage.list_multiparts(KEY) == []


def test_parts_may_come_from_many_threads(storage):
    multipart_id = storage.create_multipart(KEY, "video/mp4")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: storage.put_part(KEY, multipart_id, number, b"%d" % number), range(1, 33)))
    assert [part.number for part in storage.list_parts(KEY, multipart_id)] == list(range(1, 33))


def test_a_local_file_becomes_an_object_and_stays(storage, local):
    info = storage.put_file(KEY, local, "text/plain")
    assert (info.key, info.size_bytes) == (KEY, 10)
    assert read(storage, KEY) == local.read_bytes() == b"0123456789"
    local.write_bytes(b"changed since")
    assert read(storage, KEY) == b"0123456789"


def test_a_local_file_of_several_parts_becomes_an_object(storage, local):
    local.write_bytes(FULL + b"and more")
    assert storage.put_file(KEY, local, "video/mp4").size_bytes == PART_SIZE_BYTES + 8
    assert read(storage, KEY) == FULL + b"and more"
    assert storage.list_multiparts(KEY) == []


def test_an_empty_local_file_becomes_an_empty_object(storage, local):
    local.write_bytes(b"")
    assert storage.put_file(KEY, local, "text/plain").size_bytes == 0


def test_a_local_file_that_is_missing_leaves_nothing(storage, tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.put_file(KEY, tmp_path / "missing", "text/plain")
    assert list(storage.list_objects()) == []


def test_a_span_is_exactly_what_was_asked(storage, local):
    storage.put_file(KEY, local, "text/plain")
    for start, length in [(0, 10), (0, 1), (9, 1), (3, 4), (0, 0), (10, 0), (5, 0)]:
        assert read(storage, KEY, start, length) == b"0123456789"[start : start + length]


def test_a_span_is_read_with_any_buffer_and_tells_where_it_is(storage, local):
    storage.put_file(KEY, local, "text/plain")
    for buffer in (1, 3, 10, 11):
        reader = storage.open(KEY, 2, 7)
        got = b""
        for chunk in chunks(reader, buffer):
            got += chunk
            assert reader.offset == 2 + len(got)
        assert got == b"2345678"
        assert reader.readinto(memoryview(bytearray(4))) == 0
        reader.close()
        reader.close()


def test_a_span_beyond_the_end_is_refused_not_shortened(storage, local):
    storage.put_file(KEY, local, "text/plain")
    for start, length in [(0, 11), (9, 2), (10, 1), (11, 0), (50, 5)]:
        with pytest.raises(ObjectChanged):
            storage.open(KEY, start, length)


@pytest.mark.parametrize("length", [0, 4])
def test_opening_with_an_etag_refuses_other_bytes(storage, local, length):
    before = storage.put_file(KEY, local, "text/plain").etag
    storage.open(KEY, 0, length, before).close()
    local.write_bytes(b"9876543210")
    after = storage.put_file(KEY, local, "text/plain").etag
    assert after != before
    with pytest.raises(ObjectChanged):
        storage.open(KEY, 0, length, before)
    storage.open(KEY, 0, length, after).close()


@pytest.mark.parametrize("length", [0, 4])
def test_opening_what_is_not_there_says_so(storage, length):
    with pytest.raises(ObjectNotFound):
        storage.open(KEY, 0, length)


def test_a_folder_of_keys_is_no_object(storage, local):
    storage.put_file("folder/key", local, "text/plain")
    with pytest.raises(ObjectNotFound):
        storage.stat("folder")
    with pytest.raises(ObjectNotFound):
        storage.open("folder", 0, 0)
    with pytest.raises(ObjectNotFound):
        storage.stat("folder/key/below")
    storage.delete("folder")
    assert storage.stat("folder/key").size_bytes == 10


def test_a_reader_goes_on_while_others_read_and_when_its_object_is_deleted(storage, local):
    local.write_bytes(FULL[: 1 << 20])
    storage.put_file(KEY, local, "text/plain")
    reader = storage.open(KEY, 0, 1 << 20)
    got = next(chunks(reader, 1000))
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: read(storage, KEY, 5, 7), range(40))) == {FULL[5:12]}
    assert got + b"".join(chunks(reader, 4096)) == FULL[: 1 << 20]
    reader.close()


def test_a_deleted_object_is_gone_and_may_be_deleted_again(storage, local):
    storage.put_file(KEY, local, "text/plain")
    storage.delete(KEY)
    storage.delete(KEY)
    assert list(storage.list_objects()) == []
    with pytest.raises(ObjectNotFound):
        storage.stat(KEY)


def test_writing_and_deleting_in_one_folder_at_once_loses_nothing(storage, local):
    def turn(number: int) -> None:
        storage.put_file(f"jobs/one/{number}", local, "text/plain")
        storage.delete(f"jobs/one/{number}")
        storage.put_file(f"jobs/two/{number}", local, "text/plain")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(turn, range(40)))
    assert len(list(storage.list_objects("jobs/two/"))) == 40
    assert list(storage.list_objects("jobs/one/")) == []


def test_objects_are_listed_below_a_prefix_in_key_order(storage, local):
    keys = ["a/b", "a.b", "a0", "a/b.c", "b/1", "b/10", "b/2", "é/x", "c"]
    for key in keys:
        storage.put_file(key, local, "text/plain")
    store(storage, "a/unfinished", b"part")
    listed = [info.key for info in storage.list_objects()]
    assert listed == sorted(keys, key=str.encode)
    assert [info.key for info in storage.list_objects("b/")] == ["b/1", "b/10", "b/2"]
    assert [info.key for info in storage.list_objects("b/1")] == ["b/1", "b/10"]
    assert [info.key for info in storage.list_objects("a")] == ["a.b", "a/b", "a/b.c", "a0"]
    assert list(storage.list_objects("nothing/")) == []
    assert next(iter(storage.list_objects("c"))) == storage.stat("c")


def test_a_key_of_odd_characters_is_kept_as_it_is(storage, local):
    for key in ODD_KEYS:
        assert storage.put_file(key, local, "text/plain").key == key
        assert [info.key for info in storage.list_objects()] == [key]
        assert read(storage, key) == b"0123456789"
        path = storage.local_path(key)
        assert path is None or path.read_bytes() == b"0123456789"
        multipart_id = store(storage, key, b"parts")
        assert storage.list_multiparts(key) == [multipart_id]
        complete(storage, key, multipart_id)
        assert read(storage, key, 1, 3) == b"art"
        storage.delete(key)
        assert list(storage.list_objects()) == []


@pytest.mark.parametrize(
    "key", ["", "/", "/etc/passwd", "..", "a/../b", "a/..", "./a", "a//b", "a/", "a\0b", "x" * 256]
)
def test_a_key_that_could_lead_elsewhere_is_refused(key):
    with pytest.raises(ValueError, match=r"key|segment"):
        check_key(key)


def test_every_operation_checks_its_key(storage, local):
    for attempt in (
        lambda key: storage.put_file(key, local, "text/plain"),
        lambda key: storage.create_multipart(key, "text/plain"),
        lambda key: storage.put_part(key, "id", 1, b"part"),
        lambda key: storage.complete_multipart(key, "id", [], 0),
        lambda key: storage.abort_multipart(key, "id"),
        lambda key: storage.list_parts(key, "id"),
        lambda key: storage.list_multiparts(key),
        lambda key: storage.open(key, 0, 1),
        lambda key: storage.stat(key),
        lambda key: storage.delete(key),
        lambda key: storage.local_path(key),
    ):
        with pytest.raises(ValueError, match="no object key"):
            attempt("../elsewhere")


@pytest.mark.parametrize(("number", "body"), [(0, b"x"), (-1, b"x"), (1, FULL + b"x")])
def test_what_cannot_be_a_part_is_refused(storage, number, body):
    multipart_id = storage.create_multipart(KEY, "video/mp4")
    with pytest.raises(ValueError, match="no part"):
        storage.put_part(KEY, multipart_id, number, body)


def test_preparing_twice_keeps_what_is_there(storage, local):
    storage.put_file(KEY, local, "text/plain")
    multipart_id = store(storage, "unfinished", b"part")
    storage.prepare()
    storage.check()
    assert read(storage, KEY) == b"0123456789"
    assert len(storage.list_parts("unfinished", multipart_id)) == 1


def test_preparing_at_once_in_many_threads_is_fine(storage, settings):
    del storage
    fresh = open_storage(settings)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: fresh.prepare(), range(4)))
    fresh.check()


def test_settings_choose_the_store(settings: config.Settings):
    chosen = open_storage(settings)
    assert isinstance(chosen, S3Storage if settings.s3_endpoint else DirectoryStorage)
    chosen.prepare()
    chosen.check()


def test_parts_and_keys_are_checked_alike():
    assert check_key("a/b") == "a/b"
    check_parts([], 0)
    check_parts([Part(1, "e", PART_SIZE_BYTES), Part(2, "e", 1)], PART_SIZE_BYTES + 1)
    with pytest.raises(ObjectChanged):
        check_parts([Part(1, "e", 5), Part(2, "e", 1)], 6)


def test_readers_never_see_half_of_an_object_that_is_being_replaced(storage, local, tmp_path):
    other = tmp_path / "other"
    local.write_bytes(b"a" * 300_000)
    other.write_bytes(b"b" * 300_000)
    storage.put_file(KEY, local, "text/plain")
    done = threading.Event()

    def replace() -> None:
        for number in range(20):
            storage.put_file(KEY, local if number % 2 else other, "text/plain")
        done.set()

    writer = threading.Thread(target=replace)
    writer.start()
    while not done.is_set():
        assert set(read(storage, KEY)) in ({ord("a")}, {ord("b")})
    writer.join()
