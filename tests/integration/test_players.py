"""VLC and mpv, headless, on a link of the real gateway: they play, and seek to the middle and near the end.

Where a player landed is read from what it decoded: the film's brightness rises from its first picture to its last.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from nebula_cli import players
from nebula_cli.players import Captions
from tests.gateway import RunningGateway
from tests.people import People
from tests.shelf import Shelf

LENGTH_S = 60
PLACES_S = [0, 30, 54]
NEAR_S = 6  # a seek may land on the key frame before
LIMIT_S = 90
VTT = b"WEBVTT\n\n00:00:00.000 --> 00:01:00.000\nHello\n"
# Luma 16 at the first picture, 235 at the last.
BRIGHTER = f"geq=lum='16+219*T/{LENGTH_S}':cb=128:cr=128"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("players")
    source = ["-f", "lavfi", "-i", f"color=s=160x90:r=12:d={LENGTH_S},{BRIGHTER}"]
    sound = ["-f", "lavfi", "-i", f"sine=d={LENGTH_S}", "-ac", "2"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "24", "-c:a", "aac"]
    made = {"original": folder / "film.mkv", "rendition": folder / "film.mp4"}
    _run(["ffmpeg", "-v", "error", *source, *sound, *coded, str(made["original"])])
    _run(
        ["ffmpeg", "-v", "error", "-i", str(made["original"]), "-c", "copy", "-movflags", "+faststart"]
        + [str(made["rendition"])]
    )
    return made


@pytest.fixture
def links(people: People, gateway: RunningGateway, shelf: Shelf, film: dict[str, Path]) -> dict[str, str]:
    """One link to the original and one to the rendition of a stored film."""
    file = shelf.put(people.owner.account_id, "film.mkv", film["original"].read_bytes())
    shelf.add_rendition(file, film["rendition"].read_bytes(), rung="source", height=90)
    qualities = {"original": "original", "rendition": "auto"}
    return {which: _link(gateway, file.id, quality=quality) for which, quality in qualities.items()}


def _link(gateway: RunningGateway, file_id: str, **wanted: str) -> str:
    headers = gateway.signed_in("owner") | {"Content-Type": "application/json"}
    body = json.dumps(wanted)
    answer = json.load(gateway.request("POST", f"/api/v1/files/{file_id}/links", headers, body))
    return str(answer["url"])


@pytest.mark.players
@pytest.mark.parametrize("player", ["mpv", "vlc"])
@pytest.mark.parametrize("which", ["original", "rendition"])
def test_a_player_plays_and_seeks(links: dict[str, str], player: str, which: str) -> None:
    if shutil.which(player) is None:
        pytest.skip(f"{player} is not installed here")
    for place_s in PLACES_S:
        seen_s = {"mpv": _seen_by_mpv, "vlc": _seen_by_vlc}[player](links[which], place_s)
        assert place_s - NEAR_S <= seen_s <= place_s + NEAR_S, f"asked for {place_s} s, saw {seen_s:.1f} s"


@pytest.mark.players
@pytest.mark.parametrize("player", ["mpv", "vlc"])
def test_a_player_shows_the_first_subtitles_that_it_is_given(
    people: People, gateway: RunningGateway, shelf: Shelf, film: dict[str, Path], player: str
) -> None:
    """Started as `nebula play` does: a made film, and subtitles by links of their own."""
    if shutil.which(player) is None:
        pytest.skip(f"{player} is not installed here")
    file = shelf.put(people.owner.account_id, "film #2.mkv", film["original"].read_bytes())
    shelf.add_rendition(file, film["rendition"].read_bytes(), rung="source", height=90)
    texts = [shelf.add_subtitles(file, VTT, number=number, language=one) for number, one in enumerate(("ger", "eng"))]
    urls = tuple(_link(gateway, file.id, subtitles_id=one.id) for one in texts)
    told = {"title": "film", "start_s": 0.0, "captions": Captions(urls, shows_first=True)}
    argv = players.arguments(player, player, _link(gateway, file.id, quality="auto"), **told)
    said = {"mpv": _said_by_mpv, "vlc": _said_by_vlc}[player](argv)
    assert re.search(SHOWN[player], said), said[-4000:]
    assert "2.en.vtt" in said


# The first of the two is the one that is shown, and it was read as what it is.
SHOWN = {
    "mpv": r"(\(\+\)|●) +Subs +--sid=1 .*2\.de\.vtt' \(webvtt",
    "vlc": r"spu-es slave: \S+film%20%232\.de\.vtt \(forced: 1\)[\s\S]*using spu decoder module \"webvtt\"",
}


def _said_by_mpv(argv: list[str]) -> str:
    quiet = ["--no-config", "--vo=null", "--ao=null", "--frames=2"]
    return _run([argv[0], *quiet, *argv[1:]])


def _said_by_vlc(argv: list[str]) -> str:
    quiet = ["-I", "dummy", "--no-dbus", "--vout=dummy", "--aout=dummy", "-vv", "--run-time=2"]
    return _run([*_as_nobody(), argv[0], *quiet, *argv[1:], "vlc://quit"])


def _seen_by_mpv(url: str, place_s: int) -> float:
    """Return the place, in seconds, of the first picture that mpv shows."""
    with tempfile.TemporaryDirectory() as folder:
        _run(
            ["mpv", "--no-config", "--vo=image", f"--vo-image-outdir={folder}", "--vo-image-format=png", "--ao=null"]
            + ["--frames=1", f"--start={place_s}", "--", url]
        )
        return _place(Path(folder))


def _seen_by_vlc(url: str, place_s: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        scene = ["--video-filter=scene", "--scene-format=png", f"--scene-path={folder}", "--scene-ratio=1"]
        quiet = ["-I", "dummy", "--no-dbus", "--vout=dummy", "--aout=dummy", "--play-and-exit", "--no-video-title-show"]
        quiet += ["--no-drop-late-frames", "--no-skip-frames"]  # a busy machine shows every picture late
        _run([*_as_nobody(), "vlc", *quiet, *scene, f"--start-time={place_s}", "--run-time=1", url, "vlc://quit"])
        return _place(Path(folder))


def _as_nobody() -> list[str]:
    """VLC refuses to be root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "HOME=/nonexistent"]


def _place(folder: Path) -> float:
    pictures = sorted(folder.glob("*.png"))
    assert pictures, "the player showed no picture"
    measured = _run(
        ["ffmpeg", "-v", "error", "-i", str(pictures[0]), "-vf"]
        + ["format=yuv420p,signalstats,metadata=print:file=-:key=lavfi.signalstats.YAVG", "-f", "null", "-"]
    )
    brightness = re.search(r"YAVG=([0-9.]+)", measured)
    assert brightness, measured
    return (float(brightness[1]) - 16) / 219 * LENGTH_S


def _run(argv: list[str]) -> str:
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, errors="replace")
    assert ran.returncode == 0, f"{argv[0]} ended with {ran.returncode}: {ran.stderr[-2000:]}"
    return ran.stdout + ran.stderr
