"""Subtitles become WebVTT once for each content: taken out of the original, stored, and published together.

What cannot be taken is said on the job and ends there: the film has no part in it.
"""

from __future__ import annotations

import logging

from nebula.db import subtitles
from nebula.db.database import Tx
from nebula.db.subtitles import NewSubtitles
from nebula.domain import object_keys, webvtt
from nebula.domain import subtitles as plans
from nebula.domain.media import MediaFacts
from nebula.media.ffmpeg.source import is_url
from nebula.media.making import subtitles as extraction
from nebula.media.making.subtitles import Extraction, MadeSubtitles
from nebula.services.disk_reserve import Room
from nebula.services.films.attempt import Attempt
from nebula.services.films.results import Keeping
from nebula.services.films.sources import Sources
from nebula.services.films.whole import known_facts, planned

log = logging.getLogger(__name__)


class Subtitling:
    """Does the tasks of the kind `subtitles`."""

    def __init__(self, sources: Sources, keeping: Keeping, room: Room) -> None:
        self._sources = sources
        self._keeping = keeping
        self._room = room

    def make(self, attempt: Attempt) -> None:
        """Make and publish the subtitles of a content. Raises what the source and the stores do."""
        claim = attempt.claim
        facts = known_facts(claim)
        if facts is None or not plans.decide(facts).taken:
            self._publish(attempt, (), ())
            return
        self._room.check(local_bytes=extraction.MAX_SCRIPT_BYTES, object_bytes=extraction.MAX_SCRIPT_BYTES)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        source = self._sources.find(attempt)
        found = _extract(attempt, source, facts)
        if found.is_short and is_url(source):
            # The store may have cut it off, and ffmpeg would not say so.
            log.warning("again from a copy %s", claim.shown)
            found = _extract(attempt, str(self._sources.copy(attempt, claim.content)), facts)
        attempt.note_run(found.run.command, found.run.log)
        self._publish(attempt, found.made, found.notes)

    def _publish(self, attempt: Attempt, made: tuple[MadeSubtitles, ...], notes: tuple[str, ...]) -> None:
        claim = attempt.claim
        warning = f"Not all subtitles could be taken: {'; '.join(notes)}." if notes else None
        keys = [object_keys.subtitles(claim.job_id, claim.attempt, one.stream.index) for one in made]
        rows = [
            NewSubtitles(one.stream, key, one.size_bytes, one.sha256, one.cues)
            for one, key in zip(made, keys, strict=True)
        ]

        def commit(tx: Tx) -> None:
            subtitles.publish(tx, claim, rows, warning=warning)

        self._keeping.keep_all(
            attempt, dict(zip(keys, (one.path for one in made), strict=True)), webvtt.MEDIA_TYPE, commit
        )
        log.info("published %s subtitles=%s", claim.shown, len(rows))


def _extract(attempt: Attempt, source: str, facts: MediaFacts) -> Extraction:
    return extraction.extract(
        source,
        facts,
        plans.decide(facts).taken,
        attempt.folder,
        # A made film begins at the source's zero; an original that is played as it is keeps its own clock.
        zero_s=0.0 if planned(attempt.claim, facts).web_ready else facts.start_s,
        control=attempt.control(),
    )
