"""Uploads over a world's real stores, with clients that break off and processes that die at a chosen call."""

from __future__ import annotations

import hashlib
import random
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nebula.config import Settings
from nebula.db.database import Database, Tx
from nebula.domain.limits import PART_SIZE_BYTES
from nebula.domain.records import Principal, Upload
from nebula.domain.states import FileState, Queue, Role, UploadState, Visibility
from nebula.services.uploads.finishing import Stored
from nebula.services.uploads.lifecycle import Uploads
from nebula.services.uploads.receiving import IncomingBody
from nebula.storage.choose import open_storage
from nebula.storage.contract import ObjectStorage

PART = PART_SIZE_BYTES


def data(size: int, seed: object = None) -> bytes:
    """Return bytes that are no other test's."""
    return random.Random(str(seed or uuid.uuid4())).randbytes(size)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Source:
    """A body as it arrives. `then` is called where it ends: to break off, to wait, or to look around."""

    def __init__(self, content: bytes, then: Callable[[], None] = lambda: None) -> None:
        self._rest = memoryview(content)
        self._then = then

    def read(self, size: int, /) -> bytes:
        piece, self._rest = self._rest[:size], self._rest[size:]
        if not piece and size:
            self._then()
        return bytes(piece)


def cut() -> None:
    raise ConnectionResetError("cut")


class Killed(Exception):
    """The process is dead: nothing that it would do afterwards reaches a store."""


class Fuse:
    """Counts calls to the stores, and kills the process after one of them: no thread of it gets through another."""

    def __init__(self, calls: int) -> None:
        self.calls_left = calls
        self.burnt = False
        self._lock = threading.Lock()

    @contextmanager
    def call(self) -> Iterator[None]:
        with self._lock:
            if self.burnt:
                raise Killed
            yield
            self.calls_left -= 1
            self.burnt = self.calls_left < 0
            if self.burnt:
                raise Killed


class Mortal:
    """A store as a process sees it that will be killed."""

    def __init__(self, store: object, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            result = None
            try:
                with self._fuse.call():
                    result = getattr(self._store, name)(*args, **options)
            except Killed:
                getattr(result, "close", lambda: None)()  # a dead process's connection is closed
                raise
            return result

        return call


class Wakes:
    """Messages of a test: what was woken."""

    def __init__(self) -> None:
        self.woken: list[Queue] = []

    def wake(self, queue: Queue) -> None:
        self.woken.append(queue)


class Arrivals:
    """`uploads` is a gateway's; `restart` is a new process on the same data."""

    def __init__(self, settings: Settings) -> None:
        self._world = settings
        self.database = Database(settings.database_url)
        self.storage: ObjectStorage = open_storage(settings)
        self.storage.prepare()

    def begin(self) -> None:
        """Begin a test, with its people and a process."""
        self.settings = self._world
        self._processes: list[Uploads] = []
        self.messages = Wakes()
        self.anna = self.person("anna")
        self.ben = self.person("ben")
        self.uploads = self.process()

    def close(self) -> None:
        self.database.close()

    def clear(self) -> None:
        """Leave nothing for the next test but what lies in the object store, whose keys are never used again."""
        for process in self._processes:
            process.close()
        self.database.write(lambda tx: tx.execute("DELETE FROM accounts"))
        self.database.write(lambda tx: tx.execute("DELETE FROM doomed_objects"))
        shutil.rmtree(self._world.tails_dir, ignore_errors=True)

    def person(self, name: str) -> Principal:
        account_id = str(uuid.uuid4())

        def add(tx: Tx) -> None:
            tx.e.Account(id=account_id, name=name, role="member", password_hash="x", created_at=tx.now)

        self.database.write(add)
        return Principal(account_id, name, Role.MEMBER, str(uuid.uuid4()))

    def process(self, fuse: Fuse | None = None, storage: object = None) -> Uploads:
        """Return the uploads of another process."""
        store, database = storage or self.storage, self.database
        made = Uploads(
            Mortal(database, fuse) if fuse else database,  # type: ignore[arg-type]
            Mortal(store, fuse) if fuse else store,  # type: ignore[arg-type]
            self.messages,
            tails_dir=self.settings.tails_dir,
            data_dir=self.settings.data_dir,
            reserve_bytes=self.settings.reserve_bytes,
        )
        self._processes.append(made)
        return made

    def restart(self) -> None:
        """Go on as a new process, after the leases of the old one ran out."""
        self.uploads = self.process()
        self.end_leases()

    def end_leases(self) -> None:
        self._set("lease_until", "lease_until IS NOT NULL")

    def expire(self, upload: Upload) -> None:
        self._set("expires_at", f"id = '{upload.id}'")

    def _set(self, column: str, condition: str) -> None:
        sql = f"UPDATE uploads SET {column} = $past WHERE {condition}"
        self.database.write(lambda tx: tx.execute(sql, past=tx.after(-1)))

    def create(self, length: int, name: str = "a film.mkv", digest: str | None = None, **more: Any) -> Upload:
        options: dict[str, Any] = {"media_type": "video/x-matroska", "visibility": Visibility.HOUSEHOLD} | more
        return self.uploads.create(self.anna, name=name, length_bytes=length, sha256=digest, **options)

    def append(self, upload: Upload, offset: int, content: bytes, **more: Any) -> Upload:
        return self.uploads.append(self.anna, upload.id, offset, IncomingBody(Source(content), len(content), **more))

    def append_and_cut(self, upload: Upload, offset: int, content: bytes) -> None:
        """Send a body that is announced longer than what comes."""
        try:
            self.uploads.append(self.anna, upload.id, offset, IncomingBody(Source(content, cut), len(content) + 1))
        except ConnectionResetError:
            return
        raise AssertionError("nobody noticed the cut")

    def offset(self, upload: Upload) -> int:
        return self.uploads.find(self.anna, upload.id).offset_bytes

    def store(self, content: bytes, name: str = "a film.mkv", **more: Any) -> Stored:
        options: dict[str, Any] = {"media_type": "video/x-matroska", "visibility": Visibility.HOUSEHOLD}
        options |= {"sha256": None, "only_new": False, "body": IncomingBody(Source(content), len(content))} | more
        return self.uploads.store(self.anna, name=name, **options)

    def finish(self, upload: Upload, content: bytes) -> Upload:
        """Do what a client does after a failure: ask for the offset, send the rest, ask for the outcome."""
        for _ in range(3):
            found = self.uploads.find(self.anna, upload.id)
            if found.state is UploadState.RECEIVING:
                rest = content[found.offset_bytes :]
                found = self.append(upload, found.offset_bytes, rest)
            if found.state is UploadState.DONE:
                return found
            self.end_leases()
            self.uploads.sweep()
        raise AssertionError(f"still {found.state}")

    def row(self, upload: Upload) -> dict[str, Any]:
        return self.database.read(lambda tx: dict(tx.e.Upload[upload.id].to_dict()))

    def files(self) -> list[tuple[str, str, int]]:
        """Return (name, digest, size) of every file that is not in the trash."""

        def read(tx: Tx) -> list[tuple[str, str, int]]:
            living = [file for file in tx.e.File.select() if file.deleted_at is None]
            return sorted((file.name, file.content.sha256, file.content.size_bytes) for file in living)

        return self.database.read(read)

    def states(self) -> list[FileState]:
        return self.database.read(lambda tx: [FileState(content.state) for content in tx.e.Content.select()])

    def upload_states(self) -> list[str]:
        return self.database.read(lambda tx: [row.state for row in tx.e.Upload.select()])

    def doomed(self) -> list[str]:
        """Return the keys that the sweep deletes, sooner or later."""
        return self.database.read(lambda tx: sorted(row.object_key for row in tx.e.DoomedObject.select()))

    def bytes_of(self, key: str) -> bytes:
        size = self.storage.stat(key).size_bytes
        buffer = bytearray(size)
        if size:
            reader = self.storage.open(key, 0, size)
            at = 0
            while at < size:
                at += reader.readinto(memoryview(buffer)[at:])
            reader.close()
        return bytes(buffer)

    def stored_bytes(self, content: bytes) -> bytes:
        """Return what the store holds for a digest."""
        digest = sha256(content)
        key = self.database.read(lambda tx: tx.e.Content.get(account=self.anna.account_id, sha256=digest).object_key)
        return self.bytes_of(key)

    def uploads_with_objects(self) -> list[str]:
        """Return the keys of the uploads that have an object."""
        keys = self.database.read(lambda tx: {row.object_key for row in tx.e.Upload.select()})
        return sorted(keys & {info.key for info in self.storage.list_objects()})

    def tails(self) -> list[str]:
        folder = self.settings.tails_dir
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
