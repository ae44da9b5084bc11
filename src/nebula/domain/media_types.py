"""Choose the media type of a file: the announced one if it is valid, else the one that the file's name suggests."""

from __future__ import annotations

import mimetypes
import re

MAX_CHARACTERS = 255
TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
FORM = re.compile(rf'{TOKEN}/{TOKEN}(?:[ \t]*;[ \t]*{TOKEN}=(?:{TOKEN}|"[^"\\\x00-\x1f\x7f-\U0010ffff]*"))*')
UNKNOWN = "application/octet-stream"

# Types that Python's own table lacks in some versions; a machine's /etc/mime.types must not decide.
MORE = {
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".flv": "video/x-flv",
    ".heic": "image/heic",
    ".m2ts": "video/mp2t",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".mka": "audio/x-matroska",
    ".mkv": "video/x-matroska",
    ".mts": "video/mp2t",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".srt": "application/x-subrip",
    ".ts": "video/mp2t",
    ".vob": "video/mpeg",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".wmv": "video/x-ms-wmv",
}
TABLE = dict(mimetypes.MimeTypes().types_map[True]) | MORE


def settled(announced: str | None, name: str) -> str:
    """Return the media type to store. An announced type that is unspecific or invalid counts as not announced."""
    text = (announced or "").strip()
    if len(text) <= MAX_CHARACTERS and text != UNKNOWN and FORM.fullmatch(text):
        return text
    stem, dot, extension = name.rsplit("/", 1)[-1].rpartition(".")
    return TABLE.get(f".{extension.lower()}", UNKNOWN) if stem and dot else UNKNOWN
