"""S3 that breaks: cut, stopped, stalled and refusing stores. A proxy or the real MinIO's process does the breaking."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nebula import config
from nebula.errors import NebulaError, ObjectChanged, ObjectNotFound, StoreUnavailable
from nebula.storage.choose import open_storage
from nebula.storage.contract import ObjectReader, ObjectStorage
from nebula.storage.s3 import S3Storage
from tests.proxy import Proxy
from tests.stores import MinIO, Stores, free_port

KEY = "renditions/film/1.mp4"
BODY = os.urandom(1 << 16) * 64  # 4 MiB
LONG = 60.0


@pytest.fixture
def minio(stores: Stores) -> MinIO:
    return stores.minio


@pytest.fixture
def bucket() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def proxy(minio: MinIO) -> Iterator[Proxy]:
    with Proxy(minio.port) as running:
        yield running


@pytest.fixture
def direct(minio: MinIO, bucket: str) -> S3Storage:
    """The store, with nothing in between."""
    storage = at(minio, minio.endpoint, bucket)
    storage.prepare()
    return storage


@pytest.fixture
def storage(minio: MinIO, bucket: str, proxy: Proxy, direct: S3Storage, film: Path) -> S3Storage:
    """The store through the proxy; it holds BODY."""
    direct.put_file(KEY, film, "video/mp4")
    return at(minio, proxy.endpoint, bucket, stall_s=LONG)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(BODY)
    return path


def at(minio: MinIO, endpoint: str, bucket: str, **more: float) -> S3Storage:
    return S3Storage(endpoint, bucket, minio.access_key, minio.secret_key, **more)  # type: ignore[arg-type]


def rest(reader: ObjectReader, buffer: int = 1 << 18) -> bytes:
    view, got = memoryview(bytearray(buffer)), []
    while count := reader.readinto(view):
        got.append(bytes(view[:count]))
    reader.close()
    return b"".join(got)


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_read_that_is_cut_goes_on_where_it_stopped(storage, proxy, cuts):
    proxy.cut_after(200_000)
    reader = storage.open(KEY, 5, len(BODY) - 10)
    got, view = b"", memoryview(bytearray(10_000))
    for cut in range(cuts):
        while proxy.connections == cut + 1:
            got += view[: reader.readinto(view)]
        if cut + 1 < cuts:
            proxy.cut_after(200_000 + cut)
    got += rest(reader)
    assert got == BODY[5:-5]
    assert proxy.connections == cuts + 1


def test_a_read_that_is_cut_within_one_buffer_is_not_short(storage, proxy):
    proxy.cut_after(1_234_567)
    reader = storage.open(KEY, 0, len(BODY))
    assert rest(reader, buffer=len(BODY)) == BODY


def test_a_read_waits_for_a_store_that_refuses_for_a_while(storage, proxy):
    reader = storage.open(KEY, 0, len(BODY))
    proxy.refuse()
    back = threading.Timer(1.0, proxy.accept)
    back.start()
    assert rest(reader) == BODY
    back.join()


def test_a_read_survives_a_restart_of_the_store(minio, direct, tmp_path):
    body = BODY * 8  # more than the kernel's buffers hold
    path = tmp_path / "long.mp4"
    path.write_bytes(body)
    direct.put_file(KEY, path, "video/mp4")
    reader = direct.open(KEY, 0, len(body))
    first = bytearray(1000)
    assert reader.readinto(memoryview(first)) == 1000
    minio.stop()
    restart = threading.Timer(1.0, minio.start)
    restart.start()
    try:
        assert bytes(first) + rest(reader) == body
    finally:
        restart.join()


def test_a_read_ends_with_an_error_when_the_store_stays_away(minio, bucket, proxy, storage):
    hasty = at(minio, proxy.endpoint, bucket, patience_s=0.5)
    reader = hasty.open(KEY, 0, len(BODY))
    proxy.refuse()
    with pytest.raises(StoreUnavailable):
        rest(reader)


def test_a_read_ends_with_an_error_when_the_store_stays_silent(minio, bucket, proxy, storage):
    hasty = at(minio, proxy.endpoint, bucket, stall_s=0.3, patience_s=1.0)
    reader = hasty.open(KEY, 0, len(BODY))
    proxy.stall()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        rest(reader)
    assert time.monotonic() - began < LONG


def test_a_read_goes_on_by_another_connection_when_one_stalls(minio, bucket, proxy, storage):
    quick = at(minio, proxy.endpoint, bucket, stall_s=0.3)
    reader = quick.open(KEY, 0, len(BODY))
    proxy.stall()
    back = threading.Timer(1.0, proxy.flow)
    back.start()
    assert rest(reader) == BODY
    back.join()


def test_a_read_that_is_cut_never_mixes_two_objects(storage, direct, proxy, film):
    proxy.cut_after(100_000)
    reader = storage.open(KEY, 0, len(BODY))
    film.write_bytes(bytes(len(BODY)))
    direct.put_file(KEY, film, "video/mp4")
    with pytest.raises(ObjectChanged):
        rest(reader)


def test_a_read_that_is_cut_says_when_the_object_is_deleted(storage, direct, proxy):
    proxy.cut_after(100_000)
    reader = storage.open(KEY, 0, len(BODY))
    direct.delete(KEY)
    with pytest.raises(ObjectNotFound):
        rest(reader)


def test_a_connection_is_used_again_after_a_span_was_read_to_its_end(storage, proxy):
    for start in range(0, 1000, 100):
        assert rest(storage.open(KEY, start, 100)) == BODY[start : start + 100]
    with pytest.raises(ObjectNotFound):
        storage.stat("missing")
    with pytest.raises(ObjectNotFound):
        storage.open("missing", 0, 5)
    with pytest.raises(ObjectChanged):
        storage.open(KEY, 0, 5, etag="another")
    assert storage.stat(KEY).size_bytes == len(BODY)
    assert proxy.connections == 1


def test_a_connection_with_an_unread_rest_is_not_used_again(storage, proxy):
    reader = storage.open(KEY, 0, len(BODY))
    reader.readinto(memoryview(bytearray(100)))
    reader.close()
    assert rest(storage.open(KEY, 50, 10)) == BODY[50:60]
    assert proxy.connections == 2


def test_an_idle_connection_that_the_store_closed_is_replaced(storage, proxy):
    for _ in range(3):
        assert storage.stat(KEY).size_bytes == len(BODY)
        proxy.cut()
        assert rest(storage.open(KEY, 0, 10)) == BODY[:10]
        proxy.cut()


@pytest.mark.parametrize("broken", ["refusing", "silent", "cut"])
def test_a_broken_store_is_unavailable_for_every_operation(minio, bucket, proxy, film, monkeypatch, broken):
    monkeypatch.setattr("nebula.storage.s3.CLIENT", impatient())
    hasty = at(minio, proxy.endpoint, bucket, stall_s=0.1)
    {"refusing": proxy.refuse, "silent": proxy.stall, "cut": lambda: setattr(proxy, "target_port", free_port())}[
        broken
    ]()
    for attempt in (
        lambda: hasty.prepare(),
        lambda: hasty.create_multipart(KEY, "video/mp4"),
        lambda: hasty.put_part(KEY, "id", 1, b"part"),
        lambda: hasty.list_parts(KEY, "id"),
        lambda: hasty.list_multiparts(KEY),
        lambda: hasty.complete_multipart(KEY, "id", [], 0),
        lambda: hasty.abort_multipart(KEY, "id"),
        lambda: hasty.put_file(KEY, film, "video/mp4"),
        lambda: hasty.stat(KEY),
        lambda: hasty.open(KEY, 0, 5),
        lambda: hasty.delete(KEY),
        lambda: next(iter(hasty.list_objects())),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            attempt()
        assert caught.value.store == "objects"


def impatient() -> object:
    from botocore.config import Config

    from nebula.storage import s3

    return s3.CLIENT.merge(Config(read_timeout=0.1, retries={"mode": "standard", "total_max_attempts": 1}))


def test_checking_a_silent_store_ends_in_time_and_leaves_it_usable(minio, bucket, proxy, direct):
    storage = at(minio, proxy.endpoint, bucket)
    proxy.stall()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        storage.check()
    assert time.monotonic() - began < LONG
    proxy.flow()
    storage.check()


def test_checking_names_a_bucket_that_is_missing_and_keys_that_are_refused(minio, bucket, direct):
    missing = at(minio, minio.endpoint, "no-such-bucket")
    with pytest.raises(StoreUnavailable, match="no bucket"):
        missing.check()
    stranger = S3Storage(minio.endpoint, bucket, minio.access_key, "wrong")
    for attempt in (stranger.check, stranger.prepare, lambda: stranger.stat(KEY), lambda: stranger.open(KEY, 0, 1)):
        with pytest.raises(StoreUnavailable, match="S3_ACCESS_KEY"):
            attempt()


def test_a_bucket_that_is_gone_does_not_make_its_objects_missing(minio):
    storage = at(minio, minio.endpoint, "no-such-bucket")
    for attempt in (
        lambda: storage.stat(KEY),
        lambda: storage.open(KEY, 0, 1),
        lambda: storage.open(KEY, 0, 0),
        lambda: storage.delete(KEY),
        lambda: storage.create_multipart(KEY, "video/mp4"),
    ):
        with pytest.raises(StoreUnavailable):
            attempt()


def test_a_completion_whose_answer_was_lost_is_done_when_it_is_tried_again(storage, proxy, direct):
    multipart_id = direct.create_multipart("other", "video/mp4")
    parts = [direct.put_part("other", multipart_id, 1, b"part")]
    proxy.cut_after(1)
    assert storage.complete_multipart("other", multipart_id, parts, 4) == direct.stat("other")


def test_a_file_whose_sending_failed_leaves_no_unfinished_upload(direct, tmp_path, monkeypatch):
    path = tmp_path / "long.mp4"
    path.write_bytes(BODY * 6)

    def fail(*words: object) -> None:
        raise StoreUnavailable("objects")

    monkeypatch.setattr(direct, "put_part", fail)
    with pytest.raises(StoreUnavailable):
        direct.put_file(KEY, path, "video/mp4")
    assert direct.list_multiparts(KEY) == []


def test_the_drive_of_a_store_on_this_machine_is_synced_before_done(minio, bucket, film, tmp_path, monkeypatch, direct):
    synced: list[Path] = []
    storage = at(minio, minio.endpoint, bucket, sync_dir=tmp_path)
    storage.put_file(KEY, film, "video/mp4")  # the real call works
    monkeypatch.setattr("nebula.storage.s3.sync_file_system", synced.append)
    storage.put_file(KEY, film, "video/mp4")
    assert synced == [tmp_path]
    multipart_id = storage.create_multipart("other", "video/mp4")
    parts = [storage.put_part("other", multipart_id, 1, b"part")]
    assert synced == [tmp_path]
    storage.complete_multipart("other", multipart_id, parts, 4)
    storage.complete_multipart("other", multipart_id, parts, 4)
    assert synced == [tmp_path] * 3


def test_a_drive_that_cannot_be_synced_is_no_success(minio, bucket, film, tmp_path, direct):
    storage = at(minio, minio.endpoint, bucket, sync_dir=tmp_path / "missing")
    with pytest.raises(StoreUnavailable, match="S3_SYNC_DIR"):
        storage.put_file(KEY, film, "video/mp4")
    with pytest.raises(StoreUnavailable, match="S3_SYNC_DIR"):
        storage.free_bytes()


def test_room_is_known_only_where_the_drive_is_in_this_machine(minio, bucket, tmp_path, direct):
    assert direct.free_bytes() is None
    assert (at(minio, minio.endpoint, bucket, sync_dir=tmp_path).free_bytes() or 0) > 0


def test_settings_reach_the_store(tmp_path, minio):
    settings = config.load(
        {
            "S3_ENDPOINT": minio.endpoint,
            "S3_ACCESS_KEY": minio.access_key,
            "S3_SECRET_KEY": minio.secret_key,
            "S3_BUCKET": "test-settings",
            "S3_SYNC_DIR": str(tmp_path),
            "S3_REGION": "us-east-1",
        }
    )
    storage: ObjectStorage = open_storage(settings)
    storage.prepare()
    storage.check()
    assert storage.local_path(KEY) is None
    assert storage.free_bytes() is not None


def test_errors_carry_no_keys(minio, bucket, direct):
    stranger = S3Storage(minio.endpoint, bucket, minio.access_key, "a-wrong-secret")
    with pytest.raises(NebulaError) as caught:
        stranger.prepare()
    assert "a-wrong-secret" not in repr(caught.value)
    assert minio.access_key not in str(caught.value)
