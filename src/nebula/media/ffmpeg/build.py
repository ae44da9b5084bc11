"""Names the encoder build of this machine. It is part of a chunk's key, because another build makes other bytes."""

from __future__ import annotations

import functools

from nebula.media.ffmpeg.run import Bounds, run
from nebula.media.ffmpeg.tools import INSTALLED, Tools


@functools.lru_cache(maxsize=16)
def encoder_build(encoder: str, tools: Tools = INSTALLED) -> str:
    """Return the encoder with the versions of ffmpeg and its libraries, as one line. Raises FfmpegFailed."""
    lines: list[str] = []

    def take(line: str) -> bool:
        lines.append(line)
        return True

    run([tools.ffmpeg, "-version"], source="", on_line=take, bounds=Bounds(stall_s=tools.stall_s))
    # "ffmpeg version 5.1.9-0+deb12u1 Copyright ...", and for each library "libavcodec     59. 37.100 / ...".
    names = [line.split(" Copyright")[0] for line in lines[:1]]
    names += ["".join(line.split(" / ")[0].split()) for line in lines if line.startswith(("libavcodec", "libavfilter"))]
    return " ".join([encoder, *names])
