"""The subtitles of contents: converts rows to records, and publishes all subtitles of a job at once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nebula.db import objects
from nebula.db.database import Tx, aware
from nebula.db.work import tasks
from nebula.domain.media import SubtitleStream
from nebula.domain.records import Subtitles
from nebula.domain.work import Claim


@dataclass(frozen=True)
class NewSubtitles:
    """One subtitle stream whose WebVTT object is stored."""

    stream: SubtitleStream
    object_key: str
    size_bytes: int
    sha256: str
    cues: int


def record(row: Any) -> Subtitles:
    """Turn the row of subtitles into its record."""
    return Subtitles(
        id=row.id,
        content_id=row.content.id,
        number=row.number,
        codec=row.codec,
        language=row.language,
        title=row.title,
        is_default=row.is_default,
        is_forced=row.is_forced,
        is_for_hearing_impaired=row.is_for_hearing_impaired,
        object_key=row.object_key,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        cues=row.cues,
        created_at=aware(row.created_at),
    )


def find(tx: Tx, content_id: str, subtitles_id: str) -> Subtitles | None:
    """Return one of a content's subtitles."""
    rows = tx.e.Subtitles.select(lambda one: one.content.id == content_id)
    return next((record(row) for row in rows if row.id == subtitles_id), None)


def publish(tx: Tx, claim: Claim, made: Sequence[NewSubtitles], *, warning: str | None) -> None:
    """Publish the subtitles of a job: end it, add the rows, spare the objects. Raises Superseded, changing nothing."""
    tasks.finish(tx, claim, warning=warning)
    for new_subtitles in made:
        stream = new_subtitles.stream
        tx.e.Subtitles(
            id=str(uuid.uuid4()),
            content=claim.content.id,
            number=stream.index,
            codec=stream.codec,
            language=stream.language or None,
            title=stream.title or None,
            is_default=stream.is_default,
            is_forced=stream.is_forced,
            is_for_hearing_impaired=stream.is_for_hearing_impaired,
            object_key=new_subtitles.object_key,
            size_bytes=new_subtitles.size_bytes,
            sha256=new_subtitles.sha256,
            cues=new_subtitles.cues,
            created_at=tx.now,
        )
        objects.spare(tx, new_subtitles.object_key)
    tx.flush()
