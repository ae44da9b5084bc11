"""Which ffmpeg and ffprobe are run, and what they may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True)
class Tools:
    """The programs by name (looked up in PATH) or path, and the bounds of every run."""

    ffmpeg: str = "ffmpeg"
    ffprobe: str = "ffprobe"
    probe_memory_bytes: int = 2 * GIB
    # 24 frames of 8K in 10 bits, kept by a decoder of eight threads, take 2.6 GiB; encoding 1080p takes half of one.
    film_memory_bytes: int = 6 * GIB
    render_node: str = "/dev/dri/renderD128"  # the graphics device that hardware encoders use
    stall_s: float = 120.0  # a run that says nothing new for so long is ended


INSTALLED = Tools()
