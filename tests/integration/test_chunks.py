"""Films in chunks: frame by frame the film of one piece, whatever the source; with the real ffmpeg."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nebula.domain.media import MediaFacts
from nebula.errors import FfmpegFailed, Incomplete, MediaError, OtherFingerprint
from nebula.media.ffmpeg.build import encoder_build
from nebula.media.ffmpeg.tools import Tools
from nebula.media.making import chunking
from nebula.media.making.chunking import Part
from nebula.media.reading import probe, seekability
from tests.chunked import Film, likeness, times
from tests.clips import Clips, real_footage
from tests.web import serving

MATRIX = (
    "long_closed_gop",
    "long_open_gop",
    "long_hevc_open_gop",
    "long_mpeg2",
    "long_h264_fields",
    "long_vfr",
    "long_edit_list",
    "long_late_sound",
    "long_begins_in_the_middle",
    "long_rotated",
)
# More containers, codecs and clocks: many combinations, which only script/test --all takes.
MORE = (
    "long_vob",
    "long_starts_at_10s",
    "long_late_picture",
    "long_mpeg4",
    "long_h264",
    "long_vp9",
    "long_flv",
    "long_odd_size",
    "long_60fps",
    "long_fragmented",
)
# ffmpeg's own zero is a rounded one: half a tick of the coarsest clocks (Matroska, FLV), for every rate alike.
SAME_TIME_S = 0.001
SOUND_SLACK_S = 0.01
# SSIM of any two pictures at their time. Two encodes of these clips have 0.965 at the least.
LEAST_LIKENESS = 0.95


@pytest.mark.parametrize("name", [*MATRIX, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_film_of_chunks_is_that_of_one_piece(name, clips: Clips, tmp_path):
    """Every picture once, at its time, made of the same decoded picture; and the sound where it was."""
    film = Film(clips.path(name), tmp_path)
    assert 2 <= len(film.chunks) <= 4
    assert_same_film(film)


# Real footage is an extra where it is installed: nothing is skipped where it is not.
if FOOTAGE := [path for path in real_footage() if path.stem == "bikes"]:

    def test_real_footage_in_chunks_is_that_of_one_piece(tmp_path):
        film = Film(FOOTAGE[0], tmp_path)
        assert len(film.chunks) > 2
        assert_same_film(film)


def assert_same_film(film: Film) -> None:
    """Make the film both ways and hold them against one another."""
    pictures, in_chunks = film.source_pictures()
    assert in_chunks == pictures
    packets = film.facts.moving[0].packets
    assert len(pictures) == packets.count - packets.before_key - packets.hidden - packets.leading
    at_once, joined = film.folder / "at once.mp4", film.folder / "joined.mp4"
    film.make_in_one_piece(at_once)
    assert film.join(film.make_all(), joined).warning is None
    (shown, heard), (shown_at_once, heard_at_once) = times(joined), times(at_once)
    assert len(shown) == len(pictures)
    assert shown == pytest.approx(shown_at_once, abs=SAME_TIME_S)
    assert heard == pytest.approx(heard_at_once, abs=SOUND_SLACK_S)
    assert bool(heard) == bool(film.sound)
    assert min(likeness(joined, at_once)) > LEAST_LIKENESS


def test_every_chunk_has_a_key_frame_at_its_start_and_every_two_seconds(clips: Clips, tmp_path):
    film = Film(clips.path("long_closed_gop"), tmp_path, least_s=2.8)
    assert [chunk.start_s for chunk in film.chunks] == [0, 3]
    for chunk in film.chunks:
        asked = ["-show_entries", "packet=pts_time,flags", "-of", "csv=p=0", str(film.make_chunk(chunk))]
        lines = subprocess.run(["ffprobe", "-v", "error", *asked], capture_output=True, text=True, check=True).stdout
        keys = [float(line.split(",")[0]) for line in lines.splitlines() if "K" in line]
        assert keys == pytest.approx([0, 2], abs=0.05)


@pytest.mark.parametrize("name", ["long_without_keys", "mkv_240fps", "mkv_h264_aac"])
def test_source_that_cannot_be_cut_or_is_short_is_left_whole(name, clips: Clips, tmp_path):
    assert Film(clips.path(name), tmp_path, least_s=1.8 if name != "mkv_h264_aac" else 2.0).chunks == ()


def test_list_that_is_not_the_probes_is_no_plan(clips: Clips, tmp_path):
    film = Film(clips.path("long_closed_gop"), tmp_path)
    packets = replace(film.plan.video.packets, count=145)
    longer = replace(film.plan, video=replace(film.plan.video, packets=packets))
    with pytest.raises(Incomplete, match="has 144, not 145"):
        chunking.list_chunks(str(film.path), film.facts, longer, least_s=2.0)


# An ffmpeg that exits 0 and lies.


@pytest.fixture
def stand_in(tmp_path: Path):
    """Make Tools whose ffmpeg runs `tamper` (Python, on the list `arguments`) before the real one makes a piece."""

    def make(tamper: str) -> Tools:
        path = tmp_path / "stand-in-ffmpeg"
        path.write_text(
            f"#!{sys.executable} -S\nimport os, sys\narguments = sys.argv[1:]\n"
            f"if '-copyts' in arguments:\n    {tamper}\nos.execvp('ffmpeg', ['ffmpeg', *arguments])\n"
        )
        path.chmod(0o755)
        return Tools(ffmpeg=str(path))

    return make


FILTER = "place = arguments.index('-vf') + 1; arguments[place] += "
ENDS_EARLY = FILTER + "',select=lt(n\\\\,36)'"
LIES = {
    "drops pictures": (FILTER + "',select=not(between(n\\\\,20\\\\,22))'", "it has 45 pictures, not 48"),
    "ends early": (ENDS_EARLY, "its last picture is shown -0.500 s from"),
    "begins late": (FILTER + "',select=gte(n\\\\,1)'", r"its first picture is shown \+0.041 s from"),
    "is one picture late": (
        "arguments[arguments.index('-vf') + 1] = 'trim=start=2.01'",
        r"its last picture is shown \+0.041 s from",
    ),
    "has a hole": (FILTER + "',setpts=PTS+gte(N\\\\,20)*0.3/TB'", "it has a hole of 0.3"),
}


@pytest.mark.parametrize("lie", LIES)
def test_chunk_is_incomplete_when_ffmpeg_lied_and_exited_0(lie, clips: Clips, tmp_path, stand_in):
    tamper, shortfall = LIES[lie]
    film = Film(clips.path("long_closed_gop"), tmp_path, stand_in(tamper))
    film.make_chunk(film.chunks[1])
    with pytest.raises(Incomplete, match=shortfall) as caught:
        film.verify_chunk(film.chunks[1])
    assert not caught.value.permanent


@pytest.mark.parametrize("lie", ["drops pictures", "ends early", "begins late"])
def test_chunk_that_lacks_what_its_source_shows_is_never_taken(lie, clips: Clips, tmp_path, stand_in):
    film = Film(clips.path("long_closed_gop"), tmp_path, stand_in(LIES[lie][0]))
    film.make_chunk(film.chunks[1])
    with pytest.raises(FfmpegFailed, match="of the 48 pictures that the source shows"):
        film.verify_chunk(film.chunks[1], accept_short=True, source=str(film.path))


def test_chunk_of_a_damaged_source_is_taken_with_a_warning(clips: Clips, tmp_path, stand_in):
    film = Film(clips.path("long_closed_gop"), tmp_path, stand_in(ENDS_EARLY))
    film.make_chunk(film.chunks[1])
    damaged = tmp_path / "damaged.mp4"
    data = bytearray(film.path.read_bytes())
    begin = data.index(b"mdat")
    data[begin + len(data) // 3 : begin + len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    damaged.write_bytes(data)
    verified = film.verify_chunk(film.chunks[1], accept_short=True, source=str(damaged))
    assert verified.frames == 36
    assert "36 pictures, not 48" in (verified.warning or "")


def test_chunk_without_a_picture_is_none_even_of_a_damaged_source(clips: Clips, tmp_path, stand_in):
    film = Film(clips.path("long_closed_gop"), tmp_path, stand_in("arguments[-1:-1] = ['-frames:v', '0']"))
    film.make_chunk(film.chunks[1])
    with pytest.raises(Incomplete):
        film.verify_chunk(film.chunks[1])
    with pytest.raises(MediaError, match="Nothing of this part"):
        film.verify_chunk(film.chunks[1], accept_short=True)


def test_chunk_that_cannot_be_decoded_is_found(clips: Clips, tmp_path):
    film = Film(clips.path("long_closed_gop"), tmp_path)
    path = film.make_chunk(film.chunks[1])
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + 2000
    data[middle : middle + 5000] = bytes(5000)
    path.write_bytes(data)
    with pytest.raises(FfmpegFailed):
        film.verify_chunk(film.chunks[1])


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        ("arguments[-1:-1] = ['-profile:v', 'main']", OtherFingerprint),
        (FILTER + "',scale=80:46'", FfmpegFailed),
    ],
    ids=["another header", "another size"],
)
def test_chunk_of_another_kind_is_rejected(tamper, problem, clips: Clips, tmp_path, stand_in):
    honest = Film(clips.path("long_closed_gop"), tmp_path)
    honest.make_chunk(honest.chunks[0])
    fingerprint = honest.verify_chunk(honest.chunks[0]).fingerprint
    assert len(fingerprint.removeprefix("SHA256:")) == 64
    other = Film(clips.path("long_closed_gop"), tmp_path, stand_in(tamper))
    other.make_chunk(other.chunks[1])
    with pytest.raises(problem):
        other.verify_chunk(other.chunks[1], fingerprint=fingerprint)


SOUND_LIES = {
    "ends early": ("arguments[-1:-1] = ['-t', '3']", "sound 1 ends at 0:03.0, not at 0:06.0"),
    "is silent": ("arguments[-1:-1] = ['-af', 'volume=0']", "sound 1 is silent"),
    "is copied": (
        "place = arguments.index('-af'); arguments[place:place + 2] = ['-c:a', 'copy']",
        "sound 1 is ac3",
    ),
    "is missing": (
        "arguments[arguments.index('-map') + 1] = '0:0'; arguments.remove('-vn')",
        "it has 0 streams of sound, not 1",
    ),
}


@pytest.mark.parametrize("lie", SOUND_LIES)
def test_sound_is_incomplete_when_ffmpeg_lied_and_exited_0(lie, clips: Clips, tmp_path, stand_in):
    tamper, shortfall = SOUND_LIES[lie]
    film = Film(clips.path("long_open_gop"), tmp_path, stand_in(tamper))
    film.make_sound()
    with pytest.raises(Incomplete, match=shortfall):
        film.verify_sound()
    with pytest.raises(FfmpegFailed, match="its source, which is not damaged"):
        film.verify_sound(accept_short=True)


JOIN_LIES = {
    "loses the end": ("arguments[-1:-1] = ['-t', '3']", "not that of its chunks"),
    "changes the picture": ("arguments[-1:-1] = ['-bsf:v', 'noise=amount=1000']", "not that of its chunks"),
}


@pytest.fixture(scope="module")
def made(clips: Clips, tmp_path_factory) -> tuple[Film, list[Part]]:
    """A film whose pieces are all made."""
    film = Film(clips.path("long_closed_gop"), tmp_path_factory.mktemp("made"))
    return film, film.make_all()


@pytest.mark.parametrize("lie", JOIN_LIES)
def test_join_that_is_not_of_its_chunks_leaves_no_film(lie, made, tmp_path, stand_in):
    tamper, problem = JOIN_LIES[lie]
    film, parts = made
    target = tmp_path / "joined.mp4"
    with pytest.raises(FfmpegFailed, match=problem):
        replace(film, tools=stand_in(tamper)).join(parts, target)
    assert not target.exists()
    assert not list(tmp_path.glob("*.parts"))


def test_join_that_lacks_a_chunk_is_not_all_of_its_source(made, tmp_path):
    film, parts = made
    with pytest.raises(Incomplete, match="96 pictures, not 144"):
        film.join([parts[0], parts[2]], tmp_path / "joined.mp4")


# Which sources are read in pieces. The clips are small, so the bounds are, too.


def in_pieces(path: Path, facts: MediaFacts | None = None, **options) -> bool:
    facts = facts or probe.probe(str(path))
    assert facts is not None
    return seekability.reads_in_pieces(str(path), facts, **({"max_read_bytes": path.stat().st_size // 2} | options))


@pytest.mark.parametrize("name", ["tall_mp4", "tall_mp4_index_last", "tall_mkv", "tall_avi", "tall_ts"])
def test_source_with_an_index_is_read_in_pieces(name, clips: Clips):
    assert in_pieces(clips.path(name))


@pytest.mark.parametrize("name", ["tall_mkv_without_cues", "tall_flv", "tall_avi_without_index"])
def test_source_without_an_index_is_not_read_in_pieces(name, clips: Clips):
    assert not in_pieces(clips.path(name))


def test_source_that_takes_many_requests_is_not_read_in_pieces(clips: Clips):
    path = clips.path("tall_fragmented")
    assert not in_pieces(path, max_read_bytes=path.stat().st_size, max_requests=8)


def test_source_by_url_is_tried_through_the_same_bounds(clips: Clips):
    good, bad = clips.path("tall_mkv"), clips.path("tall_mkv_without_cues")
    with serving(good.parent) as web:
        for path, expected in ((good, True), (bad, False)):
            facts = probe.probe(str(path))
            assert facts is not None
            limit = path.stat().st_size // 2
            assert seekability.reads_in_pieces(web.url(path), facts, max_read_bytes=limit) is expected


def test_source_that_cannot_be_reached_is_not_read_in_pieces(clips: Clips):
    path = clips.path("tall_mkv")
    with serving(path.parent) as web:
        url = web.url(path)
    facts = probe.probe(str(path))
    assert facts is not None
    assert not seekability.reads_in_pieces(url, facts)


def test_chunk_is_made_from_a_url(clips: Clips, tmp_path):
    film = Film(clips.path("long_open_gop"), tmp_path)
    with serving(film.path.parent) as web:
        url = web.url(film.path)
        made = chunking.make_chunk(url, film.facts, film.plan, film.chunks[1], film.part(film.chunks[1]), threads=1)
    assert film.verify_chunk(film.chunks[1]).warning is None
    assert "secret" not in made.command


def test_encoder_build_names_encoder_and_ffmpeg():
    build = encoder_build("libx264")
    assert build.startswith("libx264 ffmpeg version ")
    assert "libavcodec" in build
    assert encoder_build("libx264") is build
