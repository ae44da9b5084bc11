"""Which ffmpeg and ffprobe are run, and how much of the machine they may use."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True)
class Tools:
    """The programs by name (looked up in PATH) or path, and the bounds of every run."""

    ffmpeg: str = "ffmpeg"
    ffprobe: str = "ffprobe"
    probe_memory_bytes: int = 2 * GIB
    # A decoder of eight threads keeps 24 frames, which take 2.6 GiB for 8K in 10 bits; encoding 1080p takes 0.5 GiB.
    film_memory_bytes: int = 6 * GIB
    render_node: str = "/dev/dri/renderD128"  # the graphics device that hardware encoders use
    stall_s: float = 120.0  # a run that reports nothing new for this long is ended


INSTALLED = Tools()
