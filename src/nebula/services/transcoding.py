"""From a stored file to a film that plays everywhere: claims a job, does it, and says in its row how it ended.

A probe finds the facts, decides the plan and queues the film's job in one transaction. A film is made in a scratch
directory, verified, stored under a key that holds the attempt number (doomed before it exists, spared by the
transaction that publishes it), and published. Whatever dies in between leaves the old state, a lease that runs out and
a doomed key. Chunks of a film and its lower rungs have their place in `_make` and in db/films.py.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from nebula import __version__
from nebula.db import files, films, leases, nodes
from nebula.db.database import Database, Tx
from nebula.domain import object_keys
from nebula.domain import plan as plans
from nebula.domain.media import MediaFacts
from nebula.domain.plan import Plan
from nebula.domain.records import Claim
from nebula.domain.states import JobKind, Queue
from nebula.errors import (
    FfmpegFailed,
    Incomplete,
    MediaError,
    NebulaError,
    NoRoom,
    ObjectNotFound,
    Stopped,
    StoreUnavailable,
    Superseded,
)
from nebula.media import arguments, film, probe, verify
from nebula.media.verify import VerifiedFilm
from nebula.messages import Messages
from nebula.services.attempt import Attempt
from nebula.services.room import Room
from nebula.storage.contract import ObjectStorage

log = logging.getLogger(__name__)

SOURCE_LIFE_S = 7 * 86400  # of a presigned URL: the most that S3 takes; it must outlive lease and pause
DOOM_AFTER_S = 86400  # far longer than storing a film takes
AGAIN_AFTER_S = 60  # a full disk, a store that is away
COPY_BYTES = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)


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
    ) -> None:
        self._database = database
        self._storage = storage
        self._messages = messages
        self._room = room
        self._node = node
        self._scratch_dir = scratch_dir

    def begin(self, queue: Queue) -> None:
        """Clean up after this node's last worker of the queue, and sign on: leases go back, scratch is emptied.

        Call it before this worker claims anything.
        """
        returned = self._database.write(lambda tx: self._begin(tx, queue))
        for job_id, attempt in returned:
            log.info("lease given back job=%s attempt=%s queue=%s", job_id, attempt, queue)
        shutil.rmtree(self._scratch_dir / queue.value, ignore_errors=True)
        log.info("worker began queue=%s node=%s version=%s", queue, self._node, __version__)

    def note_seen(self) -> None:
        """Say that this node is alive."""
        self._database.write(lambda tx: nodes.note_seen(tx, self._node))

    def run_next(self, queue: Queue, stop: threading.Event) -> bool:
        """Claim the first waiting job of the queue and do it; False when none waits.

        Whatever goes wrong with it ends in its row. Raises StoreUnavailable where the database does not answer.
        """
        claim = self._database.write(lambda tx: leases.claim_next(tx, queue, self._node, plans.VERSION))
        if claim is None:
            return False
        log.info("claimed job=%s attempt=%s kind=%s content=%s", *_ids(claim), claim.kind, claim.content.id)
        folder = self._scratch_dir / queue.value / f"{claim.job_id}-{claim.attempt}"
        check_room = self._check_room if claim.kind is JobKind.RENDITION else _nothing
        with Attempt(self._database, claim, folder=folder, worker_stop=stop, check_room=check_room) as attempt:
            self._do(attempt)
        return True

    def plan_anew(self) -> None:
        """Bring jobs that wait with the plan of an older version up to this one."""
        for claim in self._database.read(lambda tx: leases.planned_before(tx, plans.VERSION)):
            plan = _plan(claim, _known_facts(claim))
            self._database.write(lambda tx, claim=claim, plan=plan: films.plan_anew(tx, claim, plan))  # type: ignore[misc]
            log.info("planned anew job=%s plan=%s version=%s", claim.job_id, plan.action, plan.version)

    def _do(self, attempt: Attempt) -> None:
        claim = attempt.claim
        work = {JobKind.PROBE: self._probe, JobKind.RENDITION: self._film}[claim.kind]
        try:
            work(attempt)
        except Exception as error:  # the task boundary: the row says what happened, the journal has the traceback
            # An ffmpeg that ended is only the consequence where the attempt was told to stop.
            cause = attempt.reason or self._cause(claim, error)
            if not isinstance(cause, NebulaError):
                log.exception("unexpected job=%s attempt=%s", *_ids(claim))
            self._settle(attempt, cause)

    def _cause(self, claim: Claim, error: Exception) -> Exception:
        """Return what a failure really means: the disk is full, the source is gone, or the store that holds it is."""
        if isinstance(error, OSError) and error.errno in FULL:
            return NoRoom("The disk that films are made on is full.")
        if not isinstance(error, FfmpegFailed):
            return error
        try:
            self._check_source(claim)
        except NebulaError as cause:
            return cause
        return error

    def _settle(self, attempt: Attempt, error: Exception) -> None:
        """Write into the row how an attempt ended that made nothing."""
        claim = attempt.claim
        code = error.code if isinstance(error, NebulaError) else NebulaError.code
        log.warning("ended job=%s attempt=%s code=%s error=%r", *_ids(claim), code, str(error))
        if isinstance(error, Superseded):
            return  # the row is another attempt's
        try:
            attempt.insist(lambda: self._database.write(lambda tx: _note_end(tx, claim, error, code)))
        except Superseded:
            log.info("superseded job=%s attempt=%s", *_ids(claim))

    # Probe

    def _probe(self, attempt: Attempt) -> None:
        claim = attempt.claim
        facts, problem = self._facts(attempt)
        plan = plans.decide(facts, name=claim.name, media_type=claim.media_type, problem=problem)
        queue = attempt.insist(lambda: self._database.write(lambda tx: films.record_probe(tx, claim, facts, plan)))
        log.info("probed job=%s attempt=%s plan=%s state=%s", *_ids(claim), plan.action, plan.state)
        if queue is not None:
            self._messages.wake(queue)

    def _facts(self, attempt: Attempt) -> tuple[MediaFacts | None, str | None]:
        """Return the facts, or None and what is wrong with the source."""
        try:
            return probe.probe(self._source(attempt.claim), stop=attempt.stop), None
        except MediaError as error:
            return None, error.message.rstrip(".")

    # Film

    def _film(self, attempt: Attempt) -> None:
        claim = attempt.claim
        size_bytes = claim.content.size_bytes  # the film's is not known before; about this much is a fair guess
        self._room.check(local_bytes=size_bytes, object_bytes=size_bytes)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        target = attempt.folder / "film.mp4"
        rung, verified = self._make(attempt, target)
        self._publish(attempt, target, rung, verified)

    def _make(self, attempt: Attempt, target: Path) -> tuple[str, VerifiedFilm]:
        """Make the film; once more from a local copy where it is not all of its source, and then as far as it goes."""
        claim = attempt.claim
        try:
            return self._make_from(attempt, self._source(claim), _known_facts(claim), target, accept_short=False)
        except (Incomplete, MediaError) as error:
            log.warning("again from a copy job=%s attempt=%s error=%r", *_ids(claim), error.message)
        copy = self._copied(attempt)
        facts = probe.probe(str(copy), stop=attempt.stop)
        return self._make_from(attempt, str(copy), facts, target, accept_short=True)

    def _make_from(
        self, attempt: Attempt, source: str, facts: MediaFacts | None, target: Path, *, accept_short: bool
    ) -> tuple[str, VerifiedFilm]:
        claim = attempt.claim
        plan = _plan(claim, facts)
        if facts is None or plan.rung is None:
            raise MediaError(f"No film can be made: {'; '.join(plan.reasons)}.")
        command = film.command(arguments.film(source, plan, target), source)
        self._note_run(claim, command)
        made = film.make(source, facts, plan, target, on_progress=attempt.note_progress, stop=attempt.stop)
        self._note_run(claim, made.command, made.log)
        verified = verify.verify(source, facts, plan, target, accept_short=accept_short, stop=attempt.stop)
        return plan.rung, verified

    def _publish(self, attempt: Attempt, target: Path, rung: str, verified: VerifiedFilm) -> None:
        claim = attempt.claim
        key = object_keys.rendition(*_ids(claim))
        self._room.check(local_bytes=0, object_bytes=verified.size_bytes)
        attempt.insist(lambda: self._database.write(lambda tx: files.doom(tx, key, after_s=DOOM_AFTER_S)))
        try:
            attempt.insist(lambda: self._storage.put_file(key, target, "video/mp4"))
            attempt.insist(lambda: self._database.write(lambda tx: _publish(tx, claim, key, rung, verified)))
        except NebulaError:
            with suppress(StoreUnavailable):  # else it is deleted when the first doom is due
                self._database.write(lambda tx: files.doom(tx, key))
            raise
        log.info("published job=%s attempt=%s size_bytes=%s", *_ids(claim), verified.size_bytes)

    def _copied(self, attempt: Attempt) -> Path:
        """Copy the source into the attempt's scratch directory."""
        content = attempt.claim.content
        self._room.check(local_bytes=content.size_bytes)
        copy = attempt.folder / "source"
        reader = self._storage.open(content.object_key, 0, content.size_bytes)
        buffer = memoryview(bytearray(COPY_BYTES))
        try:
            with copy.open("wb") as file:
                while count := reader.readinto(buffer):
                    file.write(buffer[:count])
                    if attempt.stop.is_set():
                        raise Stopped("The work was stopped.")
        finally:
            reader.close()
        return copy

    def _source(self, claim: Claim) -> str:
        self._check_source(claim)
        return self._storage.media_source(claim.content.object_key, SOURCE_LIFE_S)

    def _check_source(self, claim: Claim) -> None:
        """Raise StoreUnavailable, or ObjectNotFound where the original was deleted meanwhile."""
        try:
            self._storage.stat(claim.content.object_key)
        except ObjectNotFound:
            raise ObjectNotFound("The stored bytes of this file are gone.") from None

    def _check_room(self) -> None:
        self._room.check(local_bytes=0)

    def _note_run(self, claim: Claim, command: str, stderr: str | None = None) -> None:
        self._database.write(lambda tx: leases.note(tx, *_ids(claim), command=command, log=stderr))

    def _begin(self, tx: Tx, queue: Queue) -> list[tuple[str, int]]:
        nodes.register(tx, self._node, __version__)
        if queue is Queue.ENCODE:
            nodes.note_encoder(tx, self._node, arguments.SOFTWARE)
        returned = leases.give_back(tx, queue, self._node)
        for job_id, attempt in returned:
            # Nobody is storing it any more.
            files.doom(tx, object_keys.rendition(job_id, attempt))
        return returned


def _plan(claim: Claim, facts: MediaFacts | None) -> Plan:
    """Decide as the probe did: the same facts give the same plan within one version."""
    return plans.decide(facts, name=claim.name, media_type=claim.media_type)


def _known_facts(claim: Claim) -> MediaFacts | None:
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


def _note_end(tx: Tx, claim: Claim, error: Exception, code: str) -> None:
    job_id, attempt = _ids(claim)
    if isinstance(error, Stopped):
        leases.release(tx, job_id, attempt)
    elif isinstance(error, (NoRoom, StoreUnavailable)):
        why = f"Waits: {error.message}"
        leases.release(tx, job_id, attempt, delay_s=AGAIN_AFTER_S, code=code, error=why)
    elif isinstance(error, NebulaError):
        stderr = str(error.details.get("log") or "") or None
        leases.fail(tx, job_id, attempt, code=code, error=error.message, log=stderr, permanent=error.permanent)
    else:
        leases.fail(tx, job_id, attempt, code=code, error="Nebula made a mistake; its journal has the details.")


def _ids(claim: Claim) -> tuple[str, int]:
    return claim.job_id, claim.attempt


def _nothing() -> None:
    """Stand in for the look at the disk where nothing is written to it."""
