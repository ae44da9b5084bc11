"""MediaFacts: kept as JSON, read by other versions."""

from __future__ import annotations

import json

from nebula.domain.media import AudioStream, MediaFacts, PacketFacts, SubtitleStream, VideoStream

FACTS = MediaFacts(
    format="matroska,webm",
    size_bytes=10,
    duration_s=1.5,
    video=(VideoStream(0, "hevc", 720, 576, aspect=(16, 15), packets=PacketFacts(3, starts_s=0.0, ends_s=1.5)),),
    audio=(AudioStream(1, "ac3", language="ger", packets=PacketFacts(4)),),
    subtitles=(SubtitleStream(2, "subrip", "eng", "Für alle"),),
)


def test_facts_are_the_same_after_a_round_trip_through_json():
    assert MediaFacts.from_json(FACTS.to_json()) == FACTS


def test_facts_of_an_older_version_have_defaults_where_it_knew_less():
    raw = json.loads(FACTS.to_json())
    del raw["index_first"], raw["video"][0]["packets"], raw["video"][0]["aspect"], raw["subtitles"]
    facts = MediaFacts.from_json(json.dumps(raw))
    assert facts.video[0].packets == PacketFacts()
    assert facts.video[0].aspect == (1, 1)
    assert facts.subtitles == ()


def test_facts_of_a_newer_version_are_read_without_what_is_unknown():
    raw = json.loads(FACTS.to_json()) | {"mood": "sombre"}
    raw["audio"][0]["mood"] = raw["audio"][0]["packets"]["mood"] = "sombre"
    assert MediaFacts.from_json(json.dumps(raw)) == FACTS
