"""Formats sizes, ages, durations and times for people, and parses those that they type."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from nebula_cli.errors import UsageError

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def size(size_bytes: float) -> str:
    """Return a size with its unit.

    >>> size(1536 * 1024 * 1024)
    '1.5 GiB'
    """
    amount = float(size_bytes)
    for unit in UNITS[:-1]:
        if round(amount) < 1000:
            return _amount(amount, unit)
        amount /= 1024
    return _amount(amount, UNITS[-1])


def _amount(amount: float, unit: str) -> str:
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 99.5 else f"{amount:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """Return a duration as "1:02:03" or "2:05"; empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(text: str | None) -> datetime | None:
    """Parse a time of the API; return it aware, or None if it is missing or invalid."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def age(text: str | None, now: datetime | None = None) -> str:
    """Return how long ago a time of the API was: "now", "12 min", "3 h", "5 d", "2 y"."""
    then = moment(text)
    if then is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    for limit, unit, word in ((60, 1, ""), (3600, 60, "min"), (86400, 3600, "h"), (365 * 86400, 86400, "d")):
        if seconds < limit:
            return f"{seconds // unit:.0f} {word}" if word else "now"
    return f"{seconds // (365 * 86400):.0f} y"


def local_time(text: str | None) -> str:
    """Return a time of the API in this machine's time zone."""
    then = moment(text)
    return "" if then is None else then.astimezone().strftime("%Y-%m-%d %H:%M")


def start_s(text: str) -> float:
    """Parse a start time (`12:30`, `1:02:03` or `95`) into seconds. Raises UsageError."""
    match = re.fullmatch(r"(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6}(?:\.\d{1,3})?)", text, re.ASCII)
    if match is None:
        raise UsageError(f"--start {text!r} is no time; it takes 12:30, 1:02:03 or seconds.")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if (match[2] and seconds >= 60) or (match[1] and minutes >= 60):
        raise UsageError(f"--start {text!r} is no time: 60 is more than minutes or seconds go to.")
    return hours * 3600 + minutes * 60 + seconds


def span_s(text: str) -> int:
    """Parse a length of time (`90m`, `6h`, `7d`, `2w`) into seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})([smhdw])", text, re.ASCII)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"{text!r} is no span of time; it takes a number and a unit: 90m, 6h, 7d, 2w.")
    return int(match[1]) * SPANS[match[2]]


def count(option: str, text: str) -> int:
    """Parse the value of an option that takes a whole number above 0. Raises UsageError."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) == 0:
        raise UsageError(f"{option} {text!r} is no number; it takes 1 or more.")
    return int(text)
