"""The directory store's own promises: what a kill or a power cut leaves, full disks, nothing outside its root."""

from __future__ import annotations

import errno
import json
import os
import signal
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from nebula.domain.limits import PART_SIZE_BYTES
from nebula.errors import MultipartNotFound, NoRoom, ObjectChanged, ObjectNotFound, StoreUnavailable
from nebula.storage import directory, disk, records
from nebula.storage.directory import DirectoryStorage
from tests.stores import wait_until

KEY = "originals/one"
FULL = bytes(range(256)) * (PART_SIZE_BYTES >> 8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def storage(root: Path) -> DirectoryStorage:
    made = DirectoryStorage(root)
    made.prepare()
    return made


def read(storage: DirectoryStorage, key: str = KEY) -> bytes:
    reader = storage.open(key, 0, storage.stat(key).size_bytes)
    buffer = bytearray(storage.stat(key).size_bytes)
    reader.readinto(memoryview(buffer))
    reader.close()
    return bytes(buffer)


def killed_at(monkeypatch: pytest.MonkeyPatch, name: str, work: object) -> None:
    """Run `work` in a process of its own, which is killed when it calls `name` of the module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "may deadlock": the child comes to no lock of another
        child = os.fork()
    if child == 0:
        module = records if name == "append" else directory
        monkeypatch.setattr(module, name, lambda *words, **more: os.kill(os.getpid(), signal.SIGKILL))
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{name} was never called"


def upload(storage: DirectoryStorage, *bodies: bytes) -> str:
    multipart_id = storage.create_multipart(KEY, "video/mp4")
    for number, body in enumerate(bodies, 1):
        storage.put_part(KEY, multipart_id, number, body)
    return multipart_id


def left_over(root: Path) -> list[Path]:
    return [*(root / "multiparts").iterdir(), *(root / "incoming").iterdir()]


def test_a_part_is_recorded_only_after_its_bytes_are_on_the_disk(storage, monkeypatch):
    multipart_id = upload(storage)
    order: list[str] = []
    write, append = directory.write_through, records.append
    monkeypatch.setattr(directory, "write_through", lambda *words: (write(*words), order.append("bytes")))
    monkeypatch.setattr(records, "append", lambda *words: (append(*words), order.append("record")))
    storage.put_part(KEY, multipart_id, 1, b"part")
    storage.put_part(KEY, multipart_id, 1, b"longer part")
    assert order == ["bytes", "record"] * 2


def test_a_part_whose_writing_was_killed_does_not_count_and_can_be_written_again(storage, monkeypatch):
    multipart_id = upload(storage)
    killed_at(monkeypatch, "append", lambda: storage.put_part(KEY, multipart_id, 1, b"never acknowledged"))
    assert storage.list_parts(KEY, multipart_id) == []
    part = storage.put_part(KEY, multipart_id, 1, b"again")
    storage.complete_multipart(KEY, multipart_id, [part], 5)
    assert read(storage) == b"again"


def test_a_part_whose_replacing_was_killed_is_the_old_one(storage, monkeypatch):
    multipart_id = upload(storage, b"acknowledged")
    parts = storage.list_parts(KEY, multipart_id)
    killed_at(monkeypatch, "append", lambda: storage.put_part(KEY, multipart_id, 1, b"other bytes, and longer"))
    assert storage.list_parts(KEY, multipart_id) == parts
    storage.complete_multipart(KEY, multipart_id, parts, 12)
    assert read(storage) == b"acknowledged"


@pytest.mark.parametrize("torn", [b'\n{"number": 2, "etag": "ab', b"\n", b"\n\0\0\0\0", b'\n"text"', b"\n\xff\xfe"])
def test_a_torn_record_counts_for_nothing_and_hides_none(storage, root, torn):
    multipart_id = upload(storage, FULL)
    with (root / "multiparts" / multipart_id / "records").open("ab") as records:
        records.write(torn)
    storage.put_part(KEY, multipart_id, 2, b"after")
    parts = storage.list_parts(KEY, multipart_id)
    assert [part.number for part in parts] == [1, 2]
    storage.complete_multipart(KEY, multipart_id, parts, PART_SIZE_BYTES + 5)
    assert read(storage) == FULL + b"after"


@pytest.mark.parametrize("step", ["_gather", "sync_folder", "_discard"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_completion_that_was_killed_is_finished_by_the_next(storage, root, monkeypatch, step, replaced):
    multipart_id = upload(storage, b"part")
    if replaced:
        storage.put_part(KEY, multipart_id, 1, b"other")
    parts = storage.list_parts(KEY, multipart_id)
    size = parts[0].size_bytes
    killed_at(monkeypatch, step, lambda: storage.complete_multipart(KEY, multipart_id, parts, size))
    assert storage.complete_multipart(KEY, multipart_id, parts, size).size_bytes == size
    assert read(storage) == (b"other" if replaced else b"part")
    assert left_over(root) == []
    with pytest.raises(MultipartNotFound):
        storage.list_parts(KEY, multipart_id)


def test_what_a_killed_completion_left_can_be_aborted_and_the_object_stays(storage, root, monkeypatch):
    multipart_id = upload(storage, b"part")
    parts = storage.list_parts(KEY, multipart_id)
    killed_at(monkeypatch, "_discard", lambda: storage.complete_multipart(KEY, multipart_id, parts, 4))
    storage.abort_multipart(KEY, multipart_id)
    assert left_over(root) == []
    assert read(storage) == b"part"


def test_who_comes_late_waits_for_a_completion_and_then_changes_nothing(storage, monkeypatch):
    multipart_id = upload(storage, b"part")
    parts = storage.list_parts(KEY, multipart_id)
    gather = directory._gather
    with ThreadPoolExecutor(2) as threads:
        late: list[Future[object]] = []

        def gather_while_others_come(*words: object) -> None:
            late.append(threads.submit(storage.put_part, KEY, multipart_id, 1, b"late"))
            late.append(threads.submit(storage.abort_multipart, KEY, multipart_id))
            wait_until(lambda: waiting_for_locks() == 2, what="both wait for the upload")
            gather(*words)  # type: ignore[arg-type]

        monkeypatch.setattr(directory, "_gather", gather_while_others_come)
        storage.complete_multipart(KEY, multipart_id, parts, 4)
        with pytest.raises(MultipartNotFound):
            late[0].result()
        assert late[1].result() is None
    assert read(storage) == b"part"


def waiting_for_locks() -> int:
    """How many locks of this process wait for another (proc(5): the rows with an arrow)."""
    rows = [row.split() for row in Path("/proc/locks").read_text().splitlines()]
    return sum(row[1] == "->" and row[5] == str(os.getpid()) for row in rows)


def test_an_object_is_synced_before_it_gets_its_name_and_its_folders_after(storage, monkeypatch, tmp_path):
    steps: list[str] = []
    sync, replace = disk.sync, Path.replace
    for module in (directory, disk):
        monkeypatch.setattr(module, "sync", lambda path, *more: (sync(path, *more), steps.append(path.name)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (replace(self, to), steps.append("named")))
    multipart_id = upload(storage, b"part")
    steps.clear()
    storage.complete_multipart(KEY, multipart_id, storage.list_parts(KEY, multipart_id), 4)
    assert steps[:4] == ["bytes", "named", "originals", "objects"]
    steps.clear()
    (tmp_path / "local").write_bytes(b"file")
    storage.put_file("a/b/c", tmp_path / "local", "text/plain")
    assert steps[1:] == ["named", "b", "a", "objects"]


def test_a_sparse_upload_takes_no_room_for_parts_that_are_not_there(storage, root):
    multipart_id = storage.create_multipart(KEY, "video/mp4")
    storage.put_part(KEY, multipart_id, 9000, b"far out")
    assert (root / "multiparts" / multipart_id / "bytes").stat().st_blocks * 512 < 1 << 20
    with pytest.raises(ObjectChanged):
        storage.complete_multipart(KEY, multipart_id, storage.list_parts(KEY, multipart_id), 7)


def test_a_reader_offers_its_file_for_sendfile(storage, tmp_path):
    (tmp_path / "local").write_bytes(b"0123456789")
    storage.put_file(KEY, tmp_path / "local", "text/plain")
    reader = storage.open(KEY, 3, 4)
    descriptor = reader.fileno()
    assert descriptor is not None
    assert os.pread(descriptor, 4, reader.offset) == b"3456"
    reader.close()
    assert reader.fileno() is None


def test_a_full_disk_is_no_room_and_leaves_nothing_behind(storage, root, tmp_path, monkeypatch):
    multipart_id = upload(storage, b"part")

    def full(*words: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(directory.os, "pwrite", full)
    monkeypatch.setattr(directory.shutil, "copyfile", full)
    with pytest.raises(NoRoom):
        storage.put_part(KEY, multipart_id, 2, b"part")
    with pytest.raises(NoRoom):
        storage.put_file(KEY, tmp_path / "local", "text/plain")
    assert list((root / "incoming").iterdir()) == []
    assert len(storage.list_parts(KEY, multipart_id)) == 1


def test_a_disk_that_fails_is_a_store_that_does_not_answer(storage, monkeypatch):
    multipart_id = upload(storage)

    def broken(*words: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(directory.os, "pwrite", broken)
    with pytest.raises(StoreUnavailable):
        storage.put_part(KEY, multipart_id, 1, b"part")


def test_a_directory_that_is_not_mounted_does_not_make_its_objects_missing(storage, root):
    (root / "objects").rename(root / "elsewhere")
    with pytest.raises(StoreUnavailable):
        storage.check()
    with pytest.raises(StoreUnavailable):
        storage.stat(KEY)
    with pytest.raises(StoreUnavailable):
        storage.open(KEY, 0, 1)


def test_preparing_removes_only_what_is_half_made_and_old(storage, root):
    kept = upload(storage, b"part")
    (root / "incoming" / "new").write_bytes(b"being copied")
    for name in ("incoming/copy", "multiparts/emptied", "incoming/half"):
        path = root / name
        path.write_bytes(b"x") if name.endswith("copy") else path.mkdir()
    (root / "incoming" / "half" / "bytes").touch()
    for path in (root / "incoming" / "copy", root / "multiparts" / "emptied", root / "incoming" / "half"):
        os.utime(path, (0, 0))
    os.utime(root / "multiparts" / kept, (0, 0))
    storage.prepare()
    assert sorted(path.name for path in left_over(root)) == sorted([kept, "new"])


def test_deleting_leaves_no_empty_folder(storage, root, tmp_path):
    (tmp_path / "local").write_bytes(b"x")
    storage.put_file("jobs/1/chunk", tmp_path / "local", "text/plain")
    storage.put_file("jobs/2/chunk", tmp_path / "local", "text/plain")
    storage.delete("jobs/1/chunk")
    assert os.listdir(root / "objects" / "jobs") == ["2"]
    storage.delete("jobs/2/chunk")
    assert os.listdir(root / "objects") == []
    storage.delete("jobs/2/chunk")


def test_another_process_sees_the_same_upload(storage, root):
    multipart_id = upload(storage, b"part")
    other = DirectoryStorage(root)
    other.complete_multipart(KEY, multipart_id, other.list_parts(KEY, multipart_id), 4)
    assert read(storage) == b"part"
    with pytest.raises(MultipartNotFound):
        storage.put_part(KEY, multipart_id, 1, b"late")


def test_records_are_one_json_object_a_line(storage, root):
    multipart_id = upload(storage, b"part")
    storage.put_part(KEY, multipart_id, 1, b"again")
    lines = (root / "multiparts" / multipart_id / "records").read_text().split()
    assert lines
    rows = (root / "multiparts" / multipart_id / "records").read_text().strip().split("\n")
    assert [json.loads(row).get("number") for row in rows] == [None, 1, 1]


def test_room_is_the_room_of_its_file_system(storage, root):
    room = os.statvfs(root)
    assert storage.free_bytes() == pytest.approx(room.f_bavail * room.f_frsize, rel=0.2)


def test_an_object_that_is_cut_short_under_a_reader_is_an_error_not_an_end(storage, root, tmp_path):
    (tmp_path / "local").write_bytes(b"0123456789")
    storage.put_file(KEY, tmp_path / "local", "text/plain")
    reader = storage.open(KEY, 0, 10)
    os.truncate(root / "objects" / KEY, 4)
    assert reader.readinto(memoryview(bytearray(10))) == 4
    with pytest.raises(ObjectChanged):
        reader.readinto(memoryview(bytearray(10)))
    reader.close()


def test_what_is_no_object_file_is_not_found(storage, root):
    (root / "objects" / "folder").mkdir()
    with pytest.raises(ObjectNotFound):
        storage.stat("folder")
    assert list(storage.list_objects()) == []
