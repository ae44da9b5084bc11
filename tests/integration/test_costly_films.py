"""Small files that ask for much work: each becomes the film of its own pictures, or fails with a plain reason."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nebula.domain.states import FileState, JobState, Queue
from tests.clips import run_ffmpeg
from tests.films import Bench
from tests.integration.test_chunked import CHUNK_S, EMBEDDED

PICTURE = "testsrc2=s=320x180:r=25"
# Encoded whatever the container: browsers do not play 4:4:4.
H444 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p", "-bf", "0"]
H444 += ["-fps_mode", "passthrough", "-enc_time_base", "1:1000"]
SOUND = ["-f", "lavfi", "-i", "sine=f=440:r=48000"]
FALSE_250 = ["-r", "250"]  # what the header tells
HOUR, DAY = 3600, 86400


def _picture(filters: str) -> list[str]:
    return ["-f", "lavfi", "-i", filters]


def _gap(seconds: float, after: int, size: str = "320x180") -> list[str]:
    """Return a picture of 14 frames, 4 ms apart, that stands still after one of them."""
    return _picture(f"testsrc2=s={size}:r=250:d=0.056,setpts='PTS+if(gte(N,{after}),{seconds}/TB,0)'")


def _claiming(path: Path, hours: float) -> None:
    """Let a Matroska file's header claim another length."""
    data = path.read_bytes()
    place = data.index(b"\x44\x89\x88") + 3
    path.write_bytes(data[:place] + struct.pack(">d", hours * HOUR * 1000) + data[place + 8 :])


def _made(path: Path, arguments: list[str]) -> Path:
    run_ffmpeg([*arguments, str(path)])
    return path


def _long_claim(path: Path) -> Path:
    both = [*_picture(f"{PICTURE}:d=2"), *SOUND, "-t", "2", "-c:v", "mpeg4", "-c:a", "ac3"]
    _claiming(_made(path, both), 40)
    return path


FILMS: dict[str, Callable[[Path], Path]] = {
    "a minute's gap, and 250 frames a second": lambda path: _made(path, [*_gap(60, 7), *H444, *FALSE_250]),
    "three hours' gap, and 250 frames a second": lambda path: _made(path, [*_gap(3 * HOUR, 7), *H444, *FALSE_250]),
    "a gap before the last picture": lambda path: _made(path, [*_gap(600, 13), *H444, *FALSE_250]),
    "a second of pictures after five minutes of sound": lambda path: _made(
        path, [*_picture(f"{PICTURE}:d=5,setpts='PTS+if(gte(N,100),300/TB,0)'"), *SOUND, "-t", "305"]
        + [*H444, "-c:a", "ac3", "-ac", "1", "-b:a", "32k"],
    ),
    "stills of twenty minutes each": lambda path: _made(
        path, [*_picture("testsrc2=s=320x180:r=1/1200:d=6000"), "-c:v", "mjpeg", "-q:v", "5"]
    ),
    "25 frames a second that are called 500": lambda path: _made(
        path, [*_picture(f"{PICTURE}:d=3"), *H444, "-r", "500"]
    ),
    "a remux whose lower rung is encoded": lambda path: _made(
        path,
        [*_gap(60, 7, "1280x720"), "-c:v", "libx264", "-bf", "0", "-g", "7", "-pix_fmt", "yuv420p"]
        + ["-fps_mode", "passthrough", "-enc_time_base", "1:1000", *FALSE_250],
    ),
    "a header that claims forty hours": _long_claim,
}  # fmt: skip


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "29 hours' gap, and 250 frames a second": (
        lambda path: _made(path, [*_gap(29 * HOUR, 7), *H444, *FALSE_250]),
        "29 hours between two of its pictures",
    ),
    "one picture a day later": (
        lambda path: _made(path, [*_gap(DAY, 13), *H444]),
        "24 hours between two of its pictures",
    ),
    "sound that goes on 40 hours later": (
        lambda path: _made(
            path, [*_picture(f"{PICTURE}:d=2"), *SOUND[:3], f"{SOUND[3]}:d=4", "-c:v", "mpeg4", "-c:a", "ac3"]
            + ["-af", f"asetpts='PTS+if(gte(T,2),{40 * HOUR}/TB,0)'"],
        ),
        "40 hours between two pieces of its sound",
    ),
    "sound that begins a day late": (
        lambda path: _made(
            path, [*_picture(f"{PICTURE}:d=2"), "-itsoffset", str(DAY), *SOUND[:3], f"{SOUND[3]}:d=2"]
            + ["-c:v", "mpeg4", "-c:a", "ac3"],
        ),
        "24 hours of its sound are empty",
    ),
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source.mkv"


def _times(media: str) -> list[float]:
    """Return when each picture of a film is shown."""
    asked = ["-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "json"]
    answer = subprocess.run(["ffprobe", "-v", "error", *asked, media], capture_output=True, check=True)
    return sorted(float(packet["pts_time"]) for packet in json.loads(answer.stdout)["packets"])


def _work_off(bench: Bench) -> None:
    for _ in range(20):
        if not any([bench.run(), bench.run(Queue.ENCODE)]):
            break
        bench.sql("UPDATE tasks SET not_before = NULL")


def _distances(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


@EMBEDDED
@pytest.mark.parametrize("name", FILMS)
def test_film_has_the_pictures_of_its_source_at_their_own_times(bench: Bench, name: str, source: Path) -> None:
    FILMS[name](source)
    content_id = bench.store(source)
    _work_off(bench)
    jobs = bench.jobs(content_id)
    assert {job["state"] for job in jobs} == {JobState.DONE}, [job["error"] for job in jobs]
    wanted = _distances(_times(str(source)))
    renditions = bench.renditions(content_id)
    assert len(renditions) == len([job for job in jobs if job["kind"] == "rendition"]) > 0
    for rendition in renditions:
        made = _distances(_times(str(bench.storage.local_path(rendition["object_key"]))))
        assert made == pytest.approx(wanted, abs=0.002)


@EMBEDDED
@pytest.mark.parametrize("name", REFUSED)
def test_film_fails_with_its_reason_when_it_stands_still_for_hours(bench: Bench, name: str, source: Path) -> None:
    make, reason = REFUSED[name]
    content_id = bench.store(make(source))
    _work_off(bench)
    (job,) = bench.jobs(content_id)
    assert job["state"] == JobState.FAILED
    assert reason in job["error"]
    assert bench.content(content_id)["state"] == FileState.FAILED


def _gif(path: Path) -> None:
    run_ffmpeg([*_picture("testsrc2=s=64x48:r=5:d=1"), str(path)])
    data = path.read_bytes()
    # The graphic control extension of each picture: 21 F9 04, flags, the delay in hundredths of a second.
    pieces = data.split(b"\x21\xf9\x04")
    path.write_bytes(b"\x21\xf9\x04".join([pieces[0], *(piece[:1] + b"\xff\xff" + piece[3:] for piece in pieces[1:])]))


def _apng(path: Path) -> None:
    run_ffmpeg([*_picture("testsrc2=s=64x48:r=1/60000:d=240000"), "-f", "apng", str(path)])


def _large_png(path: Path) -> None:
    run_ffmpeg([*_picture("color=s=16x16:r=1:d=1,format=monob"), "-frames:v", "1", str(path)])
    data = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", 32_768, 32_768) + data[24:29]
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])


@EMBEDDED
@pytest.mark.parametrize(("name", "make"), [("a.gif", _gif), ("a.png", _apng), ("large.png", _large_png)])
def test_picture_is_stored_and_nothing_is_encoded_whatever_it_claims(
    bench: Bench, name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / name)
    content_id = bench.store(tmp_path / name)
    _work_off(bench)
    (job,) = bench.jobs(content_id)
    assert (job["kind"], job["state"]) == ("probe", JobState.DONE), job
    assert bench.content(content_id)["state"] == FileState.STORED


@EMBEDDED
def test_film_of_32768_by_32768_is_refused_before_it_is_decoded(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "bomb.avi"
    run_ffmpeg([*_picture("testsrc2=s=32x32:r=5:d=1"), "-c:v", "rawvideo", "-pix_fmt", "bgr24", str(path)])
    data, side = path.read_bytes(), (32_768).to_bytes(4, "little")
    header = data.index(b"strf") + 8
    path.write_bytes(data[: header + 4] + side + side + data[header + 12 :])
    content_id = bench.store(path)
    _work_off(bench)
    (job,) = bench.jobs(content_id)
    assert job["state"] == JobState.FAILED
    assert "The size of its picture is impossible" in job["error"]


@EMBEDDED
def test_chunks_keep_the_gaps_of_their_source(bench: Bench, source: Path) -> None:
    bench.transcoding = bench.transcoder("n1", chunk_s=CHUNK_S)
    recording = f"{PICTURE}:d=12,setpts='PTS+if(gte(N,150),1800/TB,0)'"
    _made(source, [*_picture(recording), *H444, "-g", "25", *FALSE_250])
    content_id = bench.store(source)
    _work_off(bench)
    job: dict[str, Any] = bench.film_job(content_id)
    assert job["state"] == JobState.DONE, job
    assert job["chunks_total"] > 2
    (rendition,) = bench.renditions(content_id)
    made = _times(str(bench.storage.local_path(rendition["object_key"])))
    assert _distances(made) == pytest.approx(_distances(_times(str(source))), abs=0.002)
