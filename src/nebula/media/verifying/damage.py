"""Finds out whether a short film or chunk is ffmpeg's fault or its source is damaged, by decoding with ffprobe.

If ffmpeg loses pictures of an intact source, the film is bad. If the source is damaged and ffmpeg makes all that it
still shows, no better film is possible. The packet lists cannot tell these two cases apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nebula.domain.chunks import Chunk
from nebula.media.ffmpeg.arguments import PIXEL_BOUND
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.source import input_arguments
from nebula.media.reading.packets import seconds

UNEVEN_SLACK = 2  # pictures at either end that one decoder shows and another does not
MARGIN_S = 2.0  # decoded before a chunk's first picture and after its last, because its pictures depend on them


@dataclass
class Decoded:
    """How much of one stream can be decoded. Times are the source's own."""

    frames: int = 0
    ends_s: float = 0.0


def lost_pictures(made: int, least: int, most: int, decode: Callable[[], Decoded]) -> str | None:
    """Return a message if fewer pictures were made than the source shows; None if not.

    The packets of the source promise `least` to `most` pictures.
    """
    if made >= least == most:
        return None
    shown_frames = decode().frames
    if made < least <= shown_frames or (least < most and made + UNEVEN_SLACK < shown_frames):
        return f"ffmpeg made {made} of the {shown_frames} pictures that the source shows"
    return None


def decode_stream(
    source: str, index: int, part: Chunk | None = None, *, cpu_s: int, control: Control = FREE
) -> Decoded:
    """Decode a stream of the source, or one chunk's interval, as far as possible. Raises FfmpegFailed, Stopped."""
    decoded = Decoded()

    def take(line: str) -> bool:
        shown_s, _, lasts_s = line.rstrip("|").partition("|")
        _count(decoded, seconds(shown_s), seconds(lasts_s) or 0.0, part)
        return True

    tools = control.tools
    argv = [
        *(tools.ffprobe, "-v", "error", *PIXEL_BOUND, *_interval(part), "-select_streams", str(index)),
        *("-show_entries", "frame=best_effort_timestamp_time,pkt_duration_time,duration_time"),
        *("-of", "compact=print_section=0:nokey=1", *input_arguments(source)),
    ]
    bounds = Bounds(memory_bytes=tools.film_memory_bytes, cpu_s=cpu_s, stall_s=tools.stall_s)
    run(argv, source=source, on_line=take, bounds=bounds, control=control)
    return decoded


def _count(decoded: Decoded, shown_s: float | None, lasts_s: float, part: Chunk | None) -> None:
    if shown_s is None:  # a line about a picture's side data
        return
    if part is not None and (shown_s < _or(part.from_s, -math.inf) or shown_s >= _or(part.to_s, math.inf)):
        return
    decoded.frames += 1
    decoded.ends_s = max(decoded.ends_s, shown_s + lasts_s)


def _or(bound: float | None, unbound: float) -> float:
    return unbound if bound is None else bound


def _interval(part: Chunk | None) -> list[str]:
    if part is None:
        return []
    begins = "" if part.seek_s is None else f"{max(0.0, part.clock_s - MARGIN_S):.6f}"
    ends = "" if part.to_s is None else f"{part.to_s + MARGIN_S:.6f}"
    return ["-read_intervals", f"{begins}%{ends}"]
