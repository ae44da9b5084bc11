"""The task boundary: claims a task, calls the handler of its kind, and records in the task's row how it ended.

A probe finds the facts, decides the plan and queues the film's job, in one transaction. A film that is short, or whose
picture need not be encoded, is made in one piece (whole.py). A long film is encoded in chunks (chunked.py). If a
process dies in between, the state is unchanged, the lease runs out, and the object key stays doomed.
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

AGAIN_AFTER_S = 60.0  # if the disk is full or a store does not answer
LONGEST_AGAIN_S = 3600.0
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class _Ending:
    """How an attempt without a result ended."""

    cause: Exception
    code: str
    delay_s: float  # how long the task waits if the cause lay outside it
    is_interruption: bool  # counts towards the task's limit of interruptions


class Transcoding:
    """Claims and runs tasks for the workers of one node."""

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
        # In the encode queue's scratch directory, which `begin` empties when that worker starts.
        self._sources = Sources(storage, room, scratch_dir / Queue.ENCODE.value / "sources")
        keeping = Keeping(database, storage, room)
        self._encoders = encoders or Encoders()
        self._shown_encoder: str | None = None
        self._whole = WholeFilms(self._sources, keeping, room, self._encoders)
        self._chunked = ChunkedFilms(
            database, storage, messages, room, self._sources, keeping, self._whole, self._encoders, chunk_s=chunk_s
        )
        # One handler for each kind in domain/kinds.py.
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
        """Register the node, give back the leases of its previous worker of this queue, and empty the scratch folder.

        Call it before this worker claims anything. The encode worker also finds its encoder, which may take a while.
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
        """Claim a task and roll the claim back. Raises any error that would keep this worker from working."""

        def claim_and_give_back(tx: Tx) -> None:
            tasks.claim_next(tx, self._claimant(queue, lower_rungs=True))
            raise _OnlyLooked

        with suppress(_OnlyLooked):
            self._database.write(claim_and_give_back)

    def note_seen(self) -> None:
        """Record in the node's row that it is alive."""
        self._database.write(lambda tx: nodes.note_seen(tx, self._node))

    def run_next(self, queue: Queue, stop: threading.Event, on_encoded: Callable[[], None] = lambda: None) -> bool:
        """Claim the first waiting task of the queue and run it. Returns False if none waits or none may start.

        For the encode queue, two calls may run at once: they share one encoder, and the second call waits for it.
        `on_encoded` is called when the first has encoded and goes on without the encoder.

        If the task fails, its row says so. Raises StoreUnavailable if the database does not answer.
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
        """Plan waiting jobs again if their plan has an older version than this one."""
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
        """Find the encoder if due, and write it to the node's row: films may wait for a node that has their encoder."""
        self._encoders.find(stop)
        encoder = self._encoders.encoder
        if encoder != self._shown_encoder:
            self._database.write(lambda tx: nodes.note_encoder(tx, self._node, encoder))
            self._shown_encoder = encoder

    def _run(self, claim: Claim, queue: Queue, stop: threading.Event, turn: Turn) -> None:
        log.info("claimed %s content=%s", claim.shown, claim.content.id)
        if KINDS[claim.kind].is_part:
            self._messages.wake(queue)  # an idle node takes the next task, and wakes another in turn
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
                # If the attempt was told to stop, an error of ffmpeg is only a consequence of that.
                cause = attempt.reason or self._cause(attempt, error)
                if not isinstance(cause, NebulaError):
                    log.exception("unexpected %s", claim.shown)
                self._settle(attempt, cause)

    def _settle(self, attempt: Attempt, cause: Exception) -> None:
        """Record in the task's row how an attempt without a result ended."""
        claim, ending = attempt.claim, self._ending(attempt, cause)
        log.warning("ended %s code=%s error=%r", claim.shown, ending.code, str(cause))
        if isinstance(cause, Superseded):
            return  # the row is another attempt's
        try:
            attempt.write(lambda tx: _note_end(tx, claim, ending))
        except Superseded:
            log.info("superseded %s", claim.shown)

    def _ending(self, attempt: Attempt, cause: Exception) -> _Ending:
        # Wait as long as the attempt took, but at most an hour: a long attempt must not start over at once.
        delay_s = min(max(time.monotonic() - attempt.began_at, AGAIN_AFTER_S), LONGEST_AGAIN_S)
        code = cause.code if isinstance(cause, NebulaError) else NebulaError.code
        return _Ending(cause, code, delay_s, self._is_interruption(attempt, cause))

    def _cause(self, attempt: Attempt, error: Exception) -> Exception:
        """Return the real cause of a failure: the disk is full, the source is gone, or its store does not answer.

        Only the disk and the store are consulted. ffmpeg's messages are not: they may contain text from the file.
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
        """Return whether the object store failed during the task but answers now: that could repeat for ever."""
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
        """Return the facts and None, or None and what is wrong with the source."""
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
    """Rolls back the transaction of `look`."""


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
    """Replace the check of free disk space for tasks that write nothing to disk."""
