"""Small sources of every plan, kept as those of tests/clips.py are, and a bench that runs jobs without a worker."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nebula.config import Settings
from nebula.db import files
from nebula.db.database import Database, Tx
from nebula.db.work import tasks
from nebula.domain import plan as plans
from nebula.domain.states import Queue, Visibility
from nebula.domain.work import Claim, Claimant
from nebula.services.disk_reserve import Room
from nebula.services.films.claiming import Transcoding
from nebula.services.films.encoder import Encoders
from nebula.services.machine.throttling import Pace
from nebula.storage.choose import open_storage
from tests.clips import kept, kept_folder

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
SOUND = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"]
AAC = ["-c:a", "aac"]
MPEG2 = ["-c:v", "mpeg2video", "-q:v", "6", "-bf", "2"]
RECIPES: dict[str, list[str]] = {
    "ready.mp4": [*PICTURE, *SOUND, "-t", "2", *H264, *AAC, "-movflags", "+faststart"],
    "remux.mkv": [*PICTURE, *SOUND, "-t", "8", *H264, *AAC],
    "sound.mkv": [*PICTURE, *SOUND, "-t", "2", *H264, "-c:a", "ac3"],
    "encode.avi": [*PICTURE, *SOUND, "-t", "2", "-c:v", "mpeg4", "-q:v", "5", "-c:a", "mp2"],
    "song.mp3": [*SOUND, "-t", "2", "-c:a", "libmp3lame"],
    "photo.png": [*PICTURE, "-frames:v", "1"],
    "cut.mkv": [*PICTURE, *SOUND, "-t", "6", *MPEG2, "-g", "25", "-c:a", "mp2"],
    # 14 MB: more than one part of an upload's buffer, and every picture is a key frame.
    "raw.avi": [*PICTURE, "-t", "7", "-c:v", "rawvideo", "-pix_fmt", "yuv420p"],
    "ten.mkv": [*PICTURE, *SOUND, "-t", "8", *H264[:4], "-pix_fmt", "yuv420p10le", "-g", "25", "-c:a", "flac"],
    "large.mp4": ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", *SOUND, "-t", "5", *H264, *AAC]
    + ["-movflags", "+faststart"],
    "short.mkv": [*PICTURE, *SOUND, "-t", "2", *MPEG2, "-g", "25", "-c:a", "mp2"],
    "uneven.mkv": [*PICTURE, "-t", "6", "-vf", "select='lt(n,50)+not(mod(n,5))'", "-fps_mode", "passthrough"]
    + [*MPEG2[:4], "-g", "10"],
    "long-keys.mkv": [*PICTURE, "-t", "26", *MPEG2, "-g", "300"],
    "large.mkv": ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-t", "1", *H264],
    "round.avi": ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=50", "-t", "2", "-c:v", "mpeg4", "-q:v", "20"],
}
# In rounds of two seconds: the encode of 300 s takes a while on any machine, so that something can happen to it.
ROUNDS = {"middle.avi": 7, "long.avi": 150}


class Clips:
    """Sources by name; each is made when a test first asks for it."""

    def __init__(self) -> None:
        self._folder = kept_folder(Path(__file__))

    def __getitem__(self, name: str) -> Path:
        return kept(self._folder / name, self._make)

    def _make(self, path: Path) -> None:
        recipe = self._rounds(ROUNDS[path.name]) if path.name in ROUNDS else RECIPES[path.name]
        argv = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *recipe, str(path)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)

    def _rounds(self, number: int) -> list[str]:
        return ["-stream_loop", str(number), "-i", str(self["round.avi"]), "-c", "copy"]

    def cut(self, name: str, keep: float) -> Path:
        """Return a copy that ends after a part of the clip's bytes."""
        whole = self[name].read_bytes()
        return kept(self._folder / f"cut-{keep}-{name}", lambda path: path.write_bytes(whole[: int(len(whole) * keep)]))


class Woken:
    """Stands for Messages: keeps which queues were woken."""

    def __init__(self) -> None:
        self.queues: list[Queue] = []

    def wake(self, queue: Queue) -> None:
        self.queues.append(queue)


@dataclass
class Bench:
    """Stores of one world, a Transcoding, and rows as dictionaries."""

    settings: Settings
    woken: Woken = field(default_factory=Woken)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.database = Database(self.settings.database_url)
        self.storage = open_storage(self.settings)
        self.storage.prepare()
        self.account_id = self.database.write(_account)
        self.transcoding = self.transcoder("n1")
        self._fetched = tempfile.TemporaryDirectory(prefix="nebula-fetched-")

    def transcoder(
        self,
        node: str,
        storage: Any = None,
        reserve_bytes: int = 1,
        chunk_s: float = 1e6,
        pace: Pace | None = None,
        encoders: Encoders | None = None,
    ) -> Transcoding:
        storage = storage or self.storage
        return Transcoding(
            self.database,
            storage,
            self.woken,  # type: ignore[arg-type]
            Room(storage, self.settings.data_dir, reserve_bytes),
            node=node,
            scratch_dir=self.settings.scratch_dir,
            chunk_s=chunk_s,
            pace=pace,
            encoders=encoders,
        )

    def store(self, path: Path, name: str | None = None, media_type: str = "application/octet-stream") -> str:
        """Store a file as an upload does; return the id of its content."""
        upload_id = str(uuid.uuid4())
        key = f"originals/{upload_id}"
        self.storage.put_file(key, path, media_type)
        file, _ = self.database.write(
            lambda tx: files.add_stored(
                tx,
                account_id=self.account_id,
                name=name or path.name,
                media_type=media_type,
                visibility=Visibility.HOUSEHOLD,
                sha256=uuid.uuid4().hex,
                size_bytes=path.stat().st_size,
                object_key=key,
            )
        )
        return file.content.id

    def run(self, queue: Queue = Queue.QUICK) -> bool:
        return self.transcoding.run_next(queue, self.stop)

    def content(self, content_id: str) -> dict[str, Any]:
        return self.database.read(lambda tx: tx.e.Content[content_id].to_dict())

    def jobs(self, content_id: str) -> list[dict[str, Any]]:
        def work(tx: Tx) -> list[dict[str, Any]]:
            rows = tx.e.Job.select(lambda job: job.content.id == content_id)
            return [row.to_dict() for row in sorted(rows, key=lambda row: row.priority)]

        return self.database.read(work)

    def film_job(self, content_id: str) -> dict[str, Any]:
        return self.jobs(content_id)[-1]

    def next_task(self, content_id: str) -> str | None:
        """Return the kind of the first task that is not done of the film's job; None if the job is done."""
        sql = "SELECT kind, step FROM tasks WHERE job_id = $id AND state <> 'done' ORDER BY step, number LIMIT 1"
        job_id = self.film_job(content_id)["id"]
        found = self.database.read(lambda tx: tx.select(sql, id=job_id))
        return str(found[0][0]) if found else None

    def claim(self, queue: Queue, node: str = "n1") -> Claim | None:
        """Claim a task, and leave it at that."""
        return self.database.write(lambda tx: tasks.claim_next(tx, Claimant(node, queue, plans.VERSION)))

    def renditions(self, content_id: str) -> list[dict[str, Any]]:
        def work(tx: Tx) -> list[dict[str, Any]]:
            return [row.to_dict() for row in tx.e.Rendition.select(lambda one: one.content.id == content_id)]

        return self.database.read(work)

    def fetched(self, object_key: str) -> str:
        """Return an object as a local file: its own, or a copy that stays until the bench closes."""
        path = self.storage.local_path(object_key)
        return str(path or self._copy(object_key))

    def _copy(self, object_key: str) -> Path:
        size_bytes = self.storage.stat(object_key).size_bytes
        reader = self.storage.open(object_key, 0, size_bytes)
        body = bytearray(size_bytes)
        done = 0
        while count := reader.readinto(memoryview(body)[done:]):
            done += count
        reader.close()
        path = Path(self._fetched.name) / object_key.replace("/", "-")
        path.write_bytes(body)
        return path

    def doomed(self) -> set[str]:
        return self.database.read(lambda tx: {row.object_key for row in tx.e.DoomedObject.select()})

    def keys(self, prefix: str) -> list[str]:
        return [info.key for info in self.storage.list_objects(prefix)]

    def sql(self, statement: str, **values: Any) -> None:
        self.database.write(lambda tx: tx.execute(statement, **values))

    def close(self) -> None:
        self.database.close()
        self._fetched.cleanup()


def _account(tx: Tx) -> str:
    row = tx.e.Account.get(name="ann")
    if row is None:
        row = tx.e.Account(id=str(uuid.uuid4()), name="ann", role="owner", password_hash="x", created_at=tx.now)
        tx.flush()
    return str(row.id)
