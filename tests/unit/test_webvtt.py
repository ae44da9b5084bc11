"""WebVTT from ASS events: what a strange text cannot break."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.domain import webvtt
from nebula.domain.webvtt import Cue


def _event(text: str, start: str = "0:00:01.00", end: str = "0:00:02.50") -> str:
    return f"Dialogue: 0,{start},{end},Default,,0,0,0,,{text}"


def _text(raw: str) -> str:
    (cue,) = webvtt.cues([_event(raw)])
    return cue.text


def test_a_file_is_written_as_players_read_it() -> None:
    lines = ["[Events]", "Format: Layer, Start", _event("Hello", "1:00:02.03", "1:00:04.00"), _event("First")]
    assert "".join(webvtt.written(webvtt.cues(lines))) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nFirst\n\n01:00:02.030 --> 01:00:04.000\nHello\n"
    )


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a, b,, c", "a, b,, c"),
        (r"one\Ntwo\nthree\hfour", "one\ntwo three\u00a0four"),
        (r"one\N\N two\N", "one\ntwo"),
        ("Tom & Jerry <3 x --> y", "Tom &amp; Jerry &lt;3 x --&gt; y"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        (r"{\i1}slanted{\i0} plain", "<i>slanted</i> plain"),
        (r"{\b1\i1}both{\r} none", "<b><i>both</i></b> none"),
        (r"{\u1}under{\rAlt}none", "<u>under</u>none"),
        (r"{\blur5\be1\pos(10,20)\c&HFF&\fnArial\t(0,5,\frz3)}text", "text"),
        (r"{\p1}m 0 0 l 100 0{\p0}seen", "seen"),
        ("{a note}said", "said"),
        (r"\{braces\}", "{braces}"),
        ("{ open", "{ open"),
        ("back\\slash", "back\\slash"),
        ("bell\x07 nul\x00 \x1b[31mred", "bell nul [31mred"),
        ("\u202bשלום\u202c 😀", "\u202bשלום\u202c 😀"),
    ],
)
def test_text_keeps_its_meaning_and_cannot_break_the_file(raw: str, shown: str) -> None:
    assert _text(raw) == shown


def test_text_at_the_top_stays_there() -> None:
    (cue,) = webvtt.cues([_event(r"{\an8}Top")])
    assert "".join(webvtt.written([cue])).endswith("00:00:01.000 --> 00:00:02.500 line:0\nTop\n")


@pytest.mark.parametrize("raw", [r"{\p1}m 0 0 l 9 9", r"\N\N", " ", "", "{only a note}"])
def test_what_shows_nothing_is_no_cue(raw: str) -> None:
    assert webvtt.cues([_event(raw)]) == []


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Dialogue: ",
        "Dialogue: 0,1,2",
        "Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,no",
        _event("no", "0:00:-1.-50"),
        _event("no", "x"),
        _event("no", "9:59:59.99", "9:59:59.99"),
    ],
)
def test_what_is_no_event_is_left_out(line: str) -> None:
    assert webvtt.cues([line]) == []


def test_times_are_moved_and_what_is_over_before_zero_is_left_out() -> None:
    lines = [
        _event("over", "0:00:58.00", "0:01:00.00"),
        _event("into", "0:00:59.00", "0:01:00.50"),
        _event("after", "0:01:01.40", "0:01:02.00"),
    ]
    assert webvtt.cues(lines, -60.0) == [Cue(0, 500, "into"), Cue(1400, 2000, "after")]


def test_layers_of_one_text_are_shown_once() -> None:
    lines = [_event(r"{\c&H0&}Sign"), _event(r"{\c&HFF&}Sign"), _event("Other")]
    assert [cue.text for cue in webvtt.cues(lines)] == ["Other", "Sign"]


def test_text_without_an_end_goes_after_a_while() -> None:
    (cue,) = webvtt.cues([_event("stays", "0:00:01.00", "0:00:01.00")])
    assert cue.end_ms == 1000 + round(webvtt.UNTOLD_S * 1000)


def test_too_many_cues_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webvtt, "MAX_CUES", 2)
    assert len(webvtt.cues(_event(str(number)) for number in range(2))) == 2
    with pytest.raises(webvtt.TooMuch):
        webvtt.cues(_event(str(number)) for number in range(3))


@pytest.mark.parametrize("piece", ["{", "}", "\\", "{\\", "{\\i1}x", "<"])
def test_a_long_line_of_nonsense_costs_little(piece: str) -> None:
    began = time.process_time()
    webvtt.cues([_event(piece * 300_000)] * 20)
    assert time.process_time() - began < 10


def _many(text: str, count: int) -> Iterator[str]:
    """Overlapping events: each begins a hundredth of a second after the one before, and all last long."""
    for number in range(count):
        seconds, hundredths = divmod(number, 100)
        minutes, seconds = divmod(seconds, 60)
        yield _event(text, f"{minutes // 60}:{minutes % 60:02}:{seconds:02}.{hundredths:02}", "9:00:00.00")


STYLED = r"{\b1\i1\u1}"
HUGE: dict[str, tuple[str, int]] = {
    "a tag for each letter": (STYLED + "{}a" * 1600, 100_000),
    "a tag between hard spaces": (STYLED + r"a\h" * 1600, 100_000),
    "styles nested and turned off again": (r"{\b1}{\i1}{\u1}a{\b0}{\i0}{\u0}" * 120, 100_000),
    "escapes": ("&" * 5000, 100_000),
    "huge cues of plain text": ("word " * 1000, 100_000),
    "empty cues": ("", 2_000_000),
    "cues of a format alone": (r"{\pos(1,2)}", 2_000_000),
    "overrides that are no text": ("{" * 5000, 100_000),
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_script_that_becomes_too_much_is_refused_before_it_is_kept(kind: str) -> None:
    text, count = HUGE[kind]
    seen = 0

    def counted() -> Iterator[str]:
        nonlocal seen
        for line in _many(text, count):
            seen += 1
            yield line

    with pytest.raises(webvtt.TooMuch, match="more than"):
        webvtt.cues(counted())
    assert seen < count
    assert seen * len(text) < 10 * webvtt.MAX_CHARACTERS


def test_streams_of_one_file_share_what_they_may_take() -> None:
    of_file = webvtt.Budget(streams=2)
    lines = list(_many("word " * 900, 800))  # 3,600,000 characters
    for _ in range(2):
        assert len(webvtt.cues(lines, 0.0, of_file)) == 800
    with pytest.raises(webvtt.TooMuch, match="more than"):
        webvtt.cues(lines, 0.0, of_file)


def test_a_film_of_two_hours_is_far_from_every_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = list(_many(r"{\i1}Someone says a line of usual length,\Nand one more below it.{\i0}", 2500))
    before = "".join(webvtt.written(webvtt.cues(lines)))
    for name in ("MAX_CHARACTERS", "MAX_PIECES"):
        monkeypatch.setattr(webvtt, name, getattr(webvtt, name) // 15)
    assert "".join(webvtt.written(webvtt.cues(lines))) == before
    assert before.count("<i>Someone says a line of usual length,</i>\n<i>and one more below it.</i>\n") == 2500


@given(st.lists(st.text(max_size=60), max_size=5))
def test_every_file_has_a_head_and_blocks_of_two_lines_or_more(texts: list[str]) -> None:
    cues = webvtt.cues([_event(text) for text in texts])
    head, *blocks = "".join(webvtt.written(cues)).removesuffix("\n").split("\n\n")
    assert head.startswith("WEBVTT")
    assert len(blocks) == len(cues)
    for block in blocks:
        times, *lines = block.split("\n")
        assert " --> " in times
        assert lines
        assert all(line and "-->" not in line for line in lines)
