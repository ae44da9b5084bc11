"""The layout of an MP4: whether its index comes first, and whether its samples are in fragments.

ffprobe reports neither. Only the headers of the outermost boxes, and of those in moov, are read.
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
    """What the order of an MP4's boxes says about it."""

    index_first: bool
    is_fragmented: bool
    is_cut_off: bool = False  # begins like an MP4, but ends before its index


def layout(source: SourceBytes) -> Layout:
    """Return the layout of an MP4. For any other file the result has no meaning."""
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
    """Yield type, start of the content and end of each box in a byte range; stops at an impossible size."""
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
