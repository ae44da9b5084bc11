"""A worker's loops, over a Transcoding that does as it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from nebula.domain.states import Queue
from nebula.errors import FfmpegFailed, StoreUnavailable
from nebula.worker import work
from nebula.worker.work import IN_HAND, PLACES, Worker
from tests.stores import wait_until


class Scripted:
    """Stands for Transcoding: each job is a function."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []
        self.begin_errors: list[Exception] = []
        self.look_errors: list[Exception] = []
        self.begun = 0
        self.seen_error: Exception = StoreUnavailable("database")
        self._lock = threading.Lock()

    def begin(self, queue: Queue, stop: threading.Event) -> None:
        if self.begin_errors:
            raise self.begin_errors.pop()
        self.begun += 1

    def look(self, queue: Queue) -> None:
        if self.look_errors:
            raise self.look_errors.pop()

    def note_seen(self) -> None:
        raise self.seen_error

    def run_next(self, queue: Queue, stop: threading.Event, on_encoded: Callable[[], None]) -> bool:
        assert self.begun, "nothing may be claimed before the old leases went back"
        with self._lock:
            job = self.jobs.pop(0) if self.jobs else None
        if job is None:
            return False
        job()
        return True


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def worker(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(work, "BEGIN_AGAIN_S", 0.01)
    made = Worker(Queue.QUICK, scripted, None, sweep_interval_s=0.05)  # type: ignore[arg-type]
    yield made
    made.end()


def test_worker_finds_work_without_a_message(worker: Worker, scripted: Scripted) -> None:
    worker.start()
    done = threading.Event()
    scripted.jobs.append(done.set)
    assert done.wait(20)


def test_worker_waits_for_a_database_that_is_away_before_it_claims(worker: Worker, scripted: Scripted) -> None:
    scripted.begin_errors = [StoreUnavailable("database"), StoreUnavailable("database")]
    done = threading.Event()
    scripted.jobs.append(done.set)
    worker.start()
    assert done.wait(20)


def test_worker_goes_on_after_whatever_a_job_did(worker: Worker, scripted: Scripted) -> None:
    def fail(error: Exception) -> None:
        raise error

    done = threading.Event()
    scripted.jobs = [lambda: fail(StoreUnavailable("database")), lambda: fail(RuntimeError("bug")), done.set]
    worker.start()
    assert done.wait(20)


def test_worker_looks_for_work_whatever_the_database_does(worker: Worker, scripted: Scripted) -> None:
    scripted.seen_error = RuntimeError("a row that cannot be")
    worker.start()
    wait_until(lambda: scripted.begun, what="the start")
    for _ in range(2):
        done = threading.Event()
        scripted.jobs.append(done.set)
        assert done.wait(20)


def test_no_more_jobs_run_at_once_than_there_are_places(worker: Worker, scripted: Scripted) -> None:
    running, release = threading.Semaphore(0), threading.Event()

    def job() -> None:
        running.release()
        release.wait(20)

    scripted.jobs = [job] * 6
    worker.start()
    threads = [threading.Thread(target=worker.work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(PLACES[Queue.QUICK]):
        assert running.acquire(timeout=20)
    assert not running.acquire(timeout=0.3)
    release.set()
    for thread in threads:
        thread.join(20)
    wait_until(lambda: not scripted.jobs, what="every job")


def test_work_goes_on_beside_what_is_encoded_in_one_more_thread_and_no_third(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, release = threading.Semaphore(0), threading.Event()
    claim = scripted.run_next

    def encode_and_verify(queue: Queue, stop: threading.Event, on_encoded: Callable[[], None]) -> bool:
        if scripted.jobs:
            on_encoded()
            working.release()
        return claim(queue, stop, on_encoded)

    monkeypatch.setattr(scripted, "run_next", encode_and_verify)
    scripted.jobs = [lambda: bool(release.wait(20))] * 5
    made = Worker(Queue.ENCODE, scripted, None, sweep_interval_s=0.05)  # type: ignore[arg-type]
    made.start()
    for _ in range(IN_HAND[Queue.ENCODE]):
        assert working.acquire(timeout=20)
    assert not working.acquire(timeout=0.3)
    release.set()
    wait_until(lambda: not scripted.jobs, what="every job")
    made.end()


def test_stopped_worker_claims_nothing_more(worker: Worker, scripted: Scripted) -> None:
    worker.start()
    wait_until(lambda: scripted.begun, what="the start")
    worker.end()
    scripted.jobs.append(lambda: None)
    worker.work()
    assert len(scripted.jobs) == 1


class Watched:
    """A worker with what it told its process."""

    def __init__(self, scripted: Scripted) -> None:
        self.ready, self.failed = threading.Event(), threading.Event()
        self.worker = Worker(
            Queue.QUICK, scripted, None, sweep_interval_s=0.05, on_ready=self.ready.set, on_failed=self.failed.set,
        )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def watched(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(work, "BEGIN_AGAIN_S", 0.01)
    made = Watched(scripted)
    yield made
    made.worker.end()


MISTAKES = [RuntimeError("a slip"), ValueError("a bad row"), PermissionError(13, "scratch"), FfmpegFailed("", log="")]


@pytest.mark.parametrize("error", MISTAKES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["begin_errors", "look_errors"])
def test_worker_whose_start_fails_ends_and_is_never_ready(
    watched: Watched, scripted: Scripted, where: str, error: Exception
) -> None:
    setattr(scripted, where, [error])
    watched.worker.start()
    assert watched.failed.wait(20)
    assert watched.worker.has_failed
    assert not watched.ready.is_set()


def test_worker_is_ready_when_it_has_looked_and_not_while_its_store_is_away(
    watched: Watched, scripted: Scripted
) -> None:
    scripted.look_errors = [StoreUnavailable("database")] * 3
    working, release = threading.Event(), threading.Event()

    def job() -> None:
        working.set()
        release.wait(20)

    scripted.jobs = [job]
    watched.worker.start()
    # Ready is not the end of the queue: a film takes hours.
    assert watched.ready.wait(20)
    assert working.wait(20)
    assert not scripted.look_errors
    assert not watched.worker.has_failed
    release.set()


def test_worker_whose_loop_ends_by_a_mistake_ends(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def slip() -> None:
        raise RuntimeError("a slip")

    monkeypatch.setattr(watched.worker, "_note_seen", slip)
    watched.worker.start()
    assert watched.failed.wait(20)
