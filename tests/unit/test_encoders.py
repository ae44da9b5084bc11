"""What is asked of hardware encoders, and which films they may make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nebula.domain import plan
from nebula.domain.encoders import FAMILIES, HARDWARE, SOFTWARE, suited
from nebula.domain.media import MediaFacts
from nebula.media.ffmpeg import arguments, encoders
from nebula.media.making import chunking
from tests.unit.test_ffmpeg_arguments import PART, after, command, part_command
from tests.unit.test_plan import with_video

DEVICE = "/dev/dri/renderD129"


@pytest.fixture(params=HARDWARE)
def encoder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


KEYS_BY_THE_CLOCK = "expr:isnan(prev_forced_t)+gt(floor(t/2),floor(prev_forced_t/2))"


def _steady(**changes) -> MediaFacts:
    """A film of 25 pictures a second, which its container tells."""
    facts = with_video(codec="hevc")
    (video,) = facts.video
    packets = replace(video.packets, count=250, starts_s=0.0, last_s=9.96, ends_s=10.0)
    video = replace(video, **({"frame_rate": 25.0, "real_frame_rate": 25.0, "packets": packets} | changes))
    return replace(facts, video=(video,), duration_s=10.0, reaches_s=10.0)


def test_every_family_has_arguments() -> None:
    assert set(encoders.FAMILIES) == set(FAMILIES)
    assert [name for name, one in encoders.FAMILIES.items() if one.is_hardware] == list(HARDWARE)


def test_device_is_opened_before_the_input(encoder: str) -> None:
    for argv in (
        command(_steady(), encoder=encoder, device=DEVICE),
        part_command(_steady(), encoder=encoder, device=DEVICE),
    ):
        assert after(argv, "-init_hw_device") == f"vaapi=va:{DEVICE}"
        assert argv.index("-init_hw_device") < argv.index("-i")
    devices = [argv[place + 1] for place, word in enumerate(argv) if word == "-init_hw_device"]
    assert devices[1:] == (["qsv=qs@va"] if encoder == "h264_qsv" else [])


def test_software_opens_no_device() -> None:
    assert "-init_hw_device" not in part_command(_steady(), device=DEVICE)


def test_picture_is_prepared_as_for_software_and_uploaded_last(encoder: str) -> None:
    odd = _steady(field_order="tt", transfer="smpte2084", bit_depth=10)
    software = after(command(odd), "-vf").removesuffix(",format=yuv420p")
    end = "format=nv12" if encoder == "h264_qsv" else "format=nv12,hwupload"
    assert after(command(odd, encoder=encoder), "-vf") == f"{software},{end}"
    assert {"bwdif", "tonemap", "setsar"} <= {one.partition("=")[0] for one in software.split(",")}


def test_bits_profile_and_level_are_those_of_software(encoder: str) -> None:
    software, argv = command(_steady()), command(_steady(), encoder=encoder)
    for option in ("-maxrate", "-bufsize", "-profile:v"):
        assert after(argv, option) == after(software, option)
    assert after(argv, "-level:v") == after(software, "-level:v").replace(".", "") == "31"
    assert (after(argv, "-maxrate"), after(argv, "-b:v")) == ("5000k", "3750k"), "a mean below the most is VBR"


def test_low_power_is_not_used_and_there_are_no_b_frames(encoder: str) -> None:
    argv = command(_steady(), encoder=encoder)
    assert (after(argv, "-low_power"), after(argv, "-bf")) == ("0", "0")


def test_key_frames_come_every_two_seconds_and_begin_a_closed_group(encoder: str) -> None:
    argv = command(_steady(), encoder=encoder)
    assert after(argv, "-force_key_frames") == KEYS_BY_THE_CLOCK
    assert (after(argv, "-g"), after(argv, "-flags:v")) == ("51", "+cgop")


def test_chunk_keeps_the_rate_that_hardware_reckons_with_and_gets_its_zero_last(encoder: str) -> None:
    argv = part_command(_steady(), encoder=encoder)
    assert "setpts" not in after(argv, "-vf")
    assert after(argv, "-vf").startswith("settb=AVTB,trim=start=11.380000:end=21.380000,scale=")
    assert after(argv, "-force_key_frames") == KEYS_BY_THE_CLOCK
    assert after(argv, "-output_ts_offset") == "-11.400000"
    first = part_command(_steady(), replace(PART, clock_s=0.0, from_s=None, seek_s=None), encoder=encoder)
    assert "setpts" not in after(first, "-vf")
    assert "-output_ts_offset" not in first


def test_options_of_both_debians_alone_are_used(encoder: str) -> None:
    argv = command(_steady(), encoder=encoder)
    assert "-vsync" not in argv
    assert "a53_cc" not in " ".join(argv), "7.1 has it, 5.1 does not"


def test_key_of_a_chunk_names_what_made_it_and_nothing_of_a_node() -> None:
    facts = _steady()
    made = plan.decide(facts, name="", media_type="")
    keys = {chunking.key("a", facts, made, PART, build) for build in ("h264_qsv 1", "h264_vaapi 1", "libx264 1")}
    keys.add(chunking.key("a", facts, made, PART, "h264_qsv 2"))
    keys.add(chunking.key("a", facts, made, None, "aac 1"))
    assert len(keys) == 5
    assert chunking.key("a", facts, made, PART, "h264_qsv 1") in keys


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"frame_rate": 25.4}, True),
        ({"real_frame_rate": 1000.0}, False),
        ({"real_frame_rate": 50.0}, False),
        ({"frame_rate": 15.0}, False),
        ({"real_frame_rate": 0.0}, False),
        ({"declared": 400}, False),
    ],
)
def test_hardware_may_make_films_whose_rate_is_the_one_they_tell_and_which_are_whole(
    changes: dict[str, float], fits: bool
) -> None:
    facts = _steady(**changes)
    made = plan.decide(facts, name="", media_type="")
    assert suited(facts, made) == (FAMILIES if fits else (SOFTWARE,))


def test_film_whose_rate_is_lowered_has_the_rate_that_it_is_given() -> None:
    facts = _steady(real_frame_rate=1000.0)
    made = replace(plan.decide(facts, name="", media_type=""), frame_rate=30.0)
    assert suited(facts, made) == FAMILIES


def test_first_pictures_are_compared_as_they_went_into_the_encoder() -> None:
    facts = _steady()
    made = plan.decide(facts, name="", media_type="")
    argv = arguments.likeness("/in/put", made, PART, Path("/scratch/chunk.mp4"), frames=25)
    graph = after(argv, "-lavfi")
    assert graph.startswith("[0:0]settb=AVTB,trim=start=11.380000:end=21.380000,scale=")
    assert graph.count("trim=end_frame=25") == 2
