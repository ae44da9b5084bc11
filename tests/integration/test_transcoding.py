"""From a stored file to a film, in both worlds, without a worker around it."""

from __future__ import annotations

import errno
import json
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nebula.db import nodes, objects
from nebula.db.work import jobs, tasks
from nebula.domain.states import FileState, JobState, PlanAction, Queue
from nebula.errors import ObjectNotFound, StoreUnavailable
from nebula.media.making import film
from nebula.media.reading import probe
from nebula.services.library import Library
from tests.films import Bench, Clips
from tests.stores import wait_until


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


def test_web_ready_original_is_ready_at_once(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips["ready.mp4"])
    assert bench.run()
    content = bench.content(content_id)
    assert (content["state"], content["web_ready"]) == (FileState.READY, True)
    assert (content["width"], content["height"]) == (320, 180)
    assert content["duration_s"] == pytest.approx(2, abs=0.2)
    (job,) = bench.jobs(content_id)
    assert (job["state"], job["plan"]) == (JobState.DONE, PlanAction.NOTHING)
    assert not bench.run()


@pytest.mark.parametrize(
    ("clip", "action", "queue", "rung"),
    [
        ("remux.mkv", PlanAction.REMUX, Queue.QUICK, "source"),
        ("sound.mkv", PlanAction.COPY_VIDEO, Queue.ENCODE, "source"),
        ("encode.avi", PlanAction.ENCODE, Queue.ENCODE, "180p"),
    ],
)
def test_film_is_made_by_its_plan(
    bench: Bench, clips: Clips, clip: str, action: PlanAction, queue: Queue, rung: str
) -> None:
    content_id = bench.store(clips[clip])
    assert bench.run()
    assert bench.content(content_id)["state"] == FileState.PROCESSING
    assert bench.woken.queues == [queue]
    assert bench.run(queue)
    job = bench.film_job(content_id)
    assert (job["state"], job["plan"], job["queue"], job["progress"]) == (JobState.DONE, action, queue, 1.0), job
    assert job["command"].startswith("ffmpeg ")
    assert "X-Amz-Signature" not in job["command"]
    assert job["plan_reasons"] == bench.jobs(content_id)[0]["plan_reasons"] != "[]"
    assert bench.content(content_id)["state"] == FileState.READY
    (rendition,) = bench.renditions(content_id)
    assert (rendition["rung"], rendition["video_codec"], rendition["audio_codec"]) == (rung, "h264", "aac")
    stored = bench.storage.stat(rendition["object_key"])
    assert stored.size_bytes == rendition["size_bytes"]
    assert bench.doomed() == set()
    assert list((bench.settings.scratch_dir / queue.value).iterdir()) == []


def test_what_is_no_film_is_stored_and_no_failure(bench: Bench, clips: Clips, tmp_path: Path) -> None:
    document = tmp_path / "letter.txt"
    document.write_text("Dear all, " * 500)
    empty = tmp_path / "empty.bin"
    empty.write_bytes(b"")
    for path, media_type in [
        (clips["photo.png"], "image/png"),
        (clips["song.mp3"], "audio/mpeg"),
        (document, "text/plain"),
        (empty, "application/octet-stream"),
    ]:
        content_id = bench.store(path, media_type=media_type)
        assert bench.run()
        (job,) = bench.jobs(content_id)
        assert (job["state"], job["plan"], job["error"]) == (JobState.DONE, PlanAction.NOTHING, None), path
        assert bench.content(content_id)["state"] == FileState.STORED


def test_garbage_that_is_called_video_fails_once_with_a_plain_reason(bench: Bench, tmp_path: Path) -> None:
    garbage = tmp_path / "film.mkv"
    garbage.write_bytes(bytes(range(7, 250)) * 400)
    content_id = bench.store(garbage)
    assert bench.run()
    (job,) = bench.jobs(content_id)
    assert (job["state"], job["error_code"], job["failures"]) == (JobState.FAILED, "no_film", 1)
    assert job["error"].startswith("No film can be made: ")
    assert bench.content(content_id)["state"] == FileState.FAILED
    assert not bench.run()


def test_film_that_breaks_off_is_made_as_far_as_it_goes_with_a_warning(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips.cut("remux.mkv", 0.6))
    assert bench.run()
    assert bench.run()
    job = bench.film_job(content_id)
    assert job["state"] == JobState.DONE, job
    assert "damaged" in job["warning"]
    assert bench.content(content_id)["state"] == FileState.READY


def test_original_that_was_probed_while_its_store_cut_it_off_turns_out_to_be_web_ready(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = probe.probe
    probed: list[str] = []

    def cut_first(source: str, **options: Any) -> Any:
        facts = real(source, **options)
        probed.append(source)
        return replace(facts, reaches_s=1.0, duration_s=2.0) if len(probed) == 1 and facts is not None else facts

    monkeypatch.setattr(probe, "probe", cut_first)
    content_id = bench.store(clips["ready.mp4"])
    assert bench.run()
    assert (bench.content(content_id)["state"], bench.film_job(content_id)["plan"]) == (
        FileState.PROCESSING,
        PlanAction.REMUX,
    )
    assert bench.run()
    content, job = bench.content(content_id), bench.film_job(content_id)
    assert (content["state"], content["web_ready"]) == (FileState.READY, True)
    assert (job["state"], job["plan"], job["error"], job["warning"]) == (JobState.DONE, PlanAction.NOTHING, None, None)
    assert json.loads(job["plan_reasons"]) == ["it is web-ready as it is"]
    assert json.loads(content["facts"])["reaches_s"] == pytest.approx(2, abs=0.2)
    assert bench.renditions(content_id) == []
    assert bench.keys("renditions/") == []


def _claim_film(bench: Bench, clips: Clips, clip: str, queue: Queue) -> tuple[str, threading.Thread]:
    """Store and probe a clip, and start making its film in a thread; return when ffmpeg runs and reports."""
    content_id = bench.store(clips[clip])
    assert bench.run()
    thread = threading.Thread(target=bench.run, args=(queue,))
    thread.start()
    wait_until(lambda: bench.film_job(content_id)["progress"] > 0, what="progress")
    return content_id, thread


def _ffmpegs(bench: Bench) -> list[int]:
    """Return the processes that work in this bench's scratch directory."""
    found = subprocess.run(["pgrep", "-f", f"ffmpeg.*{bench.settings.scratch_dir}"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_progress_speed_and_eta_are_seen_while_it_runs_and_cancel_ends_it(bench: Bench, clips: Clips) -> None:
    content_id, thread = _claim_film(bench, clips, "long.avi", Queue.ENCODE)
    job = bench.film_job(content_id)
    assert 0 < job["progress"] < 1
    assert job["speed"] > 0
    assert job["eta_s"] > 0
    assert job["command"].startswith("ffmpeg ")
    assert _ffmpegs(bench)
    bench.database.write(lambda tx: jobs.cancel(tx, job["id"]))
    thread.join(20)
    assert not thread.is_alive()
    assert not _ffmpegs(bench)
    after = bench.film_job(content_id)
    assert (after["state"], after["failures"]) == (JobState.CANCELLED, 0)
    assert bench.content(content_id)["state"] == FileState.STORED
    assert bench.renditions(content_id) == []
    assert bench.keys("renditions/") == []


def test_stopping_worker_gives_its_lease_back(bench: Bench, clips: Clips) -> None:
    content_id, thread = _claim_film(bench, clips, "long.avi", Queue.ENCODE)
    bench.stop.set()
    thread.join(20)
    assert not thread.is_alive()
    job = bench.film_job(content_id)
    assert (job["state"], job["node"], job["failures"], job["interruptions"]) == (JobState.QUEUED, None, 0, 0)
    assert not _ffmpegs(bench)


def test_ffmpeg_that_is_killed_is_tried_again(bench: Bench, clips: Clips) -> None:
    content_id, thread = _claim_film(bench, clips, "long.avi", Queue.ENCODE)
    for pid in _ffmpegs(bench):
        subprocess.run(["kill", "-9", str(pid)], check=False)
    thread.join(20)
    job = bench.film_job(content_id)
    assert (job["state"], job["error_code"], job["failures"]) == (JobState.QUEUED, "ffmpeg_failed", 1)
    assert bench.content(content_id)["state"] == FileState.PROCESSING


def test_full_disk_puts_the_job_back_with_its_reason_and_loses_nothing(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    assert bench.transcoder("n1", reserve_bytes=1 << 60).run_next(Queue.QUICK, bench.stop)
    job = bench.film_job(content_id)
    assert (job["state"], job["error_code"], job["failures"]) == (JobState.QUEUED, "no_room", 0)
    assert "disk is full" in job["error"]
    assert bench.content(content_id)["state"] == FileState.PROCESSING
    assert not bench.run(), "it must wait a while"
    bench.sql("UPDATE tasks SET not_before = NULL")
    assert bench.run()
    assert bench.film_job(content_id)["state"] == JobState.DONE


def test_disk_that_is_full_in_the_middle_of_a_write_is_no_failure(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(film, "make", full)
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    assert bench.run()
    job = bench.film_job(content_id)
    assert (job["state"], job["error_code"], job["failures"]) == (JobState.QUEUED, "no_room", 0)


def test_disk_that_fills_up_while_a_film_is_made_stops_it(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_id, thread = _claim_film(bench, clips, "long.avi", Queue.ENCODE)
    monkeypatch.setattr(bench.transcoding._room, "_reserve_bytes", 1 << 60)
    thread.join(20)
    assert not thread.is_alive()
    job = bench.film_job(content_id)
    assert (job["state"], job["error_code"], job["failures"]) == (JobState.QUEUED, "no_room", 0)


def test_original_that_is_gone_fails_with_a_plain_reason(bench: Bench, clips: Clips) -> None:
    probed, unprobed = bench.store(clips["remux.mkv"]), bench.store(clips["sound.mkv"])
    assert bench.run()
    for content_id in (probed, unprobed):
        bench.storage.delete(bench.content(content_id)["object_key"])
    while bench.run():
        pass
    for content_id in (probed, unprobed):
        job = bench.film_job(content_id)
        assert (job["state"], job["error"]) == (JobState.FAILED, "The stored bytes of this file are gone.")


class Unreachable:
    """A store that does not answer, for a while."""

    def __init__(self, storage: Any, *methods: str) -> None:
        self._storage = storage
        self._methods = set(methods)

    def __getattr__(self, name: str) -> Any:
        if name in self._methods:
            raise StoreUnavailable("objects")
        return getattr(self._storage, name)

    def come_back(self) -> None:
        self._methods.clear()


def test_store_that_is_away_is_no_failure_of_the_film(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.transcoder("n1", Unreachable(bench.storage, "stat")).run_next(Queue.QUICK, bench.stop)
    (job,) = bench.jobs(content_id)
    assert (job["state"], job["error_code"], job["failures"]) == (JobState.QUEUED, "store_unavailable", 0)


def test_film_waits_for_a_store_that_is_away_when_it_is_made(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    away = Unreachable(bench.storage, "put_file")
    thread = threading.Thread(target=bench.transcoder("n1", away).run_next, args=(Queue.QUICK, bench.stop))
    thread.start()
    wait_until(lambda: bench.doomed(), what="the film to be made")
    away.come_back()
    thread.join(20)
    assert bench.film_job(content_id)["state"] == JobState.DONE


@pytest.mark.parametrize("event", ["expires", "is cancelled"])
def test_attempt_that_comes_late_throws_its_film_away(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    real = bench.storage.put_file

    def late(*args: Any) -> Any:
        info = real(*args)
        monkeypatch.setattr(bench.storage, "put_file", real)
        job_id = bench.film_job(content_id)["id"]
        if event == "expires":
            bench.sql("UPDATE tasks SET lease_until = $past WHERE job_id = $id", past=_long_ago(bench), id=job_id)
            bench.database.write(tasks.expire)
            assert bench.run()
        else:
            bench.database.write(lambda tx: jobs.cancel(tx, job_id))
        return info

    monkeypatch.setattr(bench.storage, "put_file", late)
    assert bench.run()
    Library(bench.database, bench.storage, bench.woken).sweep()  # type: ignore[arg-type]
    renditions = bench.renditions(content_id)
    if event == "expires":
        assert [one["object_key"].endswith("/2.mp4") for one in renditions] == [True]
        assert bench.film_job(content_id)["state"] == JobState.DONE
    else:
        assert renditions == []
        assert bench.film_job(content_id)["state"] == JobState.CANCELLED
    assert bench.keys("renditions/") == [one["object_key"] for one in renditions]
    assert bench.doomed() == set()


def _long_ago(bench: Bench) -> Any:
    return bench.database.read(lambda tx: tx.after(-1000))


def test_worker_that_died_leaves_leases_scratch_and_objects_that_its_successor_clears(
    bench: Bench, clips: Clips
) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    claim = bench.claim(Queue.QUICK)
    assert claim is not None
    key = f"renditions/{claim.job_id}/{claim.attempt}.mp4"
    bench.database.write(lambda tx: objects.doom(tx, key, after_s=86400))
    bench.storage.put_file(key, clips["ready.mp4"], "video/mp4")
    left = bench.settings.scratch_dir / "quick" / "left" / "film.mp4"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    others = bench.settings.scratch_dir / "encode" / "right" / "film.mp4"
    others.parent.mkdir(parents=True)
    others.write_bytes(b"x")

    bench.transcoding.begin(Queue.ENCODE)
    assert left.exists()
    assert not others.exists()
    bench.transcoding.begin(Queue.QUICK)
    assert not left.exists()
    (node,) = bench.database.read(nodes.all_nodes)
    assert (node.name, node.encoder) == ("n1", "libx264")
    Library(bench.database, bench.storage, bench.woken).sweep()  # type: ignore[arg-type]
    with pytest.raises(ObjectNotFound):
        bench.storage.stat(key)
    assert bench.run()
    job = bench.film_job(content_id)
    assert (job["state"], job["attempt"]) == (JobState.DONE, 2)


def test_unexpected_error_ends_in_the_row_and_is_tried_again(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(film, "make", break_down)
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    assert bench.run()
    job = bench.film_job(content_id)
    assert (job["state"], job["error_code"], job["failures"]) == (JobState.QUEUED, "internal", 1)


def _older_plan(bench: Bench) -> None:
    bench.sql("UPDATE jobs SET queue = 'encode', plan = 'encode' WHERE kind = 'rendition'")
    bench.sql("UPDATE tasks SET plan_version = 0, queue = 'encode'")


def test_job_that_waits_with_an_older_plan_gets_this_versions(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    _older_plan(bench)
    assert not bench.run(Queue.ENCODE)
    bench.transcoding.plan_anew()
    assert (bench.film_job(content_id)["plan"], bench.film_job(content_id)["queue"]) == ("remux", "quick")
    assert bench.run()
    assert bench.content(content_id)["state"] == FileState.READY


def test_job_ends_when_this_versions_plan_needs_no_film(bench: Bench, clips: Clips) -> None:
    content_id, ready_id = bench.store(clips["remux.mkv"]), bench.store(clips["ready.mp4"])
    assert bench.run()
    assert bench.run()
    _older_plan(bench)
    facts = bench.content(ready_id)["facts"]
    bench.sql("UPDATE contents SET facts = $facts WHERE id = $id", facts=facts, id=content_id)
    bench.transcoding.plan_anew()
    content = bench.content(content_id)
    assert (content["state"], content["web_ready"]) == (FileState.READY, True)
    assert bench.film_job(content_id)["state"] == JobState.DONE


def test_database_that_is_away_when_the_film_is_made_is_waited_for(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    real: Callable[..., Any] = bench.database.write
    put = bench.storage.put_file
    refused: list[float] = []

    def refuse(work: Any) -> Any:
        refused.append(time.monotonic())
        if len(refused) > 1:
            monkeypatch.setattr(bench.database, "write", real)
        raise StoreUnavailable("database")

    def put_and_lose(*args: Any) -> Any:
        info = put(*args)
        monkeypatch.setattr(bench.database, "write", refuse)
        return info

    monkeypatch.setattr(bench.storage, "put_file", put_and_lose)
    assert bench.run()
    assert refused
    assert real(lambda tx: tx.e.Content[content_id].state) == FileState.READY
