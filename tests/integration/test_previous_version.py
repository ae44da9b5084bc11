"""A database of the version before (tests/previous): its jobs go on after the migration, and lose nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from nebula import config
from nebula.db import migrate
from nebula.db.database import Tx
from nebula.db.work import adopting, jobs
from nebula.domain import plan as plans
from nebula.domain.chunks import Chunk
from nebula.domain.media import MediaFacts
from nebula.domain.states import FileState, JobState, Queue, TaskKind
from nebula.media.making import chunking
from nebula.services.films.attempt import Attempt
from tests.contract.test_migrate import empty, empty_postgresql  # noqa: F401  (fixtures)
from tests.films import Bench
from tests.previous.make import CHUNK_S

HERE = Path(__file__).parent.parent / "previous"
SOURCES = {"remux.mkv": "copied.mkv", "subtitles.mkv": "subtitles.mkv"}
ENDED = {"done.mkv": FileState.READY, "failed.mkv": FileState.FAILED, "cancelled.mkv": FileState.STORED}
PARTS = (TaskKind.AUDIO_CHUNK, TaskKind.VIDEO_CHUNK)
# What the code of revision 0001 says to the database.
OLD_CLAIM = (
    "SELECT id, attempt FROM jobs WHERE queue = $queue AND state = 'queued' AND stage <> 'chunks'"
    " AND (not_before IS NULL OR not_before <= $now) AND (plan_version IS NULL OR plan_version = 1)"
)
OLD_CHUNK_CLAIM = (
    "SELECT c.job_id, c.number FROM chunks AS c JOIN jobs AS j ON j.id = c.job_id WHERE c.state = 'queued'"
    " AND j.stage = 'chunks' AND j.state IN ('queued', 'running', 'paused') AND j.plan_version = 1"
)
OLD_FINISH = (
    "UPDATE jobs SET state = 'done' WHERE id = $id AND attempt = $attempt AND stage <> 'chunks'"
    " AND state IN ('running', 'paused') RETURNING id, attempt"
)
OLD_EXPIRE = (
    "UPDATE jobs SET state = 'queued', lease_until = NULL WHERE state IN ('running', 'paused') AND stage <> 'chunks'"
    " AND lease_until < $later RETURNING id, attempt"
)
OLD_PLANS = "SELECT id, attempt FROM jobs WHERE state = 'queued' AND plan_version < 1"


@dataclass
class Previous(Bench):
    """A bench on the stored database. `made` are the chunks that were begun since its migration: (film, number)."""

    def __post_init__(self) -> None:
        _load(self.settings.database_url)
        super().__post_init__()
        for name, key in self._all("SELECT f.name, c.object_key FROM contents c JOIN files f ON f.content_id = c.id"):
            self.storage.put_file(key, HERE / SOURCES.get(name, "film.mkv"), "video/x-matroska")
        for number, key in self._all("SELECT number, object_key FROM chunks WHERE object_key IS NOT NULL"):
            self.storage.put_file(key, HERE / "chunks" / f"{number}.mp4", "video/mp4")
        self.made: list[tuple[str, int]] = []

    def migrate(self) -> None:
        """Bring the schema up to date, and start this version's workers as after a deploy."""
        migrate.upgrade(self.settings.database_url)
        self.transcoding = self.transcoder("n1", chunk_s=CHUNK_S)
        for kind in PARTS:
            self.transcoding.handlers[kind] = self._noted(self.transcoding.handlers[kind])
        for queue in Queue:
            self.transcoding.begin(queue)

    def _noted(self, handler: Any) -> Any:
        def handle(attempt: Attempt) -> None:
            ((name, _),) = self._all("SELECT name, id FROM files WHERE content_id = $id", id=attempt.claim.content.id)
            self.made.append((name, attempt.claim.number))
            handler(attempt)

        return handle

    def rename_chunks(self) -> None:
        """Name the chunks that are done as this version would: a retry makes them again if its arguments are others."""
        done = self._all(
            "SELECT h.job_id, h.number, h.plan, h.build, c.sha256, c.facts FROM chunks h JOIN jobs j ON j.id = h.job_id"
            " JOIN contents c ON c.id = j.content_id WHERE h.state = 'done'"
        )
        for job_id, number, work, build, sha256, text in done:
            facts, span = MediaFacts.from_json(text), json.loads(work)["span"]
            plan = plans.decide(facts, name="", media_type="")
            key = chunking.key(sha256, facts, plan, None if span is None else Chunk.from_json(span), build)
            sql = "UPDATE chunks SET key = $key WHERE job_id = $id AND number = $number"
            self.sql(sql, key=key, id=job_id, number=number)

    def run_all(self) -> None:
        """Do everything that there is to do."""
        while self.run(Queue.QUICK) or self.run(Queue.ENCODE):
            pass

    def job_of(self, name: str) -> dict[str, Any]:
        """Return the job that makes the film of a file."""
        found = self._all(
            "SELECT j.id, j.kind FROM jobs j JOIN files f ON f.content_id = j.content_id"
            " WHERE f.name = $name AND j.kind = 'rendition'",
            name=name,
        )
        return self.database.read(lambda tx: tx.e.Job[found[0][0]].to_dict())

    def states(self) -> dict[str, str]:
        return dict(self._all("SELECT f.name, c.state FROM contents c JOIN files f ON f.content_id = c.id"))

    def _all(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.database.read(lambda tx: tx.select(sql, **values))


def _load(url: str) -> None:
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(exist_ok=True)
        with sqlite3.connect(path) as connection:
            connection.executescript((HERE / "sqlite.sql").read_text())
        return
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute((HERE / "postgresql.sql").read_text())
    connection.close()


@pytest.fixture
def previous(empty: str, tmp_path: Path) -> Iterator[Previous]:  # noqa: F811
    environ = {"DATABASE_URL": empty, "NEBULA_DATA_DIR": str(tmp_path / "data"), "NEBULA_RESERVE_BYTES": "1"}
    opened = Previous(config.load(environ))
    yield opened
    opened.close()


def test_stored_database_has_a_job_in_every_state_and_chunks_that_are_done(previous: Previous) -> None:
    assert {state for state, _ in previous._all("SELECT DISTINCT state, 0 FROM jobs")} == set(JobState)
    assert {stage for stage, _ in previous._all("SELECT DISTINCT stage, 0 FROM jobs")} == {
        "whole",
        "split",
        "chunks",
        "join",
    }
    assert {state for state, _ in previous._all("SELECT DISTINCT state, 0 FROM chunks")} == {
        "queued",
        "running",
        "done",
    }


def test_every_film_is_made_and_no_finished_chunk_is_made_again_after_the_migration(previous: Previous) -> None:
    before = previous.states()
    done = previous._all("SELECT COUNT(*), 0 FROM chunks WHERE state = 'done'")[0][0]
    previous.migrate()
    previous.run_all()
    assert previous.states() == {name: ENDED.get(name, FileState.READY) for name in before}
    assert done == 5 + 3 + 2, "joinable, half-chunked, cancelled"
    made = {name: [number for of, number in previous.made if of == name] for name, _ in previous.made}
    assert made.pop("half-chunked.mkv") == [3, 4]
    assert set(made) <= {"uncut.mkv", "probe.mkv"}, "these had no chunk before"
    assert previous.job_of("half-chunked.mkv")["chunks_repeated"] == 1
    assert previous.job_of("joinable.mkv")["chunks_repeated"] == 0
    renditions = previous._all("SELECT content_id, COUNT(*) FROM renditions GROUP BY content_id")
    assert [number for _, number in renditions] == [1] * (len(before) - 2)
    assert previous._all("SELECT COUNT(*), 0 FROM subtitles")[0][0] == 1


def test_retry_goes_on_with_the_chunks_that_the_version_before_made(previous: Previous) -> None:
    previous.rename_chunks()
    previous.migrate()
    previous.sql("UPDATE doomed_objects SET delete_after = $later", later=_later(previous))
    retried = [previous.job_of(name)["id"] for name in ("cancelled.mkv", "failed.mkv")]
    for job_id in retried:
        previous.database.write(lambda tx, job_id=job_id: jobs.requeue(tx, job_id))  # type: ignore[misc]
    previous.run_all()
    assert {previous.job_of(name)["state"] for name in ("cancelled.mkv", "failed.mkv")} == {JobState.DONE}
    assert [number for name, number in previous.made if name == "cancelled.mkv"] == [2, 3, 4]


def test_film_that_a_person_paused_before_the_migration_waits_until_it_is_resumed(previous: Previous) -> None:
    job_id = previous.job_of("half-chunked.mkv")["id"]
    previous.rename_chunks()
    previous.sql("UPDATE jobs SET state = 'paused', node = NULL WHERE id = $id", id=job_id)
    previous.sql("UPDATE chunks SET state = 'queued', node = NULL WHERE job_id = $id AND state = 'running'", id=job_id)
    previous.migrate()
    previous.run_all()
    assert previous.job_of("half-chunked.mkv")["state"] == JobState.PAUSED
    previous.database.write(lambda tx: jobs.resume(tx, job_id))
    previous.run_all()
    assert previous.job_of("half-chunked.mkv")["state"] == JobState.DONE
    assert [number for name, number in previous.made if name == "half-chunked.mkv"] == [3, 4]


def test_worker_of_the_version_before_finishes_and_claims_nothing_after_the_migration(previous: Previous) -> None:
    held = [previous.job_of(name) for name in ("running.mkv", "paused.mkv")]
    previous.migrate()

    def work(tx: Tx) -> None:
        for job in held:
            assert tx.execute(OLD_FINISH, id=job["id"], attempt=job["attempt"]) == []
        assert tx.select(OLD_CLAIM, queue="encode", now=tx.now) == []
        assert tx.select(OLD_CHUNK_CLAIM) == []

    previous.database.write(work)


def test_version_before_finds_every_film_to_plan_anew_after_a_way_back(previous: Previous) -> None:
    previous.migrate()
    claim = previous.claim(Queue.ENCODE)
    assert claim is not None
    waiting = previous._all("SELECT id, kind FROM jobs WHERE state = 'queued' AND kind = 'rendition'")

    def work(tx: Tx) -> set[str]:
        assert [job_id for job_id, _ in tx.execute(OLD_EXPIRE, later=tx.after(3600))] == [claim.job_id]
        return {job_id for job_id, _ in tx.select(OLD_PLANS)}

    assert previous.database.write(work) == {job_id for job_id, _ in waiting} | {claim.job_id}


def test_job_that_the_gateway_before_adds_after_the_migration_is_adopted(previous: Previous) -> None:
    previous.migrate()
    previous.sql("DELETE FROM tasks")
    adopted = previous.database.write(adopting.adopt)
    live = previous._all("SELECT id, state FROM jobs WHERE state IN ('queued', 'running', 'paused')")
    assert sorted(adopted) == sorted(job_id for job_id, _ in live)
    assert previous.database.write(adopting.adopt) == []


def _later(previous: Previous) -> Any:
    return previous.database.read(lambda tx: tx.after(86_400))
