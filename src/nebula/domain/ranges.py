"""Decide what to send of a representation. Only this module decides ranges (RFC 9110 sections 13 to 15).

`decide` takes what the client sent and what the representation is, and returns the status and the byte ranges. `frame`
turns these into a body with its exact length. A Range header is ignored, as 14.2 allows, if it is malformed, reversed,
in another unit, or asks for too many ranges: the answer is then the whole representation, never an error. 416 is only
for a valid range that is outside the representation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nebula.domain.preconditions import Validators, failed, if_range_holds

MAX_RANGES = 16
# Longer numbers are larger than any object, and int() is slow with them.
MAX_DIGITS = 18

_SPEC = re.compile(r"([0-9]*)-([0-9]*)")


@dataclass(frozen=True)
class ByteRange:
    """A byte range: `length` bytes from `start`."""

    start: int
    length: int

    @property
    def stop(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class RangeResponse:
    """The status and the byte ranges to send: none for 304, 412 and 416, the whole for 200, one or more for 206."""

    status: int
    size_bytes: int
    spans: tuple[ByteRange, ...] = ()
    boundary: str | None = None  # set if the ranges are parts of a multipart body

    @property
    def content_range(self) -> str | None:
        """The Content-Range of a 206 with a single range, or of a 416."""
        if self.status == 416:
            return f"bytes */{self.size_bytes}"
        if self.status == 206 and self.boundary is None:
            return _content_range(self.spans[0], self.size_bytes)
        return None


@dataclass(frozen=True)
class Frame:
    """A body: literal bytes and byte ranges of the object in order, its type, and its exact length."""

    pieces: tuple[bytes | ByteRange, ...]
    media_type: str
    length: int


def decide(method: str, headers: Mapping[str, str], validators: Validators, size_bytes: int) -> RangeResponse:
    """Decide what to answer. `headers` are the request's, by their usual names (Range, If-Range, If-Match, ...)."""
    status = failed(method, headers, validators)
    if status is not None:
        return RangeResponse(status, size_bytes)
    whole = RangeResponse(200, size_bytes, (ByteRange(0, size_bytes),))
    range_header = headers.get("Range")
    # 14.2: Range is defined only for GET.
    if method != "GET" or range_header is None or not if_range_holds(headers.get("If-Range"), validators):
        return whole
    specs = _parsed(range_header)
    if specs is None:
        return whole
    byte_ranges = _merged([byte_range for spec in specs if (byte_range := _span(spec, size_bytes)) is not None])
    if not byte_ranges:
        return RangeResponse(416, size_bytes)
    # An empty representation has no position that a Content-Range could name.
    if size_bytes == 0 or len(byte_ranges) > MAX_RANGES:
        return whole
    return RangeResponse(
        206, size_bytes, byte_ranges, _boundary(validators, byte_ranges) if len(byte_ranges) > 1 else None
    )


def frame(decision: RangeResponse, media_type: str) -> Frame:
    """Return the body of a 200 or 206."""
    if decision.boundary is None:
        return Frame(decision.spans, media_type, sum(byte_range.length for byte_range in decision.spans))
    pieces: list[bytes | ByteRange] = []
    for byte_range in decision.spans:
        content_range = _content_range(byte_range, decision.size_bytes)
        head = f"\r\n--{decision.boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range}\r\n\r\n"
        pieces += [head.encode("latin-1"), byte_range]
    pieces.append(f"\r\n--{decision.boundary}--\r\n".encode("latin-1"))
    length = sum(piece.length if isinstance(piece, ByteRange) else len(piece) for piece in pieces)
    return Frame(tuple(pieces), f"multipart/byteranges; boundary={decision.boundary}", length)


def _parsed(value: str) -> list[tuple[int | None, int | None]] | None:
    """Return (first, last) of each range, (None, length) for a suffix; None if the header is to be ignored."""
    unit, equals, ranges = value.strip(" \t").partition("=")
    if unit.lower() != "bytes" or not equals:
        return None
    specs = []
    for text in ranges.split(","):
        text = text.strip(" \t")
        if not text:
            continue  # 5.6.1.2: an empty list element is ignored
        spec = _parsed_one(text)
        if spec is None:
            return None
        specs.append(spec)
    return specs or None


def _parsed_one(text: str) -> tuple[int | None, int | None] | None:
    match = _SPEC.fullmatch(text)
    if match is None or text == "-":
        return None
    first, last = _number(match[1]), _number(match[2])
    if first is not None and last is not None and last < first:
        return None
    return first, last


def _number(digits: str) -> int | None:
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS


def _span(spec: tuple[int | None, int | None], size_bytes: int) -> ByteRange | None:
    """Return the part of the representation that a range names; None if it is outside (14.1.2)."""
    first, last = spec
    if first is None:
        length = min(last or 0, size_bytes)
        return ByteRange(size_bytes - length, length) if last else None
    if first >= size_bytes:
        return None
    stop = size_bytes if last is None else min(last + 1, size_bytes)
    return ByteRange(first, stop - first)


def _merged(spans: list[ByteRange]) -> tuple[ByteRange, ...]:
    """Keep the requested order; but if ranges overlap, join those and go from front to back (15.3.7.2)."""
    ordered = sorted(spans, key=lambda span: span.start)
    joined: list[ByteRange] = []
    for span in ordered:
        if joined and span.start < joined[-1].stop:
            before = joined.pop()
            span = ByteRange(before.start, max(before.stop, span.stop) - before.start)
        joined.append(span)
    return tuple(spans if len(joined) == len(spans) else joined)


def _content_range(span: ByteRange, size_bytes: int) -> str:
    return f"bytes {span.start}-{span.stop - 1}/{size_bytes}"


def _boundary(validators: Validators, spans: tuple[ByteRange, ...]) -> str:
    # Derived from the bytes' own digest: no content can contain it, and the same request gets the same answer.
    return hashlib.sha256(f"{validators.etag} {spans}".encode()).hexdigest()[:32]
