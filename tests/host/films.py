"""Films that have to be encoded before a browser plays them, as short as a test wants them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make(path: Path, *, seconds: int) -> None:
    """Write a small picture with sound, in codecs that no browser plays."""
    picture, sound = f"testsrc2=size=320x180:rate=25:duration={seconds}", f"sine=duration={seconds}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    coded = ["-c:v", "mpeg4", "-g", "25", "-c:a", "ac3"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *coded, str(path)], check=True, timeout=120)


def make_long(path: Path, *, minutes: int) -> None:
    """Write a film of that length: a minute of it, over and over."""
    minute = path.with_name(f"minute-of-{path.name}")
    make(minute, seconds=60)
    again = ["-stream_loop", str(minutes - 1), "-i", str(minute), "-c", "copy"]
    subprocess.run(["ffmpeg", "-v", "error", *again, str(path)], check=True, timeout=120)
    minute.unlink()
