"""Films that are encoded in chunks: laid out by one worker, made by any number of nodes, joined by one worker.

    split  the source's packets are listed and cut at key frames; a row for each span, and one for all of the sound
    make   one of them, verified and stored under a key with its attempt number; the last one queues the join
    join   the stored chunks are fetched and joined without encoding, the film is verified and published

Each step is a claim of its own, so that a worker that dies costs what it held and nothing else. What cannot be read in
pieces, or does not join to what its source promises, is made in one piece instead (whole.py).
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from nebula.db.database import Database
from nebula.db.work import chunks
from nebula.db.work.chunks import Outcome
from nebula.domain import chunks as layout
from nebula.domain import object_keys
from nebula.domain.chunks import Chunk
from nebula.domain.encoders import SOFTWARE, suited
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan, damage
from nebula.domain.states import Queue, TaskKind
from nebula.domain.work import Claim, MadeChunk, NewTask, StoredChunk
from nebula.errors import HardwareFailed, Incomplete, MediaError, ObjectChanged, ObjectNotFound
from nebula.media.ffmpeg.control import Control
from nebula.media.ffmpeg.progress import Progress
from nebula.media.ffmpeg.source import is_url
from nebula.media.making import chunking
from nebula.media.reading import seekability
from nebula.media.verifying import chunk_checks, film_checks
from nebula.messages import Messages
from nebula.services.disk_reserve import Room
from nebula.services.films import hardware
from nebula.services.films.attempt import Attempt
from nebula.services.films.encoder import Encoders
from nebula.services.films.results import Keeping
from nebula.services.films.sources import Sources
from nebula.services.films.whole import WholeFilms, known_facts, planned
from nebula.storage.contract import ObjectStorage

log = logging.getLogger(__name__)

SOUND_ENCODER = "aac"
SOUND = 0  # the number of the chunk that is all of the sound; the picture's come after it


@dataclass(frozen=True)
class _Work:
    """What a chunk's row says is to be made."""

    span: Chunk | None  # None: the sound
    from_copy: bool  # the source cannot be read in pieces: each node copies it once

    def to_json(self) -> str:
        span = None if self.span is None else self.span.to_json()
        return json.dumps({"span": span, "from_copy": self.from_copy})

    @classmethod
    def from_json(cls, text: str) -> _Work:
        raw = json.loads(text)
        return cls(None if raw["span"] is None else Chunk.from_json(raw["span"]), raw["from_copy"])


class ChunkedFilms:
    """Lays a film out in chunks, makes one of them, joins them."""

    def __init__(
        self,
        database: Database,
        storage: ObjectStorage,
        messages: Messages,
        room: Room,
        sources: Sources,
        keeping: Keeping,
        whole: WholeFilms,
        encoders: Encoders,
        *,
        chunk_s: float,
    ) -> None:
        self._database = database
        self._storage = storage
        self._messages = messages
        self._room = room
        self._sources = sources
        self._keeping = keeping
        self._whole = whole
        self._encoders = encoders
        self._chunk_s = chunk_s

    def fits(self, facts: MediaFacts | None) -> bool:
        """Say whether a source is long enough to be cut."""
        return facts is not None and facts.listed_s >= 2 * self._chunk_s

    def split(self, attempt: Attempt) -> None:
        """List the source's packets and lay the chunks out; what an earlier run of the job made is taken."""
        claim = attempt.claim
        facts, plan = _known(claim)
        source = self._sources.find(attempt)
        spans = self._spans(attempt, source, facts, plan)
        if len(spans) < 2:
            log.info("not cut %s", claim.shown)
            self._in_one_piece(attempt)
            return
        wanted = self._wanted(attempt, source, facts, plan, spans)
        fitting = self._fitting(claim, facts, plan, wanted)
        encoder = SOFTWARE if suited(facts, plan) == (SOFTWARE,) else None
        queue = attempt.write(lambda tx: chunks.lay_out(tx, claim, wanted, fitting, encoder))
        log.info("cut %s chunks=%s", claim.shown, len(wanted))
        self._messages.wake(queue or Queue.ENCODE)

    def make(self, attempt: Attempt) -> None:
        """Make a chunk, verify it and store it."""
        claim = attempt.claim
        target = attempt.folder / "chunk.mp4"
        expected_bytes = _share(claim)
        self._room.check(local_bytes=expected_bytes, object_bytes=expected_bytes)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        try:
            made = self._make(attempt, target)
        except MediaError as error:
            # Nothing of this part can be played; of the film as a whole there may be enough.
            log.warning("again in one piece %s error=%r", claim.shown, error.message)
            self._in_one_piece(attempt)
            return
        except HardwareFailed as error:
            log.warning("again in software %s error=%r", claim.shown, error.message)
            self._encoders.distrust(error.message)
            failed = str(error.message)
            attempt.write(lambda tx: chunks.fail_hardware(tx, claim, failed))
            self._messages.wake(Queue.ENCODE)
            return
        key = object_keys.chunk(claim.job_id, claim.number, claim.attempt)
        outcome = self._keeping.keep(attempt, key, target, lambda tx: chunks.finish(tx, claim, key, made))
        log.info("chunk %s %s size_bytes=%s", outcome, claim.shown, made.size_bytes)
        if outcome is Outcome.LAST:
            self._messages.wake(Queue.QUICK)

    def join(self, attempt: Attempt) -> None:
        """Join the stored chunks, verify the film and publish it."""
        claim = attempt.claim
        facts, plan = _known(claim)
        stored = self._database.read(lambda tx: chunks.stored(tx, claim.job_id))
        size_bytes = sum(chunk.made.size_bytes for chunk in stored)
        self._room.check(local_bytes=2 * size_bytes, object_bytes=size_bytes)
        lost = self._fetch(attempt, stored)
        if lost:
            attempt.write(lambda tx: chunks.send_back(tx, claim, lost))
            log.warning("lost chunks %s numbers=%s", claim.shown, lost)
            self._messages.wake(Queue.ENCODE)
            return
        try:
            self._publish(attempt, facts, plan, stored)
        except Incomplete as error:
            log.warning("again in one piece %s error=%r", claim.shown, error.message)
            self._in_one_piece(attempt)

    def _in_one_piece(self, attempt: Attempt) -> None:
        attempt.write(lambda tx: chunks.in_one_piece(tx, attempt.claim))
        self._messages.wake(Queue.ENCODE)

    # Split

    def _spans(self, attempt: Attempt, source: str, facts: MediaFacts, plan: Plan) -> tuple[Chunk, ...]:
        """Return the spans of the picture; none where its packets are twice not those that the probe listed."""
        least_s = layout.least_s(facts.listed_s, self._chunk_s)
        for _ in range(2):
            try:
                return chunking.list_chunks(
                    source, facts, plan, least_s=least_s, most_s=2 * least_s, control=attempt.control()
                )
            except Incomplete as error:
                log.warning("not the probe's list %s error=%r", attempt.claim.shown, error.message)
        return ()

    def _wanted(
        self, attempt: Attempt, source: str, facts: MediaFacts, plan: Plan, spans: tuple[Chunk, ...]
    ) -> list[NewTask]:
        # A disk gives it again for little, whatever ffmpeg reads of it.
        from_copy = is_url(source) and not seekability.reads_in_pieces(source, facts, control=attempt.control())
        wanted = [
            NewTask(
                TaskKind.VIDEO_CHUNK,
                chunks.CHUNKS,
                SOUND + 1 + span.number,
                payload=_Work(span, from_copy).to_json(),
                media_s=span.duration_s,
            )
            for span in spans
        ]
        if plan.audio:
            # Its weight is nothing beside the picture's.
            sound = _Work(None, from_copy).to_json()
            wanted.insert(0, NewTask(TaskKind.AUDIO_CHUNK, chunks.CHUNKS, SOUND, payload=sound))
        return [replace(task, plan_version=attempt.claim.plan_version) for task in wanted]

    def _fitting(self, claim: Claim, facts: MediaFacts, plan: Plan, wanted: list[NewTask]) -> set[str]:
        """Return which chunks of an earlier run are what would be made now, and are in the store still.

        Whichever node made one: its key is reckoned again with its own build.
        """
        spans = {task.number: _Work.from_json(task.payload or "").span for task in wanted}

        def fits(chunk: StoredChunk) -> bool:
            if chunk.number not in spans:
                return False
            key = chunking.key(claim.content.sha256, facts, plan, spans[chunk.number], chunk.made.build)
            return chunk.made.key == key and self._has(chunk)

        stored = self._database.read(lambda tx: chunks.stored(tx, claim.job_id))
        return {chunk.object_key for chunk in stored if fits(chunk)}

    def _has(self, chunk: StoredChunk) -> bool:
        try:
            return self._storage.stat(chunk.object_key).size_bytes == chunk.made.size_bytes
        except ObjectNotFound:
            return False

    # Make

    def _make(self, attempt: Attempt, target: Path) -> MadeChunk:
        """Make the chunk; if it is not all of its span, once more from a local file, and then as far as it goes."""
        claim = attempt.claim
        work = _Work.from_json(claim.payload or "")
        make = self._make_sound if work.span is None else partial(self._make_picture, work.span)
        source = self._sources.find(attempt)
        if work.from_copy:
            source = str(self._sources.kept(attempt, claim.content))
        if work.span is not None and (claim.encoder or SOFTWARE) != SOFTWARE:
            return hardware.try_twice(
                attempt,
                self._sources,
                source,
                lambda: self._sources.kept(attempt, claim.content),
                lambda source: make(attempt, source, target, accept_short=False),
            )
        try:
            return make(attempt, source, target, accept_short=False)
        except Incomplete as error:
            log.warning("again from a local file %s error=%r", claim.shown, error.message)
        copy = self._sources.kept(attempt, claim.content)
        return make(attempt, str(copy), target, accept_short=True)

    def _make_sound(self, attempt: Attempt, source: str, target: Path, *, accept_short: bool) -> MadeChunk:
        facts, plan = _known(attempt.claim)
        control = attempt.control(on_command=attempt.note_run)
        attempt.turn.pass_on()  # pictures may be encoded beside it: sound takes one core at most
        made = chunking.make_sound(source, facts, plan, target, control=control)
        attempt.note_run(made.command, made.log)
        verified = film_checks.verify_sound(source, facts, plan, target, accept_short=accept_short, control=control)
        build = self._encoders.build(SOUND_ENCODER)
        key = chunking.key(attempt.claim.content.sha256, facts, plan, None, build)
        return MadeChunk(SOUND_ENCODER, key, build, verified.size_bytes, warning=verified.warning)

    def _make_picture(
        self, span: Chunk, attempt: Attempt, source: str, target: Path, *, accept_short: bool
    ) -> MadeChunk:
        claim = attempt.claim
        facts, plan = _known(claim)
        encoder = claim.encoder or SOFTWARE
        build = self._encoders.build(encoder)
        control = attempt.control(self._encoders.tools, attempt.note_run)
        with attempt.encoding():
            made = chunking.make_chunk(
                source, facts, plan, span, target, encoder=encoder, threads=attempt.pace.threads(), control=control
            )
            attempt.note_progress(Progress(1.0))  # whole, and no longer at any speed
        attempt.note_run(made.command, made.log)
        verified = chunk_checks.verify_chunk(
            plan, span, target, encoder=encoder, source=source, accept_short=accept_short, control=control
        )
        key = chunking.key(claim.content.sha256, facts, plan, span, build)
        return MadeChunk(
            encoder, key, build, verified.size_bytes, verified.fingerprint, verified.start_s, verified.warning
        )

    # Join

    def _fetch(self, attempt: Attempt, stored: list[StoredChunk]) -> list[int]:
        """Fetch every chunk into the attempt's directory; return the numbers of those that the store has lost."""
        lost = []
        for chunk in stored:
            try:
                self._sources.fetch(attempt, chunk.object_key, chunk.made.size_bytes, _path(attempt, chunk))
            except (ObjectNotFound, ObjectChanged):
                lost.append(chunk.number)
        return lost

    def _publish(self, attempt: Attempt, facts: MediaFacts, plan: Plan, stored: list[StoredChunk]) -> None:
        target = attempt.folder / "film.mp4"
        sound = next((_path(attempt, chunk) for chunk in stored if chunk.kind == TaskKind.AUDIO_CHUNK), None)
        pictures = [chunk for chunk in stored if chunk.kind == TaskKind.VIDEO_CHUNK]
        parts = [chunking.Part(_path(attempt, chunk), chunk.made.start_s or 0.0) for chunk in pictures]
        control = Control(stop=attempt.stop, check_source=attempt.check_source, check_room=attempt.check_room)
        chunking.join(parts, sound, facts, plan, target, control=control)
        warning = next((chunk.made.warning for chunk in stored if chunk.made.warning), None)
        verified = film_checks.verify(
            self._sources.find(attempt),
            facts,
            plan,
            target,
            accept_short=warning is not None or damage(facts) is not None,
            parts_verified=True,
            control=control,
        )
        self._whole.publish(attempt, target, plan.rung or "", replace(verified, warning=verified.warning or warning))


def _known(claim: Claim) -> tuple[MediaFacts, Plan]:
    facts = known_facts(claim)
    plan = planned(claim, facts)
    if facts is None or plan.rung is None:
        raise MediaError(f"No film can be made: {'; '.join(plan.reasons)}.")
    return facts, plan


def _share(claim: Claim) -> int:
    """Return about how many bytes the chunk takes: its share of the source, which is a fair guess for a film's size."""
    facts, _ = _known(claim)
    span = _Work.from_json(claim.payload or "").span
    part = 1.0 if span is None else min(1.0, span.duration_s / facts.listed_s) if facts.listed_s else 0.0
    return int(claim.content.size_bytes * part)


def _path(attempt: Attempt, chunk: StoredChunk) -> Path:
    return attempt.folder / "chunks" / f"{chunk.number}.mp4"
