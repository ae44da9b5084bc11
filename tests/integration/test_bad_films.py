"""Films that must not become what they are: of an ffmpeg that lies, and of pictures that eat the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nebula.domain.states import JobState, Queue
from tests.films import Clips
from tests.integration.test_chunked import EMBEDDED, Cutting

BENCH = Cutting


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


# What an ffmpeg that exits 0 does with a command that encodes picture or sound.
LIES = {
    "drops pictures": ("libx264", "a[a.index('-vf') + 1] += ',select=not(between(n\\\\,5\\\\,8))'", "pictures that"),
    "ends early": ("libx264", "a[-1:-1] = ['-t', '0.8']", "pictures that"),
    "writes silence": ("aac", "a[a.index('-af') + 1] += ',volume=0'", "sound 1 is silent"),
}


@EMBEDDED
@pytest.mark.parametrize("clip", ["cut.mkv", "encode.avi"])
@pytest.mark.parametrize("lie", LIES)
def test_film_of_a_lying_ffmpeg_is_never_published_and_its_job_says_what_was_wrong(
    bench: Cutting, clips: Clips, clip: str, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, tamper, reason = LIES[lie]
    program = tmp_path / "programs" / "ffmpeg"
    program.parent.mkdir()
    real = shutil.which("ffmpeg")
    tampered = f"if {encoder!r} in a:\n    {tamper}\n"
    program.write_text(
        f"#!{sys.executable} -S\nimport os, sys\na = sys.argv[1:]\n{tampered}os.execv({real!r}, ['ffmpeg', *a])\n"
    )
    program.chmod(0o755)
    content_id = bench.store(clips[clip])
    assert bench.run()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for _ in range(30):
        while bench.run() or bench.encode():
            pass
        if bench.film_job(content_id)["state"] == JobState.FAILED:
            break
        bench.sql("UPDATE tasks SET not_before = NULL")
    job = bench.film_job(content_id)
    assert job["state"] == JobState.FAILED, job
    assert "which is not damaged" in job["error"]
    assert reason in job["error"]
    assert bench.renditions(content_id) == []
    bench.sweep()
    assert bench.keys("renditions/") == []
    assert bench.storage.stat(bench.content(content_id)["object_key"]).size_bytes == clips[clip].stat().st_size


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """A small film of small pictures, three of which unpack to 16000x16000: a gigabyte."""
    pieces = {"small": "testsrc2=s=320x180:r=25:d=2", "large": "color=s=16000x16000:r=1:d=1"}
    for name, picture in pieces.items():
        argv = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-c:v", "mjpeg", "-q:v", "20"]
        subprocess.run([*argv, "-f", "image2", str(tmp_path / f"{name}%02d.jpg")], check=True)
    small, large = (sorted(tmp_path.glob(f"{name}*.jpg")) for name in pieces)
    pictures = b"".join(path.read_bytes() for path in (*small[:20], *(3 * large), *small[20:]))
    argv = ["ffmpeg", "-v", "error", "-f", "image2pipe", "-framerate", "25", "-c:v", "mjpeg", "-i", "-", "-c", "copy"]
    subprocess.run([*argv, str(tmp_path / "growing.avi")], input=pictures, check=True)
    return tmp_path / "growing.avi"


@EMBEDDED
def test_pictures_that_unpack_to_a_gigabyte_are_left_out_of_the_film(bench: Cutting, growing: Path) -> None:
    content_id = bench.store(growing)
    assert bench.run()
    assert bench.run(Queue.ENCODE)
    job = bench.film_job(content_id)
    assert job["state"] == JobState.DONE, job
    assert "damaged: it has 50 pictures, not 53" in job["warning"]
    (rendition,) = bench.renditions(content_id)
    assert (rendition["width"], rendition["height"]) == (320, 180)
