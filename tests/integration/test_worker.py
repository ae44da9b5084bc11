"""Worker processes as they run on the laptop: killed, stopped, and without their Redis."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from nebula import command, config
from nebula.db.work import jobs
from nebula.domain.states import FileState, JobState, Queue
from nebula.messages import Messages
from nebula.worker.app import argv
from tests.films import Bench, Clips
from tests.stores import Redis, wait_until

LONG_S = 120.0  # for a machine that is busy with other things


class Site:
    """A machine with workers: its stores, its environment, its processes."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.environ = environ
        self.settings = config.load(environ)
        self.bench = Bench(self.settings)
        self.messages = Messages(self.settings)
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, queue: Queue, path: Path | None = None, **changed: str) -> subprocess.Popen[bytes]:
        """Start a worker; `path` holds programs that it is to find first, `changed` are settings of its own."""
        environ = os.environ | self.environ | changed
        if path is not None:
            environ["PATH"] = f"{path}:{environ['PATH']}"
        with (self._folder / f"{queue}.log").open("ab") as log:
            worker = subprocess.Popen(argv(queue), env=environ, stdout=log, stderr=log, start_new_session=True)
        self._running.append(worker)
        return worker

    def store(self, clip: Path) -> str:
        content_id = self.bench.store(clip)
        self.messages.wake(Queue.QUICK)
        return content_id

    def wait_for_state(self, content_id: str, state: FileState) -> None:
        def reached() -> bool:
            found = self.bench.content(content_id)["state"]
            assert found in {FileState.PROCESSING, state}, self.bench.film_job(content_id)
            return bool(found == state)

        self._wait(reached, f"state {state}")

    def wait_for_encode(self, content_id: str) -> None:
        """Wait until ffmpeg has made part of the film."""
        self._wait(lambda: self.bench.film_job(content_id)["progress"] > 0, "progress")
        assert self.ffmpegs()

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_until(condition, LONG_S, what)
        except AssertionError:
            print("\n".join(path.read_text() for path in self._folder.glob("*.log")), file=sys.stderr)
            raise

    def ffmpegs(self) -> list[int]:
        """Return the processes that write into this site's scratch directory."""
        pattern = f"ffmpeg.*{self.settings.scratch_dir}"
        found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True)
        return [int(line) for line in found.stdout.split()]

    def close(self) -> None:
        for worker in self._running:
            worker.kill()
            worker.wait()
        self.messages.close(0.1)
        self.bench.close()


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


@pytest.fixture
def site(environ: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    opened = Site(environ, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A folder with an ffmpeg that makes a film no faster than it plays."""
    folder = tmp_path / "slow"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ffmpeg")} -re "$@"\n')
    program.chmod(0o755)
    return folder


def _only_rendition(site: Site, content_id: str) -> None:
    (rendition,) = site.bench.renditions(content_id)
    assert site.bench.keys("renditions/") == [rendition["object_key"]]


def test_film_is_made_from_end_to_end_and_sigterm_ends_idle_workers(site: Site, clips: Clips) -> None:
    workers = [site.start(queue) for queue in Queue]
    content_id = site.store(clips["encode.avi"])
    site.wait_for_state(content_id, FileState.READY)
    _only_rendition(site, content_id)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(30) for worker in workers] == [0, 0]


def test_film_is_made_once_when_its_worker_was_killed(site: Site, clips: Clips, slow: Path) -> None:
    site.start(Queue.QUICK)
    worker = site.start(Queue.ENCODE, slow)
    content_id = site.store(clips["middle.avi"])
    site.wait_for_encode(content_id)
    worker.kill()
    worker.wait()
    wait_until(lambda: not site.ffmpegs(), what="the end of ffmpeg")
    site.start(Queue.ENCODE)
    site.wait_for_state(content_id, FileState.READY)
    job = site.bench.film_job(content_id)
    assert (job["attempt"], job["interruptions"], job["failures"]) == (2, 1, 0)
    _only_rendition(site, content_id)


def test_sigterm_ends_ffmpeg_and_gives_the_lease_back(site: Site, clips: Clips, slow: Path) -> None:
    site.start(Queue.QUICK)
    worker = site.start(Queue.ENCODE, slow)
    content_id = site.store(clips["middle.avi"])
    site.wait_for_encode(content_id)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert not site.ffmpegs()
    job = site.bench.film_job(content_id)
    assert (job["state"], job["node"], job["interruptions"]) == (JobState.QUEUED, None, 0)


@pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
def test_film_is_made_when_its_ffmpeg_was_killed(site: Site, clips: Clips, slow: Path) -> None:
    site.start(Queue.QUICK)
    site.start(Queue.ENCODE, slow)
    content_id = site.store(clips["middle.avi"])
    site.wait_for_encode(content_id)
    (slow / "ffmpeg").unlink()
    for pid in site.ffmpegs():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: site.bench.film_job(content_id)["failures"] == 1, what="the failure")
    site.bench.sql("UPDATE tasks SET not_before = NULL")
    site.wait_for_state(content_id, FileState.READY)
    _only_rendition(site, content_id)


@pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
def test_cancelled_film_ends_its_ffmpeg(site: Site, clips: Clips, slow: Path) -> None:
    site.start(Queue.QUICK)
    site.start(Queue.ENCODE, slow)
    content_id = site.store(clips["middle.avi"])
    site.wait_for_encode(content_id)
    job_id = site.bench.film_job(content_id)["id"]
    site.bench.database.write(lambda tx: jobs.cancel(tx, job_id))
    wait_until(lambda: not site.ffmpegs(), what="the end of ffmpeg")
    assert site.bench.content(content_id)["state"] == FileState.STORED


@pytest.mark.parametrize("environ", ["embedded"], indirect=True)
def test_closed_account_ends_its_running_work(
    site: Site, clips: Clips, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    site.start(Queue.QUICK)
    site.start(Queue.ENCODE, slow)
    content_id = site.store(clips["middle.avi"])
    site.wait_for_encode(content_id)
    assert command.main(["disable-account", "ann"]) == 0
    wait_until(lambda: not site.ffmpegs(), what="the end of ffmpeg")
    assert {job["state"] for job in site.bench.jobs(content_id)} == {JobState.DONE, JobState.CANCELLED}
    assert command.main(["enable-account", "ann"]) == 0
    job_id = site.bench.film_job(content_id)["id"]
    assert site.bench.film_job(content_id)["state"] == JobState.CANCELLED
    site.bench.database.write(lambda tx: jobs.requeue(tx, job_id))
    site.messages.wake(Queue.ENCODE)
    site.wait_for_encode(content_id)


@pytest.mark.parametrize("environ", ["embedded"], indirect=True)
def test_paused_film_ends_its_ffmpeg_and_goes_on_when_it_is_resumed(site: Site, clips: Clips, slow: Path) -> None:
    site.start(Queue.QUICK)
    worker = site.start(Queue.ENCODE, slow)
    content_id = site.store(clips["middle.avi"])
    site.wait_for_encode(content_id)
    job_id = site.bench.film_job(content_id)["id"]
    site.bench.database.write(lambda tx: jobs.pause(tx, job_id, "paused by ann"))
    wait_until(lambda: not site.ffmpegs(), what="the end of ffmpeg")
    worker.kill()
    worker.wait()
    site.start(Queue.ENCODE, slow)
    other_id = site.store(clips["short.mkv"])  # proves that the new worker has looked for work
    site.wait_for_state(other_id, FileState.READY)
    assert site.bench.film_job(content_id)["state"] == JobState.PAUSED
    site.bench.database.write(lambda tx: jobs.resume(tx, job_id))
    site.messages.wake(Queue.ENCODE)
    site.wait_for_encode(content_id)


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    store = Redis(tmp_path_factory.mktemp("redis") / "data")
    store.start()
    yield store
    store.stop()


@pytest.fixture
def redis_site(own_redis: Redis, sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    """A site that polls rarely, so that what is quick came by a message."""
    environ = {
        "NEBULA_DATA_DIR": str(tmp_path / "data"),
        "NEBULA_NODE": "test-node",
        "NEBULA_RESERVE_BYTES": "1",
        "NEBULA_SWEEP_INTERVAL": "5",
        "DATABASE_URL": sqlite_url,
        "REDIS_URL": own_redis.url,
    }
    opened = Site(environ, tmp_path)
    yield opened
    opened.close()


def _takes_messages(site: Site, store: Redis) -> None:
    """Wait until a message is sent and the quick worker has taken it."""
    with redis.Redis.from_url(store.url) as client:

        def sent() -> int:
            return int(client.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"])

        before = sent()

        def taken() -> bool:
            if client.llen(Queue.QUICK.value):
                return False
            if sent() == before:  # the last one was lost; more of them would only be a queue to work through
                site.messages.wake(Queue.QUICK)
                return False
            return True

        wait_until(taken, LONG_S, "a message to be taken")


def test_films_are_made_and_messages_taken_again_when_redis_was_gone(
    redis_site: Site, own_redis: Redis, clips: Clips
) -> None:
    own_redis.stop()
    worker = redis_site.start(Queue.QUICK)
    first = redis_site.store(clips["remux.mkv"])
    redis_site.wait_for_state(first, FileState.READY)
    own_redis.start()
    _takes_messages(redis_site, own_redis)
    own_redis.stop()
    second = redis_site.store(clips["ready.mp4"])
    redis_site.wait_for_state(second, FileState.READY)
    assert worker.poll() is None


def test_films_are_made_and_messages_taken_again_when_redis_hung(
    redis_site: Site, own_redis: Redis, clips: Clips
) -> None:
    worker = redis_site.start(Queue.QUICK)
    _takes_messages(redis_site, own_redis)
    assert own_redis.process is not None
    os.kill(own_redis.process.pid, signal.SIGSTOP)
    content_id = redis_site.store(clips["remux.mkv"])
    redis_site.wait_for_state(content_id, FileState.READY)
    os.kill(own_redis.process.pid, signal.SIGCONT)
    _takes_messages(redis_site, own_redis)
    assert worker.poll() is None


def test_sigterm_ends_a_worker_that_finds_no_redis(redis_site: Site, own_redis: Redis, clips: Clips) -> None:
    own_redis.stop()
    worker = redis_site.start(Queue.QUICK)
    content_id = redis_site.store(clips["ready.mp4"])
    redis_site.wait_for_state(content_id, FileState.READY)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


@pytest.mark.parametrize("queue", list(Queue))
def test_worker_reports_ready_after_its_first_look(site: Site, tmp_path: Path, queue: Queue) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(LONG_S)
        site.start(queue, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert systemd.recv(100) == b"READY=1\nSTATUS=ready"


def _spoil_scratch(site: Site) -> None:
    site.settings.scratch_dir.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(site.settings.scratch_dir, ignore_errors=True)
    site.settings.scratch_dir.write_text("no directory")


@pytest.mark.parametrize("queue", list(Queue))
def test_worker_whose_scratch_directory_cannot_be_used_ends(site: Site, queue: Queue) -> None:
    _spoil_scratch(site)
    assert site.start(queue).wait(LONG_S) == 1


@pytest.mark.parametrize("queue", list(Queue))
def test_worker_whose_first_look_fails_ends_also_while_redis_is_away(site: Site, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "slip").mkdir()
    slip = "from nebula.db.work import tasks\ndef slip(*_, **__): raise ValueError('a bad row')\n"
    (tmp_path / "slip/sitecustomize.py").write_text(f"{slip}tasks.claim_next = slip\n")
    worker = site.start(queue, PYTHONPATH=str(tmp_path / "slip"), REDIS_URL="redis://127.0.0.1:1/0")
    assert worker.wait(LONG_S) == 1


def test_worker_whose_encoder_trial_crashes_ends(site: Site, tmp_path: Path) -> None:
    (tmp_path / "slip").mkdir()
    slip = "from nebula.services.films import encoder\ndef slip(*_, **__): raise RuntimeError('a slip')\n"
    (tmp_path / "slip/sitecustomize.py").write_text(f"{slip}encoder.Encoders.find = slip\n")
    assert site.start(Queue.ENCODE, PYTHONPATH=str(tmp_path / "slip")).wait(LONG_S) == 1
