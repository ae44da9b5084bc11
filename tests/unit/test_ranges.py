"""Ranges and conditions as RFC 9110 has them; the table is what other servers were measured by, and beaten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.domain.preconditions import Validators, format_date, http_date, matches
from nebula.domain.ranges import MAX_RANGES, ByteRange, RangeResponse, decide, frame

BYTES = bytes(range(256)) * 4
SIZE = len(BYTES)
ETAG = '"0f"'
MOMENT = datetime(2026, 11, 24, 18, 24, 5, 250_000, tzinfo=UTC)
THEN = format_date(MOMENT)
BEFORE = format_date(MOMENT - timedelta(seconds=1))
AFTER = format_date(MOMENT + timedelta(seconds=1))
VALIDATORS = Validators(ETAG, MOMENT)


def _decide(range_: str | None = None, method: str = "GET", size: int = SIZE, **conditions: str) -> RangeResponse:
    headers = {name.replace("_", "-"): value for name, value in conditions.items()}
    if range_ is not None:
        headers["Range"] = range_
    return decide(method, headers, VALIDATORS, size)


def _body(decision: RangeResponse) -> bytes:
    laid = frame(decision, "video/mp4")
    body = b"".join(BYTES[piece.start : piece.stop] if isinstance(piece, ByteRange) else piece for piece in laid.pieces)
    assert len(body) == laid.length
    return body


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-", 100, SIZE),
        ("bytes=-500", SIZE - 500, SIZE),
        ("bytes=10-999999", 10, SIZE),
        ("bytes=-999999", 0, SIZE),
        ("bytes=0-", 0, SIZE),
        ("bytes=0-1023", 0, SIZE),
        ("bytes=1023-1023", 1023, SIZE),
        ("BYTES=0-1", 0, 2),
        ("Bytes= 0-1 ", 0, 2),
        ("bytes=,0-1, ,", 0, 2),
        ("bytes=0-18446744073709551616", 0, SIZE),
        ("bytes=5-" + "9" * 5000, 5, SIZE),
        ("bytes=-" + "9" * 5000, 0, SIZE),
        ("bytes=00000000000000000000005-00000000000000000000009", 5, 10),
        ("bytes=5000-6000,0-1", 0, 2),  # what lies outside is left out
        ("bytes=0-9,5-19", 0, 20),  # overlapping ranges are one
    ],
)
def test_one_range_is_206_with_exactly_its_bytes(wanted: str, start: int, stop: int) -> None:
    decision = _decide(wanted)
    assert decision.status == 206
    assert decision.content_range == f"bytes {start}-{stop - 1}/{SIZE}"
    assert _body(decision) == BYTES[start:stop]
    assert frame(decision, "video/mp4").media_type == "video/mp4"


@pytest.mark.parametrize(
    "wanted", ["bytes=-0", f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE}", "bytes=" + "9" * 5000 + "-", "bytes=-0,4000-"]
)
def test_range_outside_is_416_that_names_the_size(wanted: str) -> None:
    decision = _decide(wanted)
    assert decision == RangeResponse(416, SIZE)
    assert decision.content_range == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "wanted",
    [
        *("items=0-1", "bytes", "bytes=", "bytes=-", "bytes=,", "bytes=20-10", "bytes=a-b", "bytes=0-1;2"),
        *("bytes=+1-2", "bytes=1--2", "bytes=0x1-2", "bytes=٠-٩", "bytes=²-3", "bytes 0-1", "bytes =0-1"),
        *("bytes=0 - 1", "0-1", "", "bytes=0-1,20-10", "bytes=0-1,bytes=2-3", "bytes=1.0-2", "\x00", "bytes=0-1\x00"),
    ],
)
def test_range_that_cannot_be_meant_is_ignored(wanted: str) -> None:
    decision = _decide(wanted)
    assert decision.status == 200
    assert decision.content_range is None
    assert _body(decision) == BYTES


def test_two_ranges_are_multipart_in_the_order_asked_for() -> None:
    decision = _decide("bytes=500-509, 0-3,-2")
    assert (decision.status, decision.content_range) == (206, None)
    laid = frame(decision, "video/mp4")
    boundary = laid.media_type.removeprefix("multipart/byteranges; boundary=").encode()
    preamble, *parts, epilogue = _body(decision).split(b"\r\n--" + boundary)
    assert (preamble, epilogue) == (b"", b"--\r\n")
    expected = [(500, 510), (0, 4), (SIZE - 2, SIZE)]
    for part, (start, stop) in zip(parts, expected, strict=True):
        head, body = part.split(b"\r\n\r\n", 1)
        assert head.decode() == f"\r\nContent-Type: video/mp4\r\nContent-Range: bytes {start}-{stop - 1}/{SIZE}"
        assert body == BYTES[start:stop]


def test_ranges_that_touch_stay_apart() -> None:
    assert _decide("bytes=0-3,4-7").spans == (ByteRange(0, 4), ByteRange(4, 4))


def test_ranges_are_ignored_when_there_are_too_many() -> None:
    def wanted(pieces: int) -> str:
        return "bytes=" + ",".join(f"{10 * at}-{10 * at + 1}" for at in range(pieces))

    assert len(_decide(wanted(MAX_RANGES)).spans) == MAX_RANGES
    assert _decide(wanted(MAX_RANGES + 1)).status == 200


def test_many_overlapping_ranges_cost_no_byte_twice() -> None:
    decision = _decide("bytes=" + ",".join(["0-"] * 500))
    assert decision.spans == (ByteRange(0, SIZE),)


@pytest.mark.parametrize("wanted", ["bytes=0-1", "bytes=-0", "bytes=0-1,5-6", f"bytes={SIZE}-"])
def test_head_answers_for_the_whole_when_a_range_is_asked_for(wanted: str) -> None:
    decision = _decide(wanted, "HEAD")
    assert (decision.status, frame(decision, "a/b").length) == (200, SIZE)


@pytest.mark.parametrize(
    ("wanted", "status"), [(None, 200), ("bytes=-5", 200), ("bytes=0-", 416), ("bytes=0-0", 416), ("bytes=-0", 416)]
)
def test_empty_representation_has_no_range(wanted: str | None, status: int) -> None:
    decision = _decide(wanted, size=0)
    assert decision.status == status
    if status == 200:
        assert frame(decision, "a/b").length == 0


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (ETAG, 206),
        (THEN, 206),
        ('"other"', 200),
        (f"W/{ETAG}", 200),
        (BEFORE, 200),
        (AFTER, 200),
        ("yesterday", 200),
        ("*", 200),
        ("0f", 200),
        ("", 200),
        (f'{ETAG}, "other"', 200),
    ],
)
def test_if_range_lets_the_range_through_only_when_equal(value: str, status: int) -> None:
    assert _decide("bytes=0-1", If_Range=value).status == status


def test_if_range_that_holds_makes_a_range_outside_416() -> None:
    assert _decide(f"bytes={SIZE}-", If_Range=ETAG).status == 416
    assert _decide(f"bytes={SIZE}-", If_Range='"other"').status == 200


def test_if_range_alone_means_nothing() -> None:
    assert _decide(If_Range='"other"').status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If_Match": "*"}, 200),
        ({"If_Match": ETAG}, 200),
        ({"If_Match": f'"a", {ETAG}'}, 200),
        ({"If_Match": f'"a",,{ETAG} ,'}, 200),
        ({"If_Match": '"a"'}, 412),
        ({"If_Match": f"W/{ETAG}"}, 412),
        ({"If_Match": '"a, b"'}, 412),
        ({"If_Match": "0f"}, 412),
        ({"If_Match": ""}, 412),
        ({"If_Unmodified_Since": THEN}, 200),
        ({"If_Unmodified_Since": AFTER}, 200),
        ({"If_Unmodified_Since": BEFORE}, 412),
        ({"If_Unmodified_Since": "soon"}, 200),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": ETAG}, 304),
        ({"If_None_Match": f"W/{ETAG}"}, 304),
        ({"If_None_Match": f'"a", W/{ETAG}'}, 304),
        ({"If_None_Match": '"a"'}, 200),
        ({"If_None_Match": "0f"}, 200),
        ({"If_None_Match": f"x{ETAG}"}, 200),
        ({"If_Modified_Since": THEN}, 304),
        ({"If_Modified_Since": AFTER}, 304),
        ({"If_Modified_Since": BEFORE}, 200),
        ({"If_Modified_Since": "soon"}, 200),
        # 13.2.2: a tag outranks the date beside it, and If-Match goes before If-None-Match.
        ({"If_Match": ETAG, "If_Unmodified_Since": BEFORE}, 200),
        ({"If_Match": '"a"', "If_None_Match": ETAG}, 412),
        ({"If_None_Match": '"a"', "If_Modified_Since": AFTER}, 200),
        ({"If_None_Match": ETAG, "If_Modified_Since": BEFORE}, 304),
        ({"If_Match": ETAG, "If_None_Match": ETAG}, 304),
        ({"If_Unmodified_Since": BEFORE, "If_None_Match": ETAG}, 412),
    ],
)
def test_conditions_are_asked_in_the_order_of_the_rfc(method: str, conditions: dict[str, str], status: int) -> None:
    assert _decide(method=method, **conditions).status == status
    if method == "GET" and status != 200:
        assert _decide("bytes=0-1", **conditions).status == status, "a condition goes before the range"


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_http_date_is_read_in_its_three_forms(text: str) -> None:
    assert http_date(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 6 Nov 1994 08:49:37 GMT"),
        *("Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT"),
        "Sun, 06 Nov 1994 08:49:99 GMT",
    ],
)
def test_http_date_is_nothing_when_it_is_no_date(text: str) -> None:
    assert http_date(text) is None


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ('"a"', ['"a"']),
        ('W/"a"', ['W/"a"']),
        ('"a","b"', ['"a"', '"b"']),
        ('"a" , W/"b"\t,"c"', ['"a"', 'W/"b"', '"c"']),
        (',, "a" ,\t, ,"b", ,', ['"a"', '"b"']),  # 5.6.1.2: an empty list element is nothing
        ('"a,b", "c"', ['"a,b"', '"c"']),  # 8.8.3: a comma inside a tag is part of it
        ('", ", "c"', []),  # a space is not
        ('""', ['""']),
        ('"\x80\xff"', ['"\x80\xff"']),
        ('"W/"', ['"W/"']),
        ("", []),
        (" , ", []),
        ("*, *", []),
        ('*, "a"', []),
        ('"a" "b"', []),
        ('"a""b"', []),
        ('"a', []),
        ('"a", b', []),
        ('w/"a"', []),
        ('W/ "a"', []),
        ('"a\x7f"', []),
        ("'a'", []),
        ('"a"' + " , " * 2700 + "x", []),
        (" , " * 2700 + '"a"', ['"a"']),
    ],
)
def test_list_of_entity_tags_is_read_as_it_is_written(value: str, named: list[str]) -> None:
    known = ['"a"', '"b"', '"c"', '"a,b"', '""', '"\x80\xff"', '"W/"', 'W/"a"', 'W/"b"']
    assert [tag for tag in known if matches(value, tag, weak=False)] == sorted(named, key=known.index)
    plain = [tag for tag in known if not tag.startswith("W/")]
    weakly = {tag.removeprefix("W/") for tag in named}
    assert [tag for tag in plain if matches(value, tag, weak=True)] == sorted(weakly, key=plain.index)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1)))
def test_http_date_reads_what_format_date_writes(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    assert http_date(format_date(aware)) == aware.replace(microsecond=0)


NAMES = ["Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]
HEADERISH = st.one_of(st.text(), st.text(alphabet='bytes=0123456789-, W/"*', max_size=60))


@given(st.dictionaries(st.sampled_from(NAMES), HEADERISH), st.sampled_from(["GET", "HEAD"]), st.integers(0, SIZE))
def test_any_header_gets_an_answer_whose_bytes_are_those_of_the_object(
    headers: dict[str, str], method: str, size: int
) -> None:
    decision = decide(method, headers, VALIDATORS, size)
    assert decision.status in {200, 206, 304, 412, 416}
    if decision.status in {200, 206}:
        assert all(0 <= span.start <= span.stop <= size for span in decision.spans)
        _body(decision)


@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 300)), min_size=1, max_size=12))
def test_ranges_are_exactly_the_slices_that_were_asked_for(wanted: list[tuple[int, int]]) -> None:
    decision = _decide("bytes=" + ",".join(f"{start}-{start + more}" for start, more in wanted))
    asked = {at for start, more in wanted for at in range(start, min(start + more + 1, SIZE))}
    sent = [at for span in decision.spans for at in range(span.start, span.stop)]
    assert set(sent) == asked
    assert len(sent) == len(asked)
    assert decision.status == (206 if asked else 416)
