"""Makes the planned film from a source: one run of ffmpeg, one whole MP4. Whether it is right is verify.py's to say."""

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
# Slower than any disk: moving the index to the front rewrites the file, and says nothing meanwhile.
SLOWEST_BYTES_PER_S = 10e6
MAX_ENCODED_BYTES_PER_S = 2_000_000
MAX_PICTURE_BYTES = 2 << 20  # what the rate control of the highest rung may give to a single one


@dataclass(frozen=True)
class Made:
    """How a film was made; kept with the job."""

    command: str  # as it can be typed again, without a URL's signature
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
    """Make the film at `target`, over whatever is there.

    Raises FfmpegFailed (log in its details), NoRoom, Stopped; `target` is gone then.
    """
    tools = control.tools
    argv = arguments.film(
        source, plan, target, ffmpeg=tools.ffmpeg, encoder=encoder, device=tools.render_node, threads=threads
    )
    return make_with(argv, source, target, facts.listed_s, bounds(facts, plan, tools), control)


def make_with(argv: list[str], source: str, target: Path, duration_s: float, bounds: Bounds, control: Control) -> Made:
    """Run a command that makes `target` out of `source`, and lasts `duration_s` of media. Raises as `make` does."""
    typed = command(argv, source)
    control.on_command(typed)
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
    return Made(typed, log)


def command(argv: list[str], source: str) -> str:
    """Return a command as a person types it, without the signature of a presigned URL."""
    return shlex.join(shown(source) if word == source else word for word in argv)


def bounds(facts: MediaFacts, plan: Plan, tools: Tools) -> Bounds:
    """Return what the run may use: a file cannot make ffmpeg fill the disk or run for ever."""
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
