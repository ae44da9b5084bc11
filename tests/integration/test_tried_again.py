"""What is tried again, how often and from what: a full disk, a store that breaks off, a read that was cut."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nebula.domain.states import FileState, JobState, Queue
from nebula.errors import Incomplete, StoreUnavailable
from nebula.media.verifying import chunk_checks, film_checks
from nebula.services.films import attempt
from tests.films import Bench, Clips


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips()


@pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
def test_disk_that_is_really_full_pauses_the_film_until_there_is_room(
    bench: Bench, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is a small one of its own; ffmpeg fills it and then finds no room."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = bench.settings.data_dir
    disk.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=True)
    try:
        content_id = bench.store(clips["encode.avi"])
        assert bench.run()
        monkeypatch.setattr(attempt, "TICK_S", 600)  # only ffmpeg's failure tells
        fills = f'cat /dev/zero >{disk}/fill 2>/dev/null; exec {shutil.which("ffmpeg")} "$@"'
        program = _stand_in(tmp_path, "ffmpeg", fills, monkeypatch)
        assert bench.run(Queue.ENCODE)
        job = bench.film_job(content_id)
        assert (job["state"], job["error_code"], job["failures"]) == (JobState.QUEUED, "no_room", 0), job
        assert job["error"].startswith("Waits: The disk is full")
        program.unlink()
        bench.sql("UPDATE tasks SET not_before = NULL")
        assert bench.run(Queue.ENCODE)
        assert bench.film_job(content_id)["error_code"] == "no_room", "there is no room yet"
        (disk / "fill").unlink()
        bench.sql("UPDATE tasks SET not_before = NULL")
        assert bench.run(Queue.ENCODE)
        job = bench.film_job(content_id)
        assert (job["state"], job["error"], job["failures"]) == (JobState.DONE, None, 0)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _stand_in(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a shell script in the place of a program."""
    program = folder / "programs" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


@pytest.mark.parametrize(
    "sentence", ["No space left on device", "HTTP error 503 Service Unavailable", "ffmpeg made no progress for 120 s."]
)
def test_film_whose_ffmpeg_says_what_a_trouble_of_the_machine_would_say_fails_for_good(
    bench: Bench, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sentence: str
) -> None:
    content_id = bench.store(clips["encode.avi"])
    assert bench.run()
    _stand_in(tmp_path, "ffmpeg", f'echo "{sentence}" >&2; exit 1', monkeypatch)
    tries = 0
    while bench.run(Queue.ENCODE):
        tries += 1
        assert tries <= 3
        bench.sql("UPDATE tasks SET not_before = NULL")
    job = bench.film_job(content_id)
    assert (job["state"], job["error_code"], tries) == (JobState.FAILED, "ffmpeg_failed", 3)
    assert sentence in job["error"]


class Breaking:
    """A store that answers, and whose objects cannot be read to their end, and maybe not at all."""

    def __init__(self, storage: Any, ends_at: int) -> None:
        self._storage = storage
        self._ends_at = ends_at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def local_path(self, key: str) -> None:
        return None

    def open(self, key: str, start: int, length: int, etag: str | None = None) -> Any:
        if start >= self._ends_at:
            raise StoreUnavailable("objects")
        return self if start + length > self._ends_at else self._storage.open(key, start, length, etag)

    def readinto(self, buffer: memoryview) -> int:
        raise StoreUnavailable("objects")

    def close(self) -> None:
        pass


def test_film_that_its_store_breaks_off_again_and_again_waits_longer_and_fails_in_the_end(
    bench: Bench, clips: Clips
) -> None:
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    broken = bench.transcoder("n1", Breaking(bench.storage, ends_at=1000))
    waits = []
    for _ in range(6):
        assert broken.run_next(Queue.QUICK, bench.stop)
        job = bench.film_job(content_id)
        assert (job["failures"], job["error_code"]) == (0, "store_unavailable"), job
        rows = bench.database.read(
            lambda tx: tx.select("SELECT not_before, id FROM tasks WHERE not_before IS NOT NULL")
        )
        waits += [datetime.fromisoformat(str(not_before)) for not_before, _ in rows]
        bench.sql("UPDATE tasks SET not_before = NULL")
    assert job["state"] == JobState.FAILED
    assert job["error"] == "It was broken off 6 times. The objects store does not answer; try again in a moment."
    assert waits[4] - waits[0] > timedelta(seconds=60 * 8)
    assert bench.content(content_id)["state"] == FileState.FAILED


def test_chunk_that_its_store_breaks_off_again_and_again_fails_in_the_end(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips["cut.mkv"])
    whole = bench.transcoder("n1", chunk_s=2.0)
    for queue in (Queue.QUICK, Queue.QUICK):
        assert whole.run_next(queue, bench.stop)
    broken = bench.transcoder("n1", Breaking(bench.storage, ends_at=1000), chunk_s=2.0)
    tries = 0
    while bench.film_job(content_id)["state"] != JobState.FAILED:
        tries += 1
        assert tries <= 40
        assert broken.run_next(Queue.ENCODE, bench.stop)
        bench.sql("UPDATE tasks SET not_before = NULL")
    assert bench.film_job(content_id)["error"].startswith("It was broken off 6 times. ")


def test_film_that_falls_short_is_made_again_from_a_local_file(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first read was cut: the second is whole, so the film is too, and there is nothing to warn of."""
    sources: list[str] = []
    real = film_checks.verify

    def cut_first(source: str, *args: Any, **options: Any) -> Any:
        sources.append(source)
        if len(sources) == 1:
            raise Incomplete("The film is not all of its source.", log="")
        return real(source, *args, **options)

    monkeypatch.setattr(film_checks, "verify", cut_first)
    content_id = bench.store(clips["remux.mkv"])
    assert bench.run()
    assert bench.run()
    job = bench.film_job(content_id)
    assert (job["state"], job["warning"]) == (JobState.DONE, None)
    _is_copied_only_from_a_store(bench, content_id, sources[1])


def _is_copied_only_from_a_store(bench: Bench, content_id: str, source: str) -> None:
    """A copy of what is a file of this machine already would take room for nothing."""
    own = bench.storage.local_path(bench.content(content_id)["object_key"])
    assert Path(source).is_relative_to(bench.settings.scratch_dir) if own is None else Path(source) == own


def test_damaged_film_is_made_of_its_own_file_or_of_a_copy(bench: Bench, clips: Clips) -> None:
    content_id = bench.store(clips.cut("remux.mkv", 0.6))
    assert bench.run()
    assert bench.run()
    job = bench.film_job(content_id)
    assert job["state"] == JobState.DONE
    words = shlex.split(job["command"])
    _is_copied_only_from_a_store(bench, content_id, words[words.index("-i") + 1].removeprefix("file:"))


def test_chunk_that_falls_short_is_made_again_from_a_local_file(
    bench: Bench, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = chunk_checks.verify_chunk
    sources: list[str] = []

    def cut_first(*args: Any, source: str, accept_short: bool, **options: Any) -> Any:
        if not accept_short:
            raise Incomplete("The chunk is not all of its source.", log="")
        sources.append(source)
        return real(*args, source=source, accept_short=accept_short, **options)

    monkeypatch.setattr(chunk_checks, "verify_chunk", cut_first)
    node = bench.transcoder("n1", chunk_s=2.0)
    content_id = bench.store(clips["cut.mkv"])
    for queue in (Queue.QUICK, Queue.QUICK, Queue.ENCODE, Queue.ENCODE):
        assert node.run_next(queue, bench.stop)
    assert sources
    for source in sources:
        _is_copied_only_from_a_store(bench, content_id, source)
