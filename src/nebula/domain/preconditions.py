"""Conditional requests (RFC 9110 section 13): entity tags, HTTP dates and the order in which conditions are checked.

The validators here are a strong entity tag and the time since which the bytes are unchanged. Bytes never change under
one tag, so the date is a strong validator too (RFC 9110 8.8.2.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_GAP = re.compile(r"[ \t,]*")
_MONTH = "(?P<month>" + "|".join(MONTHS) + ")"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-5][0-9]|60)"
# RFC 9110 5.6.7: the one form to send, and the two obsolete forms that must still be accepted.
_DATES = (
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


@dataclass(frozen=True)
class Validators:
    """The validators of a representation: a strong entity tag (quoted) and the time when its bytes last changed."""

    etag: str
    modified_at: datetime

    @property
    def last_modified(self) -> datetime:
        """The time as HTTP can express it: in whole seconds."""
        return self.modified_at.replace(microsecond=0)


def failed(method: str, headers: Mapping[str, str], validators: Validators) -> int | None:
    """Return 412 or 304 if a condition stops the request, else None (RFC 9110 13.2.2, steps 1 to 4)."""
    reading = method in {"GET", "HEAD"}
    if (if_match := headers.get("If-Match")) is not None:
        if not matches(if_match, validators.etag, weak=False):
            return 412
    elif (moment := http_date(headers.get("If-Unmodified-Since"))) is not None and validators.last_modified > moment:
        return 412
    if (if_none_match := headers.get("If-None-Match")) is not None:
        if matches(if_none_match, validators.etag, weak=True):
            return 304 if reading else 412
    elif reading and (moment := http_date(headers.get("If-Modified-Since"))) is not None:
        return 304 if validators.last_modified <= moment else None
    return None


def matches(value: str, etag: str, *, weak: bool) -> bool:
    """Return whether an If-Match or If-None-Match names `etag`, by weak or strong comparison (RFC 9110 8.8.3.2)."""
    if value.strip(" \t") == "*":
        return True
    tags = _tags(value)
    return etag in ([tag.removeprefix("W/") for tag in tags] if weak else tags)


def if_range_holds(value: str | None, validators: Validators) -> bool:
    """Return whether the bytes that the client has a part of are still the current ones (RFC 9110 13.1.5)."""
    if value is None:
        return True
    value = value.strip(" \t")
    if value.startswith(('"', "W/")):
        return value == validators.etag
    return http_date(value) == validators.last_modified


def http_date(text: str | None) -> datetime | None:
    """Return the time that an HTTP-date names, in any of its three forms; None for anything else."""
    if text is None:
        return None
    for form in _DATES:
        if match := form.fullmatch(text.strip(" \t")):
            return _moment(match)
    return None


def format_date(moment: datetime) -> str:
    """Format a time as an HTTP date (IMF-fixdate), independent of the locale."""
    moment = moment.astimezone(UTC)
    day = f"{DAYS[moment.weekday()]}, {moment.day:02} {MONTHS[moment.month - 1]} {moment.year:04}"
    return f"{day} {moment:%H:%M:%S} GMT"


def _tags(value: str) -> list[str]:
    """Return the entity tags of a list (RFC 9110 5.6.1, 8.8.3). A list that contains anything else has no tags at all.

    A comma inside a tag belongs to the tag. Reads the value once.
    """
    tags: list[str] = []
    position = 0
    while True:
        gap = _GAP.match(value, position)
        between = gap[0] if gap else ""
        position += len(between)
        if position == len(value):
            return tags
        tag = _TAG.match(value, position)
        if tag is None or (tags and "," not in between):
            return []
        tags.append(tag[0])
        position = tag.end()


def _moment(found: re.Match[str]) -> datetime | None:
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    clock = int(found["hour"]), int(found["minute"]), min(int(found["second"]), 59)  # 60: a leap second
    try:
        return datetime(year, MONTHS.index(found["month"]) + 1, int(found["day"]), *clock, tzinfo=UTC)
    except ValueError:
        return None
