"""A worker on a laptop that loses its plug: real processes, a real ffmpeg, and a stand-in for the laptop's sysfs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nebula.db import nodes, power
from nebula.domain.records import NodePower
from nebula.domain.states import FileState, JobState, Queue
from nebula.domain.throttle import Throttle
from tests.films import Clips
from tests.integration.test_worker import Site
from tests.laptop import Laptop
from tests.running import has_gone, is_held
from tests.stores import wait_until

pytestmark = pytest.mark.parametrize("environ", ["embedded"], indirect=True)

RUN, GENTLY, PAUSE, HAND_BACK = Throttle
CLIP = "middle.avi"  # 16 seconds, 50 frames each
FRAMES = 16 * 50
NODE = "test-node"
LONG_S = 90.0  # for a machine that is busy with other things


class Plugged:
    """A site whose encode worker reads a laptop, and whose ffmpeg makes a film no faster than it plays."""

    def __init__(self, site: Site, laptop: Laptop, programs: Path, log: Path) -> None:
        self.site, self.laptop, self.log = site, laptop, log
        self._programs = programs
        programs.mkdir()
        self.make_ffmpeg(slow=True)

    @contextlib.contextmanager
    def unseen(self, worker: subprocess.Popen[bytes]) -> Iterator[None]:
        """Let the worker take no sample: it may be asked for two in a row, however slowly the test goes on."""
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker.pid, signal.SIGCONT)

    def make_ffmpeg(self, *, slow: bool) -> None:
        program = self._programs / "ffmpeg.new"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ffmpeg")} {"-re" if slow else ""} "$@"\n')
        program.chmod(0o755)
        program.rename(self._programs / "ffmpeg")

    def start(self) -> subprocess.Popen[bytes]:
        return self.site.start(Queue.ENCODE, self._programs)

    def begin(self, clips: Clips) -> tuple[str, subprocess.Popen[bytes]]:
        """Start the encode worker, and return the content whose film is being made."""
        worker = self.start()
        content_id = self.site.bench.store(clips[CLIP])
        self._work_quickly()
        self.site.wait_for_encode(content_id)
        return content_id, worker

    def wait_for_film(self, content_id: str) -> None:
        def is_ready() -> bool:
            self._work_quickly()
            return bool(self.site.bench.content(content_id)["state"] == FileState.READY)

        self._wait(is_ready, "the film")

    def _work_quickly(self) -> None:
        """Do what the quick worker does: one process less to start."""
        while self.site.bench.run(Queue.QUICK):
            pass
        self.site.messages.wake(Queue.ENCODE)

    def wait_for_job(self, content_id: str, state: JobState) -> None:
        self._wait(lambda: self.site.bench.film_job(content_id)["state"] == state, f"job {state}")

    def wait_for_throttle(self, throttle: Throttle) -> NodePower:
        self._wait(lambda: self.power() is not None and self.power().decision.throttle is throttle, str(throttle))
        found = self.power()
        assert found is not None
        return found

    def power(self) -> NodePower | None:
        known = self.site.bench.database.read(nodes.all_nodes)
        return known[0].power if known else None

    def history(self) -> list[Throttle]:
        found = self.site.bench.database.read(lambda tx: power.changes(tx, NODE, 100))
        return [change.decision.throttle for change in found][::-1]

    def encoders(self) -> list[psutil.Process]:
        found = []
        for pid in self.site.ffmpegs():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                found.append(psutil.Process(pid))
        return found

    def cpu_s(self) -> float:
        spent = 0.0
        for one in self.encoders():
            with contextlib.suppress(psutil.NoSuchProcess):
                spent += sum(one.cpu_times()[:2])
        return spent

    def assert_held(self) -> None:
        """The encoder is there, stopped, and takes no tick of any processor."""
        wait_until(lambda: (found := self.encoders()) and all(map(is_held, found)), what="the pause")
        before = self.cpu_s()
        time.sleep(1)
        assert self.cpu_s() == before > 0

    def assert_works(self) -> None:
        before = self.cpu_s()
        wait_until(lambda: not self.encoders() or self.cpu_s() > before, what="work")

    def frames(self, content_id: str) -> int:
        """Return how many frames the film has, by decoding it."""
        (rendition,) = self.site.bench.renditions(content_id)
        target = self.log.with_name("film.mp4")
        source = self.site.bench.fetched(rendition["object_key"])
        shutil.copyfile(source, target)
        words = ["-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames"]
        told = subprocess.run(["ffprobe", *words, "-of", "csv=p=0", target], capture_output=True, text=True, check=True)
        return int(told.stdout)

    def _wait(self, condition: object, what: str) -> None:
        assert callable(condition)
        try:
            wait_until(condition, LONG_S, what)
        except AssertionError:
            print(self.log.read_text())
            raise


@pytest.fixture(scope="module")
def clips() -> Clips:
    return Clips()


@pytest.fixture
def plugged(environ: dict[str, str], tmp_path: Path) -> Iterator[Plugged]:
    laptop = Laptop(tmp_path / "laptop")
    site = Site(environ | laptop.environ() | {"NEBULA_POWER_INTERVAL": "0.1"}, tmp_path)
    yield Plugged(site, laptop, tmp_path / "programs", tmp_path / "encode.log")
    site.close()


def test_film_has_every_frame_after_plug_and_battery_came_and_went(plugged: Plugged, clips: Clips) -> None:
    laptop, bench = plugged.laptop, plugged.site.bench
    content_id, worker = plugged.begin(clips)
    plugged.make_ffmpeg(slow=False)  # only what runs already: the film is verified quickly
    attempt = bench.film_job(content_id)["attempt"]

    laptop.unplug(80)
    plugged.wait_for_throttle(GENTLY)
    assert bench.film_job(content_id)["state"] == JobState.RUNNING

    laptop.unplug(40)
    plugged.wait_for_job(content_id, JobState.PAUSED)
    plugged.assert_held()
    for _ in range(5):
        with plugged.unseen(worker):
            laptop.plug_in()
            laptop.unplug(40)
    plugged.assert_held()
    job = bench.film_job(content_id)
    assert (job["state"], job["paused_reason"]) == (JobState.PAUSED, "on battery at 40 %")
    assert (job["node"], job["attempt"]) == (NODE, attempt)
    assert bench.content(content_id)["state"] == FileState.PROCESSING

    laptop.add_battery("BAT1", 95, full_wh=100)
    plugged.wait_for_job(content_id, JobState.RUNNING)
    plugged.assert_works()
    assert bench.film_job(content_id)["paused_reason"] is None

    laptop.plug_in()
    plugged.wait_for_throttle(RUN)
    laptop.heat(95)
    assert plugged.wait_for_throttle(GENTLY).decision.reasons == ("hot: 95 °C",)
    laptop.heat(60)
    found = plugged.wait_for_throttle(RUN)

    plugged.wait_for_film(content_id)
    assert plugged.frames(content_id) == FRAMES
    assert bench.film_job(content_id)["attempt"] == attempt
    assert plugged.history() == [RUN, GENTLY, PAUSE, GENTLY, RUN, GENTLY, RUN]
    assert found.paused_s > 1
    assert plugged.log.read_text().count(" throttle=") == len(plugged.history())


def test_empty_battery_gives_the_film_back_and_nothing_is_claimed_until_it_climbs(
    plugged: Plugged, clips: Clips
) -> None:
    laptop, bench = plugged.laptop, plugged.site.bench
    content_id, worker = plugged.begin(clips)
    laptop.unplug(10)
    plugged.wait_for_job(content_id, JobState.QUEUED)
    job = bench.film_job(content_id)
    assert (job["node"], job["lease_until"], job["failures"], job["interruptions"]) == (None, None, 0, 0)
    assert job["error"] == "Waits: on battery at 10 %."
    assert not plugged.encoders()

    # A worker that starts on an empty battery claims nothing either.
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    plugged.make_ffmpeg(slow=False)
    plugged.start()
    laptop.unplug(16)  # not enough more to climb
    wait_until(lambda: plugged.power().reading.percent == 16, LONG_S, "the worker's reading")  # type: ignore[union-attr]
    time.sleep(1)
    assert bench.film_job(content_id)["attempt"] == job["attempt"]
    assert plugged.history() == [RUN, HAND_BACK]

    laptop.plug_in()
    plugged.wait_for_film(content_id)
    assert plugged.frames(content_id) == FRAMES
    assert bench.film_job(content_id)["attempt"] == job["attempt"] + 1


def test_film_goes_on_when_its_laptop_can_no_longer_be_read(plugged: Plugged, clips: Clips) -> None:
    content_id, _ = plugged.begin(clips)
    plugged.laptop.unplug(40)
    plugged.wait_for_job(content_id, JobState.PAUSED)
    plugged.laptop.spoil("vanish")
    plugged.wait_for_job(content_id, JobState.RUNNING)
    plugged.assert_works()
    assert plugged.wait_for_throttle(RUN).decision.reasons == ("whether the machine is on mains is unknown",)
    # Whoever reads just then may find less of it than there was, before there is nothing.
    assert plugged.log.read_text().count(f"{plugged.laptop.supplies} cannot be read") == 1


def test_held_encoder_ends_with_its_worker(plugged: Plugged, clips: Clips) -> None:
    content_id, worker = plugged.begin(clips)
    plugged.laptop.unplug(40)
    plugged.wait_for_job(content_id, JobState.PAUSED)
    held = plugged.encoders()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert all(has_gone(one) for one in held)
    job = plugged.site.bench.film_job(content_id)
    assert (job["state"], job["paused_reason"]) == (JobState.QUEUED, None)
