"""The layout of an MP4: whether its index comes first, and whether its samples lie in fragments.

ffprobe does not say either. Only the headers of the outermost boxes, and of those in moov, are read.
(ISO/IEC 14496-12, 4.2: size and type; size 1: a 64-bit size follows; size 0: to the end of the file.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nebula.media.ffmpeg.source import SourceBytes

MAX_BOXES = 512
HEADER_BYTES = 16
FIRST = frozenset({"ftyp", "mdat", "wide", "free", "skip", "pnot"})  # what an MP4 or a QuickTime film begins with


@dataclass(frozen=True)
class Layout:
    """Where an MP4 keeps what."""

    index_first: bool
    is_fragmented: bool
    is_cut_off: bool = False  # it begins as an MP4 does, and ends before its index


def layout(source: SourceBytes) -> Layout:
    """Return the layout of an MP4; of anything else, whatever comes of reading it so."""
    seen: list[str] = []
    is_fragmented = False
    for kind, start, end in _boxes(source, 0, source.size_bytes):
        seen.append(kind)
        if kind == "moov":
            is_fragmented = any(inner == "mvex" for inner, _, _ in _boxes(source, start, end))
        if "moov" in seen and ("mdat" in seen or "moof" in seen):
            break
    is_fragmented |= "moof" in seen
    index = seen.index("moov") if "moov" in seen else len(seen)
    media = seen.index("mdat") if "mdat" in seen else len(seen)
    is_cut_off = bool(seen) and seen[0] in FIRST and "moov" not in seen and ("ftyp" in seen or "mdat" in seen)
    return Layout(index < media, is_fragmented, is_cut_off)


def _boxes(source: SourceBytes, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield type, start of the content and end of each box in a span; what is absurd ends the list."""
    for _ in range(MAX_BOXES):
        header = source.read(start, HEADER_BYTES) if start < end else b""
        if len(header) < 8:
            return
        size, inner = int.from_bytes(header[:4], "big"), 8
        if size == 1:
            size, inner = int.from_bytes(header[8:16], "big"), 16
        elif size == 0:
            size = end - start
        if size < inner:
            return
        yield header[4:8].decode("latin-1"), start + inner, min(start + size, end)
        start += size
