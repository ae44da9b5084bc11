"""Which encoder a node finds, with an ffmpeg that stands in for graphics devices; what the real one knows of them."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from nebula import command, config
from nebula.domain.encoders import AUTO, FAMILIES, HARDWARE, SOFTWARE
from nebula.errors import FfmpegFailed, Stopped
from nebula.media import encoder_trial
from nebula.media.encoder_trial import Found
from nebula.media.ffmpeg import arguments
from nebula.media.making import chunking
from nebula.media.reading import probe
from nebula.media.verifying import chunk_checks
from nebula.services.films.encoder import Encoders
from tests.chunked import Film, encoding
from tests.films import Clips
from tests.graphics import Graphics
from tests.stores import wait_until

COMPLAINT = "[h264 @ 0x0] Error during encoding: device failed (-17)"
DEVICE = "/dev/dri/renderD128"


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


@pytest.fixture
def graphics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graphics:
    made = Graphics(tmp_path / "graphics")
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


def _find(wanted: str = "auto", **options) -> Found:
    return encoder_trial.find(wanted, paths=[DEVICE], **options)


# What the installed ffmpeg knows.


@pytest.mark.parametrize("encoder", HARDWARE)
def test_every_option_is_one_that_this_ffmpeg_has(encoder: str, clips: Clips) -> None:
    facts = probe.probe(str(clips["cut.mkv"]))
    assert facts is not None
    argv = arguments.film("in", encoding(facts), Path("out"), encoder=encoder)
    begin = argv.index("-c:v") + 2
    given = dict(zip(argv[begin : argv.index("-force_key_frames") : 2], argv[begin + 1 :: 2], strict=False))
    own = _help(f"encoder={encoder}")
    common = _help("full").split("\nAVCodecContext AVOptions:")[1].split("AVOptions:")[0]
    for option, value in given.items():
        name = option.partition(":")[0]
        assert re.search(rf"^ +-?{name} +<", own + common, re.MULTILINE), option
        if option in {"-preset", "-rc_mode", "-sei", "-profile:v"}:
            assert re.search(rf"^ +{value} ", own, re.MULTILINE), (option, value)


def _help(topic: str) -> str:
    return subprocess.run(["ffmpeg", "-v", "quiet", "-h", topic], capture_output=True, text=True, check=True).stdout


def test_encoder_that_is_listed_without_a_device_does_not_work() -> None:
    found = encoder_trial.find("auto", paths=["/dev/dri/no such device"])
    assert (found.encoder, found.device) == (SOFTWARE, "")
    assert [reason.split(" does not work on ")[0] for reason in found.reasons] == list(HARDWARE)


# The trial.


def test_best_encoder_that_works_is_found(graphics: Graphics) -> None:
    assert _find() == Found("h264_qsv", DEVICE)
    assert {encoder for encoder, _ in graphics.calls} == {"h264_qsv"}
    assert len(graphics.calls) == 2, "two chunks, whose headers must be the same"


def test_next_encoder_is_taken_when_the_best_one_fails(graphics: Graphics) -> None:
    graphics.fail("exit", encoder="h264_qsv")
    found = _find()
    assert (found.encoder, found.device) == ("h264_vaapi", DEVICE)
    assert found.reasons == (f"h264_qsv does not work on {DEVICE}: {COMPLAINT}",)


@pytest.mark.parametrize(
    ("mode", "why"), [("green", "not the source's"), ("broken", "[h264 @"), ("short", "not all of its source")]
)
def test_encoder_that_makes_garbage_does_not_work(graphics: Graphics, mode: str, why: str) -> None:
    graphics.fail(mode)
    found = _find("h264_qsv")
    assert found.encoder == SOFTWARE
    assert why in found.reasons[0]


def test_driver_that_hangs_does_not_work_and_is_not_waited_for(graphics: Graphics) -> None:
    graphics.fail("hang", encoder="h264_qsv")
    found = _find("h264_qsv", trial_s=6.0)
    assert found.encoder == SOFTWARE
    assert "did not end within" in found.reasons[0]


def test_trial_ends_when_the_worker_is_told_to(graphics: Graphics) -> None:
    graphics.fail("hang")
    stop = threading.Event()
    threading.Thread(target=lambda: (wait_until(lambda: graphics.calls, 60, "the trial"), stop.set())).start()
    with pytest.raises(Stopped):
        _find(stop=stop)


def test_only_the_wanted_encoder_is_tried(graphics: Graphics) -> None:
    assert _find("h264_vaapi").encoder == "h264_vaapi"
    assert _find(SOFTWARE) == Found(SOFTWARE)
    assert {encoder for encoder, _ in graphics.calls} == {"h264_vaapi"}


# What is remembered.


class Trials:
    """Stands for the trial: counts, and finds what it is told to."""

    def __init__(self) -> None:
        self.count = 0
        self.found = Found("h264_qsv", DEVICE)

    def find(self, *_: object, **__: object) -> Found:
        self.count += 1
        return self.found


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    made = Trials()
    monkeypatch.setattr(encoder_trial, "find", made.find)
    return made


def _encoders(tmp_path: Path, **options) -> Encoders:
    """Start a worker's."""
    encoders = Encoders(tmp_path / "data" / "encoder.json", devices=lambda: [DEVICE], **options)
    assert encoders.find()
    assert not encoders.find()
    return encoders


def test_trial_is_remembered_until_the_machine_is_another(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        encoders = _encoders(tmp_path)
        assert (encoders.encoder, encoders.tools.render_node, trials.count) == ("h264_qsv", DEVICE, 1)
    machine = encoder_trial.machine("ffmpeg")
    for count, name in enumerate(("kernel", "drivers", "ffmpeg"), start=2):
        monkeypatch.setattr(encoder_trial, "machine", lambda _, name=name: machine | {name: "newer"})
        _encoders(tmp_path)
        assert trials.count == count, name
    _encoders(tmp_path, wanted="h264_vaapi")
    assert trials.count == 5


def test_trial_that_hardware_did_not_pass_is_remembered_for_a_day(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials.found = Found(SOFTWARE, "", ("it was a bad moment",))
    for _ in range(2):
        assert (_encoders(tmp_path).encoder, trials.count) == (SOFTWARE, 1)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 90_000)
    trials.found = Found("h264_qsv", DEVICE)
    assert (_encoders(tmp_path).encoder, trials.count) == ("h264_qsv", 2)


def test_hardware_that_failed_is_trusted_when_another_trial_passes(trials: Trials, tmp_path: Path) -> None:
    running = _encoders(tmp_path, again_s=1e9)
    running.distrust("device failed")
    assert (running.encoder, running.find(), running.encoder) == (SOFTWARE, False, SOFTWARE)
    assert (_encoders(tmp_path).encoder, trials.count) == ("h264_qsv", 2), "a restart is another trial"
    later = _encoders(tmp_path, again_s=0.0)
    later.distrust("device failed")
    assert (later.encoder, later.find(), later.encoder, trials.count) == (SOFTWARE, True, "h264_qsv", 3)


def test_file_that_makes_no_sense_is_as_none(trials: Trials, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for count, text in enumerate(("", "[]", '{"found": null}'), start=1):
        (tmp_path / "data" / "encoder.json").write_text(text)
        assert (_encoders(tmp_path).encoder, trials.count) == ("h264_qsv", count)


def test_nothing_is_tried_or_kept_where_there_is_no_device(tmp_path: Path) -> None:
    encoders = Encoders(tmp_path / "encoder.json", devices=list)
    assert encoders.find()
    assert encoders.encoder == SOFTWARE
    assert list(tmp_path.iterdir()) == []


def test_command_tries_anew_and_says_what_works_and_why_not(
    graphics: Graphics, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEBULA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NEBULA_ENCODER", "h264_vaapi")
    assert command.main(["encoder"]) == 0
    assert capsys.readouterr() == ("h264_vaapi\n", "")
    graphics.fail("exit")
    assert command.main(["encoder"]) == 0
    assert capsys.readouterr() == ("libx264\n", f"h264_vaapi does not work on {DEVICE}: {COMPLAINT}\n")


def test_command_fails_where_no_encoder_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("NEBULA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NEBULA_ENCODER", SOFTWARE)
    assert command.main(["encoder"]) == 1
    said = "nebula-server: No encoder works here, not even libx264: Unknown encoder libx264\n"
    assert capsys.readouterr() == ("", said)


# Chunks.


@pytest.mark.parametrize("encoder", HARDWARE)
def test_film_joins_from_chunks_of_hardware(graphics: Graphics, clips: Clips, tmp_path: Path, encoder: str) -> None:
    film = Film(clips["cut.mkv"], tmp_path)
    parts, prints = [], set()
    for part in film.chunks:
        chunking.make_chunk(str(film.path), film.facts, film.plan, part, film.part(part), encoder=encoder)
        made = chunk_checks.verify_chunk(
            film.plan, part, film.part(part), encoder=encoder, source=str(film.path), fingerprint=None
        )
        prints.add(made.fingerprint)
        parts.append(chunking.Part(film.part(part), made.start_s))
        assert (made.start_s, made.frames) == (part.start_s, part.frames)
    assert len(prints) == 1
    film.make_sound()
    assert film.join(parts, tmp_path / "film.mp4").warning is None


@pytest.mark.parametrize(
    ("mode", "why"),
    [("green", "not the source's"), ("broken", "ended with status"), ("short", "pictures"), ("keyless", "key frame")],
)
def test_garbage_is_found_by_the_verification(
    graphics: Graphics, clips: Clips, tmp_path: Path, mode: str, why: str
) -> None:
    graphics.fail(mode)
    least_s = 12.0 if mode == "keyless" else 1.8
    film = Film(clips["long-keys.mkv"] if mode == "keyless" else clips["cut.mkv"], tmp_path, least_s=least_s)
    part = film.chunks[0]
    chunking.make_chunk(str(film.path), film.facts, film.plan, part, film.part(part), encoder="h264_qsv")
    with pytest.raises(FfmpegFailed, match=why):
        chunk_checks.verify_chunk(film.plan, part, film.part(part), encoder="h264_qsv", source=str(film.path))


def test_settings_offer_the_families_that_there_are() -> None:
    assert (AUTO, *FAMILIES) == config.ENCODERS
