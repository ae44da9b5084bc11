"""Films made with hardware encoders, that work and that fail, with an ffmpeg that stands in for the graphics device."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nebula.config import Settings
from nebula.db.work import chunks, jobs
from nebula.domain.encoders import SOFTWARE
from nebula.domain.states import FileState, JobState, Queue
from nebula.media import encoder_trial
from nebula.media.encoder_trial import Found
from nebula.media.ffmpeg import build
from nebula.media.ffmpeg.tools import Tools
from nebula.services.films import attempt
from nebula.services.films.claiming import Transcoding
from nebula.services.films.encoder import Encoders
from tests.films import Clips
from tests.graphics import Graphics
from tests.integration.test_chunked import CHUNK_S, FRAMES, Cutting, _frames
from tests.integration.test_worker import LONG_S, Site
from tests.stores import wait_until

QSV = "h264_qsv"
EMBEDDED = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


@pytest.fixture
def graphics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graphics:
    made = Graphics(tmp_path / "graphics")
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


class Equipped(Cutting):
    """A bench whose node n1 has a graphics device."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.encoders = Encoders(
            self.settings.data_dir / "encoder.json",
            devices=lambda: ["/dev/dri/renderD128"],
            tools=Tools(stall_s=5.0),
        )
        self.transcoding = self.transcoder("n1", chunk_s=CHUNK_S, encoders=self.encoders)

    def node_encoder(self, node: str = "n1") -> str | None:
        return self.database.read(lambda tx: tx.e.Node[node].encoder)

    def builds(self) -> list[tuple[int, str]]:
        job_id = self.database.read(lambda tx: tx.e.Job.select(lambda job: job.chunks_total > 0).first().id)
        stored = self.database.read(lambda tx: chunks.stored(tx, job_id))
        return [(chunk.number, chunk.made.encoder) for chunk in stored]


@pytest.fixture
def bench(settings: Settings, graphics: Graphics, monkeypatch: pytest.MonkeyPatch) -> Iterator[Equipped]:
    monkeypatch.setattr(attempt, "TICK_S", 0.2)
    monkeypatch.setattr(encoder_trial, "find", lambda *_, **__: Found(QSV, "/dev/dri/renderD128"))
    opened = Equipped(settings)
    opened.transcoding.begin(Queue.ENCODE)
    assert opened.node_encoder() == QSV
    yield opened
    opened.close()


def _is_made(bench: Equipped, content_id: str) -> dict[str, Any]:
    job = bench.film_job(content_id)
    assert job["state"] == JobState.DONE, job
    assert _frames(bench, content_id) == FRAMES
    return job


@EMBEDDED
def test_film_is_made_by_the_nodes_hardware(bench: Equipped, clips: Clips, graphics: Graphics) -> None:
    content_id = bench.laid_out(clips)
    total = bench.film_job(content_id)["chunks_total"]
    assert bench.encode() == total
    assert sorted(bench.builds()) == [(0, "aac"), *((number, QSV) for number in range(1, total))]
    assert bench.run()
    job = _is_made(bench, content_id)
    assert (job["encoder"], job["restarts"], job["rejections"], job["warning"]) == (QSV, 0, 0, None)
    assert graphics.chunks() == list(range(1, total))


@EMBEDDED
@pytest.mark.parametrize("mode", ["exit", "green", "broken", "hang"])
def test_film_starts_again_in_software_when_hardware_fails_in_the_middle(
    bench: Equipped, clips: Clips, graphics: Graphics, mode: str
) -> None:
    content_id = bench.laid_out(clips)
    graphics.fail(mode, at="-2-")
    total = bench.film_job(content_id)["chunks_total"]
    assert bench.encode() == 3 + (total - 1), "the sound, one that was good, one that was not; and all of the picture"
    assert graphics.chunks() == [1, 2, 2]
    assert bench.node_encoder() == SOFTWARE
    assert bench.run()
    job = _is_made(bench, content_id)
    assert (job["encoder"], job["restarts"], job["rejections"]) == (SOFTWARE, 1, 0)
    assert (job["chunks_repeated"], job["failures"], job["warning"]) == (0, 0, None)
    graphics.heal()
    bench.transcoding.begin(Queue.ENCODE)
    assert bench.node_encoder() == SOFTWARE, "it is not trusted again so soon"


@EMBEDDED
def test_chunk_that_hardware_made_at_its_second_try_is_taken(bench: Equipped, clips: Clips, graphics: Graphics) -> None:
    content_id = bench.laid_out(clips)
    graphics.fail("once exit", at="-2-")
    bench.encode()
    assert graphics.chunks().count(2) == 2
    assert bench.run()
    job = _is_made(bench, content_id)
    assert (job["encoder"], job["restarts"], bench.node_encoder()) == (QSV, 0, QSV)


@EMBEDDED
def test_short_film_is_made_by_hardware_in_one_piece(bench: Equipped, clips: Clips, graphics: Graphics) -> None:
    content_id = bench.store(clips["short.mkv"])
    assert bench.run()
    assert bench.encode() == 1
    job = bench.film_job(content_id)
    assert (job["state"], job["encoder"], job["restarts"]) == (JobState.DONE, QSV, 0)
    assert bench.content(content_id)["state"] == FileState.READY


@EMBEDDED
@pytest.mark.parametrize("mode", ["exit", "green"])
def test_short_film_is_made_in_software_in_the_same_claim_when_hardware_fails(
    bench: Equipped, clips: Clips, graphics: Graphics, mode: str
) -> None:
    graphics.fail(mode, at="film.mp4")
    content_id = bench.store(clips["short.mkv"])
    assert bench.run()
    assert bench.encode() == 1
    job = bench.film_job(content_id)
    assert (job["state"], job["encoder"], job["restarts"]) == (JobState.DONE, SOFTWARE, 1)
    assert (job["attempt"], job["failures"], bench.node_encoder()) == (1, 0, SOFTWARE)


@EMBEDDED
def test_film_that_tells_no_frame_rate_is_made_in_software(bench: Equipped, clips: Clips, graphics: Graphics) -> None:
    content_id = bench.laid_out(clips, "uneven.mkv")
    bench.encode()
    assert bench.run()
    job = bench.film_job(content_id)
    assert (job["state"], job["encoder"], job["restarts"]) == (JobState.DONE, SOFTWARE, 0)
    assert graphics.chunks() == []
    assert bench.node_encoder() == QSV


@EMBEDDED
def test_damaged_film_is_made_in_software_and_is_no_fault_of_the_hardware(
    bench: Equipped, clips: Clips, graphics: Graphics
) -> None:
    content_id = bench.store(clips.cut("cut.mkv", 0.7))
    assert bench.run()
    assert bench.run()
    bench.encode()
    assert bench.run()
    job = bench.film_job(content_id)
    assert (job["state"], job["restarts"], bench.node_encoder()) == (JobState.DONE, 0, QSV)
    assert "damaged" in job["warning"]


@EMBEDDED
def test_film_of_hardware_waits_for_a_node_that_has_it(bench: Equipped, clips: Clips) -> None:
    content_id = bench.laid_out(clips)
    bench.encode(2)
    assert bench.encode(1, bench.other("n2")) == 0
    assert bench.film_job(content_id)["chunks_done"] == 2
    assert bench.encode() == bench.film_job(content_id)["chunks_total"] - 2


def _cancel_and_retry(bench: Equipped, content_id: str) -> None:
    job_id = bench.film_job(content_id)["id"]
    bench.database.write(lambda tx: jobs.cancel(tx, job_id))
    bench.database.write(lambda tx: jobs.requeue(tx, job_id))


@EMBEDDED
def test_retry_keeps_what_other_builds_made_and_what_is_planned_otherwise_is_made_anew(
    bench: Equipped, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_id = bench.laid_out(clips)
    bench.encode(3)
    # Another node splits it, with another ffmpeg and without a graphics device.
    monkeypatch.setattr(build, "encoder_build", lambda encoder: f"{encoder} of another version")
    other: Transcoding = bench.other("n2")
    _cancel_and_retry(bench, content_id)
    assert other.run_next(Queue.QUICK, bench.stop)
    job = bench.film_job(content_id)
    assert (job["chunks_done"], job["encoder"]) == (3, QSV)
    bench.sql('UPDATE tasks SET result = replace(result, \'"key": "\', \'"key": "another\') WHERE number = 1')
    _cancel_and_retry(bench, content_id)
    assert other.run_next(Queue.QUICK, bench.stop)
    assert bench.film_job(content_id)["chunks_done"] == 2
    bench.encode()
    assert bench.run()
    assert _is_made(bench, content_id)["encoder"] == QSV


# Workers, as processes.


@pytest.fixture
def site(environ: dict[str, str], graphics: Graphics, tmp_path: Path) -> Iterator[Site]:
    opened = Site(environ | {"NEBULA_CHUNK_SECONDS": "1", "NEBULA_ENCODER": QSV}, tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize(("environ", "mode"), [("provisioned", "exit"), ("embedded", "broken")], indirect=["environ"])
def test_worker_finds_its_encoder_and_begins_again_in_software_when_that_fails_in_the_middle(
    site: Site, clips: Clips, graphics: Graphics, mode: str
) -> None:
    graphics.fail(mode, at="-3-")
    for queue in Queue:
        site.start(queue)
    content_id = site.store(clips["cut.mkv"])
    site.wait_for_state(content_id, FileState.READY)
    job = site.bench.film_job(content_id)
    assert (job["encoder"], job["restarts"], job["chunks_repeated"]) == (SOFTWARE, 1, 0)
    # Broken pictures are found when the next chunk is being encoded already.
    assert [graphics.chunks().count(number) for number in (1, 2, 3)] == [1, 1, 2]
    assert _frames(site.bench, content_id) == FRAMES

    def encoder() -> str:
        return str(site.bench.database.read(lambda tx: tx.e.Node["test-node"].encoder))

    assert encoder() == SOFTWARE
    graphics.heal()
    site.start(Queue.ENCODE)
    wait_until(lambda: encoder() == QSV, LONG_S, "another trial")
