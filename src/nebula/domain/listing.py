"""Pages: what a listing is asked for, and the opaque keyset cursors that carry it on."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from nebula.domain.records import File, Job, Rendition, Subtitles
from nebula.domain.states import FileState, JobState
from nebula.errors import InvalidInput

T = TypeVar("T")

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True)
class Position:
    """Where a page ends: the last item's time and id. Listings run from the newest to the oldest."""

    created_at: datetime
    id: str

    def to_cursor(self) -> str:
        """Return the position as the text that a client sends back."""
        text = json.dumps([self.created_at.isoformat(), self.id])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> Position:
        """Read a cursor. Raises InvalidInput(code="invalid_cursor")."""
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            moment, last_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            position = cls(datetime.fromisoformat(moment), last_id)
        except (ValueError, TypeError, RecursionError):
            raise _invalid_cursor() from None
        if position.created_at.tzinfo is None or not isinstance(last_id, str) or not last_id.isascii():
            raise _invalid_cursor()
        return position


@dataclass(frozen=True)
class FileQuery:
    """What of the files is asked for."""

    q: str | None = None  # a part of the name, upper and lower case alike
    sha256: str | None = None
    state: FileState | None = None
    trashed: bool = False
    after: Position | None = None
    limit: int = PAGE_SIZE


@dataclass(frozen=True)
class JobQuery:
    """What of the jobs is asked for."""

    state: JobState | None = None
    live: bool = False  # queued, running and paused ones only
    after: Position | None = None
    limit: int = PAGE_SIZE


@dataclass(frozen=True)
class FileDetails:
    """A file with what was made of its content."""

    file: File
    renditions: tuple[Rendition, ...]
    jobs: tuple[Job, ...]
    subtitles: tuple[Subtitles, ...] = ()


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items, and where the next page begins; None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


def _invalid_cursor() -> InvalidInput:
    return InvalidInput("The cursor is not one that a listing gave; begin without it.", code="invalid_cursor")
