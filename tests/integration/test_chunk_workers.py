"""Workers that make films in chunks, as processes: killed at any moment, and on more than one node."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nebula.db import nodes
from nebula.db.work.rows import NEEDED
from nebula.domain.states import FileState, JobState, Queue
from nebula.worker.work import IN_HAND
from tests.films import Clips
from tests.integration.test_worker import LONG_S, Site
from tests.stores import wait_until

FRAMES = 150  # of cut.mkv
KILLS = 4


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


@pytest.fixture
def site(environ: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """A site that cuts films into chunks of a second."""
    opened = Site(environ | {"NEBULA_CHUNK_SECONDS": "1", "NEBULA_SWEEP_INTERVAL": "1"}, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A folder with an ffmpeg that is never faster than twice the speed at which the film plays."""
    folder = tmp_path / "slow"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ffmpeg")} -readrate 2 "$@"\n')
    program.chmod(0o755)
    return folder


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


def _frames(site: Site, content_id: str) -> int:
    (rendition,) = site.bench.renditions(content_id)
    source = site.bench.fetched(rendition["object_key"])
    asked = ["-select_streams", "v:0", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "json"]
    answer = subprocess.run(["ffprobe", "-v", "error", *asked, source], capture_output=True, check=True)
    return int(json.loads(answer.stdout)["streams"][0]["nb_read_packets"])


def _is_made(site: Site, content_id: str) -> dict[str, Any]:
    """Show that the film is whole, that it is there once, and that the sweep leaves nothing else of it."""
    assert _frames(site, content_id) == FRAMES
    (rendition,) = site.bench.renditions(content_id)
    wait_until(lambda: not site.bench.keys("jobs/"), LONG_S, "the sweep of the chunks")
    wait_until(lambda: site.bench.keys("renditions/") == [rendition["object_key"]], LONG_S, "the sweep of the rest")
    return site.bench.film_job(content_id)


def _no_delays(site: Site) -> None:
    """Try failures again at once."""
    site.bench.sql("UPDATE tasks SET not_before = NULL WHERE state = 'queued'")


class Killing:
    """Ends processes of a site, each time others and at another moment."""

    def __init__(self, site: Site, programs: Path, seed: int) -> None:
        self._site = site
        self._programs = programs
        self._random = random.Random(seed)
        self._workers = {queue: site.start(queue, programs) for queue in Queue}

    def strike(self) -> None:
        """Wait for some moment of the work; kill a worker, its ffmpeg or everything; start again what died."""
        time.sleep(self._random.uniform(0.2, 2.5))
        victim = self._random.choice(["encode", "quick", "ffmpeg", "everything"])
        for queue, worker in self._workers.items():
            if victim in (queue.value, "everything"):
                _end(worker)
        if victim in ("ffmpeg", "everything"):
            for pid in self._site.ffmpegs():
                _kill(pid)
        for queue, worker in list(self._workers.items()):
            if worker.poll() is not None:
                self._workers[queue] = self._site.start(queue, self._programs)
        _no_delays(self._site)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        os.kill(pid, signal.SIGKILL)


def test_film_is_whole_and_little_is_made_again_when_everything_is_killed_at_random_moments(
    site: Site, clips: Clips, slow: Path
) -> None:
    killing = Killing(site, slow, seed=7)
    content_id = site.store(clips["cut.mkv"])
    wait_until(lambda: site.bench.film_job(content_id)["chunks_total"], LONG_S, "the chunks")
    kills = 0
    while kills < KILLS and site.bench.content(content_id)["state"] != FileState.READY:
        killing.strike()
        kills += 1

    def is_ready() -> bool:
        _no_delays(site)
        return bool(site.bench.content(content_id)["state"] == FileState.READY)

    wait_until(is_ready, LONG_S, "the film")
    job = _is_made(site, content_id)
    assert kills > 1
    assert job["chunks_done"] == job["chunks_total"] >= 4
    assert job["chunks_repeated"] <= kills * IN_HAND[Queue.ENCODE]
    assert job["restarts"] == job["rejections"] == 0


def _in_hand(site: Site) -> list[int]:
    sql = "SELECT number, attempt FROM tasks WHERE state = 'running' ORDER BY number"
    return [number for number, _ in site.bench.database.read(lambda tx: tx.select(sql))]


def test_worker_that_dies_while_it_verifies_one_chunk_and_encodes_the_next_loses_those_two(
    site: Site, clips: Clips, tmp_path: Path
) -> None:
    real = shutil.which("ffmpeg")
    never = tmp_path / "never verified" / "ffmpeg"
    never.parent.mkdir()
    # The first span is verified for ever, the second one encoded for ever.
    never.write_text(
        "#!/bin/sh\n"
        'case "$*" in *volumedetect*|*ametadata*) ;; *" -f null -"|*trim=start=*) exec sleep 600 ;; esac\n'
        f'exec {real} "$@"\n'
    )
    never.chmod(0o755)
    site.start(Queue.QUICK)
    worker = site.start(Queue.ENCODE, never.parent)
    content_id = site.store(clips["cut.mkv"])
    wait_until(lambda: _in_hand(site) == [1, 2], LONG_S, "two chunks in hand")
    _end(worker)
    (sound,) = _stored(site)
    site.start(Queue.ENCODE)
    site.wait_for_state(content_id, FileState.READY)
    job = _is_made(site, content_id)
    assert sound == f"jobs/{job['id']}/0-1.mp4"
    assert (job["chunks_repeated"], job["interruptions"]) == (2, 0)


@pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
def test_two_nodes_make_one_film_and_the_one_that_disappears_loses_only_its_chunk(
    site: Site,
    clips: Clips,
    slow: Path,
    tmp_path: Path,
) -> None:
    site.start(Queue.QUICK)
    site.start(Queue.ENCODE, slow, NEBULA_NODE="stays")
    gone = site.start(Queue.ENCODE, slow, NEBULA_NODE="gone", NEBULA_DATA_DIR=str(tmp_path / "gone"))
    # Else the one that is up first makes the whole film.
    wait_until(lambda: {"gone", "stays"} <= _nodes(site), LONG_S, "both nodes")
    content_id = site.store(clips["cut.mkv"])
    wait_until(lambda: site.bench.film_job(content_id)["node"] == "gone, stays", LONG_S, "both at work")
    wait_until(lambda: _stands_still_with_a_chunk(site, gone), LONG_S, "a chunk to lose")
    lost = len(_held_by_gone(site))
    assert lost <= IN_HAND[Queue.ENCODE]
    _end(gone)
    done = set(_stored(site))
    site.bench.sql(
        "UPDATE tasks SET lease_until = $past WHERE node = 'gone'",
        past=site.bench.database.read(lambda tx: tx.after(-1)),
    )
    site.wait_for_state(content_id, FileState.READY)
    job = _is_made(site, content_id)
    assert (job["state"], job["chunks_done"], job["chunks_repeated"]) == (JobState.DONE, job["chunks_total"], lost)
    assert job["node"] == "test-node", "who joined it"
    assert done <= {f"jobs/{job['id']}/{number}-1.mp4" for number in range(job["chunks_total"])}


def _nodes(site: Site) -> set[str]:
    return {node.name for node in site.bench.database.read(nodes.all_nodes)}


def _held_by_gone(site: Site) -> list[Any]:
    held = "SELECT number, attempt FROM tasks WHERE node = 'gone' AND state = 'running'"
    return site.bench.database.read(lambda tx: tx.select(held))


def _stands_still_with_a_chunk(site: Site, worker: subprocess.Popen[bytes]) -> bool:
    """Stop the worker of the node `gone`, and let it go on where it is between two chunks just then."""
    os.kill(worker.pid, signal.SIGSTOP)
    if _held_by_gone(site):
        return True
    os.kill(worker.pid, signal.SIGCONT)
    return False


def _stored(site: Site) -> list[str]:
    return [key for key, _ in site.bench.database.read(lambda tx: tx.select(NEEDED))]
