"""Films that are made in one piece: copied, or too short or too odd to be cut into chunks.

Made in a scratch directory, verified, stored under a key that holds the attempt number, and published.
"""

from __future__ import annotations

import logging
from pathlib import Path

from nebula.db import films, leases
from nebula.db.database import Database, Tx
from nebula.domain import object_keys, rungs
from nebula.domain import plan as plans
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.domain.records import Claim
from nebula.errors import Incomplete, MediaError
from nebula.media import arguments, film, probe, verify
from nebula.media.verify import VerifiedFilm
from nebula.services.attempt import Attempt
from nebula.services.keeping import Keeping
from nebula.services.room import Room
from nebula.services.sources import Sources

log = logging.getLogger(__name__)


class WholeFilms:
    """Makes a film in one claim, and publishes what anyone made."""

    def __init__(self, database: Database, sources: Sources, keeping: Keeping, room: Room) -> None:
        self._database = database
        self._sources = sources
        self._keeping = keeping
        self._room = room

    def make(self, attempt: Attempt[Claim]) -> None:
        """Make the film and publish it."""
        claim = attempt.claim
        size_bytes = claim.content.size_bytes  # the film's is not known before; about this much is a fair guess
        self._room.check(local_bytes=size_bytes, object_bytes=size_bytes)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        target = attempt.folder / "film.mp4"
        rung, verified = self._make(attempt, target)
        self.publish(attempt, target, rung, verified)

    def publish(self, attempt: Attempt[Claim], target: Path, rung: str, verified: VerifiedFilm) -> None:
        """Store a verified film, and show it to everyone."""
        claim = attempt.claim
        key = object_keys.rendition(claim.job_id, claim.attempt)
        self._keeping.keep(attempt, key, target, lambda tx: _publish(tx, claim, key, rung, verified))
        log.info("published %s size_bytes=%s", claim.shown, verified.size_bytes)

    def _make(self, attempt: Attempt[Claim], target: Path) -> tuple[str, VerifiedFilm]:
        """Make the film; once more from a local copy where it is not all of its source, and then as far as it goes."""
        claim = attempt.claim
        try:
            source = self._sources.find(claim.content)
            return self._make_from(attempt, source, known_facts(claim), target, accept_short=False)
        except (Incomplete, MediaError) as error:
            log.warning("again from a copy %s error=%r", claim.shown, error.message)
        copy = self._sources.copy(attempt, claim.content)
        facts = probe.probe(str(copy), stop=attempt.stop)
        return self._make_from(attempt, str(copy), facts, target, accept_short=True)

    def _make_from(
        self, attempt: Attempt[Claim], source: str, facts: MediaFacts | None, target: Path, *, accept_short: bool
    ) -> tuple[str, VerifiedFilm]:
        claim = attempt.claim
        plan = planned(claim, facts)
        if facts is None or plan.rung is None:
            raise MediaError(f"No film can be made: {'; '.join(plan.reasons)}.")
        threads, is_paused = attempt.pace.threads(), attempt.pace.is_paused
        command = film.command(arguments.film(source, plan, target, threads=threads), source)
        self._note_run(claim, command)
        made = film.make(
            source,
            facts,
            plan,
            target,
            threads=threads,
            on_progress=attempt.note_progress,
            stop=attempt.stop,
            is_paused=is_paused,
        )
        self._note_run(claim, made.command, made.log)
        verified = verify.verify(
            source, facts, plan, target, accept_short=accept_short, stop=attempt.stop, is_paused=is_paused
        )
        return plan.rung, verified

    def _note_run(self, claim: Claim, command: str, stderr: str | None = None) -> None:
        self._database.write(lambda tx: leases.note(tx, claim.job_id, claim.attempt, command=command, log=stderr))


def planned(claim: Claim, facts: MediaFacts | None) -> Plan:
    """Decide as the probe did: the same facts give the same plan within one version."""
    plan = plans.decide(facts, name=claim.name, media_type=claim.media_type)
    return rungs.at(plan, claim.rung)


def known_facts(claim: Claim) -> MediaFacts | None:
    """Return what the probe found."""
    return None if claim.facts is None else MediaFacts.from_json(claim.facts)


def _publish(tx: Tx, claim: Claim, key: str, rung: str, verified: VerifiedFilm) -> None:
    films.publish_rendition(
        tx,
        claim,
        rung=rung,
        object_key=key,
        size_bytes=verified.size_bytes,
        sha256=verified.sha256,
        width=verified.width,
        height=verified.height,
        duration_s=verified.duration_s,
        video_codec=verified.video_codec,
        audio_codec=verified.audio_codec,
        warning=verified.warning,
    )
