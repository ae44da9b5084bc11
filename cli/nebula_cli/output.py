"""Output for people and programs: data on stdout, messages on stderr.

Names are printed without control characters, JSON one object per line.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

COLOURS = {"red": "31", "green": "32", "yellow": "33"}
# Characters that change the direction of text: they could make a name look like another one.
DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def prepare() -> None:
    """Make stdout and stderr able to print any name: characters that their encoding lacks are escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def data(text: str) -> None:
    """Print a line of data on stdout."""
    print(text)


def say(text: str) -> None:
    """Print a one-line message for the person on stderr, and flush it."""
    try:
        print(clean(text), file=sys.stderr, flush=True)
    except OSError:
        return  # stderr is closed; the exit code still tells the outcome


def print_json(thing: Any) -> None:
    """Print the API's object on one line, in ASCII only: exact in every encoding, and harmless in a terminal."""
    print(json.dumps(thing, separators=(",", ":")))


def print_all(things: Iterable[Any]) -> None:
    """Print the API's objects, one per line."""
    for thing in things:
        print_json(thing)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], colours: dict[str, str] | None = None) -> None:
    """Print a table with aligned columns (see `table`)."""
    for line in table(titles, rows, colours):
        data(line)


def clean(text: str) -> str:
    """Return text without characters that act on a terminal or mislead the eye.

    Removed are control characters, line breaks and direction marks.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character for character in text if not _obeyed(character))


def typed(name: str) -> str:
    """Return a name as it must be typed in a shell."""
    quoted = shlex.quote(clean(name))
    return f"-- {quoted}" if name.startswith("-") else quoted


def is_terminal(stream: TextIO) -> bool:
    """Return whether lines of this stream can be overwritten: it is a terminal, and not a dumb one."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def painted(text: str, colour: str) -> str:
    """Return text in a colour if stdout is a terminal and NO_COLOR (no-color.org) is not set."""
    if colour not in COLOURS or os.environ.get("NO_COLOR") or not is_terminal(sys.stdout):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], colours: dict[str, str] | None = None) -> list[str]:
    """Return aligned lines. The last column is not padded; a cell whose first word is a key of `colours` is coloured.

    >>> table(["SIZE", "NAME"], [["12 B", "a.txt"]])
    ['SIZE  NAME', '12 B  a.txt']
    """
    cells = [list(titles), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(_width(line[column]) for line in cells) for column in range(len(titles) - 1)]
    return [_line(line, widths, colours or {}) for line in cells]


def cut(text: str, columns: int) -> str:
    """Return the start of a line that fits into `columns` columns."""
    fitting, used_columns = [], 0
    for character in text:
        used_columns += _columns(character)
        if used_columns > columns:
            break
        fitting.append(character)
    return "".join(fitting)


def _line(cells: list[str], widths: list[int], colours: dict[str, str]) -> str:
    padded = [
        painted(cell, colours.get(cell.split(" ")[0], "")) + " " * (width - _width(cell))
        for cell, width in zip(cells, widths, strict=False)
    ]
    return "  ".join([*padded, cells[-1]]).rstrip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Cf", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _obeyed(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"} or character in DIRECTION_MARKS
