"""A worker process: runs the tasks of its queue when a message wakes it, also looks for tasks regularly, and sweeps.

Celery's tasks and the look loop share the places in PLACES, so that no more tasks run at once than intended. Because of
the look loop, films are made even while Redis is down, and tasks that were queued before the start are run.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from nebula.domain.states import Queue
from nebula.errors import Stopped, StoreUnavailable
from nebula.services.films.claiming import Transcoding
from nebula.services.machine.sweep import Sweep
from nebula.services.machine.throttling import Throttling

log = logging.getLogger(__name__)

PLACES = {Queue.QUICK: 2, Queue.ENCODE: 1}
# The most tasks that a worker has claimed at once: while one chunk is encoded, the previous one is verified and stored.
IN_HAND = {Queue.QUICK: 2, Queue.ENCODE: 2}
LOOK_S = 30.0
BEGIN_AGAIN_S = 2.0
FIRST_SWEEP_S = 2.0
JOIN_S = 10.0


class Worker:
    """The worker of one queue on one node."""

    def __init__(
        self,
        queue: Queue,
        transcoding: Transcoding,
        sweep: Sweep | None,
        *,
        sweep_interval_s: float,
        throttling: Throttling | None = None,
        on_ready: Callable[[], None] = lambda: None,
        on_failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.queue = queue
        self.stop = threading.Event()
        self._transcoding = transcoding
        self._sweep = sweep
        self._sweep_interval_s = sweep_interval_s
        self._throttling = throttling
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._has_failed = threading.Event()
        self._places = threading.BoundedSemaphore(PLACES[queue])
        self._begun = threading.Event()
        self._threads: list[threading.Thread] = []
        self._beside: threading.Thread | None = None

    def start(self) -> None:
        """Start the threads that look for work, sweep and read the machine's power."""
        if self._throttling is not None:
            try:
                self._throttling.start()  # must be first: its first sample decides whether tasks may be claimed
            except BaseException:
                self._has_failed.set()
                raise
        loops: list[tuple[str, Callable[[], None]]] = [("look", self._look_loop)]
        if self._sweep is not None:
            loops.append(("sweep", self._sweep_loop))
        self._threads = [
            threading.Thread(target=self._guard, args=[name, loop], name=name, daemon=True) for name, loop in loops
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Tell all threads to stop, and wait up to JOIN_S for each, so that leases are given back."""
        self.stop.set()
        for thread in [*self._threads, *([self._beside] if self._beside else [])]:
            thread.join(JOIN_S)
        if self._throttling is not None:
            self._throttling.end()

    @property
    def has_failed(self) -> bool:
        """Whether the worker could not start, or a loop crashed: the process must then end and be started again."""
        return self._has_failed.is_set()

    def work(self) -> None:
        """Run tasks of the queue until none waits. First waits until the previous process's claims are given back."""
        while not self._begun.wait(0.2):
            if self.stop.is_set():
                return
        with self._places:
            self._work()

    def sweep(self) -> None:
        """Sweep once, if this worker has a sweep."""
        if self._sweep is not None:
            self._sweep.run()

    def _work(self) -> None:
        try:
            while not self.stop.is_set() and self._transcoding.run_next(self.queue, self.stop, self._work_beside):
                pass
        except Stopped:
            log.info("stopped queue=%s", self.queue)
        except StoreUnavailable as error:
            log.warning("no work queue=%s store=%s", self.queue, error.store)
        except Exception:  # the task boundary: the next message or look tries again
            log.exception("work failed queue=%s", self.queue)

    def _work_beside(self) -> None:
        """Run further tasks in the one extra thread; start the thread if it is not running."""
        if self._beside is None or not self._beside.is_alive():
            self._beside = threading.Thread(target=self._work, name="beside", daemon=True)
            self._beside.start()

    def _guard(self, name: str, loop: Callable[[], None]) -> None:
        try:
            loop()
        except Exception:  # end the process, so that it is started again: without this thread it would do nothing
            log.exception("worker cannot go on queue=%s loop=%s", self.queue, name)
            self._has_failed.set()
            self._on_failed()

    def _look_loop(self) -> None:
        while not self._begin() and not self.stop.wait(BEGIN_AGAIN_S):
            pass
        while not self.stop.is_set():
            self._note_seen()
            if self._places.acquire(blocking=False):
                try:
                    self._work()
                finally:
                    self._places.release()
            self.stop.wait(min(LOOK_S, self._sweep_interval_s))

    def _note_seen(self) -> None:
        try:
            self._transcoding.note_seen()
        except StoreUnavailable:
            pass  # nobody could read the row either
        except Exception:  # this thread must go on: it finds tasks if no message comes
            log.exception("node not noted as seen queue=%s", self.queue)

    def _begin(self) -> bool:
        try:
            self._transcoding.begin(self.queue, self.stop)
            self._transcoding.look(self.queue)
        except Stopped:
            return False
        except StoreUnavailable as error:
            log.warning("worker waits queue=%s store=%s", self.queue, error.store)
            return False
        self._begun.set()
        log.info("worker ready queue=%s", self.queue)
        self._on_ready()
        return True

    def _sweep_loop(self) -> None:
        pause_s = FIRST_SWEEP_S
        while not self.stop.wait(pause_s):
            self.sweep()
            pause_s = self._sweep_interval_s
