"""From a source of any kind to a verified film, or to a plain reason; with the real ffmpeg."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nebula.domain import plan
from nebula.domain.media import MediaFacts
from nebula.domain.states import FileState, PlanAction
from nebula.errors import FfmpegFailed, Incomplete, MediaError, NoRoom, Stopped
from nebula.media.ffmpeg.control import Control
from nebula.media.ffmpeg.progress import Progress
from nebula.media.ffmpeg.tools import Tools
from nebula.media.making import film
from nebula.media.reading import probe
from nebula.media.verifying import film_checks
from nebula.media.verifying.film_checks import VerifiedFilm
from tests.clips import Clips, real_footage
from tests.web import serving

NOTHING, REMUX, COPY, ENCODE = PlanAction.NOTHING, PlanAction.REMUX, PlanAction.COPY_VIDEO, PlanAction.ENCODE
TOOLS = Tools()


@dataclass
class Work:
    """One source on its way to a film."""

    source: str
    facts: MediaFacts
    plan: plan.Plan
    target: Path
    tools: Tools = TOOLS

    def make(self, **reins) -> film.Made:
        return film.make(self.source, self.facts, self.plan, self.target, control=Control(self.tools, **reins))

    def verify(self, **options) -> VerifiedFilm:
        return film_checks.verify(
            self.source, self.facts, self.plan, self.target, control=Control(self.tools), **options
        )


def planned(source: Path | str, target: Path, tools: Tools = TOOLS) -> Work:
    facts = probe.probe(str(source), control=Control(tools))
    assert facts is not None
    return Work(str(source), facts, plan.decide(facts, name=str(source), media_type=""), target, tools)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "film.mp4"


FILMS = {
    "mp4_index_last": REMUX,
    "mp4_fragmented": REMUX,
    "mp4_edit_list": REMUX,
    "mov_h264_aac": REMUX,
    "mkv_h264_aac": REMUX,
    "ts_h264_aac": REMUX,
    "ts_begins_in_the_middle": REMUX,
    "flv_h264_aac": REMUX,
    "mkv_starts_at_10s": REMUX,
    "mkv_open_gop": REMUX,
    "mkv_late_sound": REMUX,
    "mkv_vfr": REMUX,
    "mkv_h264_ac3": COPY,
    "mkv_h264_opus": COPY,
    "mkv_surround": COPY,
    "mkv_no_sound_in_it": COPY,
    "mkv_two_languages_and_subtitles": COPY,
    "webm_vp9_opus": ENCODE,
    "webm_vp8": ENCODE,
    "avi_mpeg4_mp3": ENCODE,
    "mkv_hevc_10bit": ENCODE,
    "mkv_hevc_open_gop": ENCODE,
    "mkv_hi10p": ENCODE,
    "mkv_hdr10": ENCODE,
    "mkv_bt2020_untagged": ENCODE,
    "ts_mpeg2_interlaced": ENCODE,
    "ts_mpeg2_begins_in_the_middle": ENCODE,
    "mkv_h264_interlaced": ENCODE,
    "mkv_long_gop": ENCODE,
    "mkv_odd_size": ENCODE,
    "mkv_wide_pixels": ENCODE,
    "mov_prores": ENCODE,
    "mkv_240fps": ENCODE,
    "mp4_rotated": ENCODE,
}


@pytest.mark.parametrize("name", FILMS)
def test_source_becomes_a_verified_film(name, clips: Clips, target):
    work = planned(clips.path(name), target)
    assert (work.plan.action, work.plan.state) == (FILMS[name], FileState.PROCESSING)
    work.make()
    verified = work.verify()
    assert verified.warning is None
    assert (verified.width, verified.height) == (work.plan.width, work.plan.height)
    assert verified.video_codec == "h264"
    assert verified.audio_codec == ("aac" if work.plan.audio else None)
    assert verified.size_bytes == target.stat().st_size
    assert verified.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["web_ready", "web_ready_silent_film", "web_ready_60fps"])
def test_web_ready_source_is_ready_as_it_is(name, clips: Clips, target):
    work = planned(clips.path(name), target)
    assert (work.plan.action, work.plan.state) == (NOTHING, FileState.READY)


@pytest.mark.parametrize(
    "name", ["sound_mp3", "sound_flac", "mp3_with_cover", "photo_jpeg", "photo_png", "animated_gif", "noise"]
)
def test_source_without_a_moving_picture_is_stored(name, clips: Clips):
    path = clips.path(name)
    made = plan.decide(probe.probe(str(path)), name=path.name, media_type="")
    assert (made.action, made.state) == (NOTHING, FileState.STORED)


@pytest.mark.parametrize("name", ["empty", "text_called_mkv"])
def test_what_is_no_media_is_none(name, clips: Clips):
    assert probe.probe(str(clips.path(name))) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [("mp4_index_cut_off", "index is missing"), ("absurd_size", "16000x16000 is too large")],
)
def test_source_that_cannot_be_a_film_is_refused_with_its_reason(name, reason, clips: Clips):
    with pytest.raises(MediaError, match=reason):
        probe.probe(str(clips.path(name)))


# Real footage is an extra where it is installed: nothing is skipped where it is not.
if FOOTAGE := real_footage():

    @pytest.mark.parametrize("path", FOOTAGE, ids=lambda path: path.stem)
    def test_real_footage_becomes_a_verified_film(path, target):
        work = planned(path, target)
        assert work.plan.makes_film
        work.make()
        assert work.verify().warning is None


def test_facts_of_a_real_film_survive_json(clips: Clips):
    facts = probe.probe(str(clips.path("mkv_two_languages_and_subtitles")))
    assert facts is not None
    assert MediaFacts.from_json(facts.to_json()) == facts
    assert [stream.language for stream in facts.audio] == ["eng", "ger"]
    assert [(stream.codec, stream.language) for stream in facts.subtitles] == [("subrip", "")]


def test_every_language_is_in_the_film_and_the_default_one_is_first(clips: Clips, target):
    work = planned(clips.path("mkv_two_languages_and_subtitles"), target)
    work.make()
    streams = shown_streams(target, "stream=codec_name,channels:stream_tags=language:stream_disposition=default")
    sound = [(one["tags"]["language"], one["channels"], one["disposition"]["default"]) for one in streams[1:]]
    assert sound == [("ger", 2, 1), ("eng", 2, 0)]


def test_bright_picture_of_hdr_is_tagged_for_ordinary_screens(clips: Clips, target):
    planned(clips.path("mkv_hdr10"), target).make()
    tags = shown_streams(target, "stream=color_transfer,color_primaries,color_space,pix_fmt")[0]
    assert set(tags.values()) == {"bt709", "yuv420p"}


def test_late_sound_stays_late(clips: Clips, target):
    work = planned(clips.path("mkv_late_sound"), target)
    work.make()
    made = probe.probe(str(target))
    assert made is not None
    assert made.audio[0].packets.starts_s == pytest.approx(0.7, abs=0.05)


def test_frames_of_a_variable_rate_keep_their_times(clips: Clips, target):
    work = planned(clips.path("mkv_vfr"), target)
    work = replace(work, plan=encoding(work))
    work.make()
    work.verify()
    made = probe.probe(str(target))
    assert made is not None
    assert made.moving[0].packets.count == work.facts.moving[0].packets.count
    assert made.moving[0].packets.longest_gap_s == pytest.approx(work.facts.moving[0].packets.longest_gap_s, abs=0.01)


def encoding(work: Work) -> plan.Plan:
    """The plan that encodes a source whose picture would be copied."""
    wrong = replace(work.facts.video[0], profile="High 10")
    made = plan.decide(replace(work.facts, video=(wrong,)), name="", media_type="")
    return replace(made, video=work.facts.video[0])


def shown_streams(path: Path, entries: str) -> list[dict]:
    argv = ["ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", str(path)]
    return json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["streams"]


# What breaks off.


@pytest.mark.parametrize("name", ["mkv_truncated", "avi_truncated", "mp4_truncated"])
def test_damaged_source_is_filmed_as_far_as_it_goes_with_a_warning(name, clips: Clips, target):
    work = planned(clips.path(name), target)
    work.make()
    with pytest.raises(Incomplete, match="breaks off after"):
        work.verify()
    verified = work.verify(accept_short=True)
    assert verified.warning is not None
    assert "The source is damaged: it breaks off after" in verified.warning
    assert verified.duration_s > 0.5


def test_film_without_a_picture_is_no_film_even_of_a_damaged_source(clips: Clips, target, stand_in):
    work = planned(
        clips.path("mkv_h264_aac"), target, stand_in("arguments[-1:-1] = ['-frames:v', '0', '-frames:a', '0']")
    )
    work.make()
    with pytest.raises(Incomplete):
        work.verify()
    with pytest.raises(MediaError, match="Nothing of this film"):
        work.verify(accept_short=True)


# An ffmpeg that exits 0 and lies.


@pytest.fixture
def stand_in(tmp_path: Path):
    """Make Tools whose ffmpeg runs `tamper` (Python, on the list `arguments`) before the real one makes a film."""

    def make(tamper: str, **bounds) -> Tools:
        path = tmp_path / "stand-in-ffmpeg"
        path.write_text(
            f"#!{sys.executable} -S\nimport os, sys, time\narguments = sys.argv[1:]\n"
            f"if '+faststart' in arguments:\n    {tamper}\nos.execvp('ffmpeg', ['ffmpeg', *arguments])\n"
        )
        path.chmod(0o755)
        return Tools(ffmpeg=str(path), **bounds)

    return make


ENDS_EARLY = "arguments[-1:-1] = ['-t', '1.5']"
DROPS_HALF = "arguments[-1:-1] = ['-vf', 'select=not(mod(n\\\\,2))']"
DROPS_SOME = "arguments[-1:-1] = ['-bsf:v', 'noise=drop=between(n\\\\,30\\\\,40)']"
DROPS_SOUND = "arguments[-1:-1] = ['-bsf:a', 'noise=drop=between(n\\\\,30\\\\,60)']"
SILENCES = "arguments[-1:-1] = ['-af', 'volume=0']"
NO_SOUND = "arguments[-1:-1] = ['-an']"
LATE_SOUND = "place = arguments.index('-i'); arguments[-1:-1] = ['-af', 'adelay=1000:all=1']"
LIES = {
    "remux ends early": ("mkv_h264_aac", ENDS_EARLY, "pictures"),
    "remux loses pictures in the middle": ("mkv_h264_aac", DROPS_SOME, "61 pictures, not 72"),
    "remux loses sound in the middle": ("mkv_h264_aac", DROPS_SOUND, "sound 1"),
    "remux loses a stream": ("mkv_h264_aac", NO_SOUND, "0 streams of sound, not 1"),
    "copy ends early": ("mkv_h264_ac3", ENDS_EARLY, "pictures"),
    "copy is silent": ("mkv_h264_ac3", SILENCES, "sound 1 is silent"),
    "copy has late sound": ("mkv_h264_ac3", LATE_SOUND, "sound 1 ends at 0:04.0, not at 0:03.0"),
    "encode ends early": ("webm_vp9_opus", ENDS_EARLY, "pictures"),
    "encode drops half": ("webm_vp9_opus", DROPS_HALF, "36 pictures, not 72"),
    "encode is silent": ("webm_vp9_opus", SILENCES, "sound 1 is silent"),
}


@pytest.mark.parametrize("lie", LIES)
def test_film_is_incomplete_when_ffmpeg_lost_some_and_exits_0(lie, clips: Clips, target, stand_in):
    name, tamper, shortfall = LIES[lie]
    work = planned(clips.path(name), target, stand_in(tamper))
    work.make()
    with pytest.raises(Incomplete, match=shortfall) as caught:
        work.verify()
    assert not caught.value.permanent
    with pytest.raises(FfmpegFailed, match="its source, which is not damaged"):
        work.verify(accept_short=True)


def test_film_is_refused_when_it_is_not_web_ready(clips: Clips, target, stand_in):
    tools = stand_in("arguments = [word for word in arguments if word not in ('-movflags', '+faststart')]")
    work = planned(clips.path("mkv_h264_aac"), target, tools)
    work.make()
    with pytest.raises(FfmpegFailed, match="not web-ready: the MP4's index comes after its media"):
        work.verify()


def test_damaged_film_is_found_by_decoding_it(clips: Clips, target):
    work = planned(clips.path("webm_vp9_opus"), target)
    work.make()
    data = bytearray(target.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 3
    data[middle : middle + 20_000] = bytes(20_000)
    target.write_bytes(data)
    with pytest.raises(FfmpegFailed):
        work.verify()


# Runs that end badly.


def test_progress_comes_while_the_film_is_made(clips: Clips, target):
    seen: list[Progress] = []
    planned(clips.path("mkv_long_gop"), target).make(on_progress=seen.append)
    assert seen
    assert seen[-1].fraction == pytest.approx(1.0, abs=0.05)


def test_command_and_log_are_kept(clips: Clips, target):
    made = planned(clips.path("mkv_h264_aac"), target).make()
    assert made.command.startswith("ffmpeg ")
    assert made.command.endswith(f"file:{target}")


def test_stop_ends_ffmpeg_and_leaves_no_film(clips: Clips, target, stand_in):
    stop = threading.Event()
    # Endless, at the speed of a screen.
    endless = "place = arguments.index('-i'); arguments[place:place] = ['-re', '-stream_loop', '-1']"
    work = planned(clips.path("mkv_h264_aac"), target, stand_in(endless))
    with pytest.raises(Stopped):
        work.make(on_progress=lambda progress: stop.set(), stop=stop)
    assert not target.exists()
    assert not running(str(target))


def test_run_that_makes_no_progress_is_ended(clips: Clips, target, stand_in):
    work = planned(clips.path("mkv_h264_aac"), target, stand_in("time.sleep(600)", stall_s=0.5))
    with pytest.raises(FfmpegFailed, match="no progress"):
        work.make()
    assert not running(str(target))


SENTENCES = (
    "av_interleaved_write_frame(): No space left on device",
    "HTTP error 503 Service Unavailable",
    "Connection refused",
    "ffmpeg was killed by signal 9",
    "ffmpeg made no progress for 120 s.",
    "moov atom not found",
    "Cannot allocate memory",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_words_of_ffmpeg_decide_nothing(sentence, clips: Clips, target, stand_in):
    words = f"sys.stderr.write({sentence!r} + '\\n'); sys.exit(1)"
    with pytest.raises(FfmpegFailed) as caught:
        planned(clips.path("mkv_h264_aac"), target, stand_in(words)).make()
    assert type(caught.value) is FfmpegFailed
    assert caught.value.details["status"] == 1
    assert sentence in caught.value.message


@pytest.mark.parametrize("world", ["file", "url"])
@pytest.mark.parametrize("sentence", SENTENCES)
def test_words_of_ffprobe_decide_nothing(sentence, world, clips: Clips, tmp_path):
    program = tmp_path / "ffprobe"
    program.write_text(f'#!/bin/sh\necho "{sentence}" >&2\nexit 1\n')
    program.chmod(0o755)
    path = clips.path("mkv_h264_aac")
    with serving(path.parent) as web:
        source = web.url(path) if world == "url" else str(path)
        assert probe.probe(source, control=Control(Tools(ffprobe=str(program)))) is None


def test_doctype_of_a_file_is_not_taken_for_a_full_disk(clips: Clips, target, tmp_path):
    """ffmpeg warns of a DocType that it does not know, word for word."""
    path = tmp_path / "film.mkv"
    path.write_bytes(with_doctype(clips.path("mkv_hi10p").read_bytes(), b"No space left on device"))
    work = replace(planned(path, target), tools=Tools(film_memory_bytes=48 << 20))
    with pytest.raises(FfmpegFailed) as caught:
        work.make()
    assert "No space left on device" in str(caught.value.details["log"])


def with_doctype(film: bytes, doctype: bytes) -> bytes:
    """Return a Matroska file with another DocType in its EBML header."""
    size = film[4] & 0x7F if film[4] & 0x80 else int.from_bytes(film[5:12], "big")
    begins = 5 if film[4] & 0x80 else 12
    header = film[begins : begins + size].replace(
        b"\x42\x82\x88matroska", b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype
    )
    return film[:4] + bytes([0x80 | len(header)]) + header + film[begins + size :]


def test_disk_that_is_full_is_named_by_who_asked_it(clips: Clips, target, stand_in):
    """It is asked before the unfinished film is removed, which makes room."""
    seen: list[bool] = []

    def check_room() -> None:
        seen.append(target.exists())
        raise NoRoom("The disk is full.")

    fails = "open(arguments[-1].removeprefix('file:'), 'w').close(); sys.exit(1)"
    with pytest.raises(NoRoom):
        planned(clips.path("mkv_h264_aac"), target, stand_in(fails)).make(check_room=check_room)
    assert (seen, target.exists()) == ([True], False)


def test_sound_that_was_lost_is_noticed_whatever_its_title_says(clips: Clips, target, stand_in, tmp_path):
    """The title looks as a measurement of silence does, which need not be kept."""
    path = tmp_path / "titled.mkv"
    argv = ["ffmpeg", "-v", "error", "-i", str(clips.path("mkv_h264_ac3")), "-c", "copy"]
    subprocess.run([*argv, "-metadata:s:a:0", "title=max_volume: -91.0 dB", str(path)], check=True)
    work = planned(path, target, stand_in(SILENCES))
    work.make()
    with pytest.raises(Incomplete, match="sound 1 is silent"):
        work.verify()


def test_ffmpeg_gets_nothing_of_the_workers_environment(clips: Clips, target, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("S3_SECRET_KEY", "a-secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nebula:a-secret@127.0.0.1/nebula")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/nebula-worker.service")
    monkeypatch.setenv("LIBVA_DRIVER_NAME", "iHD with a blank")
    kept = tmp_path / "environment"
    tools = stand_in(f"import os; open({str(kept)!r}, 'w').write(repr(dict(os.environ)))")
    planned(clips.path("mkv_h264_aac"), target, tools).make()
    assert "a-secret" not in kept.read_text()
    assert "'LIBVA_DRIVER_NAME': 'iHD with a blank'" in kept.read_text()
    names = set(eval(kept.read_text()))
    assert names <= {"PATH", "LC_ALL", "LIBVA_DRIVER_NAME", "LIBVA_DRIVERS_PATH", "LD_LIBRARY_PATH", "LC_CTYPE", "PWD"}


def test_failure_keeps_only_the_tail_of_the_log(clips: Clips, target, stand_in):
    noisy = "sys.stderr.write('x' * 1_000_000 + '\\nthe last words\\n'); sys.exit(3)"
    with pytest.raises(FfmpegFailed, match="status 3: the last words") as caught:
        planned(clips.path("mkv_h264_aac"), target, stand_in(noisy)).make()
    assert len(str(caught.value.details["log"])) <= 8192


def test_program_that_is_missing_is_said(clips: Clips, target):
    work = replace(planned(clips.path("mkv_h264_aac"), target), tools=Tools(ffmpeg="/nowhere/ffmpeg"))
    with pytest.raises(FfmpegFailed, match="/nowhere/ffmpeg"):
        work.make()


def running(word: str) -> list[str]:
    """The programs whose command line holds a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if word in line:
                found.append(line)
    return found


# Reading by URL.


def test_film_is_made_from_a_url(clips: Clips, target):
    path = clips.path("mkv_h264_ac3")
    with serving(path.parent) as web:
        work = planned(web.url(path), target)
        made = work.make()
        assert work.verify().warning is None
    assert "secret" not in made.command
    assert web.base_url in made.command


def test_read_that_is_cut_while_probing_is_seen_later(clips: Clips, target):
    path = clips.path("mkv_h264_aac")
    work = planned(path, target)
    short = replace(work.facts, reaches_s=1.5)
    work.make()
    with pytest.raises(Incomplete, match=r"breaks off after 0:01\.5 of 0:03\.0"):
        film_checks.verify(work.source, short, work.plan, target)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_store_that_refuses_is_no_verdict_on_the_source(status, clips: Clips):
    path = clips.path("mkv_h264_aac")
    with serving(path.parent) as web:
        web.status = status
        with pytest.raises(FfmpegFailed, match=f"HTTP {status}") as caught:
            probe.probe(web.url(path))
    assert "secret" not in caught.value.message


def test_store_that_is_gone_is_no_verdict_on_the_source(clips: Clips, target):
    path = clips.path("mkv_h264_aac")
    with serving(path.parent) as web:
        work = planned(web.url(path), target)
    with pytest.raises(FfmpegFailed):
        probe.probe(work.source)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_server_that_points_elsewhere_is_not_followed(status, clips: Clips):
    path = clips.path("mkv_h264_aac")
    with serving(path.parent) as elsewhere, serving(path.parent) as web:
        web.status, web.location = status, elsewhere.url(path)
        with pytest.raises(FfmpegFailed, match=f"HTTP {status}"):
            probe.probe(web.url(path))
    assert elsewhere.asked == []


# Hostile input.


def hostile(victim: Path, url: str) -> dict[str, str]:
    """Scripts and playlists that name a file of this machine, or an address on the network."""
    return {
        "playlist of a file": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{victim}\n#EXT-X-ENDLIST\n",
        "playlist of a path": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{victim}\n#EXT-X-ENDLIST\n",
        "playlist of a URL": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{url}\n#EXT-X-ENDLIST\n",
        "playlist of playlists": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n",
        "concat script": f"ffconcat version 1.0\nfile '{victim}'\n",
        "concat of a URL": f"ffconcat version 1.0\nfile '{url}'\n",
        "DASH": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="x" type="static" '
        f'mediaPresentationDuration="PT3S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
        f'bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "subtitles": f"1\n00:00:00,000 --> 00:00:01,000\n<img src='{url}'>\n",
        "cue sheet": f'FILE "{url}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
        "ASX": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "RealMedia link": f".RMP\n{url}\n",
        "ffmetadata": f";FFMETADATA1\ntitle={url}\n",
        "SVG": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>',
    }


@pytest.mark.parametrize("kind", hostile(Path("/x"), ""))
def test_text_that_names_other_sources_opens_none_of_them(kind, clips: Clips, tmp_path):
    victim = clips.path("web_ready")
    with serving(victim.parent) as web:
        for folder, name in (("files", "film.mkv"), ("served", "film.mp4")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / name).write_text(hostile(victim, web.url(victim))[kind])
        assert probe.probe(str(tmp_path / "files" / "film.mkv")) is None
        with serving(tmp_path / "served") as store:
            assert probe.probe(store.url(Path("film.mp4"))) is None
    assert web.asked == []


def test_memory_is_bounded(clips: Clips, target):
    small = Tools(film_memory_bytes=48 << 20)
    work = replace(planned(clips.path("mkv_hi10p"), target), tools=small)
    with pytest.raises(FfmpegFailed):
        work.make()
