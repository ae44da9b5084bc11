"""Whether the pictures that hardware encoded look like the source's: a broken driver's decode, and are green."""

from __future__ import annotations

import re
from pathlib import Path

from nebula.domain.chunks import Chunk
from nebula.domain.plan import Plan
from nebula.errors import FfmpegFailed
from nebula.media.ffmpeg import arguments
from nebula.media.ffmpeg.control import FREE, Control
from nebula.media.ffmpeg.run import Bounds, run

FRAMES = 25  # what breaks later breaks the decode, too
# SSIM, the mean of luma and colours. What is worth watching has 0.9 and more, green pictures less than a half.
LEAST = 0.7
CPU_S = 3600  # a few pictures, and what has to be decoded or read before them


def check(
    source: str,
    plan: Plan,
    part: Chunk | None,
    target: Path,
    *,
    frames: int = FRAMES,
    control: Control = FREE,
) -> float:
    """Compare the first pictures of a chunk, or of a film without one, to what went into the encoder.

    Returns how alike they are on the average (1 is the same). Raises FfmpegFailed where they are not, NoRoom, Stopped.
    """
    found: list[float] = []

    def take(line: str) -> bool:
        # "n:1 Y:0.98 U:0.97 V:0.97 All:0.98 (17.0)"
        told = re.search(r"All:(-?[\d.]+)", line)
        found.extend([float(told[1])] if told else [])
        return True

    tools = control.tools
    argv = arguments.likeness(source, plan, part, target, frames=frames, ffmpeg=tools.ffmpeg)
    bounds = Bounds(memory_bytes=tools.film_memory_bytes, cpu_s=CPU_S, stall_s=tools.stall_s)
    log = run(argv, source=source, on_line=take, bounds=bounds, control=control)
    alike = sum(found) / len(found) if found else 0.0
    if alike < LEAST:
        raise FfmpegFailed(f"The pictures that were made are not the source's: they are {alike:.2f} alike.", log=log)
    return alike
