"""Makes WebVTT subtitles, once for each content: extracts them from the original, stores them, publishes all at once.

A warning on the job names the subtitles that cannot be extracted. The film does not depend on them.
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
    """Runs tasks of the kind `subtitles`."""

    def __init__(self, sources: Sources, keeping: Keeping, room: Room) -> None:
        self._sources = sources
        self._keeping = keeping
        self._room = room

    def make(self, attempt: Attempt) -> None:
        """Make and publish the subtitles of a content. Passes on the errors of the source and the stores."""
        claim = attempt.claim
        facts = known_facts(claim)
        if facts is None or not plans.decide(facts).taken:
            self._publish(attempt, (), ())
            return
        self._room.check(local_bytes=extraction.MAX_SCRIPT_BYTES, object_bytes=extraction.MAX_SCRIPT_BYTES)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        source = self._sources.find(attempt)
        extracted = _extract(attempt, source, facts)
        if extracted.is_short and is_url(source):
            # The store may have cut the read short; ffmpeg does not report that.
            log.warning("again from a copy %s", claim.shown)
            extracted = _extract(attempt, str(self._sources.copy(attempt, claim.content)), facts)
        attempt.note_run(extracted.run.command, extracted.run.log)
        self._publish(attempt, extracted.made, extracted.notes)

    def _publish(self, attempt: Attempt, made: tuple[MadeSubtitles, ...], notes: tuple[str, ...]) -> None:
        claim = attempt.claim
        warning = f"Not all subtitles could be taken: {'; '.join(notes)}." if notes else None
        keys = [object_keys.subtitles(claim.job_id, claim.attempt, track.stream.index) for track in made]
        rows = [
            NewSubtitles(track.stream, key, track.size_bytes, track.sha256, track.cues)
            for track, key in zip(made, keys, strict=True)
        ]

        def commit(tx: Tx) -> None:
            subtitles.publish(tx, claim, rows, warning=warning)

        self._keeping.keep_all(
            attempt, dict(zip(keys, (track.path for track in made), strict=True)), webvtt.MEDIA_TYPE, commit
        )
        log.info("published %s subtitles=%s", claim.shown, len(rows))


def _extract(attempt: Attempt, source: str, facts: MediaFacts) -> Extraction:
    return extraction.extract(
        source,
        facts,
        plans.decide(facts).taken,
        attempt.folder,
        # A film that Nebula makes begins at the source's zero; a web-ready original keeps its own clock.
        zero_s=0.0 if planned(attempt.claim, facts).web_ready else facts.start_s,
        control=attempt.control(),
    )
