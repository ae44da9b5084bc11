"""Write WebVTT from the events of an ASS script. ffmpeg turns every kind of text subtitles into ASS. Pure.

ffmpeg's own WebVTT is invalid if a text contains "&", "<", "-->" or an empty line, and it writes ASS drawings as
numbers. This module keeps the lines, bold, italic and underlined text, and whether a text belongs at the top. It drops
fonts, colours and positions. (W3C WebVTT, section 4)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MEDIA_TYPE = "text/vtt; charset=utf-8"
MAX_CUES = 100_000
MAX_CUE_CHARACTERS = 5000
# A two-hour film with much dialogue has 200,000 characters and 20,000 pieces; a typeset one has ten times as many.
MAX_CHARACTERS = 4_000_000
MAX_PIECES = 1_000_000
STREAMS_AT_MOST = 4  # all streams of a file together may take as much as this many streams
LAST_MS = 35_999_990  # ffmpeg writes every later time as this value
UNTOLD_S = 3.0  # how long a text is shown if its event has no usable end
HEADER = "WEBVTT\n"

_FIELDS = 10  # of an event: layer, start, end, style, name, three margins, effect, text
_CLOCK = re.compile(r"(\d{1,4}):(\d\d):(\d\d)\.(\d\d)", re.ASCII)
# An unmatched brace counts as text, so that a run of braces is not scanned again and again.
_PIECE = re.compile(r"\{(?P<override>[^{}]*)\}|\\(?P<mark>[Nnh{}])|(?P<text>[^{\\]+|.)", re.DOTALL)
_OVERRIDE = re.compile(r"\\(?:(?P<style>[ibu])(?P<on>\d*)(?![a-z])|(?P<reset>r)|p(?P<drawing>\d+)|an(?P<place>[1-9]))")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = {"N": "\n", "n": " ", "h": "\u00a0", "{": "{", "}": "}"}


class TooMuch(ValueError):
    """The subtitles have more cues, text or work than any film's need. The message says which, for people."""


class Budget:
    """What may still be written and done. Each stream has a budget, and the streams of a file share another one.

    A few bytes of a script can become many, because each piece between two overrides gets its own tags. So the budget
    counts the output and the work, not the input.
    """

    def __init__(self, of_file: Budget | None = None, *, streams: int = 1) -> None:
        self._of_file = of_file
        self._characters, self._pieces = MAX_CHARACTERS * streams, MAX_PIECES * streams

    def take(self, *, characters: int = 0, pieces: int = 0) -> None:
        """Count text that is kept, and lines and pieces that are examined. Raises TooMuch."""
        self._characters -= characters
        self._pieces -= pieces
        if self._characters < 0:
            raise TooMuch(f"more than {MAX_CHARACTERS} characters")
        if self._pieces < 0:
            raise TooMuch(f"more than {MAX_PIECES} lines and formats")
        if self._of_file is not None:
            self._of_file.take(characters=characters, pieces=pieces)


@dataclass(frozen=True, order=True)
class Cue:
    """One text and the time when it is shown, in milliseconds of the film."""

    start_ms: int
    end_ms: int
    text: str  # as it is written in the file
    at_top: bool = False


def cues(lines: Iterable[str], shift_s: float = 0.0, of_file: Budget | None = None) -> list[Cue]:
    """Return the cues of an ASS script in order of time, each shifted by `shift_s`. Skips cues that end before zero.

    The same text at the same time (the layers of an effect) becomes one cue. `of_file` is the budget that all streams
    of the file share. Raises TooMuch.
    """
    budget = Budget(of_file)
    unique_cues: set[Cue] = set()
    for line in lines:
        budget.take(pieces=1)
        cue = _cue(line, shift_s, budget)
        if cue is not None and cue not in unique_cues:
            budget.take(characters=len(cue.text))
            unique_cues.add(cue)
            if len(unique_cues) > MAX_CUES:
                raise TooMuch(f"more than {MAX_CUES} texts")
    return sorted(unique_cues)


def written(shown: Iterable[Cue]) -> Iterator[str]:
    """Yield the WebVTT file of these cues, piece by piece."""
    yield HEADER
    for cue in shown:
        place = " line:0" if cue.at_top else ""
        yield f"\n{_clock(cue.start_ms)} --> {_clock(cue.end_ms)}{place}\n{cue.text}\n"


def _cue(line: str, shift_s: float, budget: Budget) -> Cue | None:
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
    text, at_top = _text(fields[-1][:MAX_CUE_CHARACTERS], budget)
    return Cue(start_ms, end_ms, text, at_top) if text and end_ms > start_ms else None


def _text(raw: str, budget: Budget) -> tuple[str, bool]:
    """Return an event's text for a cue, and whether it belongs at the top."""
    budget.take(pieces=raw.count("{") + raw.count("\\"))
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
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, hundredths = map(int, match.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + hundredths * 10


def _clock(moment_ms: int) -> str:
    seconds, ms = divmod(moment_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"
