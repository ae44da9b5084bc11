"""File names are relative paths, as S3 keys are. Names are never changed; an invalid name is refused with a reason."""

from __future__ import annotations

from nebula.errors import InvalidInput

MAX_NAME_BYTES = 1024
MAX_SEGMENT_BYTES = 255


def checked(name: str) -> str:
    """Return `name` unchanged, or raise InvalidInput(code="invalid_name"), which says what to change.

    A name is segments of 1-255 bytes of UTF-8 joined by "/", 1,024 bytes in all, with no ".", ".." or NUL.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise _invalid("is not valid Unicode") from None
    if size > MAX_NAME_BYTES:
        raise _invalid(f"has {size} bytes; {MAX_NAME_BYTES} is the most")
    if "\x00" in name:
        raise _invalid("holds a NUL character")
    for segment in name.split("/"):
        if not segment:
            raise _invalid("has an empty segment (a leading, trailing or double slash, or nothing at all)")
        if segment in {".", ".."}:
            raise _invalid(f"has the segment {segment!r}")
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            raise _invalid(f"has a segment of more than {MAX_SEGMENT_BYTES} bytes")
    return name


def last_segment(name: str) -> str:
    """Return the part after the last slash, which is the name of a download."""
    return name.rsplit("/", 1)[-1]


def with_suffix(name: str, suffix: str) -> str:
    """Return the name with another ending, for a film that is made from the file."""
    last = last_segment(name)
    stem = last.rpartition(".")[0] or last
    return name[: len(name) - len(last)] + stem + suffix


def _invalid(why: str) -> InvalidInput:
    return InvalidInput(f"The name {why}.", code="invalid_name")
