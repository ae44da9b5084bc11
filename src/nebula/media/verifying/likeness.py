"""Compares pictures that hardware encoded to the source's: a broken driver makes green ones that decode well."""

from __future__ import annotations

import re
from pathlib import Path

from nebula.domain.chunks import Chunk
from nebula.domain.plan import Plan
from nebula.errors import FfmpegFailed
from nebula.media.ffmpeg import arguments
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.run import Bounds, run

FRAMES = 25  # a fault that begins later also breaks the decode
# SSIM, the mean of luma and colours. Good pictures have 0.9 or more, green ones less than 0.5.
LEAST = 0.7
CPU_S = 3600  # for a few pictures, and all that has to be decoded or read before them


def check(
    source: str,
    plan: Plan,
    part: Chunk | None,
    target: Path,
    *,
    frames: int = FRAMES,
    control: Control = FREE,
) -> float:
    """Compare the first pictures of a chunk, or of a whole film if `part` is None, to what went into the encoder.

    Returns their mean similarity (1 is identical). Raises FfmpegFailed if it is too low, NoRoom, Stopped.
    """
    similarities: list[float] = []

    def take(line: str) -> bool:
        # "n:1 Y:0.98 U:0.97 V:0.97 All:0.98 (17.0)"
        match = re.search(r"All:(-?[\d.]+)", line)
        similarities.extend([float(match[1])] if match else [])
        return True

    tools = control.tools
    argv = arguments.likeness(source, plan, part, target, frames=frames, ffmpeg=tools.ffmpeg)
    bounds = Bounds(memory_bytes=tools.film_memory_bytes, cpu_s=CPU_S, stall_s=tools.stall_s)
    log = run(argv, source=source, on_line=take, bounds=bounds, control=control)
    alike = sum(similarities) / len(similarities) if similarities else 0.0
    if alike < LEAST:
        raise FfmpegFailed(f"The pictures that were made are not the source's: they are {alike:.2f} alike.", log=log)
    return alike
