"""Pages: what a listing can be asked for, and the opaque keyset cursors that continue it."""

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
    """Where a page ends: the time and id of the last item. Listings run from the newest to the oldest."""

    created_at: datetime
    id: str

    def to_cursor(self) -> str:
        """Return the position as the text that a client sends back."""
        text = json.dumps([self.created_at.isoformat(), self.id])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> Position:
        """Parse a cursor. Raises InvalidInput(code="invalid_cursor")."""
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
    """The conditions of a listing of files."""

    q: str | None = None  # a part of the name, in upper or lower case
    sha256: str | None = None
    state: FileState | None = None
    trashed: bool = False
    after: Position | None = None
    limit: int = PAGE_SIZE


@dataclass(frozen=True)
class JobQuery:
    """The conditions of a listing of jobs."""

    state: JobState | None = None
    live: bool = False  # only queued, running and paused jobs
    after: Position | None = None
    limit: int = PAGE_SIZE


@dataclass(frozen=True)
class FileDetails:
    """A file with everything that was made from its content."""

    file: File
    renditions: tuple[Rendition, ...]
    jobs: tuple[Job, ...]
    subtitles: tuple[Subtitles, ...] = ()


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items, and the cursor of the next page; None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


def _invalid_cursor() -> InvalidInput:
    return InvalidInput("The cursor is not one that a listing gave; begin without it.", code="invalid_cursor")
