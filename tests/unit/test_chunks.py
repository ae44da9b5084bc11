"""Where a film is cut, from lists of packets alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest

from nebula.domain import chunks as layout
from nebula.domain import plan as plans
from nebula.domain.chunks import Chunk, Packet, Pictures, chunk_key
from nebula.domain.media import MediaFacts, PacketFacts, VideoStream

VIDEO = VideoStream(0, "hevc", 640, 360, frame_rate=10.0, packets=PacketFacts(count=1, starts_s=0.0, ends_s=1.0))
MKV = MediaFacts("matroska,webm", video=(VIDEO,))


def packet(shown_s: float, *, key: bool = False, hidden: bool = False) -> Packet:
    return Packet(round(shown_s, 6), round(shown_s, 6), 0.1, key, hidden)


def film(seconds: int, key_every_s: float, start_s: float = 0.0) -> list[Packet]:
    """Ten pictures a second, closed GOPs."""
    every = round(key_every_s * 10)
    return [packet(start_s + number / 10, key=number % every == 0) for number in range(seconds * 10)]


def cut(listed: Iterable[Packet], facts: MediaFacts = MKV, **video) -> tuple[Chunk, ...]:
    """Cut into chunks of ten seconds, twenty at most."""
    stream = replace(facts.video[0], **video)
    facts = replace(facts, video=(stream,))
    pictures = Pictures(facts, stream)
    for one in listed:
        pictures.take(one)
    plan = plans.decide(facts, name="", media_type="")
    return layout.chunks(pictures, facts, plan, least_s=10.0, most_s=20.0)


def frames(found: tuple[Chunk, ...]) -> list[int]:
    return [chunk.frames for chunk in found]


def test_film_is_cut_at_the_first_key_frame_after_the_least_length():
    found = cut(film(40, 4.0))
    assert frames(found) == [120, 120, 160]
    assert [chunk.number for chunk in found] == list(range(len(found)))
    assert [chunk.start_s for chunk in found] == [0.0, 12.0, 24.0]
    assert found[0].seek_s is None
    assert found[0].from_s is None
    assert found[-1].to_s is None


def test_chunks_are_cut_halfway_between_two_pictures_and_sought_before_that():
    first, second = cut(film(20, 10.0))
    assert first.to_s == second.from_s == 9.95
    assert second.seek_s == 9.99
    assert (second.clock_s, second.start_s, second.last_s) == (10.0, 10.0, 19.9)
    assert (first.duration_s, second.duration_s) == (10.0, 10.0)


def test_every_picture_is_in_exactly_one_chunk():
    found = cut(film(97, 1.0))
    assert sum(frames(found)) == 970
    for before, after in pairwise(found):
        assert before.to_s == after.from_s
        assert before.last_s < after.start_s
        assert before.start_s + before.duration_s == pytest.approx(after.start_s)


def test_short_rest_is_part_of_the_last_chunk():
    assert frames(cut(film(23, 1.0))) == [100, 130]
    assert frames(cut(film(26, 1.0))) == [100, 100, 60]


def test_short_rest_is_a_chunk_where_the_last_would_be_too_long():
    packets = [packet(number / 10, key=number in {0, 100, 280}) for number in range(310)]
    assert frames(cut(packets)) == [100, 180, 30]


def test_pictures_that_an_open_gop_shows_before_its_key_frame_are_the_chunks_before():
    packets = film(20, 10.0)
    key = packets.pop(100)
    packets.insert(98, key)  # decoded before two pictures that are shown before it
    found = cut(packets)
    assert frames(found) == [100, 100]
    assert found[1].start_s == 10.0
    assert found[0].last_s == 9.9
    assert found[1].from_s == 9.95


def test_pictures_before_the_first_key_frame_of_all_may_be_missing():
    first = [packet(0.2, key=True), packet(0.0), packet(0.1)]
    found = cut([*first, *film(20, 10.0)[3:]])
    assert (found[0].frames, found[0].least_frames, found[0].start_s) == (100, 98, 0.0)


def test_packets_before_the_first_key_frame_are_no_pictures():
    begins_late = film(30, 5.0)
    begins_late[0] = replace(begins_late[0], is_key=False)
    found = cut(begins_late, packets=replace(VIDEO.packets, before_key=50))
    assert frames(found) == [100, 100, 50]
    assert (found[0].start_s, found[0].from_s) == (5.0, 4.999)


def test_times_of_showing_are_the_films_and_bounds_the_sources():
    first, second = cut(film(20, 10.0, start_s=1.5), replace(MKV, start_s=1.4))
    assert (first.start_s, second.start_s) == (0.1, 10.1)
    assert (second.clock_s, second.from_s) == (11.5, 11.45)
    assert second.seek_s == pytest.approx(10.09)


def test_variable_rate_is_cut_halfway_through_the_longest_picture():
    packets = [packet(number / 10, key=number == 0) for number in range(50)]
    packets += [packet(14.9 + number / 10, key=number == 0) for number in range(50)]
    first, second = cut(packets)
    assert (first.frames, second.frames) == (50, 50)
    assert first.to_s == pytest.approx(9.9)
    assert first.duration_s == 14.9


def test_hidden_pictures_are_none_and_a_hidden_key_frame_is_no_cut():
    packets = film(30, 10.0)
    packets[:5] = [packet(-0.5 + number / 10, key=number == 0, hidden=True) for number in range(5)]
    packets[100] = replace(packets[100], is_hidden=True)
    found = cut(packets)
    assert frames(found) == [194, 100]
    assert found[0].start_s == 0.5


@pytest.mark.parametrize(
    ("packets", "why"),
    [
        (film(40, 1000.0), "one key frame"),
        ([replace(one, is_key=False) for one in film(40, 1.0)], "no key frame"),
        ([replace(one, pts_s=None, dts_s=None) for one in film(40, 1.0)], "no times"),
        ([*film(20, 1.0), *film(20, 1.0)], "the clock begins again"),
        ([*film(20, 1.0), packet(5.0), *film(20, 1.0, start_s=20.0)], "a picture of long before"),
        (film(14, 1.0), "short"),
        ([], "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_film_is_not_cut_where_there_is_no_place_for_it(packets, why):
    assert cut(packets) == ()


def test_film_is_not_cut_where_ffmpeg_mends_its_clock():
    jump = [*film(20, 1.0), *film(20, 1.0, start_s=60.0)]
    transport = replace(MKV, format="mpegts")
    assert cut(jump, transport, packets=replace(VIDEO.packets, longest_gap_s=40.1)) == ()
    assert len(cut(jump, packets=replace(VIDEO.packets, longest_gap_s=40.1))) > 1


def test_film_is_not_cut_where_its_rate_is_lowered():
    assert cut(film(40, 1.0), packets=replace(VIDEO.packets, count=240)) == ()
    assert len(cut(film(40, 1.0), frame_rate=240.0)) > 1, "a rate that only the header claims"


def test_avis_pictures_are_shown_as_late_as_the_decoder_holds_them_back():
    packets = [replace(one, pts_s=None) for one in film(20, 10.0)]
    untimed = replace(VIDEO.packets, untimed=200)
    first, second = cut(packets, replace(MKV, format="avi"), delay=2, packets=untimed)
    assert (first.start_s, second.start_s, second.last_s) == (0.2, 10.2, 20.1)
    assert sum((first.frames, second.frames)) == 200
    assert second.seek_s == pytest.approx(9.7)


def test_number_of_pictures_is_a_bound_where_packets_are_not_pictures():
    first, second = cut(film(20, 10.0), codec="vp8")
    assert (first.frames, first.least_frames) == (100, 45)
    assert second.least_frames == 45


def test_fields_are_sought_early_enough_for_the_picture_before():
    interlaced = replace(VIDEO.packets, key_interval_s=0.6)
    assert cut(film(20, 10.0), field_order="tt", packets=interlaced)[1].seek_s == pytest.approx(9.39)
    long_gop = replace(VIDEO.packets, key_interval_s=10.0)
    assert cut(film(20, 10.0), field_order="tt", packets=long_gop)[1].seek_s == 8.0


@pytest.mark.parametrize(("film_s", "expected_s"), [(70, 30), (1200, 30), (1800, 45), (2400, 60), (7200, 60), (0, 30)])
def test_chunks_of_long_films_are_longer(film_s: float, expected_s: float):
    assert layout.least_s(film_s, 30.0) == expected_s


def test_chunk_survives_json_and_what_a_newer_version_adds():
    chunk = cut(film(20, 10.0))[1]
    assert Chunk.from_json(chunk.to_json()) == chunk
    assert Chunk.from_json(chunk.to_json().replace("{", '{"mood":"good",')) == chunk


def test_key_of_a_chunk_is_another_for_another_source_range_command_or_build():
    first, second = cut(film(20, 10.0))
    keys = [
        chunk_key("a", first, ["-crf", "21"], "x264 1"),
        chunk_key("b", first, ["-crf", "21"], "x264 1"),
        chunk_key("a", second, ["-crf", "21"], "x264 1"),
        chunk_key("a", None, ["-crf", "21"], "x264 1"),
        chunk_key("a", first, ["-crf", "22"], "x264 1"),
        chunk_key("a", first, ["-crf", "21"], "x264 2"),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == chunk_key("a", first, ["-crf", "21"], "x264 1")
