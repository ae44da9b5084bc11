"""What the film line costs: a film made by a worker beside bare ffmpeg with the same settings.

`python -m benchmarks.transcode` prints ratios of one run, its rounds side by side: wall time and processor time from
the stored original to the published film (probe, cuts, chunks, sound, join, on the embedded stores) against one ffmpeg
that makes the same film, without verification and with it; and how like the source both films are, with their sizes.
Nothing else may run beside it: what is verified takes the cores that the encoder leaves idle. Two workers against one,
and what a kill costs, are benchmarks/factory.py's. Targets: design, section 11.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.films import Bench
from tests.stores import wait_until

from nebula import config
from nebula.db import migrate
from nebula.domain import plan as plans
from nebula.domain.chunks import LEAST_S, Chunk
from nebula.domain.plan import Plan
from nebula.domain.states import FileState, Queue
from nebula.media.ffmpeg import arguments
from nebula.media.reading import probe
from nebula.media.verifying import chunk_checks, film_checks
from nebula.media.verifying.chunk_checks import VerifiedChunk
from nebula.media.verifying.film_checks import VerifiedFilm, VerifiedSound
from nebula.worker.work import Worker

CLIP = os.environ.get("BENCH_CLIP", "")  # footage, shown over and over; "" is moving shapes with a grain
SECONDS = int(os.environ.get("BENCH_SECONDS", "240"))
SIZE = os.environ.get("BENCH_SIZE", "1280x720")
CHUNK_S = float(os.environ.get("BENCH_CHUNK_S", LEAST_S))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LONG_S = 7200.0


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of the processor: ffmpeg's, ffprobe's and, of a worker, its own."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Round:
    """What one round took."""

    bare: Cost
    unverified: Cost
    verified: Cost


class Line:
    """The film line of one machine with its embedded stores."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'nebula.sqlite'}"
        migrate.upgrade(url)
        environ = {"DATABASE_URL": url, "NEBULA_DATA_DIR": str(folder / "data"), "NEBULA_RESERVE_BYTES": "1"}
        self._bench = Bench(config.load(environ))
        self._bench.transcoding = self._bench.transcoder("bench", chunk_s=CHUNK_S)
        self.film = Path()

    def make(self, source: str) -> Cost:
        """Make a film of the source, and only its first; return what that took."""
        content_id = self._bench.store(Path(source))
        worker = Worker(Queue.ENCODE, self._bench.transcoding, None, sweep_interval_s=0.1)
        cost = _cost(lambda: self._make(content_id, worker))
        assert self._bench.content(content_id)["state"] == FileState.READY
        (rendition,) = self._bench.renditions(content_id)
        self.film = Path(self._bench.fetched(rendition["object_key"]))
        return cost

    def _make(self, content_id: str, worker: Worker) -> None:
        assert self._bench.run()
        first = self._first(content_id)["rung"]
        self._bench.sql("UPDATE jobs SET state = 'cancelled' WHERE rung <> $first", first=first)
        assert self._bench.run()
        woken = self._bench.woken.queues
        woken.clear()
        worker.start()
        wait_until(lambda: Queue.QUICK in woken, LONG_S, "the last chunk")
        worker.end()
        assert self._bench.run()

    def _first(self, content_id: str) -> dict[str, Any]:
        return self._bench.jobs(content_id)[1]  # after the probe

    def close(self) -> None:
        """End it."""
        self._bench.close()


def main() -> None:
    """Make the film each way, a few times, and print."""
    if SECONDS < 3 * CHUNK_S:
        sys.exit(f"{SECONDS} s are too short for several chunks: a larger BENCH_SECONDS, please.")
    with tempfile.TemporaryDirectory(prefix="nebula-bench-") as name:
        folder = Path(name)
        source = _source(folder)
        line = Line(folder)
        rounds = [_round(source, folder / "bare.mp4", line) for _ in range(ROUNDS)]
        load = os.getloadavg()[0]
        shown = Path(CLIP).name or "moving shapes"
        print(
            f"{SECONDS} s of {SIZE} HEVC ({shown}) in chunks of {CHUNK_S:g} s, {os.cpu_count()} cores, load {load:.1f},"
            f" medians of {ROUNDS} rounds"
        )
        _print("film line, nothing verified / bare ffmpeg", rounds, lambda one: one.unverified)
        _print("film line / bare ffmpeg", rounds, lambda one: one.verified)
        _compare(Path(source), folder / "bare.mp4", line.film)
        line.close()


def _source(folder: Path) -> str:
    """Make a film that must be encoded: HEVC with B-frames and open GOPs, surround sound."""
    path = folder / "source.mkv"
    # Moving shapes with a grain, as film has it: neither noise alone nor flat colours, and below the rung's bit rate.
    shapes = ["-f", "lavfi", "-i", f"testsrc2=s={SIZE}:r=24:d={SECONDS},noise=alls=5:allf=t"]
    footage = ["-stream_loop", "-1", "-t", str(SECONDS), "-i", CLIP]
    argv = ["ffmpeg", "-v", "error", *(footage if CLIP else shapes)]
    argv += ["-f", "lavfi", "-i", f"anoisesrc=r=48000:a=0.1:d={SECONDS}", "-map", "0:v", "-map", "1:a"]
    argv += ["-s", SIZE]
    argv += ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=96:bframes=3:open-gop=1"]
    subprocess.run([*argv, "-c:a", "ac3", "-ac", "6", str(path)], check=True, stdin=subprocess.DEVNULL)
    return str(path)


def _round(source: str, bare: Path, line: Line) -> Round:
    facts = probe.probe(source)
    command = arguments.film(source, plans.decide(facts, name="", media_type=""), bare)
    alone = _cost(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL))
    with _taken_on_trust():
        unverified = line.make(source)
    return Round(alone, unverified, line.make(source))


@contextmanager
def _taken_on_trust() -> Iterator[None]:
    """Verify nothing: what was made is taken for what was planned."""

    def chunk(plan: Plan, part: Chunk, target: Path, **_: Any) -> VerifiedChunk:
        return VerifiedChunk(target.stat().st_size, "", part.frames, part.start_s, part.last_s, "the same")

    def sound(source: str, facts: Any, plan: Plan, target: Path, **_: Any) -> VerifiedSound:
        return VerifiedSound(target.stat().st_size, "")

    def film(source: str, facts: Any, plan: Plan, target: Path, **_: Any) -> VerifiedFilm:
        size_bytes, sha256 = target.stat().st_size, film_checks.digest(target)
        return VerifiedFilm(size_bytes, sha256, plan.width or 0, plan.height or 0, facts.listed_s, "h264", "aac")

    sounds, films = patch.object(film_checks, "verify_sound", sound), patch.object(film_checks, "verify", film)
    with patch.object(chunk_checks, "verify_chunk", chunk), sounds, films:
        yield


def _cost(work: Callable[[], object]) -> Cost:
    wall_s, cpu_s = time.monotonic(), _cpu_s()
    work()
    return Cost(time.monotonic() - wall_s, _cpu_s() - cpu_s)


def _print(what: str, rounds: list[Round], cost: Callable[[Round], Cost]) -> None:
    wall = [cost(one).wall_s / one.bare.wall_s for one in rounds]
    cpu = [cost(one).cpu_s / one.bare.cpu_s for one in rounds]
    told = (
        f"wall {statistics.median(wall):.3f} (each {_list(wall)})  cpu {statistics.median(cpu):.3f} (each {_list(cpu)})"
    )
    print(f"{what:42} {told}")


def _list(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _compare(source: Path, bare: Path, film: Path) -> None:
    print(
        f"SSIM to the source: bare {_ssim(bare, source):.5f}, film line {_ssim(film, source):.5f}; to one another "
        f"{_ssim(film, bare):.5f}; size of the film line's / bare {film.stat().st_size / bare.stat().st_size:.4f}"
    )


def _ssim(path: Path, other: Path) -> float:
    pair = "[0:v]settb=AVTB,setpts=N,format=yuv420p[a];[1:v]settb=AVTB,setpts=N,format=yuv420p[b];[a][b]ssim"
    argv = ["ffmpeg", "-hide_banner", "-nostats", "-i", str(path), "-i", str(other), "-lavfi", pair, "-f", "null", "-"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"SSIM .*All:([\d.]+)", done.stderr)
    return float(found[1]) if found else float("nan")


def _cpu_s() -> float:
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


if __name__ == "__main__":
    main()
