"""WebVTT, written from the events of an ASS script, which is what ffmpeg makes of every kind of text subtitles. Pure.

ffmpeg's own WebVTT is not valid where a text holds "&", "<", "-->" or an empty line, and shows an ASS drawing as its
figures. Kept are the lines, what is bold, italic or underlined, and what belongs at the top; not fonts, colours and
places. (W3C WebVTT, section 4)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MEDIA_TYPE = "text/vtt; charset=utf-8"
MAX_CUES = 100_000
MAX_CUE_CHARACTERS = 5000
LAST_MS = 35_999_990  # ffmpeg writes every later time as this one
UNTOLD_S = 3.0  # how long a text stays that does not say when it goes
HEADER = "WEBVTT\n"

_FIELDS = 10  # of an event: layer, start, end, style, name, three margins, effect, text
_CLOCK = re.compile(r"(\d{1,4}):(\d\d):(\d\d)\.(\d\d)", re.ASCII)
# A brace without its partner is text: so no run of them is looked through again and again.
_PIECE = re.compile(r"\{(?P<override>[^{}]*)\}|\\(?P<mark>[Nnh{}])|(?P<text>[^{\\]+|.)", re.DOTALL)
_OVERRIDE = re.compile(r"\\(?:(?P<style>[ibu])(?P<on>\d*)(?![a-z])|(?P<reset>r)|p(?P<drawing>\d+)|an(?P<place>[1-9]))")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = {"N": "\n", "n": " ", "h": "\u00a0", "{": "{", "}": "}"}


class TooManyCues(ValueError):
    """More than any film has."""


@dataclass(frozen=True, order=True)
class Cue:
    """One text and when it is shown, in milliseconds of the film."""

    start_ms: int
    end_ms: int
    text: str  # as it stands in the file
    at_top: bool = False


def cues(lines: Iterable[str], shift_s: float = 0.0) -> list[Cue]:
    """Return what an ASS script shows, in order of time, each moved by `shift_s`; what ends before zero is left out.

    The same text at the same time (the layers of an effect) is shown once. Raises TooManyCues.
    """
    found: set[Cue] = set()
    for line in lines:
        cue = _cue(line, shift_s)
        if cue is not None:
            found.add(cue)
            if len(found) > MAX_CUES:
                raise TooManyCues
    return sorted(found)


def written(shown: Iterable[Cue]) -> Iterator[str]:
    """Yield the WebVTT file of these cues, piece by piece."""
    yield HEADER
    for cue in shown:
        place = " line:0" if cue.at_top else ""
        yield f"\n{_clock(cue.start_ms)} --> {_clock(cue.end_ms)}{place}\n{cue.text}\n"


def _cue(line: str, shift_s: float) -> Cue | None:
    kind, _, values = line.partition(": ")
    fields = values.split(",", _FIELDS - 1)
    if kind != "Dialogue" or len(fields) < _FIELDS:
        return None
    start_ms, end_ms = _ms(fields[1]), _ms(fields[2])
    if start_ms is None or start_ms >= LAST_MS:
        return None
    if end_ms is None or end_ms <= start_ms:
        end_ms = start_ms + round(UNTOLD_S * 1000)
    shift_ms = round(shift_s * 1000)
    start_ms, end_ms = max(0, start_ms + shift_ms), end_ms + shift_ms
    text, at_top = _text(fields[-1][:MAX_CUE_CHARACTERS])
    return Cue(start_ms, end_ms, text, at_top) if text and end_ms > start_ms else None


def _text(raw: str) -> tuple[str, bool]:
    """Return an event's text for a cue, and whether it belongs at the top."""
    parts: list[str] = []
    styles: dict[str, bool] = {}
    is_drawing = at_top = False
    for piece in _PIECE.finditer(raw):
        if piece["override"] is None:
            if not is_drawing:
                plain = piece["text"] if piece["mark"] is None else _MARKS[piece["mark"]]
                parts.append(_styled(plain.translate(_ESCAPES), styles))
            continue
        for order in _OVERRIDE.finditer(piece["override"]):
            if order["style"]:
                styles[order["style"]] = order["on"] not in {"", "0"}
            elif order["reset"]:
                styles.clear()
            elif order["drawing"]:
                is_drawing = order["drawing"] != "0"
            else:
                at_top = order["place"] in "789"
    lines = [line.strip(" \u00a0") for line in _CONTROL.sub("", "".join(parts)).split("\n")]
    # An empty line would end the cue.
    return "\n".join(line for line in lines if line), at_top


def _styled(text: str, styles: dict[str, bool]) -> str:
    if not text.strip():
        return text
    on = [name for name, is_on in styles.items() if is_on]
    return "".join(f"<{name}>" for name in on) + text + "".join(f"</{name}>" for name in reversed(on))


def _ms(text: str) -> int | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, hundredths = map(int, found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + hundredths * 10


def _clock(moment_ms: int) -> str:
    seconds, ms = divmod(moment_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"
