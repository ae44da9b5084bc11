"""Makes the planned film from a source, in one run of ffmpeg, as one MP4. verifying/film_checks.py verifies it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from nebula.domain.encoders import SOFTWARE
from nebula.domain.frames import most_frames
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.media.ffmpeg import arguments, processor
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.progress import ProgressReader
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.source import shown
from nebula.media.ffmpeg.tools import Tools

SLACK_BYTES = 64 << 20
# Slower than any disk. ffmpeg rewrites the file to move the index to the front, and reports no progress meanwhile.
SLOWEST_BYTES_PER_S = 10e6
MAX_ENCODED_BYTES_PER_S = 2_000_000
MAX_PICTURE_BYTES = 2 << 20  # the most that the rate control of the highest rung may give to one picture


@dataclass(frozen=True)
class Made:
    """How a film was made; kept with the job."""

    command: str  # can be typed again in a shell; without a URL's signature
    log: str  # the tail of ffmpeg's stderr
    warning: str | None = None


def make(
    source: str,
    facts: MediaFacts,
    plan: Plan,
    target: Path,
    *,
    encoder: str = SOFTWARE,
    threads: int = 0,
    control: Control = FREE,
) -> Made:
    """Make the film in `target`, overwriting it.

    Raises FfmpegFailed (with the log in its details), NoRoom, Stopped; `target` is removed then.
    """
    tools = control.tools
    argv = arguments.film(
        source, plan, target, ffmpeg=tools.ffmpeg, encoder=encoder, device=tools.render_node, threads=threads
    )
    return make_with(argv, source, target, facts.listed_s, bounds(facts, plan, tools), control)


def make_with(argv: list[str], source: str, target: Path, duration_s: float, bounds: Bounds, control: Control) -> Made:
    """Run a command that makes `target`, of `duration_s` seconds, from `source`. Raises the same errors as `make`."""
    shell_command = command(argv, source)
    control.on_command(shell_command)
    reader = ProgressReader(max(duration_s, 0.0))

    def take(line: str) -> bool:
        progress = reader.feed(line)
        if progress is not None:
            control.on_progress(progress)
        return progress is not None and reader.moved

    try:
        log = run(argv, source=source, on_line=take, bounds=bounds, control=control)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Made(shell_command, log)


def command(argv: list[str], source: str) -> str:
    """Return a command as text for a shell, without the signature of a presigned URL."""
    return shlex.join(shown(source) if word == source else word for word in argv)


def bounds(facts: MediaFacts, plan: Plan, tools: Tools) -> Bounds:
    """Return the limits of the run, so that no source can make ffmpeg fill the disk or run for ever."""
    encoded = min((facts.listed_s + 60) * MAX_ENCODED_BYTES_PER_S, _pictures_bytes(plan))
    sound = facts.listed_s * len(plan.audio) * 40_000
    size_bytes = int(encoded if plan.encodes_video else facts.size_bytes * 1.2 + sound)
    return Bounds(
        memory_bytes=tools.film_memory_bytes,
        file_bytes=size_bytes + SLACK_BYTES,
        cpu_s=processor.film_s(facts, plan),
        stall_s=tools.stall_s + facts.size_bytes / SLOWEST_BYTES_PER_S,
    )


def _pictures_bytes(plan: Plan) -> float:
    return most_frames(plan.video) * MAX_PICTURE_BYTES if plan.video else 0
