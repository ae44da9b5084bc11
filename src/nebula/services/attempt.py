"""One attempt at a job: keeps its lease, tells it to stop, and cleans up its scratch directory.

A thread looks after the row once a second: it renews the lease, writes the progress, and sets `stop` when the attempt
was superseded or cancelled, when the worker is told to end, or when the disk's reserve is touched.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from nebula.db import leases
from nebula.db.database import Database
from nebula.domain.limits import HEARTBEAT_S
from nebula.domain.records import Claim
from nebula.errors import NebulaError, NoRoom, Stopped, StoreUnavailable, Superseded
from nebula.media.progress import Progress

T = TypeVar("T")

log = logging.getLogger(__name__)

TICK_S = 1.0
INSIST_S = 900.0
INSIST_PAUSE_S = 2.0


class Attempt:
    """A claim while it is worked on. Use as a context manager, in the thread that does the work."""

    def __init__(
        self,
        database: Database,
        claim: Claim,
        *,
        folder: Path,
        worker_stop: threading.Event,
        check_room: Callable[[], None],
    ) -> None:
        self.claim = claim
        self.folder = folder  # not made yet; gone when the attempt ends
        self.stop = threading.Event()
        self.reason: NebulaError | None = None  # why `stop` was set
        self._database = database
        self._worker_stop = worker_stop
        self._check_room = check_room
        self._progress: Progress | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{claim.job_id}", daemon=True)

    def __enter__(self) -> Attempt:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        shutil.rmtree(self.folder, ignore_errors=True)  # what stays goes when the worker starts again

    def note_progress(self, progress: Progress) -> None:
        """Take how far the work is; the row gets the latest once a second."""
        self._progress = progress

    def insist(self, work: Callable[[], T]) -> T:
        """Do what needs a store, again and again while that does not answer: hours of encoding hang on it."""
        deadline = time.monotonic() + INSIST_S
        while True:
            try:
                return work()
            except StoreUnavailable as error:
                if time.monotonic() > deadline or self.stop.wait(INSIST_PAUSE_S):
                    raise
                log.warning("waiting job=%s store=%s", self.claim.job_id, error.store)

    def _keep(self) -> None:
        noted: Progress | None = None
        renewed_at = time.monotonic()
        while not self._ended.wait(TICK_S):
            if self._worker_stop.is_set():
                return self._end(Stopped("The worker was told to stop."))
            latest = self._progress
            try:
                self._check_room()
                if latest is not noted or time.monotonic() - renewed_at > HEARTBEAT_S:
                    self._renew(latest)
                    noted, renewed_at = latest, time.monotonic()
                else:
                    self._look()
            except StoreUnavailable:
                continue  # the attempt number decides in the end who publishes, however late this becomes
            except (NoRoom, Superseded) as error:
                return self._end(error)

    def _renew(self, progress: Progress | None) -> None:
        how_far = (None, None, None) if progress is None else (progress.fraction, progress.speed, progress.eta_s)
        job_id, attempt = self.claim.job_id, self.claim.attempt
        if not self._database.write(lambda tx: leases.heartbeat(tx, job_id, attempt, *how_far)):
            raise Superseded("The job was cancelled, or another attempt owns it.")

    def _look(self) -> None:
        if not self._database.read(lambda tx: leases.is_held(tx, self.claim.job_id, self.claim.attempt)):
            raise Superseded("The job was cancelled, or another attempt owns it.")

    def _end(self, reason: NebulaError) -> None:
        log.info("stopping job=%s attempt=%s code=%s", self.claim.job_id, self.claim.attempt, reason.code)
        self.reason = reason
        self.stop.set()
