"""What chunks cost: a film in chunks beside bare ffmpeg with the same settings. `python -m benchmarks.transcode`

Prints ratios of one run, rounds interleaved: wall time and processor time of the chunks, the sound and the join against
one ffmpeg, without and with verification; and how like the source both films are, with their sizes. Two workers against
one, and what a kill costs, are benchmarks/factory.py's. Targets: design, section 11.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nebula.domain import plan as plans
from nebula.domain.chunks import LEAST_S, MOST_S
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.media import arguments, checks, chunking, probe, verify
from nebula.media.chunking import Part

SECONDS = int(os.environ.get("BENCH_SECONDS", "120"))
SIZE = os.environ.get("BENCH_SIZE", "1280x720")
CHUNK_S = float(os.environ.get("BENCH_CHUNK_S", LEAST_S))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
THREADS = int(os.environ.get("BENCH_THREADS", "0"))


@dataclass
class Cost:
    """Seconds on the clock, and of the processor in ffmpeg and ffprobe."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, work: Callable[[], object]) -> None:
        """Do the work and add what it took."""
        wall_s, cpu_s = time.monotonic(), _children_s()
        work()
        self.wall_s += time.monotonic() - wall_s
        self.cpu_s += _children_s() - cpu_s


@dataclass
class Round:
    """What one round took."""

    bare: Cost = field(default_factory=Cost)
    making: Cost = field(default_factory=Cost)
    checking: Cost = field(default_factory=Cost)


def main() -> None:
    """Make the film both ways, a few times, and print."""
    with tempfile.TemporaryDirectory(prefix="nebula-bench-") as name:
        folder = Path(name)
        source = _source(folder)
        facts = probe.probe(source)
        if facts is None:
            raise SystemExit("the source cannot be read")
        plan = plans.decide(facts, name="", media_type="")
        rounds = [_round(source, facts, plan, folder) for _ in range(ROUNDS)]
        count = len(list(folder.glob("chunk-*.mp4")))
        print(f"{SECONDS} s of {SIZE} HEVC, {count} chunks, {os.cpu_count()} cores, median of {ROUNDS} rounds")
        _print("chunks / bare ffmpeg", rounds, lambda one: (one.making,))
        _print("chunks and verification / bare ffmpeg", rounds, lambda one: (one.making, one.checking))
        _compare(source, folder)


def _source(folder: Path) -> str:
    """Make a film that must be encoded: HEVC with B-frames and open GOPs, surround sound."""
    path = folder / "source.mkv"
    # Moving shapes with a grain, as film has it: neither noise alone nor flat colours.
    picture = f"testsrc2=s={SIZE}:r=24:d={SECONDS},noise=alls=12:allf=t"
    argv = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture]
    argv += ["-f", "lavfi", "-i", f"anoisesrc=r=48000:a=0.1:d={SECONDS}"]
    argv += ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=96:bframes=3:open-gop=1"]
    subprocess.run([*argv, "-c:a", "ac3", "-ac", "6", str(path)], check=True, stdin=subprocess.DEVNULL)
    return str(path)


def _round(source: str, facts: MediaFacts, plan: Plan, folder: Path) -> Round:
    found = Round()
    command = arguments.film(source, plan, folder / "bare.mp4", threads=THREADS)
    found.bare.add(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    _in_chunks(found, source, facts, plan, folder)
    return found


def _in_chunks(found: Round, source: str, facts: MediaFacts, plan: Plan, folder: Path) -> None:
    making, checking = found.making, found.checking
    chunks = []
    making.add(lambda: chunks.extend(chunking.list_chunks(source, facts, plan, least_s=CHUNK_S, most_s=MOST_S)))
    if not chunks:
        sys.exit(f"{SECONDS} s are too short to be cut: a larger BENCH_SECONDS, please.")
    parts = [Part(folder / f"chunk-{chunk.number}.mp4", chunk.start_s) for chunk in chunks]
    for chunk, part in zip(chunks, parts, strict=True):
        making.add(lambda c=chunk, p=part: chunking.make_chunk(source, facts, plan, c, p.path, threads=THREADS))  # type: ignore[misc]
        checking.add(lambda c=chunk, p=part: checks.verify_chunk(plan, c, p.path))  # type: ignore[misc]
    sound, film = folder / "sound.mp4", folder / "film.mp4"
    making.add(lambda: chunking.make_sound(source, facts, plan, sound))
    checking.add(lambda: verify.verify_sound(source, facts, plan, sound))
    making.add(lambda: chunking.join(parts, sound, facts, plan, film))
    checking.add(lambda: verify.verify(source, facts, plan, film, parts_verified=True))


def _print(what: str, rounds: list[Round], costs: Callable[[Round], tuple[Cost, ...]]) -> None:
    wall = [sum(cost.wall_s for cost in costs(one)) / one.bare.wall_s for one in rounds]
    cpu = [sum(cost.cpu_s for cost in costs(one)) / one.bare.cpu_s for one in rounds]
    print(f"{what:40} wall {statistics.median(wall):.3f}  cpu {statistics.median(cpu):.3f}  each {_list(wall)}")


def _list(values: list[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _compare(source: str, folder: Path) -> None:
    bare, film = folder / "bare.mp4", folder / "film.mp4"
    likeness = {path: _ssim(path, Path(source)) for path in (bare, film)}
    print(
        f"SSIM to the source: bare {likeness[bare]:.5f}, chunks {likeness[film]:.5f}; chunks to bare "
        f"{_ssim(film, bare):.5f}; size of chunks / bare {film.stat().st_size / bare.stat().st_size:.4f}"
    )


def _ssim(path: Path, other: Path) -> float:
    pair = "[0:v]settb=AVTB,setpts=N,format=yuv420p[a];[1:v]settb=AVTB,setpts=N,format=yuv420p[b];[a][b]ssim"
    argv = ["ffmpeg", "-hide_banner", "-nostats", "-i", str(path), "-i", str(other), "-lavfi", pair, "-f", "null", "-"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"SSIM .*All:([\d.]+)", done.stderr)
    return float(found[1]) if found else float("nan")


def _children_s() -> float:
    told = os.times()
    return told.children_user + told.children_system


if __name__ == "__main__":
    main()
