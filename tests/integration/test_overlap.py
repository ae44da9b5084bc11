"""While a chunk is verified and stored the next one is encoded: in a worker's two threads, on one encoder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nebula.domain.states import JobState, Queue
from nebula.domain.throttle import Throttle, ThrottleDecision
from nebula.errors import Incomplete
from nebula.media.making import chunking
from nebula.media.reading import seekability
from nebula.media.verifying import chunk_checks
from nebula.services.machine.throttling import Pace
from nebula.worker.work import Worker
from tests.films import Clips
from tests.integration.test_chunked import CHUNK_S, EMBEDDED, PROVISIONED, Cutting, _is_made
from tests.stores import wait_until

LONG_S = 120.0
BENCH = Cutting


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


class Line:
    """A worker whose verifications wait until they are let through, and who says what it is doing."""

    def __init__(self, bench: Cutting, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.pace = Pace()
        bench.transcoding = bench.transcoder("n1", chunk_s=CHUNK_S, pace=self.pace)
        self.worker = Worker(Queue.ENCODE, bench.transcoding, None, sweep_interval_s=0.2)
        self.let_through = threading.Event()
        self.encoding: set[int] = set()
        self.verifying: set[int] = set()
        self.most_encoding = self.most_in_hand = 0
        self.sources: list[str] = []
        self._lock = threading.Lock()
        self._real_make, self._real_verify = chunking.make_chunk, chunk_checks.verify_chunk
        monkeypatch.setattr(chunking, "make_chunk", self._make)
        monkeypatch.setattr(chunk_checks, "verify_chunk", self.verify)

    def _make(self, source: str, facts: Any, plan: Any, chunk: Any, *args: Any, **options: Any) -> Any:
        self.sources.append(source)
        with self._counted(self.encoding, chunk.number):
            return self._real_make(source, facts, plan, chunk, *args, **options)

    def verify(self, plan: Any, chunk: Any, *args: Any, **options: Any) -> Any:
        with self._counted(self.verifying, chunk.number):
            stop = options["control"].stop
            while not self.let_through.wait(0.05) and not stop.is_set():
                pass
            return self._real_verify(plan, chunk, *args, **options)

    @contextmanager
    def _counted(self, kind: set[int], number: int) -> Iterator[None]:
        with self._lock:
            kind.add(number)
            self.most_encoding = max(self.most_encoding, len(self.encoding))
            self.most_in_hand = max(self.most_in_hand, len(self.encoding) + len(self.verifying))
        try:
            yield
        finally:
            with self._lock:
                kind.discard(number)

    def in_hand(self) -> list[int]:
        sql = "SELECT number, attempt FROM tasks WHERE state = 'running' AND kind = 'video_chunk' ORDER BY number"
        return [number for number, _ in self.bench.database.read(lambda tx: tx.select(sql))]

    def wait_for_overlap(self) -> None:
        """Wait until a chunk is being verified, and the next one's encode has ended too."""
        wait_until(lambda: len(self.verifying) == 2, LONG_S, "the second chunk")

    def stored(self) -> list[int]:
        sql = "SELECT number, attempt FROM tasks WHERE state = 'done' AND kind = 'video_chunk'"
        return [number for number, _ in self.bench.database.read(lambda tx: tx.select(sql))]


@pytest.fixture
def line(bench: Cutting, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    made = Line(bench, monkeypatch)
    yield made
    made.let_through.set()
    made.worker.end()


def _finish(line: Line, content_id: str) -> dict[str, Any]:
    line.let_through.set()
    wait_until(lambda: line.bench.next_task(content_id) == "join", LONG_S, "the chunks")
    assert line.bench.run()
    wait_until(lambda: not list(line.bench.settings.scratch_dir.glob("encode/*-*")), LONG_S, "the end of the last one")
    return _is_made(line.bench, content_id)


def test_next_chunk_is_encoded_while_the_one_before_is_verified_and_no_third_is_begun(
    line: Line, bench: Cutting, clips: Clips
) -> None:
    content_id = bench.laid_out(clips)
    line.worker.start()
    line.wait_for_overlap()
    assert line.in_hand() == [1, 2]
    assert line.stored() == []
    job = bench.film_job(content_id)
    assert (job["state"], job["speed"]) == (JobState.RUNNING, None), "what is verified goes at no speed"
    job = _finish(line, content_id)
    assert (line.most_encoding, line.most_in_hand) == (1, 2)
    assert job["chunks_repeated"] == 0


EVENTS: dict[str, Callable[[Line], None]] = {
    "the worker is told to stop": lambda line: line.worker.end(),
    "the battery is low": lambda line: line.pace.set(ThrottleDecision(Throttle.HAND_BACK, ("battery 9 %",))),
}


@EMBEDDED
@pytest.mark.parametrize("event", EVENTS)
def test_both_leases_are_given_back_and_nothing_is_left_behind_when(
    line: Line, bench: Cutting, clips: Clips, event: str
) -> None:
    content_id = bench.laid_out(clips)
    line.worker.start()
    line.wait_for_overlap()
    EVENTS[event](line)
    wait_until(lambda: line.in_hand() == [], LONG_S, "the leases")
    wait_until(lambda: not list(bench.settings.scratch_dir.glob("encode/*")), LONG_S, "an empty scratch directory")
    job = bench.film_job(content_id)
    assert (job["state"], job["chunks_repeated"], job["failures"]) == (JobState.QUEUED, 0, 0)
    assert line.stored() == []


@EMBEDDED
def test_nothing_overlaps_on_a_machine_that_is_to_be_gentle(line: Line, bench: Cutting, clips: Clips) -> None:
    line.pace.set(ThrottleDecision(Throttle.GENTLY, ("battery 80 %",)))
    content_id = bench.laid_out(clips)
    line.worker.start()
    wait_until(lambda: line.verifying, LONG_S, "the first chunk")
    _finish(line, content_id)
    assert line.most_in_hand == 1


@EMBEDDED
def test_chunk_that_is_made_again_waits_for_the_encoder(
    line: Line, bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int] = []

    def refuse_once(plan: Any, chunk: Any, *args: Any, **options: Any) -> Any:
        found = line.verify(plan, chunk, *args, **options)
        if chunk.number not in refused:
            refused.append(chunk.number)
            raise Incomplete("The chunk is not all of its source.", log="")
        return found

    monkeypatch.setattr(chunk_checks, "verify_chunk", refuse_once)
    content_id = bench.laid_out(clips)
    line.worker.start()
    line.wait_for_overlap()
    job = _finish(line, content_id)
    assert sorted(refused) == list(range(job["chunks_total"] - 1))
    assert line.most_encoding == 1
    assert len(line.sources) == 2 * len(refused)


@PROVISIONED
def test_copy_of_a_source_serves_both_chunks(
    line: Line, bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seekability, "reads_in_pieces", lambda *_, **__: False)
    opened: list[str] = []
    real = bench.storage.open

    def note(key: str, *args: Any) -> Any:
        opened.append(key)
        return real(key, *args)

    content_id = bench.laid_out(clips)
    monkeypatch.setattr(bench.storage, "open", note)
    line.worker.start()
    line.wait_for_overlap()
    assert opened == [bench.content(content_id)["object_key"]]
    assert {Path(source).name for source in line.sources} == {content_id}
    _finish(line, content_id)


@EMBEDDED
def test_pictures_are_encoded_beside_the_sound(
    line: Line, bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = chunking.make_sound

    def wait_for_a_picture(*args: Any, **options: Any) -> Any:
        wait_until(lambda: line.verifying, LONG_S, "a picture's chunk")
        return real(*args, **options)

    monkeypatch.setattr(chunking, "make_sound", wait_for_a_picture)
    content_id = bench.laid_out(clips)
    line.worker.start()
    _finish(line, content_id)
