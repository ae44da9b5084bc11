"""Objects in a directory: the embedded store.

objects/KEY holds an object. An unfinished multipart upload is a folder, multiparts/ID, of
  bytes    one sparse file, each part at its place, so that completing moves it and copies nothing;
  records  one JSON line for the key, then one for each stored part, appended after the part's bytes are on the disk;
  N-ETAG   a part that replaced another: an acknowledged part is never overwritten in place, a crash would lose both.
The lock (flock) on `records` keeps a writer that comes late out of a completed upload, across threads and processes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nebula.domain.limits import PART_SIZE_BYTES
from nebula.errors import MultipartNotFound, NoRoom, ObjectChanged, ObjectNotFound, StoreUnavailable
from nebula.storage.contract import ObjectInfo, Part, check_key, check_parts

FULL = (errno.ENOSPC, errno.EDQUOT)
BROKEN = (errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENODEV, errno.ENXIO)
ABANDONED_S = 86400
PLACING_TRIES = 10
MULTIPART_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Record:
    """A part as the records have it. `beside` names its file where its place in `bytes` was taken already."""

    part: Part
    beside: str | None = None

    def line(self) -> dict[str, object]:
        """Return what is written of it."""
        part = self.part
        return {"number": part.number, "etag": part.etag, "size_bytes": part.size_bytes, "beside": self.beside}

    @classmethod
    def read(cls, line: dict[str, object]) -> Record:
        """Return the record of a line."""
        beside = line["beside"]
        part = Part(int(str(line["number"])), str(line["etag"]), int(str(line["size_bytes"])))
        return cls(part, None if beside is None else str(beside))


class DirectoryReader:
    """A span of a file. The descriptor keeps the bytes that it was opened on, whatever becomes of the key."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        self._descriptor: int | None = descriptor
        self._offset = start
        self._end = start + length

    def fileno(self) -> int | None:
        """Return the file's descriptor, for sendfile."""
        return self._descriptor

    @property
    def offset(self) -> int:
        """Position of the next byte."""
        return self._offset

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; 0 only at the span's end."""
        wanted = min(len(buffer), self._end - self._offset)
        if wanted == 0:
            return 0
        if self._descriptor is None:
            raise ValueError("the reader is closed")
        with _answering():
            count = os.preadv(self._descriptor, [buffer[:wanted]], self._offset)
        if count == 0:
            raise ObjectChanged("The object's file was cut short while it was read.")
        self._offset += count
        return count

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class DirectoryStorage:
    """ObjectStorage below one directory of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._objects = root / "objects"
        self._multiparts = root / "multiparts"
        self._incoming = root / "incoming"

    def prepare(self) -> None:
        """Make the folders, and remove what a crash left half made or half removed a day ago or earlier."""
        with _answering():
            for folder in (self._objects, self._multiparts, self._incoming):
                folder.mkdir(parents=True, exist_ok=True)
            _sync_folder(self._root)
            for path in (*self._incoming.iterdir(), *self._multiparts.iterdir()):
                _remove_abandoned(path)

    def check(self) -> None:
        """Raise StoreUnavailable where the folders are not there (a disk that is not mounted)."""
        if not (self._objects.is_dir() and os.access(self._objects, os.W_OK | os.X_OK)):
            raise StoreUnavailable("objects", f"The object store cannot be written: {self._objects}.")

    def create_multipart(self, key: str, media_type: str) -> str:
        """Make the upload's folder, durably."""
        check_key(key)
        multipart_id = uuid.uuid4().hex
        folder = self._incoming / multipart_id
        with _answering():
            folder.mkdir()
            (folder / "bytes").touch()
            with (folder / "records").open("xb") as records:
                _append(records.fileno(), {"key": key, "media_type": media_type})
            _sync_folder(folder)
            folder.rename(self._multiparts / multipart_id)
            _sync_folder(self._multiparts)
        return multipart_id

    def put_part(self, key: str, multipart_id: str, number: int, body: bytes | bytearray | memoryview) -> Part:
        """Write the bytes, then the record of them; each is on the disk before the next step."""
        part = Part(number, uuid.uuid4().hex, len(body))
        if number < 1 or part.size_bytes > PART_SIZE_BYTES:
            raise ValueError(f"part {number} of {part.size_bytes} bytes is no part")
        with self._locked(key, multipart_id) as (folder, records):
            if number in _stored(records):
                record = Record(part, f"{number}-{part.etag}")
                _write(folder / f"{number}-{part.etag}", body, 0, os.O_CREAT | os.O_EXCL)
                _sync_folder(folder)
            else:
                record = Record(part)
                _write(folder / "bytes", body, _place_of(number))
            _append(records, record.line())
        return part

    def list_parts(self, key: str, multipart_id: str) -> list[Part]:
        """Return the recorded parts."""
        with self._locked(key, multipart_id) as (_, records):
            return [record.part for _, record in sorted(_stored(records).items())]

    def list_multiparts(self, key: str) -> list[str]:
        """Return the folders whose records name this key."""
        check_key(key)
        with _answering():
            return sorted(folder.name for folder in self._multiparts.iterdir() if _belongs_to(folder, key))

    def complete_multipart(self, key: str, multipart_id: str, parts: list[Part], size_bytes: int) -> ObjectInfo:
        """Check the parts, cut the file to its size, and move it into place."""
        check_parts(parts, size_bytes)
        try:
            with self._locked(key, multipart_id) as (folder, records):
                _gather(folder, _chosen(_stored(records), parts), size_bytes)
                self._place(folder / "bytes", key)
                _discard(folder)
        except MultipartNotFound:
            return self._completed_before(key, multipart_id, size_bytes)
        return self.stat(key)

    def _completed_before(self, key: str, multipart_id: str, size_bytes: int) -> ObjectInfo:
        """Finish what a completion that was killed left to do, where the object itself is in place."""
        try:
            info = self.stat(key)
        except ObjectNotFound:
            info = None
        if info is None or info.size_bytes != size_bytes:
            raise MultipartNotFound(f"No unfinished upload {multipart_id} of {key}.")
        with _answering():
            self._sync_folders(self._path(key))
        self.abort_multipart(key, multipart_id)
        return info

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """Remove the upload's folder."""
        with suppress(MultipartNotFound), self._locked(key, multipart_id, whole=False) as (folder, _):
            _discard(folder)

    def put_file(self, key: str, path: Path, media_type: str) -> ObjectInfo:
        """Copy the file to the side, and move the copy into place."""
        check_key(key)
        copy = self._incoming / uuid.uuid4().hex
        with _answering():
            try:
                shutil.copyfile(path, copy)
                _sync(copy)
                self._place(copy, key)
            finally:
                copy.unlink(missing_ok=True)
        return self.stat(key)

    def stat(self, key: str) -> ObjectInfo:
        """Return what the file system knows of the object."""
        with self._found(key):
            return _info(key, self._path(key).stat())

    def open(self, key: str, start: int, length: int, etag: str | None = None) -> DirectoryReader:
        """Open the file; what it is like is asked of the descriptor, so that nothing can come in between."""
        with self._found(key):
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
            reader = DirectoryReader(descriptor, start, length)
            try:
                info = _info(key, os.fstat(descriptor))
                if start + length > info.size_bytes or etag not in (None, info.etag):
                    raise ObjectChanged(f"{key} is not the object that was asked for.")
            except BaseException:
                reader.close()
                raise
        return reader

    def delete(self, key: str) -> None:
        """Remove the file, and the folders that it leaves empty."""
        path = self._path(key)
        with _answering(), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
            _sync_folder(path.parent)
            self._prune(path.parent)

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk the tree in the order of S3's keys: by their bytes."""
        with _answering():
            yield from self._walk(self._objects, "", prefix)

    def _walk(self, folder: Path, base: str, prefix: str) -> Iterator[ObjectInfo]:
        for name, entry in _entries(folder):
            key = base + name
            if not (key.startswith(prefix) or (name.endswith("/") and prefix.startswith(key))):
                continue
            if name.endswith("/"):
                yield from self._walk(folder / entry.name, key, prefix)
            else:
                with suppress(FileNotFoundError):
                    yield _info(key, entry.stat())

    def media_source(self, key: str, expires_s: int) -> str:
        """Return the file's path."""
        return str(self._path(key).absolute())

    def free_bytes(self) -> int | None:
        """Return the room left on the directory's file system."""
        with _answering():
            room = os.statvfs(self._root)
        return room.f_bavail * room.f_frsize

    def _path(self, key: str) -> Path:
        return self._objects / check_key(key)

    @contextmanager
    def _found(self, key: str) -> Iterator[None]:
        """Translate for one object. Where the folder of all is gone (an unmounted disk), none counts as missing."""
        try:
            with _answering():
                yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            self.check()
            raise ObjectNotFound(f"No object {key}.") from error

    @contextmanager
    def _locked(self, key: str, multipart_id: str, *, whole: bool = True) -> Iterator[tuple[Path, int]]:
        """Hold the upload alone: its folder and the open records.

        Raises MultipartNotFound; with `whole`, also for what a killed completion or abort left of one.
        """
        check_key(key)
        if not MULTIPART_ID.fullmatch(multipart_id):
            raise MultipartNotFound(f"No unfinished upload {multipart_id}.")
        folder = self._multiparts / multipart_id
        with _answering():
            records = _open_records(folder)
            try:
                fcntl.flock(records, fcntl.LOCK_EX)
                gone = os.fstat(records).st_nlink == 0 or (whole and not (folder / "bytes").exists())
                if gone or _key_of(records) != key:
                    raise MultipartNotFound(f"No unfinished upload {multipart_id} of {key}.")
                yield folder, records
            finally:
                os.close(records)

    def _place(self, source: Path, key: str) -> None:
        target = self._path(key)
        for _ in range(PLACING_TRIES):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.replace(target)
                break
            except FileNotFoundError:  # the folder was pruned in between; a missing source fails the last try too
                continue
        else:
            raise StoreUnavailable("objects")
        self._sync_folders(target)

    def _sync_folders(self, path: Path) -> None:
        for folder in path.parents:
            _sync_folder(folder)
            if folder == self._objects:
                return

    def _prune(self, folder: Path) -> None:
        with suppress(OSError):  # not empty, or another delete was quicker: nothing to do in either case
            while folder != self._objects:
                folder.rmdir()
                folder = folder.parent


@contextmanager
def _answering() -> Iterator[None]:
    """Translate what a disk says."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom("The disk that holds the objects is full.") from error
        if error.errno in BROKEN:
            raise StoreUnavailable("objects") from error
        raise


def _open_records(folder: Path) -> int:
    try:
        return os.open(folder / "records", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MultipartNotFound(f"No unfinished upload {folder.name}.") from error


def _belongs_to(folder: Path, key: str) -> bool:
    try:
        records = _open_records(folder)
    except MultipartNotFound:
        return False
    try:
        return _key_of(records) == key
    finally:
        os.close(records)


def _append(records: int, line: dict[str, object]) -> None:
    # The line break comes first: it ends a line that a power cut tore, which then counts for nothing.
    text = b"\n" + json.dumps(line).encode()
    if os.write(records, text) != len(text):
        raise OSError(errno.ENOSPC, "a record was cut short")
    os.fdatasync(records)


def _lines(records: int) -> Iterator[dict[str, object]]:
    size = os.fstat(records).st_size
    for line in os.pread(records, size, 0).split(b"\n"):
        with suppress(ValueError):
            read = json.loads(line)
            if isinstance(read, dict):
                yield read


def _key_of(records: int) -> object:
    return next(_lines(records), {}).get("key")


def _stored(records: int) -> dict[int, Record]:
    """Return each part's newest record by number."""
    read = [Record.read(line) for line in _lines(records) if "number" in line]
    return {record.part.number: record for record in read}


def _chosen(stored: dict[int, Record], parts: list[Part]) -> list[Record]:
    chosen = [stored.get(part.number) for part in parts]
    if [record and record.part for record in chosen] != parts:
        raise ObjectChanged("These parts are not the ones that are stored.")
    return [record for record in chosen if record]


def _gather(folder: Path, records: list[Record], size_bytes: int) -> None:
    """Bring the replaced parts to their places and cut the file to its size; doing it again changes nothing."""
    for record in records:
        if record.beside:
            _write(folder / "bytes", (folder / record.beside).read_bytes(), _place_of(record.part.number))
    os.truncate(folder / "bytes", size_bytes)
    _sync(folder / "bytes")


def _place_of(number: int) -> int:
    return (number - 1) * PART_SIZE_BYTES


def _write(path: Path, body: bytes | bytearray | memoryview, place: int, flags: int = 0) -> None:
    """Write all of `body` at a place of the file, through to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o644)
    try:
        rest = memoryview(body).cast("B")
        while rest:
            count = os.pwrite(descriptor, rest, place)
            rest, place = rest[count:], place + count
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _sync(path: Path, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    with suppress(FileNotFoundError):  # pruned by a delete meanwhile: it holds nothing of ours then
        _sync(folder, os.O_DIRECTORY)


def _discard(folder: Path) -> None:
    """Remove an upload; its records go last, so that a killed removal can be found and done again."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "records"):
        path.unlink()
    folder.rmdir()
    _sync_folder(folder.parent)


def _remove_abandoned(path: Path) -> None:
    """Remove an old copy or half-made upload; an upload that has its records is the sweep's to judge."""
    with suppress(FileNotFoundError):
        if path.stat().st_mtime > time.time() - ABANDONED_S:
            return
        if not path.is_dir():
            path.unlink()
        elif path.parent.name == "incoming" or not (path / "records").exists():
            shutil.rmtree(path)


def _entries(folder: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """Return a folder's entries in key order: a folder's name sorts with the slash that follows it in a key."""
    try:
        with os.scandir(folder) as found:
            named = [(entry.name + "/" if entry.is_dir() else entry.name, entry) for entry in found]
    except FileNotFoundError:
        return []
    return sorted(named, key=lambda item: os.fsencode(item[0]))


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    if not stat.S_ISREG(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
    etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    return ObjectInfo(key, status.st_size, etag, datetime.fromtimestamp(status.st_mtime, UTC))
