"""Objects in a directory: the embedded store.

objects/KEY holds an object. An unfinished multipart upload is a folder, multiparts/ID, which contains:
  bytes    one sparse file with each part at its place, so that completing moves the file and copies nothing;
  records  one JSON line for the key, then one for each stored part, appended after the part's bytes are on the disk;
  N-ETAG   a part that replaced another. An acknowledged part is never overwritten in place, because a crash would then
           lose both.
A lock (flock) on `records` keeps a late writer out of a completed upload, across threads and processes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from nebula.domain.limits import PART_SIZE_BYTES
from nebula.errors import MultipartNotFound, ObjectChanged, ObjectNotFound, StoreUnavailable
from nebula.storage import records as records_file
from nebula.storage.contract import ObjectInfo, Part, check_key, check_parts
from nebula.storage.disk import answering, sync, sync_folder, write_through
from nebula.storage.records import Record

ABANDONED_S = 86400
PLACING_TRIES = 10
MULTIPART_ID = re.compile(r"[0-9a-f]{32}")


class DirectoryReader:
    """A byte range of a file. It reads the file that was opened, even if the key is deleted or replaced."""

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
        """Fill the buffer. Return 0 only at the end of the byte range."""
        size = min(len(buffer), self._end - self._offset)
        if size == 0:
            return 0
        if self._descriptor is None:
            raise ValueError("the reader is closed")
        with answering():
            count = os.preadv(self._descriptor, [buffer[:size]], self._offset)
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
    """ObjectStorage below one directory on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._objects = root / "objects"
        self._multiparts = root / "multiparts"
        self._incoming = root / "incoming"

    def prepare(self) -> None:
        """Create the folders, and remove unfinished creations and removals that a crash left at least a day ago."""
        with answering():
            for folder in (self._objects, self._multiparts, self._incoming):
                folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self._root)
            for path in (*self._incoming.iterdir(), *self._multiparts.iterdir()):
                _remove_abandoned(path)

    def check(self) -> None:
        """Raise StoreUnavailable if the folders are missing (a disk that is not mounted) or not writable."""
        if not (self._objects.is_dir() and os.access(self._objects, os.W_OK | os.X_OK)):
            raise StoreUnavailable("objects", f"The object store cannot be written: {self._objects}.")

    def create_multipart(self, key: str, media_type: str) -> str:
        """Create the upload's folder, durably."""
        check_key(key)
        multipart_id = uuid.uuid4().hex
        folder = self._incoming / multipart_id
        with answering():
            folder.mkdir()
            (folder / "bytes").touch()
            with (folder / "records").open("xb") as records:
                records_file.append(records.fileno(), {"key": key, "media_type": media_type})
            sync_folder(folder)
            folder.rename(self._multiparts / multipart_id)
            sync_folder(self._multiparts)
        return multipart_id

    def put_part(self, key: str, multipart_id: str, number: int, body: bytes | bytearray | memoryview) -> Part:
        """Write the bytes, then their record. Each is on the disk before the next step."""
        part = Part(number, uuid.uuid4().hex, len(body))
        if number < 1 or part.size_bytes > PART_SIZE_BYTES:
            raise ValueError(f"part {number} of {part.size_bytes} bytes is no part")
        with self._locked(key, multipart_id) as (folder, records):
            if number in records_file.stored(records):
                record = Record(part, f"{number}-{part.etag}")
                write_through(folder / f"{number}-{part.etag}", body, 0, os.O_CREAT | os.O_EXCL)
                sync_folder(folder)
            else:
                record = Record(part)
                write_through(folder / "bytes", body, _place_of(number))
            records_file.append(records, record.line())
        return part

    def list_parts(self, key: str, multipart_id: str) -> list[Part]:
        """Return the recorded parts."""
        with self._locked(key, multipart_id) as (_, records):
            return [record.part for _, record in sorted(records_file.stored(records).items())]

    def list_multiparts(self, key: str) -> list[str]:
        """Return the folders whose records name this key."""
        check_key(key)
        with answering():
            return sorted(folder.name for folder in self._multiparts.iterdir() if _belongs_to(folder, key))

    def complete_multipart(self, key: str, multipart_id: str, parts: list[Part], size_bytes: int) -> ObjectInfo:
        """Check the parts, truncate the file to its size, and move it into place."""
        check_parts(parts, size_bytes)
        try:
            with self._locked(key, multipart_id) as (folder, records):
                _gather(folder, records_file.chosen(records_file.stored(records), parts), size_bytes)
                self._place(folder / "bytes", key)
                _discard(folder)
        except MultipartNotFound:
            return self._completed_before(key, multipart_id, size_bytes)
        return self.stat(key)

    def _completed_before(self, key: str, multipart_id: str, size_bytes: int) -> ObjectInfo:
        """Finish a completion that was killed, if the object itself is already in place."""
        try:
            info = self.stat(key)
        except ObjectNotFound:
            info = None
        if info is None or info.size_bytes != size_bytes:
            raise MultipartNotFound(f"No unfinished upload {multipart_id} of {key}.")
        with answering():
            self._sync_folders(self._path(key))
        self.abort_multipart(key, multipart_id)
        return info

    def abort_multipart(self, key: str, multipart_id: str) -> None:
        """Remove the upload's folder."""
        with suppress(MultipartNotFound), self._locked(key, multipart_id, whole=False) as (folder, _):
            _discard(folder)

    def put_file(self, key: str, path: Path, media_type: str) -> ObjectInfo:
        """Copy the file to a temporary place, then move the copy into place."""
        check_key(key)
        copy = self._incoming / uuid.uuid4().hex
        with answering():
            try:
                shutil.copyfile(path, copy)
                sync(copy)
                self._place(copy, key)
            finally:
                copy.unlink(missing_ok=True)
        return self.stat(key)

    def stat(self, key: str) -> ObjectInfo:
        """Return what the file system knows about the object."""
        with self._found(key):
            return _info(key, self._path(key).stat())

    def open(self, key: str, start: int, length: int, etag: str | None = None) -> DirectoryReader:
        """Open the file. Its size and etag are read from the descriptor, so that no change can come in between."""
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
        """Remove the file, and the folders that become empty."""
        path = self._path(key)
        with answering(), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            path.unlink()
            sync_folder(path.parent)
            self._prune(path.parent)

    def list_objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Walk the tree in the order of S3's keys, which is by their bytes."""
        with answering():
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

    def local_path(self, key: str) -> Path:
        """Return the file's path."""
        return self._path(key).absolute()

    def free_bytes(self) -> int | None:
        """Return the free space on the directory's file system."""
        with answering():
            room = os.statvfs(self._root)
        return room.f_bavail * room.f_frsize

    def _path(self, key: str) -> Path:
        return self._objects / check_key(key)

    @contextmanager
    def _found(self, key: str) -> Iterator[None]:
        """Translate the errors about one object.

        If the folder of all objects is missing (an unmounted disk), raise StoreUnavailable, not ObjectNotFound.
        """
        try:
            with answering():
                yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            self.check()
            raise ObjectNotFound(f"No object {key}.") from error

    @contextmanager
    def _locked(self, key: str, multipart_id: str, *, whole: bool = True) -> Iterator[tuple[Path, int]]:
        """Lock the upload; yield its folder and the open records.

        Raises MultipartNotFound. With `whole`, also raises it for the remains of a killed completion or abort.
        """
        check_key(key)
        if not MULTIPART_ID.fullmatch(multipart_id):
            raise MultipartNotFound(f"No unfinished upload {multipart_id}.")
        folder = self._multiparts / multipart_id
        with answering():
            records = _open_records(folder)
            try:
                fcntl.flock(records, fcntl.LOCK_EX)
                is_gone = os.fstat(records).st_nlink == 0 or (whole and not (folder / "bytes").exists())
                if is_gone or records_file.key_of(records) != key:
                    raise MultipartNotFound(f"No unfinished upload {multipart_id} of {key}.")
                yield folder, records
            finally:
                os.close(records)

    def _place(self, source: Path, key: str) -> None:
        target = self._path(key)
        for _ in range(PLACING_TRIES):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                source.replace(target)
                break
            # The folder was pruned in between or during mkdir. If the source is missing, the last try fails too.
            except (FileNotFoundError, FileExistsError):
                continue
        else:
            raise StoreUnavailable("objects")
        self._sync_folders(target)

    def _sync_folders(self, path: Path) -> None:
        for folder in path.parents:
            sync_folder(folder)
            if folder == self._objects:
                return

    def _prune(self, folder: Path) -> None:
        with suppress(OSError):  # not empty, or another delete was faster: there is nothing to do in either case
            while folder != self._objects:
                folder.rmdir()
                folder = folder.parent


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
        return records_file.key_of(records) == key
    finally:
        os.close(records)


def _gather(folder: Path, records: list[Record], size_bytes: int) -> None:
    """Copy the replaced parts to their places and truncate the file to its size. Repeating this changes nothing."""
    for record in records:
        if record.beside:
            write_through(folder / "bytes", (folder / record.beside).read_bytes(), _place_of(record.part.number))
    os.truncate(folder / "bytes", size_bytes)
    sync(folder / "bytes")


def _place_of(number: int) -> int:
    return (number - 1) * PART_SIZE_BYTES


def _discard(folder: Path) -> None:
    """Remove an upload. Its records go last, so that a removal that was killed can be found and repeated."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "records"):
        path.unlink()
    folder.rmdir()
    sync_folder(folder.parent)


def _remove_abandoned(path: Path) -> None:
    """Remove an old copy or an incomplete upload. An upload that has its records is left to the sweep."""
    with suppress(FileNotFoundError):
        if path.stat().st_mtime > time.time() - ABANDONED_S:
            return
        if not path.is_dir():
            path.unlink()
        elif path.parent.name == "incoming" or not (path / "records").exists():
            shutil.rmtree(path)


def _entries(folder: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """Return a folder's entries in key order: a folder sorts with the slash that follows its name in a key."""
    try:
        with os.scandir(folder) as entries:
            named = [(entry.name + "/" if entry.is_dir() else entry.name, entry) for entry in entries]
    except FileNotFoundError:
        return []
    return sorted(named, key=lambda item: os.fsencode(item[0]))


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    if not stat.S_ISREG(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
    etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    return ObjectInfo(key, status.st_size, etag, datetime.fromtimestamp(status.st_mtime, UTC))
