"""The task boundary: claims a task, has it done by the handler of its kind, and says in its row how it ended.

A probe finds the facts, decides the plan and queues the film's job in one transaction. A film whose picture need not be
encoded, or that is short, is made whole (whole.py); a long encode goes in chunks (chunked.py). Whatever dies in between
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

from nebula import __version__
from nebula.db import films, nodes
from nebula.db.database import Database, Tx
from nebula.db.work import adopting, tasks
from nebula.domain import plan as plans
from nebula.domain.chunks import LEAST_S
from nebula.domain.kinds import KINDS
from nebula.domain.media import MediaFacts
from nebula.domain.states import Queue, TaskKind
from nebula.domain.work import Claim, Claimant, Failure
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
from nebula.media.reading import probe
from nebula.messages import Messages
from nebula.services.disk_reserve import Room
from nebula.services.films.attempt import Attempt
from nebula.services.films.chunked import ChunkedFilms
from nebula.services.films.encoder import Encoders
from nebula.services.films.encoder_slot import Turn
from nebula.services.films.results import Keeping
from nebula.services.films.sources import Sources
from nebula.services.films.subtitles import Subtitling
from nebula.services.films.whole import WholeFilms, known_facts, planned
from nebula.services.machine import node_leases
from nebula.services.machine.throttling import Pace
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
        self._whole = WholeFilms(self._sources, keeping, room, self._encoders)
        self._chunked = ChunkedFilms(
            database, storage, messages, room, self._sources, keeping, self._whole, self._encoders, chunk_s=chunk_s
        )
        # What does the tasks of each kind that stands in domain/kinds.py.
        self.handlers: dict[str, Callable[[Attempt], None]] = {
            TaskKind.PROBE: self._probe,
            TaskKind.MAKE_WHOLE: self._whole.make,
            TaskKind.SPLIT: self._chunked.split,
            TaskKind.VIDEO_CHUNK: self._chunked.make,
            TaskKind.AUDIO_CHUNK: self._chunked.make,
            TaskKind.JOIN: self._chunked.join,
            TaskKind.SUBTITLES: Subtitling(self._sources, keeping, room).make,
        }
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
        else:
            while adopted := self._database.write(adopting.adopt):
                log.info("adopted jobs=%s", len(adopted))
        log.info("worker began queue=%s node=%s version=%s", queue, self._node, __version__)

    def look(self, queue: Queue) -> None:
        """Look at the queue as a claim does, and take nothing. Raises whatever would keep this worker from its work."""

        def claim_and_give_back(tx: Tx) -> None:
            tasks.claim_next(tx, self._claimant(queue, lower_rungs=True))
            raise _OnlyLooked

        with suppress(_OnlyLooked):
            self._database.write(claim_and_give_back)

    def note_seen(self) -> None:
        """Say that this node is alive."""
        self._database.write(lambda tx: nodes.note_seen(tx, self._node))

    def run_next(self, queue: Queue, stop: threading.Event, on_encoded: Callable[[], None] = lambda: None) -> bool:
        """Claim the first task that waits in the queue and do it; False if none waits or nothing may start.

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
        claimant = self._claimant(queue, lower_rungs=self._pace.may_start_lower_rungs())
        claim = self._database.write(lambda tx: tasks.claim_next(tx, claimant))
        with self._sources.used(claim.content if claim else None) if queue is Queue.ENCODE else nullcontext():
            if claim is not None:
                self._run(claim, queue, stop, turn)
        return claim is not None

    def _claimant(self, queue: Queue, *, lower_rungs: bool) -> Claimant:
        return Claimant(self._node, queue, plans.VERSION, self._encoders.encoder, lower_rungs)

    def plan_anew(self) -> None:
        """Bring jobs that wait with the plan of an older version up to this one."""
        for claim in self._database.read(lambda tx: tasks.planned_before(tx, plans.VERSION)):
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

    def _run(self, claim: Claim, queue: Queue, stop: threading.Event, turn: Turn) -> None:
        log.info("claimed %s content=%s", claim.shown, claim.content.id)
        if KINDS[claim.kind].is_part:
            self._messages.wake(queue)  # another node, if one is idle, takes the next; and so on
        attempt = Attempt(
            self._database,
            claim,
            folder=self._scratch_dir / queue.value / f"{claim.job_id}-{claim.kind}-{claim.number}-{claim.attempt}",
            worker_stop=stop,
            check_room=_nothing if claim.kind == TaskKind.PROBE else self._check_room,
            pace=self._pace,
            turn=turn,
        )
        with attempt:
            try:
                self.handlers[claim.kind](attempt)
            except Exception as error:  # the task boundary: the row says what happened, the journal has the traceback
                # An ffmpeg that ended is only the consequence if the attempt was told to stop.
                cause = attempt.reason or self._cause(attempt, error)
                if not isinstance(cause, NebulaError):
                    log.exception("unexpected %s", claim.shown)
                self._settle(attempt, cause)

    def _settle(self, attempt: Attempt, cause: Exception) -> None:
        """Write into the row how an attempt ended that made nothing."""
        claim, ending = attempt.claim, self._ending(attempt, cause)
        log.warning("ended %s code=%s error=%r", claim.shown, ending.code, str(cause))
        if isinstance(cause, Superseded):
            return  # the row is another attempt's
        try:
            attempt.write(lambda tx: _note_end(tx, claim, ending))
        except Superseded:
            log.info("superseded %s", claim.shown)

    def _ending(self, attempt: Attempt, cause: Exception) -> _Ending:
        # What was given up after an hour of work is not begun again before another hour has passed.
        delay_s = min(max(time.monotonic() - attempt.began_at, AGAIN_AFTER_S), LONGEST_AGAIN_S)
        code = cause.code if isinstance(cause, NebulaError) else NebulaError.code
        return _Ending(cause, code, delay_s, self._is_interruption(attempt, cause))

    def _cause(self, attempt: Attempt, error: Exception) -> Exception:
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

    def _is_interruption(self, attempt: Attempt, cause: Exception) -> bool:
        """Return whether the object store failed at this work and answers now: that may go on for ever."""
        if not isinstance(cause, StoreUnavailable) or cause.store != "objects":
            return False
        try:
            self._sources.check(attempt.claim.content)
        except NebulaError:
            return False
        return True

    def _probe(self, attempt: Attempt) -> None:
        claim = attempt.claim
        facts, problem = self._facts(attempt)
        plan = plans.decide(facts, name=claim.name, media_type=claim.media_type, problem=problem)
        in_chunks = self._chunked.fits(facts)
        queue = attempt.write(lambda tx: films.record_probe(tx, claim, facts, plan, in_chunks=in_chunks))
        log.info("probed %s plan=%s state=%s", claim.shown, plan.action, plan.state)
        if queue is not None:
            self._messages.wake(queue)

    def _facts(self, attempt: Attempt) -> tuple[MediaFacts | None, str | None]:
        """Return the facts, or None and what is wrong with the source."""
        try:
            return probe.probe(self._sources.find(attempt), control=attempt.control()), None
        except MediaError as error:
            return None, error.message.rstrip(".")

    def _check_room(self) -> None:
        self._room.check(local_bytes=0)

    def _begin(self, tx: Tx, queue: Queue) -> list[str]:
        nodes.register(tx, self._node, __version__)
        return node_leases.give_back(tx, queue, self._node)


class _OnlyLooked(Exception):
    """Ends a transaction that is to leave nothing behind."""


def _note_end(tx: Tx, claim: Claim, ending: _Ending) -> None:
    error, code = ending.cause, ending.code
    if isinstance(error, HandedBack):
        tasks.release(tx, claim, _waits(error))
    elif isinstance(error, Stopped):
        tasks.release(tx, claim)
    elif ending.is_interruption:
        tasks.interrupt(tx, claim, Failure(code, str(error)), delay_s=ending.delay_s)
    elif isinstance(error, (NoRoom, StoreUnavailable)):
        tasks.release(tx, claim, _waits(error), delay_s=ending.delay_s)
    else:
        tasks.fail(tx, claim, _failure(error, code))


def _waits(error: NebulaError) -> Failure:
    return Failure(error.code, f"Waits: {error.message}")


def _failure(error: Exception, code: str) -> Failure:
    if not isinstance(error, NebulaError):
        return Failure(code, "Nebula made a mistake; its journal has the details.")
    stderr = str(error.details.get("log") or "") or None
    return Failure(code, error.message, stderr, error.permanent)


def _nothing() -> None:
    """Stand in for the look at the disk where nothing is written to it."""
