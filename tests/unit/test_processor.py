"""The processor time that a run may take, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nebula.domain import plan as plans
from nebula.domain.media import AudioStream, MediaFacts, PacketFacts, VideoStream
from nebula.media.ffmpeg import processor

HOUR = 3600.0


def _facts(frames: int, seconds: float, *, sounds: int = 0) -> MediaFacts:
    packets = PacketFacts(count=frames, starts_s=0.0, last_s=seconds, ends_s=seconds, longest_gap_s=0.04)
    video = VideoStream(0, "hevc", 1920, 1080, frame_rate=250.0, packets=packets)
    heard = PacketFacts(count=int(seconds * 50), starts_s=0.0, ends_s=seconds)
    sound = AudioStream(1, "ac3", channels=6, sample_rate=48_000, packets=heard)
    return MediaFacts("matroska,webm", size_bytes=700_000, reaches_s=seconds, video=(video,), audio=(sound,) * sounds)


def _limit_s(facts: MediaFacts) -> int:
    return processor.film_s(facts, plans.decide(facts, name="", media_type=""))


def test_limit_follows_the_counted_pictures_and_not_the_claimed_length_or_rate() -> None:
    short = _facts(14, 3 * HOUR)
    assert _limit_s(short) < processor.BASE_S + 30
    assert _limit_s(replace(short, duration_s=40 * HOUR)) == _limit_s(short)


def test_limit_leaves_a_slow_machine_a_second_for_each_picture_of_1080p() -> None:
    assert _limit_s(_facts(172_800, 2 * HOUR)) == pytest.approx(172_800, rel=0.1)


def test_limit_grows_with_each_stream_of_sound() -> None:
    one, two = (_limit_s(_facts(25, HOUR, sounds=number)) for number in (1, 2))
    assert two - one == HOUR / processor.SOUND_S_PER_S
