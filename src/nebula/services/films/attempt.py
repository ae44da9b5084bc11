"""One attempt at a task: renews its lease, tells it to stop, and cleans up its scratch directory.

A thread looks at the row once a second. It renews the lease and writes the progress. It sets `stop` if the attempt was
superseded or cancelled, if the worker is told to end, if the throttle hands the work back, or if the disk reserve is
touched. While the throttle pauses the encoder, the row says so and the lease is still renewed.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from nebula.db.database import Database, Tx
from nebula.db.work import tasks
from nebula.domain.limits import HEARTBEAT_S, LEASE_S
from nebula.domain.work import Claim
from nebula.errors import HandedBack, NebulaError, NoRoom, Stopped, StoreUnavailable, Superseded
from nebula.media.ffmpeg.control import Control
from nebula.media.ffmpeg.progress import Progress
from nebula.media.ffmpeg.tools import INSTALLED, Tools
from nebula.media.reading.serving import Served
from nebula.services.films.encoder_slot import Turn
from nebula.services.machine.throttling import Pace

T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_S = 1.0
INSIST_S = 900.0
INSIST_PAUSE_S = 2.0


class Attempt:
    """A claim while a worker works on it. Use as a context manager, in the thread that does the work."""

    def __init__(
        self,
        database: Database,
        claim: Claim,
        *,
        folder: Path,
        worker_stop: threading.Event,
        check_room: Callable[[], None],
        pace: Pace | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.claim = claim
        self.pace = pace or Pace()  # says at any moment what the encoder may do
        self.turn = turn or Turn()  # its turn at the encoder; by default it has an encoder of its own
        self.was_paused = False
        self.folder = folder  # not created yet; deleted when the attempt ends
        self.stop = threading.Event()
        self.reason: NebulaError | None = None  # why `stop` was set
        self._database = database
        self._worker_stop = worker_stop
        self.check_room = check_room  # raises NoRoom while only the reserve is left
        self.began_at = time.monotonic()
        self._sources = ExitStack()
        self._served: list[Served] = []
        self._progress: Progress | None = None
        self._noted: Progress | None = None
        self._looked_at = self._renewed_at = self.began_at
        self._paused_reason: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{claim.job_id}", daemon=True)

    def __enter__(self) -> Attempt:
        self.pace.enter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._sources.close()
        self.pace.leave()
        shutil.rmtree(self.folder, ignore_errors=True)  # anything left over is deleted when the worker starts again

    def control(self, tools: Tools = INSTALLED, on_command: Callable[[str], None] = lambda command: None) -> Control:
        """Return the tools, the pause and stop switches, and the callbacks for runs of ffmpeg."""
        return Control(
            *(tools, self.stop, self.pace.is_paused, on_command, self.note_progress),
            check_source=self.check_source,
            check_room=self.check_room,
        )

    def serve(self, source: AbstractContextManager[Served]) -> str:
        """Serve a source until the attempt ends; return its URL."""
        served = self._sources.enter_context(source)
        self._served.append(served)
        return served.url

    @property
    def source_trouble(self) -> Exception | None:
        """The error that kept a source from being read, or None."""
        return next((served.trouble for served in self._served if served.trouble is not None), None)

    def check_source(self) -> None:
        """Raise the error that kept a source from being read, if there was one."""
        if self.source_trouble is not None:
            raise self.source_trouble

    def note_progress(self, progress: Progress) -> None:
        """Record how far the work has come. The latest value goes into the row once a second."""
        self._progress = progress

    @contextmanager
    def encoding(self) -> Iterator[None]:
        """Use the encoder while the block runs. If the block succeeds, the next task may use it. Raises Stopped."""
        if not self.turn.take(self.stop):
            raise Stopped("The work was stopped.")
        yield
        self.turn.pass_on()

    def insist(self, work: Callable[[], T]) -> T:
        """Call `work`; while a store does not answer, try again for INSIST_S: hours of encoding may depend on it."""
        deadline = time.monotonic() + INSIST_S
        while True:
            try:
                return work()
            except StoreUnavailable as error:
                if time.monotonic() > deadline or self.stop.wait(INSIST_PAUSE_S):
                    raise
                log.warning("waiting %s store=%s", self.claim.shown, error.store)

    def write(self, work: Callable[[Tx], T]) -> T:
        """Commit a transaction. Uses `insist`, so that a short outage of the database does not lose encoded work."""
        return self.insist(lambda: self._database.write(work))

    def note_run(self, command: str, stderr: str | None = None) -> None:
        """Store the exact command of the latest run, and the tail of its stderr, in the row."""
        self.write(lambda tx: tasks.note(tx, self.claim, command=command, log=stderr))

    def _keep(self) -> None:
        while not self._ended.wait(TICK_S):
            ending = self._asked_to_end() or self._look_after()
            if ending is not None:
                return self._end(ending)

    def _asked_to_end(self) -> NebulaError | None:
        if self._worker_stop.is_set():
            return Stopped("The worker was told to stop.")
        return HandedBack(f"{self.pace.reason()}.") if self.pace.hand_back.is_set() else None

    def _look_after(self) -> NebulaError | None:
        """Check the disk, then update the row, once. Returns the reason if the work must end, else None.

        The work goes on if the database does not answer: the attempt number decides in the end who publishes. After an
        unexpected error it also goes on, until the lease must have run out.
        """
        try:
            self.check_room()
            self._show_pause()
            self._keep_lease()
        except StoreUnavailable:
            pass
        except (NoRoom, Superseded) as error:
            return error
        except Exception as error:  # if this thread ended, the lease would run out and nothing would stop the work
            log.exception("lease not kept %s", self.claim.shown)
            if time.monotonic() - self._looked_at > LEASE_S:
                return StoreUnavailable("database", f"The database refuses to renew the lease: {type(error).__name__}.")
            return None
        self._looked_at = time.monotonic()
        return None

    def _keep_lease(self) -> None:
        """Renew the lease if it is due or there is progress to write; otherwise check that it is still valid."""
        latest = self._progress
        if latest is self._noted and time.monotonic() - self._renewed_at <= HEARTBEAT_S:
            self._look()
            return
        self._renew(latest)
        self._noted, self._renewed_at = latest, time.monotonic()

    def _show_pause(self) -> None:
        reason = self.pace.reason() if self.pace.is_paused() else None
        self.was_paused = self.was_paused or reason is not None
        if reason == self._paused_reason:
            return
        if not self._database.write(lambda tx: tasks.pause(tx, self.claim, reason)):
            raise Superseded("The job was cancelled, or another attempt owns it.")
        self._paused_reason = reason

    def _renew(self, progress: Progress | None) -> None:
        fraction_and_speed = (None, None) if progress is None else (progress.fraction, progress.speed)
        if not self._database.write(lambda tx: tasks.heartbeat(tx, self.claim, *fraction_and_speed)):
            raise Superseded("The job was cancelled, or another attempt owns it.")

    def _look(self) -> None:
        if not self._database.read(lambda tx: tasks.is_held(tx, self.claim)):
            raise Superseded("The job was cancelled, or another attempt owns it.")

    def _end(self, reason: NebulaError) -> None:
        log.info("stopping %s code=%s", self.claim.shown, reason.code)
        self.reason = reason
        self.stop.set()
