"""Encodes films in chunks: one worker lists the chunks, any number of nodes make them, one worker joins them.

    split  list the source's packets, cut at key frames; add a row for each chunk, and one for all of the sound
    make   make one chunk, verify it, store it under a key with its attempt number; the last chunk queues the join
    join   fetch the stored chunks, join them without encoding, verify and publish the film

Each step is a claim of its own, so if a worker dies, only the task that it had claimed is lost. If a source cannot be
cut, or the joined film is not as complete as its source, the film is made in one piece instead (whole.py).
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
SOUND = 0  # the number of the chunk with all of the sound; the picture's chunks come after it


@dataclass(frozen=True)
class _Work:
    """What to make for a chunk: the payload of its row."""

    span: Chunk | None  # None for the sound
    from_copy: bool  # True if the source cannot be read in pieces: each node copies it once

    def to_json(self) -> str:
        interval = None if self.span is None else self.span.to_json()
        return json.dumps({"span": interval, "from_copy": self.from_copy})

    @classmethod
    def from_json(cls, text: str) -> _Work:
        raw = json.loads(text)
        return cls(None if raw["span"] is None else Chunk.from_json(raw["span"]), raw["from_copy"])


class ChunkedFilms:
    """Handles the tasks of a film that is encoded in chunks: split, make, join."""

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
        """Return whether a source is long enough for chunks."""
        return facts is not None and facts.listed_s >= 2 * self._chunk_s

    def split(self, attempt: Attempt) -> None:
        """Cut the source into chunks and add a task for each. Chunks that an earlier run of the job made are reused."""
        claim = attempt.claim
        facts, plan = _known(claim)
        source = self._sources.find(attempt)
        intervals = self._spans(attempt, source, facts, plan)
        if len(intervals) < 2:
            log.info("not cut %s", claim.shown)
            self._in_one_piece(attempt)
            return
        new_tasks = self._wanted(attempt, source, facts, plan, intervals)
        reusable_keys = self._fitting(claim, facts, plan, new_tasks)
        encoder = SOFTWARE if suited(facts, plan) == (SOFTWARE,) else None
        queue = attempt.write(lambda tx: chunks.lay_out(tx, claim, new_tasks, reusable_keys, encoder))
        log.info("cut %s chunks=%s", claim.shown, len(new_tasks))
        self._messages.wake(queue or Queue.ENCODE)

    def make(self, attempt: Attempt) -> None:
        """Make a chunk, verify it and store it."""
        claim = attempt.claim
        target = attempt.folder / "chunk.mp4"
        expected_bytes = _share(claim)
        self._room.check(local_bytes=expected_bytes, object_bytes=expected_bytes)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        try:
            chunk = self._make(attempt, target)
        except MediaError as error:
            # Nothing in this chunk can be played, but the film as a whole may still have enough.
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
        outcome = self._keeping.keep(attempt, key, target, lambda tx: chunks.finish(tx, claim, key, chunk))
        log.info("chunk %s %s size_bytes=%s", outcome, claim.shown, chunk.size_bytes)
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
        """Return the chunks of the picture; none if its packets differ twice from those that the probe listed."""
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
        # A source on local disk is cheap to read again, however much of it ffmpeg reads.
        from_copy = is_url(source) and not seekability.reads_in_pieces(source, facts, control=attempt.control())
        new_tasks = [
            NewTask(
                TaskKind.VIDEO_CHUNK,
                chunks.CHUNKS,
                SOUND + 1 + interval.number,
                payload=_Work(interval, from_copy).to_json(),
                media_s=interval.duration_s,
            )
            for interval in spans
        ]
        if plan.audio:
            # It has no media_s: the sound takes little work compared with the picture.
            sound = _Work(None, from_copy).to_json()
            new_tasks.insert(0, NewTask(TaskKind.AUDIO_CHUNK, chunks.CHUNKS, SOUND, payload=sound))
        return [replace(task, plan_version=attempt.claim.plan_version) for task in new_tasks]

    def _fitting(self, claim: Claim, facts: MediaFacts, plan: Plan, wanted: list[NewTask]) -> set[str]:
        """Return the object keys of chunks from an earlier run that can be reused.

        Such a chunk is still in the store, and is the same as would be made now. Any node may have made it: its key is
        computed again with that node's build.
        """
        intervals = {task.number: _Work.from_json(task.payload or "").span for task in wanted}

        def fits(chunk: StoredChunk) -> bool:
            if chunk.number not in intervals:
                return False
            key = chunking.key(claim.content.sha256, facts, plan, intervals[chunk.number], chunk.made.build)
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
        """Make the chunk. If it is incomplete, make it again from a local file and accept as much as can be read."""
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
        attempt.turn.pass_on()  # pictures may be encoded at the same time: sound takes one core at most
        run = chunking.make_sound(source, facts, plan, target, control=control)
        attempt.note_run(run.command, run.log)
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
            run = chunking.make_chunk(
                source, facts, plan, span, target, encoder=encoder, threads=attempt.pace.threads(), control=control
            )
            attempt.note_progress(Progress(1.0))  # complete, with no speed any more
        attempt.note_run(run.command, run.log)
        verified = chunk_checks.verify_chunk(
            plan, span, target, encoder=encoder, source=source, accept_short=accept_short, control=control
        )
        key = chunking.key(claim.content.sha256, facts, plan, span, build)
        return MadeChunk(
            encoder, key, build, verified.size_bytes, verified.fingerprint, verified.start_s, verified.warning
        )

    # Join

    def _fetch(self, attempt: Attempt, stored: list[StoredChunk]) -> list[int]:
        """Fetch every chunk into the attempt's directory. Returns the numbers of the chunks that the store has lost."""
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
        chunk_files = [chunking.Part(_path(attempt, chunk), chunk.made.start_s or 0.0) for chunk in pictures]
        control = Control(stop=attempt.stop, check_source=attempt.check_source, check_room=attempt.check_room)
        chunking.join(chunk_files, sound, facts, plan, target, control=control)
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
    """Estimate the chunk's size in bytes as its share of the source: a film is about as large as its source."""
    facts, _ = _known(claim)
    interval = _Work.from_json(claim.payload or "").span
    share = 1.0 if interval is None else min(1.0, interval.duration_s / facts.listed_s) if facts.listed_s else 0.0
    return int(claim.content.size_bytes * share)


def _path(attempt: Attempt, chunk: StoredChunk) -> Path:
    return attempt.folder / "chunks" / f"{chunk.number}.mp4"
