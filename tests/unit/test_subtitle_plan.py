"""Which subtitles become WebVTT, and why the others do not."""

from __future__ import annotations

import pytest

from nebula.domain import subtitles
from nebula.domain.media import MediaFacts, SubtitleStream, VideoStream

FILM = VideoStream(0, "h264", 320, 180)


def _facts(*streams: SubtitleStream) -> MediaFacts:
    return MediaFacts("matroska,webm", video=(FILM,), subtitles=streams)


@pytest.mark.parametrize("codec", ["subrip", "ass", "ssa", "mov_text", "webvtt", "text"])
def test_text_is_taken(codec: str) -> None:
    stream = SubtitleStream(2, codec, "ger")
    plan = subtitles.decide(_facts(stream))
    assert plan.taken == (stream,)
    assert plan.reasons == (f"subtitles 2 (ger, {codec}) is kept as WebVTT",)


@pytest.mark.parametrize("codec", ["hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"])
def test_pictures_are_not_taken_and_the_reason_is_said(codec: str) -> None:
    plan = subtitles.decide(_facts(SubtitleStream(3, codec)))
    assert plan.taken == ()
    assert plan.reasons == (f"subtitles 3 ({codec}) is not taken: they are pictures, not text",)


@pytest.mark.parametrize("codec", ["", "dvb_teletext", "ttml", "arib_caption", "hdmv_text_subtitle"])
def test_what_no_decoder_here_reads_is_not_taken(codec: str) -> None:
    plan = subtitles.decide(_facts(SubtitleStream(3, codec)))
    assert plan.taken == ()
    assert "this ffmpeg reads no text in them" in plan.reasons[0]


def test_a_file_of_a_thousand_streams_has_a_bounded_plan() -> None:
    plan = subtitles.decide(_facts(*(SubtitleStream(number, "ass") for number in range(1, 1000))))
    assert len(plan.taken) == subtitles.MAX_STREAMS
    assert len(plan.reasons) == 2 * subtitles.MAX_STREAMS
    assert "64 are the most" in plan.reasons[-1]


def test_what_is_no_film_has_no_subtitles() -> None:
    assert subtitles.decide(MediaFacts("matroska,webm", subtitles=(SubtitleStream(0, "ass"),))).taken == ()


@pytest.mark.parametrize(
    ("language", "tag"),
    [
        *[("ger", "de"), ("deu", "de"), ("GER", "de"), ("eng", "en"), ("fre", "fr"), ("fra", "fr"), ("chi", "zh")],
        *[("fil", "fil"), ("de", "de"), ("pt-BR", "pt-BR"), ("", None), (None, None)],
        *[("../../etc", None), ("<b>", None), ("e" * 9, None), ("de\n", None)],
    ],
)
def test_language_is_a_tag_that_browsers_know(language: str | None, tag: str | None) -> None:
    assert subtitles.language_tag(language) == tag
