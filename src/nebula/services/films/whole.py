"""Makes films in one piece: those that are only copied, are too short for chunks, or cannot be cut into chunks.

A film is made in a scratch directory, verified, stored under a key that contains the attempt number, and published.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

from nebula.db import films
from nebula.db.work import tasks
from nebula.domain import object_keys, rungs
from nebula.domain import plan as plans
from nebula.domain.encoders import SOFTWARE
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.domain.work import Claim, NewRendition
from nebula.errors import HardwareFailed, Incomplete, MediaError
from nebula.media.making import film
from nebula.media.reading import probe
from nebula.media.verifying import chunk_checks, film_checks
from nebula.media.verifying.film_checks import VerifiedFilm
from nebula.services.disk_reserve import Room
from nebula.services.films import hardware
from nebula.services.films.attempt import Attempt
from nebula.services.films.encoder import Encoders
from nebula.services.films.results import Keeping
from nebula.services.films.sources import Sources

log = logging.getLogger(__name__)


class WholeFilms:
    """Makes a film in one claim. Also publishes films that were made in chunks."""

    def __init__(self, sources: Sources, keeping: Keeping, room: Room, encoders: Encoders) -> None:
        self._sources = sources
        self._keeping = keeping
        self._room = room
        self._encoders = encoders

    def make(self, attempt: Attempt) -> None:
        """Make the film and publish it."""
        claim = attempt.claim
        size_bytes = claim.content.size_bytes  # an estimate: the film's size is not known yet
        self._room.check(local_bytes=size_bytes, object_bytes=size_bytes)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        target = attempt.folder / "film.mp4"
        rung_and_film = self._make(attempt, target)
        if rung_and_film is not None:
            self.publish(attempt, target, *rung_and_film)

    def publish(self, attempt: Attempt, target: Path, rung: str, verified: VerifiedFilm) -> None:
        """Store a verified film and make it visible."""
        claim = attempt.claim
        key = object_keys.rendition(claim.job_id, claim.attempt)
        rendition = NewRendition(rung=rung, object_key=key, **asdict(verified))
        self._keeping.keep(attempt, key, target, lambda tx: films.publish_rendition(tx, claim, rendition))
        log.info("published %s size_bytes=%s", claim.shown, verified.size_bytes)

    def _make(self, attempt: Attempt, target: Path) -> tuple[str, VerifiedFilm] | None:
        """Make the film. If it is incomplete, make it again from a local file and accept as much as can be read.

        Returns None if the original turns out to need no film, because the read was cut short when it was probed.
        """
        claim = attempt.claim
        try:
            source = self._sources.find(attempt)
            return self._make_from(attempt, source, known_facts(claim), target, accept_short=False)
        except (Incomplete, MediaError) as error:
            log.warning("again from a local file %s error=%r", claim.shown, error.message)
        copy = self._sources.copy(attempt, claim.content)
        facts = probe.probe(str(copy), control=attempt.control())
        return self._make_from(attempt, str(copy), facts, target, accept_short=True)

    def _make_from(
        self, attempt: Attempt, source: str, facts: MediaFacts | None, target: Path, *, accept_short: bool
    ) -> tuple[str, VerifiedFilm] | None:
        claim = attempt.claim
        plan = planned(claim, facts)
        if facts is not None and plan.web_ready:
            attempt.write(lambda tx: films.record_web_ready(tx, claim, facts, plan))
            log.info("web-ready after all %s", claim.shown)
            return None
        if facts is None or plan.rung is None or not plan.makes_film:
            raise MediaError(f"No film can be made: {'; '.join(plan.reasons)}.")
        verified = None if accept_short else self._on_hardware(attempt, source, facts, plan, target)
        if verified is None:
            verified = self._run(attempt, source, facts, plan, target, SOFTWARE, accept_short=accept_short)
        return plan.rung, verified

    def _on_hardware(
        self, attempt: Attempt, source: str, facts: MediaFacts, plan: Plan, target: Path
    ) -> VerifiedFilm | None:
        """Make the film with this node's hardware. Returns None if none suits it, or it failed now or before."""
        claim = attempt.claim
        encoder = self._encoders.choose(facts, plan)
        if encoder == SOFTWARE or not plan.encodes_video or claim.restarts:
            return None
        try:
            return hardware.try_twice(
                attempt,
                self._sources,
                source,
                lambda: self._sources.copy(attempt, claim.content),
                lambda source: self._run(attempt, source, facts, plan, target, encoder, accept_short=False),
            )
        except HardwareFailed as error:
            log.warning("again in software %s error=%r", claim.shown, error.message)
            self._encoders.distrust(error.message)
        self._note_encoder(attempt, SOFTWARE, is_restart=True)
        return None

    def _run(
        self,
        attempt: Attempt,
        source: str,
        facts: MediaFacts,
        plan: Plan,
        target: Path,
        encoder: str,
        *,
        accept_short: bool,
    ) -> VerifiedFilm:
        control = attempt.control(self._encoders.tools, attempt.note_run)
        if plan.encodes_video:
            self._note_encoder(attempt, encoder)
        threads = attempt.pace.threads()
        run = film.make(source, facts, plan, target, encoder=encoder, threads=threads, control=control)
        attempt.note_run(run.command, run.log)
        verified = film_checks.verify(source, facts, plan, target, accept_short=accept_short, control=control)
        if encoder != SOFTWARE:
            chunk_checks.look_closely(source, plan, target, control=control)
        return verified

    def _note_encoder(self, attempt: Attempt, encoder: str, *, is_restart: bool = False) -> None:
        attempt.write(lambda tx: tasks.note_encoder(tx, attempt.claim, encoder, is_restart=is_restart))


def planned(claim: Claim, facts: MediaFacts | None) -> Plan:
    """Return the plan that the probe chose: the same facts give the same plan within one plan version."""
    plan = plans.decide(facts, name=claim.name, media_type=claim.media_type)
    return rungs.at(plan, claim.rung)


def known_facts(claim: Claim) -> MediaFacts | None:
    """Return the facts that the probe found; None if there are none."""
    return None if claim.facts is None else MediaFacts.from_json(claim.facts)
