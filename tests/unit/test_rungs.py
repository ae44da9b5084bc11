"""The rungs below a film's first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nebula.domain import rungs
from nebula.domain.media import AudioStream, MediaFacts, PacketFacts, VideoStream
from nebula.domain.plan import Plan, decide
from nebula.domain.states import FileState, PlanAction

PACKETS = PacketFacts(count=250, starts_s=0.0, last_s=9.96, ends_s=10.0, key_interval_s=1.0)
SOUND = AudioStream(1, "aac", "LC", 2, 48000, packets=replace(PACKETS, count=469))


def _plan(width: int, height: int, codec: str = "mpeg2video", **more: object) -> Plan:
    video = VideoStream(0, codec, width, height, frame_rate=25.0, packets=PACKETS, **more)  # type: ignore[arg-type]
    facts = MediaFacts("matroska,webm", size_bytes=1, duration_s=10.0, reaches_s=10.0, video=(video,), audio=(SOUND,))
    return decide(facts, name="film.mkv", media_type="video/x-matroska")


def _web_ready(width: int, height: int) -> Plan:
    video = VideoStream(
        0, "h264", width, height, frame_rate=25.0, packets=PACKETS,
        profile="High", level=51, tag="avc1", pixel_format="yuv420p",
    )  # fmt: skip
    facts = MediaFacts(
        "mov,mp4,m4a,3gp,3g2,mj2", "isom", 1, 10.0, reaches_s=10.0, video=(video,), audio=(SOUND,), index_first=True
    )
    return decide(facts, name="film.mp4", media_type="video/mp4")


@pytest.mark.parametrize(
    ("size", "below"),
    [
        ((3840, 2160), [("720p", 1280, 720), ("480p", 852, 480)]),
        ((1920, 1080), [("720p", 1280, 720), ("480p", 852, 480)]),
        ((1080, 1920), [("720p", 720, 1280), ("480p", 480, 852)]),
        ((1280, 720), [("480p", 852, 480)]),
        ((852, 480), []),
        ((320, 180), []),
    ],
)
def test_lower_rungs_are_smaller_than_the_first_and_never_larger_than_the_source(
    size: tuple[int, int], below: list[tuple[str, int, int]]
) -> None:
    found = rungs.lower(_plan(*size))
    assert [(plan.rung, plan.width, plan.height) for plan in found] == below
    assert {plan.action for plan in found} <= {PlanAction.ENCODE}


def test_very_wide_picture_fits_into_the_rungs_long_side() -> None:
    assert [(plan.width, plan.height) for plan in rungs.lower(_plan(3840, 1080))] == [(1280, 360), (852, 240)]


def test_film_that_is_only_copied_is_encoded_for_its_lower_rungs() -> None:
    plan = _plan(1920, 1080, "h264", profile="High", level=41, pixel_format="yuv420p")
    assert plan.action is PlanAction.REMUX
    assert [lower.action for lower in rungs.lower(plan)] == [PlanAction.ENCODE, PlanAction.ENCODE]
    assert not rungs.lower(plan)[0].encodes_audio


def test_copied_film_above_1080p_has_a_1080p_rung_too() -> None:
    plan = _plan(3840, 2160, "h264", profile="High", level=51, pixel_format="yuv420p")
    assert (plan.action, plan.rung) == (PlanAction.REMUX, "source")
    assert [lower.rung for lower in rungs.lower(plan)] == ["1080p", "720p", "480p"]


@pytest.mark.parametrize(
    ("size", "below"),
    [((3840, 2160), ["1080p", "720p", "480p"]), ((1920, 1080), ["720p", "480p"]), ((852, 480), [])],
)
def test_web_ready_original_has_the_rungs_below_its_size(size: tuple[int, int], below: list[str]) -> None:
    plan = _web_ready(*size)
    assert (plan.action, plan.state) == (PlanAction.NOTHING, FileState.READY)
    found = rungs.lower(plan)
    assert [lower.rung for lower in found] == below
    assert {(lower.action, lower.state, lower.audio) for lower in found} <= {
        (PlanAction.ENCODE, FileState.PROCESSING, (SOUND,))
    }
    assert [rungs.at(plan, lower.rung) for lower in found] == list(found)
    assert rungs.at(plan, None) == rungs.at(plan, "source") == plan


def test_what_no_film_can_be_made_of_has_no_rungs() -> None:
    plan = decide(None, name="film.mkv", media_type="")
    assert rungs.lower(plan) == ()
    assert rungs.at(plan, "480p") == plan


def test_picture_is_put_right_in_lower_rungs_too() -> None:
    plan = _plan(1920, 1080, field_order="tt", transfer="smpte2084", bit_depth=10)
    assert [(lower.deinterlace, lower.tone_map) for lower in rungs.lower(plan)] == [(True, True)] * 2


def test_plan_is_found_again_by_its_rung() -> None:
    plan = _plan(1920, 1080)
    assert rungs.at(plan, plan.rung) == plan
    assert rungs.at(plan, None) == plan
    assert rungs.at(plan, "480p").height == 480
    assert rungs.at(plan, "240p").action is PlanAction.NOTHING
