"""A store that cuts off a reader that is paused: the read goes on where it stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nebula import config
from nebula.domain.states import FileState, JobState, Queue
from nebula.domain.throttle import Throttle, ThrottleDecision
from nebula.services.films import attempt
from nebula.services.machine.throttling import Pace
from tests.films import Bench
from tests.integration.test_chunked import _frames
from tests.proxy import Proxy
from tests.stores import wait_until

pytestmark = pytest.mark.parametrize("environ", ["provisioned"], indirect=True)

SECONDS, RATE, CHUNK_S = 8, 25, 4.0
WHY = "on battery at 40 %"
# Two megabytes a second: no buffer on the way holds what is yet to be read.
RAW = ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={RATE}", "-t", str(SECONDS), "-c:v", "rawvideo"]


@pytest.fixture
def proxy(environ: dict[str, str]) -> Iterator[Proxy]:
    with Proxy(urlsplit(environ["S3_ENDPOINT"]).port or 0) as between:
        yield between


@pytest.fixture
def bench(environ: dict[str, str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(attempt, "TICK_S", 0.2)
    opened = Bench(config.load(environ | {"S3_ENDPOINT": proxy.endpoint}))
    yield opened
    opened.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "raw.avi"
    status = os.spawnlp(os.P_WAIT, "ffmpeg", "ffmpeg", "-v", "error", *RAW, "-pix_fmt", "yuv420p", str(path))
    assert status == 0
    return path


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ffmpeg that reads no faster than a film plays."""
    program = tmp_path / "programs" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ffmpeg")} -re "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def test_read_that_broke_in_a_pause_costs_nothing(bench: Bench, proxy: Proxy, clip: Path, slow: Path) -> None:
    pace = Pace()
    node = bench.transcoder("n1", chunk_s=CHUNK_S, pace=pace)
    content_id = bench.store(clip)
    for queue in (Queue.QUICK, Queue.QUICK):
        assert node.run_next(queue, bench.stop)  # the probe, and the cutting
    assert bench.film_job(content_id)["chunks_total"] == 2

    with ThreadPoolExecutor(1) as pool:
        encoding = pool.submit(node.run_next, Queue.ENCODE, bench.stop)
        wait_until(lambda: bench.film_job(content_id)["progress"] > 0, 60, "progress")
        pace.set(ThrottleDecision(Throttle.PAUSE, (WHY,)))
        wait_until(lambda: bench.film_job(content_id)["state"] == JobState.PAUSED, 60, "the pause")
        assert bench.film_job(content_id)["paused_reason"] == WHY
        proxy.cut()
        slow.unlink()
        pace.set(ThrottleDecision(Throttle.RUN, ("on mains",)))
        assert encoding.result(120)

    bench.sql("UPDATE tasks SET not_before = NULL")
    while node.run_next(Queue.ENCODE, bench.stop) or node.run_next(Queue.QUICK, bench.stop):
        pass
    job = bench.film_job(content_id)
    assert (job["state"], job["failures"], job["warning"]) == (JobState.DONE, 0, None)
    assert job["chunks_repeated"] == 0
    assert bench.content(content_id)["state"] == FileState.READY
    assert _frames(bench, content_id) == SECONDS * RATE
