"""Films that are encoded in chunks, on a bench without workers: every step, and what can happen between two."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from nebula.db.work import jobs, tasks
from nebula.domain.states import FileState, JobState, PlanAction, Queue, TaskKind
from nebula.errors import FfmpegFailed, Incomplete, MediaError
from nebula.media.making import chunking
from nebula.media.reading import seekability
from nebula.media.verifying import film_checks
from nebula.services.films.claiming import Transcoding
from nebula.services.library import Library
from nebula.services.machine.throttling import Pace
from tests.films import Bench, Clips

CHUNK_S = 2.0
FRAMES = 150  # of cut.mkv
EMBEDDED = pytest.mark.parametrize("environ", ["embedded"], indirect=True)
PROVISIONED = pytest.mark.parametrize("environ", ["provisioned"], indirect=True)


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


class Cutting(Bench):
    """A bench that cuts films into chunks of two seconds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.transcoding = self.transcoder("n1", chunk_s=CHUNK_S)

    def other(self, node: str = "n2", **more: Any) -> Transcoding:
        return self.transcoder(node, chunk_s=CHUNK_S, **more)

    def laid_out(self, clips: Clips, clip: str = "cut.mkv") -> str:
        """Store, probe and cut a clip; return its content's id."""
        content_id = self.store(clips[clip])
        assert self.run()
        assert self.next_task(content_id) == TaskKind.SPLIT
        assert self.run()
        return content_id

    def encode(self, number: int = 100, transcoding: Transcoding | None = None) -> int:
        """Do so many chunks, or all that wait; return how many."""
        done = 0
        while done < number and (transcoding or self.transcoding).run_next(Queue.ENCODE, self.stop):
            done += 1
        return done

    def sweep(self) -> None:
        Library(self.database, self.storage, self.woken).sweep()  # type: ignore[arg-type]

    def digest(self, content_id: str) -> str:
        (rendition,) = self.renditions(content_id)
        return str(rendition["sha256"])


BENCH = Cutting


def _frames(bench: Bench, content_id: str) -> int:
    """Count the pictures of the only rendition."""
    (rendition,) = bench.renditions(content_id)
    source = bench.fetched(rendition["object_key"])
    asked = ["-select_streams", "v:0", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "json"]
    answer = subprocess.run(["ffprobe", "-v", "error", *asked, source], capture_output=True, check=True)
    return int(json.loads(answer.stdout)["streams"][0]["nb_read_packets"])


def _is_made(bench: Cutting, content_id: str) -> dict[str, Any]:
    """Show that the film is published whole and that nothing is left of its making; return its job."""
    job = bench.film_job(content_id)
    assert job["state"] == JobState.DONE, job
    assert bench.content(content_id)["state"] == FileState.READY
    assert _frames(bench, content_id) == FRAMES
    bench.sweep()
    (rendition,) = bench.renditions(content_id)
    assert bench.keys("jobs/") == []
    assert bench.keys("renditions/") == [rendition["object_key"]]
    assert bench.doomed() == set()
    scratch = bench.settings.scratch_dir
    assert [path for path in scratch.glob("*/*") if path.name != "sources"] == []
    return job


def test_film_is_made_in_chunks_by_its_three_steps(bench: Cutting, clips: Clips) -> None:
    content_id = bench.laid_out(clips)
    assert bench.woken.queues == [Queue.QUICK, Queue.ENCODE]
    assert not bench.run()
    seen = []
    while bench.encode(1):
        job = bench.film_job(content_id)
        seen.append((job["chunks_done"], job["progress"]))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert len(seen) >= 4
    assert [progress for _, progress in seen] == sorted(progress for _, progress in seen)
    assert (bench.next_task(content_id), job["queue"], job["chunks_total"]) == ("join", "quick", len(seen))
    assert bench.woken.queues[-1] is Queue.QUICK
    assert len(bench.keys(f"jobs/{job['id']}/")) == len(seen)
    assert bench.run()
    job = _is_made(bench, content_id)
    assert (job["plan"], job["progress"], job["encoder"]) == (PlanAction.ENCODE, 1.0, "libx264")
    assert (job["chunks_done"], job["chunks_repeated"], job["warning"]) == (len(seen), 0, None)
    assert job["command"].startswith("ffmpeg ")
    assert "X-Amz-Signature" not in job["command"]
    (rendition,) = bench.renditions(content_id)
    assert (rendition["video_codec"], rendition["audio_codec"]) == ("h264", "aac")


def test_only_what_was_in_flight_is_made_again_after_a_death_and_the_film_is_the_same(
    bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several threads of x264 share its bits by who is ready first: the same pictures, not the same bytes.
    monkeypatch.setattr(Pace, "threads", lambda pace: 1)
    unharmed = bench.laid_out(clips)
    bench.encode()
    assert bench.run()
    content_id = bench.laid_out(clips)
    total = bench.film_job(content_id)["chunks_total"]
    bench.encode(2)
    claim = bench.claim(Queue.ENCODE)
    assert claim is not None, "it dies with this in its hands"
    stored = bench.keys(f"jobs/{claim.job_id}/")
    bench.transcoding.begin(Queue.ENCODE)
    assert bench.encode() == total - 2
    assert set(stored) <= set(bench.keys(f"jobs/{claim.job_id}/"))
    assert bench.run()
    bench.sweep()
    assert bench.film_job(content_id)["chunks_repeated"] == 1
    assert bench.digest(content_id) == bench.digest(unharmed)


@EMBEDDED
def test_cancelled_film_goes_on_with_what_was_done_when_it_is_retried(bench: Cutting, clips: Clips) -> None:
    content_id = bench.laid_out(clips)
    bench.encode(3)
    job_id = bench.film_job(content_id)["id"]
    bench.database.write(lambda tx: jobs.cancel(tx, job_id))
    bench.sweep()
    assert not bench.encode()
    assert bench.content(content_id)["state"] == FileState.STORED
    bench.database.write(lambda tx: jobs.requeue(tx, job_id))
    assert bench.run()
    assert bench.film_job(content_id)["chunks_done"] == 3
    assert bench.encode() == bench.film_job(content_id)["chunks_total"] - 3
    assert bench.run()
    _is_made(bench, content_id)


@EMBEDDED
def test_node_that_comes_late_throws_its_chunk_away(
    bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_id = bench.laid_out(clips)
    late, real = bench.other("late"), bench.storage.put_file

    def overtaken(*args: Any) -> Any:
        info = real(*args)
        monkeypatch.setattr(bench.storage, "put_file", real)
        bench.sql("UPDATE tasks SET lease_until = $past", past=bench.database.read(lambda tx: tx.after(-1)))
        assert len(bench.database.write(tasks.expire)) == 1
        bench.encode()
        return info

    monkeypatch.setattr(bench.storage, "put_file", overtaken)
    assert bench.encode(1, late) == 1
    assert bench.run()
    assert _is_made(bench, content_id)["chunks_repeated"] == 1


@EMBEDDED
def test_chunk_that_the_store_lost_is_made_again(bench: Cutting, clips: Clips) -> None:
    content_id = bench.laid_out(clips)
    bench.encode()
    bench.storage.delete(bench.keys("jobs/")[2])
    assert bench.run()
    assert bench.next_task(content_id) == TaskKind.VIDEO_CHUNK
    assert bench.encode() == 1
    assert bench.run()
    _is_made(bench, content_id)


@EMBEDDED
def test_join_that_died_is_done_again_and_no_chunk_is(bench: Cutting, clips: Clips) -> None:
    content_id = bench.laid_out(clips)
    bench.encode()
    assert bench.claim(Queue.QUICK) is not None
    bench.transcoding.begin(Queue.QUICK)
    assert bench.film_job(content_id)["progress"] == 1.0
    assert not bench.encode()
    assert bench.run()
    assert _is_made(bench, content_id)["chunks_repeated"] == 0


@EMBEDDED
def test_film_that_breaks_off_is_made_as_far_as_it_goes_with_a_warning(bench: Cutting, clips: Clips) -> None:
    content_id = bench.store(clips.cut("cut.mkv", 0.7))
    assert bench.run()
    assert bench.run()
    assert bench.encode() > 2
    assert bench.run()
    job = bench.film_job(content_id)
    assert job["state"] == JobState.DONE, job
    assert "damaged" in job["warning"]
    assert bench.content(content_id)["state"] == FileState.READY


@EMBEDDED
def test_film_is_made_in_one_piece_when_its_chunks_do_not_add_up(
    bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = film_checks.verify

    def refuse(*args: Any, **options: Any) -> Any:
        if options.get("parts_verified"):
            raise Incomplete("The film is not all of its source.", log="")
        return real(*args, **options)

    monkeypatch.setattr(film_checks, "verify", refuse)
    content_id = bench.laid_out(clips)
    bench.encode()
    assert bench.run()
    job = bench.film_job(content_id)
    assert (bench.next_task(content_id), job["queue"], job["state"]) == ("make_whole", "encode", "queued")
    assert bench.encode() == 1
    _is_made(bench, content_id)


@EMBEDDED
def test_film_is_made_in_one_piece_when_nothing_of_a_chunk_can_be_played(
    bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_nothing(*_: Any, **__: Any) -> Any:
        raise MediaError("Nothing of this part of the film can be played.")

    monkeypatch.setattr(chunking, "make_chunk", find_nothing)
    content_id = bench.laid_out(clips)
    assert bench.encode(2) == 2
    job = bench.film_job(content_id)
    assert bench.next_task(content_id) == TaskKind.MAKE_WHOLE
    assert (job["state"], job["failures"], job["chunks_total"]) == ("queued", 0, 0)
    assert bench.encode() == 1
    _is_made(bench, content_id)


@EMBEDDED
def test_film_is_made_in_one_piece_when_its_packets_are_not_those_of_the_probe(
    bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_others(*_: Any, **__: Any) -> Any:
        raise Incomplete("The list of its pictures has 1, not 2.", log="")

    monkeypatch.setattr(chunking, "list_chunks", list_others)
    content_id = bench.laid_out(clips)
    assert bench.next_task(content_id) == TaskKind.MAKE_WHOLE


@PROVISIONED
def test_source_that_cannot_be_read_in_pieces_is_copied_once_to_each_node(
    bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seekability, "reads_in_pieces", lambda *_, **__: False)
    content_id = bench.laid_out(clips)
    original = bench.content(content_id)["object_key"]
    opened: list[str] = []
    real = bench.storage.open

    def note(key: str, *args: Any) -> Any:
        opened.append(key)
        return real(key, *args)

    monkeypatch.setattr(bench.storage, "open", note)
    assert bench.encode() > 3
    assert opened == [original]
    assert list((bench.settings.scratch_dir / "encode" / "sources").iterdir()) == []
    assert bench.run()
    _is_made(bench, content_id)


@EMBEDDED
def test_full_disk_puts_chunks_back_with_the_reason_and_loses_nothing(bench: Cutting, clips: Clips) -> None:
    content_id = bench.laid_out(clips)
    bench.encode(2)
    assert bench.encode(1, bench.other(reserve_bytes=1 << 60)) == 1
    job = bench.film_job(content_id)
    assert (job["state"], job["error_code"], job["chunks_done"]) == (JobState.QUEUED, "no_room", 2)
    assert "disk is full" in job["error"]
    bench.sql("UPDATE tasks SET not_before = NULL")
    bench.encode()
    assert bench.run()
    assert _is_made(bench, content_id)["chunks_repeated"] == 0


@EMBEDDED
def test_film_that_is_too_short_to_be_cut_is_made_in_one_piece(bench: Cutting, clips: Clips) -> None:
    content_id = bench.store(clips["encode.avi"])
    assert bench.run()
    job = bench.film_job(content_id)
    assert (bench.next_task(content_id), job["queue"]) == ("make_whole", "encode")


@EMBEDDED
def test_lower_rungs_come_after_every_films_first(bench: Cutting, clips: Clips) -> None:
    first, second = bench.store(clips["large.mkv"]), bench.store(clips["cut.mkv"])
    assert bench.run()
    assert bench.run()
    highest, lower = bench.jobs(first)[1:]
    assert (highest["rung"], lower["rung"], lower["plan"]) == ("source", "480p", "encode")
    assert json.loads(lower["plan_reasons"]) == ["a smaller picture for slow connections"]
    while bench.run():
        pass
    assert [rendition["rung"] for rendition in bench.renditions(first)] == ["source"]
    assert bench.content(first)["state"] == FileState.READY
    assert bench.encode(1) == 1
    assert bench.film_job(second)["chunks_done"] == 1, "the other film comes first"
    bench.encode()
    sizes = {rendition["rung"]: (rendition["width"], rendition["height"]) for rendition in bench.renditions(first)}
    assert sizes == {"source": (1280, 720), "480p": (852, 480)}


@EMBEDDED
def test_web_ready_original_plays_at_once_and_gets_its_lower_rungs_later(bench: Cutting, clips: Clips) -> None:
    content_id = bench.store(clips["large.mp4"])
    assert bench.run()
    content = bench.content(content_id)
    assert (content["state"], content["web_ready"]) == (FileState.READY, True)
    probed, lower = bench.jobs(content_id)
    assert (probed["plan"], lower["rung"], lower["plan"]) == (PlanAction.NOTHING, "480p", PlanAction.ENCODE)
    assert lower["priority"] > probed["priority"] + jobs.LOWER_RANK
    assert bench.run()
    assert bench.encode() >= 2
    assert bench.run()
    (rendition,) = bench.renditions(content_id)
    assert (rendition["rung"], rendition["width"], rendition["height"]) == ("480p", 852, 480)
    assert rendition["audio_codec"] == "aac"
    content = bench.content(content_id)
    assert (content["state"], content["web_ready"]) == (FileState.READY, True)


@EMBEDDED
def test_original_that_plays_still_does_when_its_lower_rung_failed(
    bench: Cutting, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_id = bench.store(clips["large.mp4"])
    assert bench.run()
    assert bench.run()
    bench.sql("UPDATE tasks SET failures = 99")

    def fail(*_: Any, **__: Any) -> Any:
        raise FfmpegFailed("ffmpeg ended with status 1.", log="")

    monkeypatch.setattr(chunking, "make_chunk", fail)
    bench.encode()
    assert bench.film_job(content_id)["state"] == JobState.FAILED
    assert bench.content(content_id)["state"] == FileState.READY
