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
