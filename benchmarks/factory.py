"""Two workers against one, and what a kill costs: real workers, chunks and stores. `python -m benchmarks.factory`

Each worker is bound to a core of its own, as two laptops are; so the machine needs two cores to spare. Where it has
none, BENCH_SHARE holds each worker to that part of its core (by a control group, as root): two slow laptops, with what
is left of the machine for the stores and for others. The time is that from the first chunk to the last: probing before
and joining after it are one worker's. Then a worker is killed in the middle of a film again and again, and started
again: what was encoded again is set against the film. Targets: design, section 11.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.films import Bench
from tests.stores import Stores, wait_until

from nebula import config
from nebula.db import migrate
from nebula.domain.states import FileState, Queue
from nebula.messages import Messages
from nebula.worker.app import argv
from nebula.worker.work import IN_HAND

SECONDS = int(os.environ.get("BENCH_SECONDS", "120"))
CHUNK_S = float(os.environ.get("BENCH_CHUNK_S", "4"))
SHARE = float(os.environ.get("BENCH_SHARE", "1"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
KILLS = 4
PERIOD_US = 100_000
LONG_S = 1800.0


@dataclass
class Factory:
    """A provisioned machine, on which workers are started on cores."""

    environ: dict[str, str]
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bench = Bench(config.load(self.environ))
        self.bench.transcoding = self.bench.transcoder("bench", chunk_s=CHUNK_S)
        self.messages = Messages(self.bench.settings)

    def start(self, core: int) -> subprocess.Popen[bytes]:
        """Start an encode worker on one core, under a name and a directory of its own."""
        own = {"NEBULA_NODE": f"node-{core}", "NEBULA_DATA_DIR": str(self.folder / f"node-{core}")}
        command = [*_held(core), "taskset", "-c", str(core), *argv(Queue.ENCODE)]
        with (self.folder / "workers.log").open("ab") as log:
            worker = subprocess.Popen(command, env=os.environ | self.environ | own, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def laid_out(self, clip: Path) -> str:
        """Store a film and cut it into chunks here; return its content's id."""
        content_id = self.bench.store(clip)
        self.work_quickly()
        return content_id

    def work_quickly(self) -> None:
        """Do what the quick worker does."""
        while self.bench.run(Queue.QUICK):
            pass

    def encode(self, content_id: str, workers: int) -> float:
        """Let so many workers make the film's chunks; return the seconds from the first one's begin to the end."""
        for core in range(workers):
            self.start(core)
        nodes = ", ".join(f"node-{core}" for core in range(workers))
        wait_until(lambda: self.bench.film_job(content_id)["node"] == nodes, LONG_S, "every worker to have a chunk")
        began, done_before = time.monotonic(), self.bench.film_job(content_id)["progress"]
        wait_until(lambda: self.bench.next_task(content_id) == "join", LONG_S, "the chunks")
        seconds = (time.monotonic() - began) / (1 - done_before)
        self.end()
        self.work_quickly()
        assert self.bench.content(content_id)["state"] == FileState.READY
        return seconds

    def end(self) -> None:
        """Kill the workers."""
        while self.workers:
            worker = self.workers.pop()
            worker.kill()
            worker.wait()

    def close(self) -> None:
        """End everything."""
        self.end()
        self.messages.close(0.1)
        self.bench.close()


def _held(core: int) -> list[str]:
    """Return what begins a command that may use SHARE of a core and no more."""
    if SHARE >= 1:
        return []
    group = _groups() / f"nebula-bench-{os.getpid()}-{core}"
    if not group.is_dir():
        group.mkdir()
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{int(SHARE * PERIOD_US)} {PERIOD_US}")
        else:
            (group / "cpu.cfs_quota_us").write_text(str(int(SHARE * PERIOD_US)))
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]


def _groups() -> Path:
    root = Path("/sys/fs/cgroup")
    return root if (root / "cgroup.controllers").exists() else root / "cpu"


def _forget_shares() -> None:
    for group in _groups().glob(f"nebula-bench-{os.getpid()}-*"):
        wait_until(lambda group=group: not (group / "cgroup.procs").read_text(), 30, "the end of the workers")
        group.rmdir()


@contextmanager
def _factory(folder: Path) -> Iterator[Factory]:
    stores = Stores(folder / "stores")
    environ = {
        "NEBULA_DATA_DIR": str(folder / "data"),
        "NEBULA_NODE": "bench",
        "NEBULA_CHUNK_SECONDS": str(CHUNK_S),
        "NEBULA_RESERVE_BYTES": "1",
        "NEBULA_SWEEP_INTERVAL": "1",
        "DATABASE_URL": f"{stores.postgresql.url}/postgres",
        "REDIS_URL": stores.redis.url,
        "S3_ENDPOINT": stores.minio.endpoint,
        "S3_ACCESS_KEY": stores.minio.access_key,
        "S3_SECRET_KEY": stores.minio.secret_key,
        "S3_BUCKET": f"bench-{secrets.token_hex(4)}",
    }
    migrate.upgrade(environ["DATABASE_URL"])
    factory = Factory(environ, folder)
    try:
        yield factory
    finally:
        factory.close()
        stores.stop()
        _forget_shares()


def _clip(folder: Path) -> Path:
    path = folder / "film.mkv"
    picture = f"testsrc2=size=640x360:rate=25:duration={SECONDS}"
    sound = f"sine=frequency=440:sample_rate=48000:duration={SECONDS}"
    made = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    encoded = ["-c:v", "mpeg2video", "-q:v", "4", "-g", "25", "-bf", "2", "-c:a", "ac3"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *made, *encoded, str(path)], check=True)
    return path


def _compare_workers(factory: Factory, clip: Path) -> None:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    worked: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, measured in seconds.items():
            content_id, before = factory.laid_out(clip), _children_s()
            measured.append(factory.encode(content_id, workers))
            worked[workers].append(_children_s() - before)
    one, two = (statistics.median(measured) for measured in seconds.values())
    ratios = " ".join(f"{alone / together:.2f}" for alone, together in zip(*seconds.values(), strict=True))
    print(f"two workers against one: {one / two:.2f}x ({one:.1f} s, {two:.1f} s; median of {ROUNDS}; target >= 1.8x)")
    one, two = (statistics.median(measured) for measured in worked.values())
    print(f"  each round {ratios}; processor time of both against that of one: {two / one:.2f}x; share {SHARE:g}")


def _children_s() -> float:
    told = os.times()
    return told.children_user + told.children_system


def _kill_again_and_again(factory: Factory, clip: Path) -> None:
    content_id = factory.laid_out(clip)
    for kill in range(1, KILLS + 1):
        factory.start(0)
        share = kill / (KILLS + 1)
        wait_until(lambda share=share: factory.bench.film_job(content_id)["progress"] >= share, LONG_S, "progress")
        factory.end()
    factory.start(0)
    wait_until(lambda: factory.bench.next_task(content_id) == "join", LONG_S, "the chunks")
    factory.end()
    factory.work_quickly()
    job = factory.bench.film_job(content_id)
    print(
        f"killed {KILLS} times: {job['chunks_repeated']} of {job['chunks_total']} chunks were encoded again"
        f" (target <= {KILLS * IN_HAND[Queue.ENCODE]}: those in flight at each kill)"
    )


def main() -> int:
    """Measure and print."""
    if len(os.sched_getaffinity(0)) < 2:
        print("This machine has one core: nothing can be compared.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="nebula-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        clip = _clip(folder)
        (folder / "stores").mkdir()
        with _factory(folder) as factory:
            _compare_workers(factory, clip)
            _kill_again_and_again(factory, clip)
    return 0


if __name__ == "__main__":
    sys.exit(main())
