"""The task boundary of film-making: claims a job or a chunk, has it done, and says in its row how it ended.

A probe finds the facts, decides the plan and queues the film's job in one transaction. A film whose picture need not be
encoded, or that is short, is made whole (films.py); a long encode goes in chunks (chunked.py). Whatever dies in between
leaves the old state, a lease that runs out and a doomed key.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nebula import __version__
from nebula.db import chunk_leases, films, jobs, leases, nodes
from nebula.db.database import Database, Tx
from nebula.domain import plan as plans
from nebula.domain.chunks import LEAST_S
from nebula.domain.media import MediaFacts
from nebula.domain.records import ChunkClaim, Claim
from nebula.domain.states import JobKind, JobStage, Queue
from nebula.errors import (
    FfmpegFailed,
    HandedBack,
    MediaError,
    NebulaError,
    NoRoom,
    Stopped,
    StoreUnavailable,
    Superseded,
)
from nebula.media import probe
from nebula.messages import Messages
from nebula.services import leaving
from nebula.services.attempt import AnyClaim, Attempt, chunk_lease, job_lease
from nebula.services.chunked import ChunkedFilms
from nebula.services.encoders import Encoders
from nebula.services.keeping import Keeping
from nebula.services.room import Room
from nebula.services.sources import Sources
from nebula.services.subtitling import Subtitling
from nebula.services.throttling import Pace
from nebula.services.turns import Turn
from nebula.services.whole import WholeFilms, known_facts, planned
from nebula.storage.contract import ObjectStorage

log = logging.getLogger(__name__)

AGAIN_AFTER_S = 60.0  # a full disk, a store that is away
LONGEST_AGAIN_S = 3600.0
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class _Ending:
    """How an attempt ended that made nothing."""

    cause: Exception
    code: str
    delay_s: float  # how long the work waits, if the cause was no fault of its own
    is_interruption: bool  # counts against the most interruptions that work may have


class Transcoding:
    """What the workers of one node do."""

    def __init__(
        self,
        database: Database,
        storage: ObjectStorage,
        messages: Messages,
        room: Room,
        *,
        node: str,
        scratch_dir: Path,
        chunk_s: float = LEAST_S,
        pace: Pace | None = None,
        encoders: Encoders | None = None,
    ) -> None:
        self._database = database
        self._messages = messages
        self._room = room
        # In the encoders' directory: it is emptied with that when their worker starts.
        self._sources = Sources(storage, room, scratch_dir / Queue.ENCODE.value / "sources")
        keeping = Keeping(database, storage, room)
        self._encoders = encoders or Encoders()
        self._shown_encoder: str | None = None
        self._whole = WholeFilms(database, self._sources, keeping, room, self._encoders)
        self._chunked = ChunkedFilms(
            database, storage, messages, room, self._sources, keeping, self._whole, self._encoders, chunk_s=chunk_s
        )
        self._subtitling = Subtitling(database, self._sources, keeping, room)
        self._pace = pace or Pace()
        self._encoder_free = threading.Lock()
        self._node = node
        self._scratch_dir = scratch_dir

    def begin(self, queue: Queue, stop: threading.Event | None = None) -> None:
        """Clean up after this node's last worker of the queue, and sign on: leases go back, scratch is emptied.

        Call it before this worker claims anything. The encoders' worker finds its encoder, which may take a while.
        Raises Stopped.
        """
        for returned in self._database.write(lambda tx: self._begin(tx, queue)):
            log.info("lease given back %s queue=%s", returned, queue)
        shutil.rmtree(self._scratch_dir / queue.value, ignore_errors=True)
        if queue is Queue.ENCODE:
            self._know_encoder(stop)
        log.info("worker began queue=%s node=%s version=%s", queue, self._node, __version__)

    def look(self, queue: Queue) -> None:
        """Look at the queue as a claim does, and take nothing. Raises whatever would keep this worker from its work."""

        def claim_and_give_back(tx: Tx) -> None:
            _claim_next(tx, queue, self._node, self._encoders.encoder, lower_rungs=True)
            raise _OnlyLooked

        with suppress(_OnlyLooked):
            self._database.write(claim_and_give_back)

    def note_seen(self) -> None:
        """Say that this node is alive."""
        self._database.write(lambda tx: nodes.note_seen(tx, self._node))

    def run_next(self, queue: Queue, stop: threading.Event, on_encoded: Callable[[], None] = lambda: None) -> bool:
        """Claim the first waiting job or chunk of the queue and do it; False when none waits or nothing may start.

        Two calls may do so at once for the encoders' queue: there is one encoder, and the second waits for it. When the
        first has encoded, and goes on without the encoder, `on_encoded` is called.

        Whatever goes wrong with it ends in its row. Raises StoreUnavailable where the database does not answer.
        """
        if queue is not Queue.ENCODE:
            return self._run_next(queue, stop, Turn())
        turn = Turn(self._encoder_free, may_pass=self._pace.may_overlap, on_pass=on_encoded)
        try:
            return turn.take(stop) and self._run_next(queue, stop, turn)
        finally:
            turn.end()

    def _run_next(self, queue: Queue, stop: threading.Event, turn: Turn) -> bool:
        if not self._pace.may_start():
            return False
        if queue is Queue.ENCODE:
            self._know_encoder(stop)
        lower_rungs, encoder = self._pace.may_start_lower_rungs(), self._encoders.encoder
        claim = self._database.write(lambda tx: _claim_next(tx, queue, self._node, encoder, lower_rungs=lower_rungs))
        with self._sources.used(claim.content if claim else None) if queue is Queue.ENCODE else nullcontext():
            if isinstance(claim, ChunkClaim):
                self._run_chunk(claim, stop, turn)
            elif claim is not None:
                self._run_job(claim, queue, stop)
        return claim is not None

    def plan_anew(self) -> None:
        """Bring jobs that wait with the plan of an older version up to this one."""
        for claim in self._database.read(lambda tx: leases.planned_before(tx, plans.VERSION)):
            facts = known_facts(claim)
            plan, in_chunks = planned(claim, facts), self._chunked.fits(facts)
            self._database.write(
                lambda tx, claim=claim, plan=plan, in_chunks=in_chunks: films.plan_anew(  # type: ignore[misc]
                    tx, claim, plan, in_chunks=in_chunks
                )
            )
            log.info("planned anew job=%s plan=%s version=%s", claim.job_id, plan.action, plan.version)

    def _know_encoder(self, stop: threading.Event | None) -> None:
        """Find the encoder where that is due, and show which it is: films may wait for a node that has theirs."""
        self._encoders.find(stop)
        encoder = self._encoders.encoder
        if encoder != self._shown_encoder:
            self._database.write(lambda tx: nodes.note_encoder(tx, self._node, encoder))
            self._shown_encoder = encoder

    def _run_job(self, claim: Claim, queue: Queue, stop: threading.Event) -> None:
        log.info("claimed %s kind=%s stage=%s content=%s", claim.shown, claim.kind, claim.stage, claim.content.id)
        folder = self._scratch_dir / queue.value / f"{claim.job_id}-{claim.attempt}"
        check_room = _nothing if claim.kind is JobKind.PROBE else self._check_room
        lease, pace = job_lease(claim), self._pace
        with Attempt(
            self._database, claim, lease, folder=folder, worker_stop=stop, check_room=check_room, pace=pace
        ) as attempt:
            self._do(attempt, self._work(claim), lambda tx, ending: _note_end(tx, claim, ending))

    def _run_chunk(self, claim: ChunkClaim, stop: threading.Event, turn: Turn) -> None:
        log.info("claimed %s kind=%s content=%s", claim.shown, claim.kind, claim.content.id)
        # Another node, if one is idle, takes the next; and so on.
        self._messages.wake(Queue.ENCODE)
        folder = self._scratch_dir / Queue.ENCODE.value / f"{claim.job_id}-{claim.number}-{claim.attempt}"
        lease, room, pace = chunk_lease(claim), self._check_room, self._pace
        attempt = Attempt(
            self._database, claim, lease, folder=folder, worker_stop=stop, check_room=room, pace=pace, turn=turn
        )
        with attempt:
            self._do(attempt, self._chunked.make, lambda tx, ending: _note_chunks_end(tx, claim, ending))

    def _do(
        self,
        attempt: Attempt[AnyClaim],
        work: Callable[[Attempt[AnyClaim]], None],
        note: Callable[[Tx, _Ending], None],
    ) -> None:
        try:
            work(attempt)
        except Exception as error:  # the task boundary: the row says what happened, the journal has the traceback
            # An ffmpeg that ended is only the consequence where the attempt was told to stop.
            cause = attempt.reason or self._cause(attempt, error)
            if not isinstance(cause, NebulaError):
                log.exception("unexpected %s", attempt.claim.shown)
            self._settle(attempt, cause, note)

    def _work(self, claim: Claim) -> Callable[[Attempt[Claim]], None]:
        if claim.kind is JobKind.PROBE:
            return self._probe
        if claim.kind is JobKind.SUBTITLES:
            return self._subtitling.make
        return {
            JobStage.WHOLE: self._whole.make,
            JobStage.SPLIT: self._chunked.split,
            JobStage.JOIN: self._chunked.join,
        }[claim.stage]

    def _settle(self, attempt: Attempt[AnyClaim], cause: Exception, note: Callable[[Tx, _Ending], None]) -> None:
        """Write into the row how an attempt ended that made nothing."""
        claim, ending = attempt.claim, self._ending(attempt, cause)
        log.warning("ended %s code=%s error=%r", claim.shown, ending.code, str(cause))
        if isinstance(cause, Superseded):
            return  # the row is another attempt's
        try:
            attempt.insist(lambda: self._database.write(lambda tx: note(tx, ending)))
        except Superseded:
            log.info("superseded %s", claim.shown)

    def _ending(self, attempt: Attempt[AnyClaim], cause: Exception) -> _Ending:
        # What was given up after an hour of work is not begun again before another hour has passed.
        delay_s = min(max(time.monotonic() - attempt.began_at, AGAIN_AFTER_S), LONGEST_AGAIN_S)
        code = cause.code if isinstance(cause, NebulaError) else NebulaError.code
        return _Ending(cause, code, delay_s, self._is_interruption(attempt, cause))

    def _cause(self, attempt: Attempt[AnyClaim], error: Exception) -> Exception:
        """Return what a failure really means: the disk is full, the source is gone, or the store that holds it is.

        The disk and the store are asked. What ffmpeg says is not: it may be text of the file.
        """
        if isinstance(error, OSError) and error.errno in FULL:
            return NoRoom("The disk that films are made on is full.")
        if not isinstance(error, FfmpegFailed):
            return error
        if attempt.source_trouble is not None:
            return attempt.source_trouble
        try:
            self._sources.check(attempt.claim.content)
        except NebulaError as cause:
            return cause
        return error

    def _is_interruption(self, attempt: Attempt[AnyClaim], cause: Exception) -> bool:
        """Return whether the object store failed at this work and answers now: that may go on for ever."""
        if not isinstance(cause, StoreUnavailable) or cause.store != "objects":
            return False
        try:
            self._sources.check(attempt.claim.content)
        except NebulaError:
            return False
        return True

    def _probe(self, attempt: Attempt[Claim]) -> None:
        claim = attempt.claim
        facts, problem = self._facts(attempt)
        plan = plans.decide(facts, name=claim.name, media_type=claim.media_type, problem=problem)
        in_chunks = self._chunked.fits(facts)
        queue = attempt.insist(
            lambda: self._database.write(lambda tx: films.record_probe(tx, claim, facts, plan, in_chunks=in_chunks))
        )
        log.info("probed %s plan=%s state=%s", claim.shown, plan.action, plan.state)
        if queue is not None:
            self._messages.wake(queue)

    def _facts(self, attempt: Attempt[Claim]) -> tuple[MediaFacts | None, str | None]:
        """Return the facts, or None and what is wrong with the source."""
        try:
            return probe.probe(self._sources.find(attempt), control=attempt.control()), None
        except MediaError as error:
            return None, error.message.rstrip(".")

    def _check_room(self) -> None:
        self._room.check(local_bytes=0)

    def _begin(self, tx: Tx, queue: Queue) -> list[str]:
        nodes.register(tx, self._node, __version__)
        return leaving.give_back(tx, queue, self._node)


class _OnlyLooked(Exception):
    """Ends a transaction that is to leave nothing behind."""


def _claim_next(tx: Tx, queue: Queue, node: str, encoder: str, *, lower_rungs: bool) -> Claim | ChunkClaim | None:
    """Claim what comes first: a job, or a chunk where none of the same priority is made whole."""
    if queue is not Queue.ENCODE:
        # A film is read whole for its subtitles: never beside what makes one playable, and one at a time.
        last = jobs.PRIORITIES[JobKind.SUBTITLES] - 1 if leases.runs(tx, queue, node) else None
        return leases.claim_next(tx, queue, node, plans.VERSION, least_priority=last)
    of_chunks = chunk_leases.first_priority(tx, plans.VERSION, encoder)
    bounds = [of_chunks] if of_chunks is not None else []
    bounds += [] if lower_rungs else [jobs.LOWER_PRIORITY - 1]
    whole = leases.claim_next(tx, queue, node, plans.VERSION, least_priority=min(bounds, default=None))
    if whole is None and of_chunks is not None and of_chunks == min(bounds):
        return chunk_leases.claim_next(tx, node, plans.VERSION, encoder)
    return whole


def _note_end(tx: Tx, claim: Claim, ending: _Ending) -> None:
    job_id, attempt, error, code = claim.job_id, claim.attempt, ending.cause, ending.code
    if isinstance(error, HandedBack):
        leases.release(tx, job_id, attempt, code=code, error=_waits(error))
    elif isinstance(error, Stopped):
        leases.release(tx, job_id, attempt)
    elif ending.is_interruption:
        leases.interrupt(tx, job_id, attempt, delay_s=ending.delay_s, code=code, error=str(error))
    elif isinstance(error, (NoRoom, StoreUnavailable)):
        leases.release(tx, job_id, attempt, delay_s=ending.delay_s, code=code, error=_waits(error))
    else:
        leases.fail(tx, job_id, attempt, code=code, **_failure(error))


def _note_chunks_end(tx: Tx, claim: ChunkClaim, ending: _Ending) -> None:
    error, code = ending.cause, ending.code
    if isinstance(error, HandedBack):
        chunk_leases.release(tx, claim, code=code, error=_waits(error))
    elif isinstance(error, Stopped):
        chunk_leases.release(tx, claim)
    elif ending.is_interruption:
        chunk_leases.interrupt(tx, claim, delay_s=ending.delay_s, code=code, error=str(error))
    elif isinstance(error, (NoRoom, StoreUnavailable)):
        chunk_leases.release(tx, claim, delay_s=ending.delay_s, code=code, error=_waits(error))
    else:
        chunk_leases.fail(tx, claim, code=code, **_failure(error))


def _waits(error: NebulaError) -> str:
    return f"Waits: {error.message}"


def _failure(error: Exception) -> dict[str, Any]:
    if not isinstance(error, NebulaError):
        return {"error": "Nebula made a mistake; its journal has the details."}
    stderr = str(error.details.get("log") or "") or None
    return {"error": error.message, "log": stderr, "permanent": error.permanent}


def _nothing() -> None:
    """Stand in for the look at the disk where nothing is written to it."""
