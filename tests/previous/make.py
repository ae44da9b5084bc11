"""Make the stored databases of this folder: `python -m tests.previous.make`, in a checkout of the version to be kept.

It was run for the revision 0001, on SQLite and on PostgreSQL. It uses what every version has: a bench that does jobs
without a worker, and an ffmpeg that stands still, so that the database can be dumped while jobs run. Beside each dump
lie the chunks that its rows name, and the film that every content is.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psycopg2

from nebula import config
from nebula.db import migrate
from nebula.domain.states import Queue
from nebula.domain.throttle import Throttle, ThrottleDecision
from nebula.services.jobs import Jobs
from nebula.services.machine.throttling import Pace
from tests.films import Bench
from tests.stores import Stores, wait_until

HERE = Path(__file__).parent
CHUNK_S = 2.0
PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=10"]
SOURCES = [*PICTURE, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000"]
FILM = [*SOURCES, "-t", "10", "-c:v", "mpeg2video", "-r", "25", "-q:v", "31", "-g", "25", "-c:a", "mp2", "-b:a", "32k"]
COPIED = [*SOURCES, "-t", "2", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "10", "-c:a", "aac", "-b:a", "32k"]
SUBTITLES = "1\n00:00:00,500 --> 00:00:01,500\nHello\n"
SETTLE_S = 1.0  # for what the attempts that run still write


def make_films(folder: Path) -> None:
    """Make the sources: one that is encoded, one that is copied, one with subtitles."""
    script = folder / "film.srt"
    script.write_text(SUBTITLES)
    for name, recipe in {
        "film.mkv": FILM,
        "copied.mkv": COPIED,
        "subtitles.mkv": [*COPIED[:8], "-i", str(script), *COPIED[8:], "-c:s", "srt"],
    }.items():
        subprocess.run(["ffmpeg", "-v", "error", "-y", *recipe, str(folder / name)], check=True)
    script.unlink()


class Scenario:
    """Brings jobs into every state, each of a content of its own, which is named after the state."""

    def __init__(self, settings: config.Settings, programs: Path) -> None:
        self.settings = settings
        self._programs = programs
        self.bench = Bench(settings)
        self._threads: list[threading.Thread] = []

    def make(self) -> None:
        """Make everything that ends, then what waits, then what runs."""
        cutting = self._cutting("n1")
        self._probed("done")
        self._run(cutting, Queue.ENCODE)
        self._probed("failed")
        self._fail(cutting)
        self._cancelled(cutting)
        self._cut(cutting, "joinable")
        self._run(cutting, Queue.ENCODE)
        self._put_off()
        self._cut(cutting, "half-chunked")
        for _ in range(3):
            cutting.run_next(Queue.ENCODE, self.bench.stop)
        self._hold_still()
        self._start(self._cutting("n2"), "half-chunked")
        self._put_off()
        for name, pace in {"running": Pace(), "paused": Pace()}.items():
            self._probed(name)
            self._start(self.bench.transcoder(f"n-{name}", pace=pace), name, pace)
        for name, source in {"subtitles": "subtitles.mkv", "uncut": "film.mkv", "remux": "copied.mkv"}.items():
            self._probed(name, source, transcoding=cutting, leave=1)
            self._put_off()
        self._probed("waiting")
        self.store("probe")
        for table in ("jobs", "chunks"):
            self.bench.sql(f"UPDATE {table} SET not_before = NULL")

    def _put_off(self) -> None:
        """Have what waits wait on: what comes next is to be claimed before it."""
        for table in ("jobs", "chunks"):
            self.bench.sql(f"UPDATE {table} SET not_before = '2999-01-01 00:00:00.000000' WHERE state = 'queued'")

    def end(self) -> None:
        """End what runs."""
        self.bench.stop.set()
        for thread in self._threads:
            thread.join()
        self.bench.close()

    def store(self, name: str, source: str = "film.mkv") -> str:
        return self.bench.store(HERE / source, f"{name}.mkv")

    def _cutting(self, node: str) -> Any:
        return self.bench.transcoder(node, chunk_s=CHUNK_S)

    def _probed(self, name: str, source: str = "film.mkv", transcoding: Any = None, leave: int = 0) -> str:
        content_id = self.store(name, source)
        (transcoding or self.bench.transcoding).run_next(Queue.QUICK, self.bench.stop)
        assert leave or self.bench.film_job(content_id)["queue"] == "encode"
        return content_id

    def _cut(self, cutting: Any, name: str) -> str:
        content_id = self._probed(name, transcoding=cutting, leave=1)
        cutting.run_next(Queue.QUICK, self.bench.stop)
        assert self.bench.film_job(content_id)["chunks_total"] > 3
        return content_id

    def _run(self, transcoding: Any, queue: Queue) -> None:
        while transcoding.run_next(queue, self.bench.stop):
            pass

    def _fail(self, transcoding: Any) -> None:
        self._program("exit 1")
        path, os.environ["PATH"] = os.environ["PATH"], f"{self._programs}:{os.environ['PATH']}"
        for _ in range(3):
            assert transcoding.run_next(Queue.ENCODE, self.bench.stop)
            self.bench.sql("UPDATE jobs SET not_before = NULL")
        os.environ["PATH"] = path

    def _cancelled(self, cutting: Any) -> None:
        content_id = self._cut(cutting, "cancelled")
        for _ in range(2):
            cutting.run_next(Queue.ENCODE, self.bench.stop)
        _cancel(self.bench, self.bench.film_job(content_id)["id"])

    def _hold_still(self) -> None:
        """Have every ffmpeg that encodes stand still from now on."""
        self._program(f"sleep 600 & wait; exec {shutil.which('ffmpeg')}")
        os.environ["PATH"] = f"{self._programs}:{os.environ['PATH']}"

    def _program(self, script: str) -> None:
        program = self._programs / "ffmpeg"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def _start(self, transcoding: Any, name: str, pace: Pace | None = None) -> None:
        thread = threading.Thread(target=transcoding.run_next, args=(Queue.ENCODE, self.bench.stop), daemon=True)
        self._threads.append(thread)
        thread.start()
        content_id = _content(self.bench, f"{name}.mkv")
        wait_until(lambda: self.bench.film_job(content_id)["state"] == "running", 60, f"{name} to run")
        if pace is not None and name == "paused":
            pace.set(ThrottleDecision(Throttle.PAUSE, ("on battery at 30 %",)))
            wait_until(lambda: self.bench.film_job(content_id)["state"] == "paused", 60, "the pause")


def _content(bench: Bench, name: str) -> str:
    return bench.database.read(lambda tx: str(tx.e.File.get(name=name).content.id))


def _cancel(bench: Bench, job_id: str) -> None:
    from nebula.domain.records import Principal
    from nebula.domain.states import Role

    owner = Principal(bench.account_id, "ann", Role.OWNER, "s")
    Jobs(bench.database, bench.woken).cancel(owner, job_id)  # type: ignore[arg-type]


def keep(bench: Bench) -> None:
    """Write the chunks that the store has. A chunk of the one film has the same bytes, whatever job it is of."""
    folder = HERE / "chunks"
    folder.mkdir(exist_ok=True)
    for key in bench.keys("jobs/"):
        body = memoryview(bytearray(bench.storage.stat(key).size_bytes))
        reader, count = bench.storage.open(key, 0, len(body)), 0
        while count < len(body):
            count += reader.readinto(body[count:])
        reader.close()
        number = key.rpartition("/")[2].partition("-")[0]
        (folder / f"{number}.mp4").write_bytes(body)


def dump_sqlite(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        return "\n".join(connection.iterdump()) + "\n"


def dump_postgresql(url: str) -> str:
    """Return statements that any client can run: psql's own commands and the settings of one release are left out."""
    argv = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", url]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    lines = [line for line in text.splitlines() if not re.match(r"--|\\|SET |SELECT pg_catalog|$", line)]
    return "\n".join(lines) + "\n"


def main() -> None:
    make_films(HERE)
    with tempfile.TemporaryDirectory(prefix="previous-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        stores = Stores(folder / "stores")
        (folder / "stores").mkdir()
        with_database = psycopg2.connect(f"{stores.postgresql.url}/postgres")
        with_database.autocommit = True
        with_database.cursor().execute("CREATE DATABASE previous")
        path = os.environ["PATH"]
        for kind, url in {
            "sqlite": f"sqlite:///{folder / 'sqlite' / 'nebula.sqlite'}",
            "postgresql": f"{stores.postgresql.url}/previous",
        }.items():
            os.environ["PATH"] = path
            programs = folder / kind / "programs"
            programs.mkdir(parents=True)
            migrate.upgrade(url)
            environ = {"NEBULA_DATA_DIR": str(folder / kind), "NEBULA_NODE": "n1", "SECRET_KEY": "s" * 40}
            scenario = Scenario(config.load(environ | {"DATABASE_URL": url, "NEBULA_RESERVE_BYTES": "1"}), programs)
            scenario.make()
            time.sleep(SETTLE_S)
            dump = dump_sqlite(folder / "sqlite" / "nebula.sqlite") if kind == "sqlite" else dump_postgresql(url)
            (HERE / f"{kind}.sql").write_text(dump.replace(str(folder / kind), "/var/lib/nebula"))
            keep(scenario.bench)
            scenario.end()
        stores.stop()


if __name__ == "__main__":
    main()
