"""Makes a film in chunks: lists the chunks, encodes each, makes all of the sound, and joins them without encoding.

    list_chunks -> make_chunk + chunk_checks.verify_chunk  for each chunk, in any order, on any node
                   make_sound + film_checks.verify_sound   once, if the plan has sound
                -> join -> film_checks.verify(parts_verified=True)

Every run is bounded, can be stopped, and raises the same errors as film.make. A failed run removes its target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nebula.domain import chunks as layout
from nebula.domain.chunks import LEAST_S, MOST_S, Chunk, Pictures
from nebula.domain.encoders import SOFTWARE
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.errors import FfmpegFailed, Incomplete
from nebula.media.ffmpeg import arguments, processor
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.making.film import (
    MAX_ENCODED_BYTES_PER_S,
    MAX_PICTURE_BYTES,
    SLACK_BYTES,
    SLOWEST_BYTES_PER_S,
    Made,
    bounds,
    make_with,
)
from nebula.media.reading.packets import follow_packets


@dataclass(frozen=True)
class Part:
    """A verified chunk that is ready to be joined."""

    path: Path
    start_s: float  # from VerifiedChunk: when its first picture is shown in the film


def list_chunks(
    source: str,
    facts: MediaFacts,
    plan: Plan,
    *,
    least_s: float = LEAST_S,
    most_s: float = MOST_S,
    control: Control = FREE,
) -> tuple[Chunk, ...]:
    """Read the packets of the film's picture once and return its chunks, which are the same on every node and rung.

    Empty if the film must be made in one piece, by film.make: it is short, or cannot be cut.
    Raises Incomplete if the packet list differs from the one that the facts were made from: a read was cut short.
    """
    if plan.video is None or not plan.encodes_video:
        raise ValueError("the plan encodes no picture")
    pictures = Pictures(facts, plan.video)
    follow_packets(source, plan.video.index, pictures.take, control=control)
    chunks = layout.chunks(pictures, facts, plan, least_s=least_s, most_s=most_s)
    packets = plan.video.packets
    frames, expected_frames = pictures.frames, packets.count - packets.before_key - packets.hidden
    if chunks and frames != expected_frames:
        raise Incomplete(f"The list of its pictures has {frames}, not {expected_frames}.", log="")
    return chunks


def key(source_sha256: str, facts: MediaFacts, plan: Plan, chunk: Chunk | None, build: str) -> str:
    """Return the name under which a chunk is stored, or all of the sound if `chunk` is None.

    It depends on source, interval, arguments and build, whose first word is the encoder (build.py). It does not depend
    on the node.
    """
    if chunk is None:
        argv = arguments.sound("", plan, facts.start_s, Path())
    else:
        argv = arguments.chunk("", plan, chunk, Path(), encoder=build.partition(" ")[0])
    return layout.chunk_key(source_sha256, chunk, argv, build)


def make_chunk(
    source: str,
    facts: MediaFacts,
    plan: Plan,
    chunk: Chunk,
    target: Path,
    *,
    encoder: str = SOFTWARE,
    threads: int = 0,
    control: Control = FREE,
) -> Made:
    """Encode one chunk into `target`, overwriting it."""
    tools = control.tools
    argv = arguments.chunk(
        source,
        plan,
        chunk,
        target,
        ffmpeg=tools.ffmpeg,
        encoder=encoder,
        device=tools.render_node,
        threads=threads,
    )
    limits = Bounds(
        memory_bytes=tools.film_memory_bytes,
        file_bytes=int(_most_bytes(chunk)) + SLACK_BYTES,
        cpu_s=processor.chunk_s(facts, plan, chunk),
        # ffmpeg reports no progress while it reads up to the chunk.
        stall_s=tools.stall_s + facts.size_bytes / SLOWEST_BYTES_PER_S,
    )
    return make_with(argv, source, target, chunk.duration_s, limits, control)


def _most_bytes(chunk: Chunk) -> float:
    return min((chunk.duration_s + 60) * MAX_ENCODED_BYTES_PER_S, chunk.frames * MAX_PICTURE_BYTES)


def make_sound(
    source: str,
    facts: MediaFacts,
    plan: Plan,
    target: Path,
    *,
    control: Control = FREE,
) -> Made:
    """Make all of the film's sound in `target`: every language, encoded or copied as planned."""
    argv = arguments.sound(source, plan, facts.start_s, target, ffmpeg=control.tools.ffmpeg)
    # A copy is no larger than its source, an encode no larger than a film.
    return make_with(argv, source, target, facts.listed_s, bounds(facts, plan, control.tools), control)


def join(
    parts: Sequence[Part],
    sound: Path | None,
    facts: MediaFacts,
    plan: Plan,
    target: Path,
    *,
    control: Control = FREE,
) -> Made:
    """Join the parts, in their order, and the sound into one film at `target`, with the index at the front.

    Nothing is encoded again. The picture's packets are compared to those of the parts by their digests; raises
    FfmpegFailed if they differ. A script that lists the parts is written beside the target and removed at the end.
    """
    tools, script = control.tools, target.with_suffix(".parts")
    try:
        script.write_text(_script(parts))
        argv = arguments.join(script, parts[0].start_s, sound, plan, target, ffmpeg=tools.ffmpeg)
        size_bytes = sum(path.stat().st_size for path in (*(part.path for part in parts), *([sound] if sound else [])))
        limits = Bounds(
            memory_bytes=tools.film_memory_bytes,
            file_bytes=int(size_bytes * 1.1) + SLACK_BYTES,
            cpu_s=processor.limit_s(size_bytes=2 * size_bytes),
            stall_s=tools.stall_s + size_bytes / SLOWEST_BYTES_PER_S,
        )
        joined = make_with(argv, "", target, facts.listed_s, limits, control)
        _compare(script, target, limits, control)
    finally:
        script.unlink(missing_ok=True)
    return joined


def _script(parts: Sequence[Part]) -> str:
    """Return the concat script: each part lasts until the next begins, whatever its file says."""
    lines = ["ffconcat version 1.0"]
    for part, following in pairwise(parts):
        lines += [_named(part.path), f"duration {following.start_s - part.start_s:.6f}"]
    return "\n".join([*lines, _named(parts[-1].path), ""])


def _named(path: Path) -> str:
    quoted = str(path).replace("'", "'\\''")
    return f"file 'file:{quoted}'"


def _compare(script: Path, target: Path, limits: Bounds, control: Control) -> None:
    """Check that the film's picture has the packets of its parts; if not, remove the film and raise FfmpegFailed."""
    digests: list[str] = []

    def take(line: str) -> bool:
        digests.append(line)
        return True

    try:
        for path, is_script in ((script, True), (target, False)):
            argv = arguments.picture_hash(path, is_script=is_script, ffmpeg=control.tools.ffmpeg)
            run(argv, source="", on_line=take, bounds=limits, control=control)
        if len(digests) != 2 or digests[0] != digests[1]:
            raise FfmpegFailed("The joined film's picture is not that of its chunks.", log="\n".join(digests))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
