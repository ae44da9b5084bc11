"""Chunks: laid out, claimed, ended and joined, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nebula.db import files, objects
from nebula.db.database import Database, Tx
from nebula.db.work import chunks, jobs, tasks
from nebula.db.work.chunks import Outcome
from nebula.domain import object_keys
from nebula.domain.limits import (
    KEEP_CHUNKS_S,
    LEASE_S,
    MAX_FAILURES,
    MAX_INTERRUPTIONS,
    MAX_REJECTIONS,
    MAX_RESTARTS,
)
from nebula.domain.states import JobState, Queue, TaskKind
from nebula.domain.work import Claim, Claimant, Failure, MadeChunk, NewJob, NewTask, TaskAttempt
from nebula.errors import Superseded
from nebula.services.machine import node_leases
from tests.rows import add_content

VERSION = 1
SOFTWARE = "libx264"


def _planned(number: int) -> NewTask:
    kind = TaskKind.VIDEO_CHUNK if number else TaskKind.AUDIO_CHUNK
    return NewTask(kind, chunks.CHUNKS, number, "{}", 4.0 if number else 0.0, plan_version=VERSION)


class Films:
    """Jobs in chunks on one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, total: int = 4, encoder: str | None = None, **more: Any) -> str:
        """Add a film's job and lay out its chunks: the sound, then the picture."""
        job_id = self.database.write(lambda tx: _job(tx, **more))
        self.lay_out(total, encoder=encoder)
        return job_id

    def lay_out(self, total: int = 4, fitting: tuple[str, ...] = (), encoder: str | None = None) -> bool:
        planned = [_planned(number) for number in range(total)]
        claim = self.claim_job()
        assert claim.kind == TaskKind.SPLIT
        queue = self.database.write(lambda tx: chunks.lay_out(tx, claim, planned, fitting, encoder))
        return queue is Queue.ENCODE

    def claim_job(self) -> Claim:
        claim = self.database.write(lambda tx: tasks.claim_next(tx, Claimant("q1", Queue.QUICK, VERSION)))
        assert claim is not None
        return claim

    def claim(self, node: str = "n1", encoder: str = SOFTWARE) -> Claim | None:
        claimant = Claimant(node, Queue.ENCODE, VERSION, encoder)
        return self.database.write(lambda tx: tasks.claim_next(tx, claimant))

    def claimed(self, node: str = "n1", encoder: str = SOFTWARE) -> Claim:
        claim = self.claim(node, encoder)
        assert claim is not None
        return claim

    def finish(self, claim: Claim, fingerprint: str = "f", encoder: str = SOFTWARE) -> Outcome:
        key = object_keys.chunk(claim.job_id, claim.number, claim.attempt)

        def work(tx: Tx) -> Outcome:
            objects.doom(tx, key, after_s=1000)
            return chunks.finish(tx, claim, key, MadeChunk(encoder, f"of {key}", f"{encoder} 1", 10, fingerprint))

        return self.database.write(work)

    def finish_all(self) -> list[str]:
        while claim := self.claim():
            self.finish(claim)
        return [chunk.object_key for chunk in self.stored()]

    def fail(self, claim: Claim, permanent: bool = False) -> JobState:
        return self.database.write(lambda tx: tasks.fail(tx, claim, Failure("c", "why", "log", permanent)))

    def stored(self) -> list[Any]:
        return self.database.read(lambda tx: chunks.stored(tx, tx.e.Job.select().first().id))

    def job(self) -> dict[str, Any]:
        def work(tx: Tx) -> dict[str, Any]:
            row = tx.e.Job.select().first()
            return row.to_dict() | {"content_state": row.content.state}

        return self.database.read(work)

    def chunk(self, number: int) -> dict[str, Any]:
        return self.database.read(lambda tx: tx.e.Task.get(step=chunks.CHUNKS, number=number).to_dict())

    def doomed(self) -> dict[str, Any]:
        return self.database.read(lambda tx: {row.object_key: row.delete_after for row in tx.e.DoomedObject.select()})

    def due(self) -> list[str]:
        return self.database.read(objects.due_objects)

    def cancel(self) -> None:
        self.database.write(lambda tx: jobs.cancel(tx, tx.e.Job.select().first().id))

    def retry(self) -> None:
        self.database.write(lambda tx: jobs.requeue(tx, tx.e.Job.select().first().id))

    def sql(self, statement: str, **values: Any) -> None:
        self.database.write(lambda tx: tx.execute(statement, **values))

    def run_out(self) -> None:
        self.database.write(lambda tx: tx.execute("UPDATE tasks SET lease_until = $past", past=tx.after(-1)))

    def expire(self) -> list[tuple[str, int, int]]:
        return _shown(self.database.write(tasks.expire))

    def kinds(self) -> list[str]:
        """Return the kinds of the tasks that are not done, in their order."""
        sql = "SELECT kind, step FROM tasks WHERE state <> 'done' ORDER BY step, number"
        return [kind for kind, _ in self.database.read(lambda tx: tx.select(sql))]

    def skip_delays(self) -> None:
        self.sql("UPDATE tasks SET not_before = NULL")


def _job(tx: Tx, **more: Any) -> str:
    return jobs.add(tx, add_content(tx), NewJob(NewTask(TaskKind.SPLIT, plan_version=VERSION), **more))


def _shown(interrupted: list[TaskAttempt]) -> list[tuple[str, int, int]]:
    return [(each.job_id, each.number, each.attempt) for each in interrupted]


@pytest.fixture
def films(database: Database) -> Films:
    return Films(database)


def test_laid_out_job_waits_for_encoders_and_is_claimed_by_nobody_as_a_whole(films: Films) -> None:
    films.add(4)
    job = films.job()
    assert (job["queue"], job["state"], job["node"]) == ("encode", "queued", None)
    assert (job["chunks_total"], job["chunks_done"], job["progress"]) == (4, 0, 0)
    claimant = Claimant("n1", Queue.QUICK, VERSION)
    assert films.database.write(lambda tx: tasks.claim_next(tx, claimant)) is None
    assert films.database.read(tasks.waiting_queues) == [Queue.ENCODE]


def test_each_chunk_is_claimed_and_finished_once_and_the_join_queued_once_when_many_threads_race(films: Films) -> None:
    films.add(13)

    def take(node: int) -> list[tuple[int, Outcome]]:
        taken = []
        while claim := films.claim(f"n{node}"):
            taken.append((claim.number, films.finish(claim)))
        return taken

    with ThreadPoolExecutor(6) as threads:
        taken = [one for part in threads.map(take, range(6)) for one in part]
    assert sorted(number for number, _ in taken) == list(range(13))
    assert [outcome for _, outcome in taken].count(Outcome.LAST) == 1
    job = films.job()
    assert (job["queue"], job["state"], job["chunks_done"]) == ("quick", "queued", 13)
    assert job["progress"] == 1
    assert films.claim_job().kind == TaskKind.JOIN


def test_last_two_chunks_that_end_at_once_queue_the_join_when_each_sees_the_other_running(postgresql_url: str) -> None:
    first, second = Films(Database(postgresql_url)), Films(Database(postgresql_url))
    first.add(2)
    claims = [first.claimed(), second.claimed("n2")]
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lambda one, claim: one.finish(claim), (first, second), claims))
    assert sorted(outcomes) == [Outcome.DONE, Outcome.LAST]
    assert first.kinds() == [TaskKind.JOIN]
    first.database.close()
    second.database.close()


def test_chunks_are_taken_in_order_and_the_higher_priority_first(films: Films) -> None:
    later = films.add(2, rank=jobs.LOWER_RANK)
    first = films.add(2)
    order = [(claim.job_id, claim.number) for claim in (films.claimed() for _ in range(4))]
    assert order == [(first, 0), (first, 1), (later, 0), (later, 1)]
    assert films.claim() is None


def test_claim_leaves_chunks_of_another_versions_plan_alone(films: Films) -> None:
    films.add(2)
    films.sql("UPDATE tasks SET plan_version = $version", version=VERSION + 1)
    assert films.claim() is None


def test_claim_holds_the_chunk_for_its_lease_and_the_job_shows_who_and_how_far(films: Films) -> None:
    films.add(3)
    films.finish(films.claimed())
    one, two = films.claimed("n1"), films.claimed("n2")
    assert films.database.write(lambda tx: tasks.heartbeat(tx, one, 0.5, 2.0))
    assert films.database.write(lambda tx: tasks.heartbeat(tx, two, 1.0, 1.0))
    now = films.database.read(lambda tx: tx.now)
    assert LEASE_S - 30 < (films.chunk(1)["lease_until"] - now).total_seconds() <= LEASE_S
    job = films.job()
    assert (job["state"], job["node"], job["chunks_done"]) == ("running", "n1, n2", 1)
    assert job["progress"] == pytest.approx(0.75)
    assert (job["speed"], job["eta_s"]) == (pytest.approx(3.0), pytest.approx(8 * 0.25 / 3))
    films.finish(one)
    assert (films.job()["node"], films.job()["progress"]) == ("n2", pytest.approx(1.0))


LATE: dict[str, Callable[[Films, Claim], Any]] = {
    "finish": lambda films, claim: films.finish(claim),
    "fail": lambda films, claim: films.fail(claim, permanent=True),
    "release": lambda films, claim: films.database.write(lambda tx: tasks.release(tx, claim)),
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("event", ["expired", "taken again", "cancelled", "failed", "given back"])
def test_late_attempt_changes_nothing(films: Films, late: str, event: str) -> None:
    films.add(3)
    claim = films.claimed()
    if event == "cancelled":
        films.cancel()
    elif event == "failed":
        films.fail(films.claimed(), permanent=True)
    elif event == "given back":
        films.database.write(lambda tx: tasks.give_back(tx, Queue.ENCODE, "n1"))
    else:
        films.run_out()
        films.expire()
        if event == "taken again":
            films.claimed("n2")
    before = (films.job(), films.chunk(0), films.doomed())
    with pytest.raises(Superseded):
        LATE[late](films, claim)
    assert not films.database.write(lambda tx: tasks.heartbeat(tx, claim, 0.9))
    assert not films.database.read(lambda tx: tasks.is_held(tx, claim))
    films.database.write(lambda tx: tasks.note(tx, claim, command="late"))
    assert (films.job(), films.chunk(0), films.doomed()) == before


def test_chunk_of_a_node_that_disappeared_is_made_again_and_the_others_are_not(films: Films) -> None:
    job_id = films.add(3)
    gone, stays = films.claimed("gone"), films.claimed("stays")
    past = films.database.read(lambda tx: tx.after(-1))
    films.sql("UPDATE tasks SET lease_until = $past WHERE node = 'gone'", past=past)
    assert films.expire() == [(job_id, gone.number, gone.attempt)]
    assert films.database.write(lambda tx: tasks.heartbeat(tx, stays))
    again = films.claimed("stays")
    assert (again.number, again.attempt) == (gone.number, gone.attempt + 1)
    assert films.job()["chunks_repeated"] == 1
    assert films.chunk(gone.number)["interruptions"] == 1


def test_give_back_takes_only_what_this_node_holds(films: Films) -> None:
    job_id = films.add(3)
    mine, other = films.claimed("n1"), films.claimed("n2")
    returned = films.database.write(lambda tx: node_leases.give_back(tx, Queue.ENCODE, "n1"))
    assert returned == [mine.shown]
    assert films.due() == [object_keys.chunk(job_id, mine.number, mine.attempt)]
    assert films.database.read(lambda tx: tasks.is_held(tx, other))
    assert films.job()["node"] == "n2"


def test_job_fails_when_a_chunk_kept_dying(films: Films) -> None:
    films.add(3)
    for _ in range(MAX_INTERRUPTIONS + 1):
        films.claimed()
        films.database.write(lambda tx: tasks.give_back(tx, Queue.ENCODE, "n1"))
    job = films.job()
    assert (job["state"], job["error_code"], job["content_state"]) == ("failed", "kept_dying", "failed")
    assert films.claim() is None


def test_failures_of_a_chunk_are_tried_again_later_and_are_bounded(films: Films) -> None:
    films.add(2)
    for _ in range(MAX_FAILURES - 1):
        assert films.fail(films.claimed()) is JobState.QUEUED
        assert (films.job()["state"], films.job()["error"], films.job()["log"]) == ("queued", "why", "log")
        other = films.claimed("n2")
        assert other.number == 1, "the next try must wait a while"
        films.database.write(lambda tx, other=other: tasks.release(tx, other))
        films.skip_delays()
    held, other = films.claimed(), films.claimed("n2")
    assert films.fail(held) is JobState.FAILED
    job = films.job()
    assert (job["state"], job["error_code"], job["error"], job["content_state"]) == ("failed", "c", "why", "failed")
    assert not films.database.read(lambda tx: tasks.is_held(tx, other))
    assert films.claim() is None


def test_released_chunk_waits_with_its_reason_and_counts_nothing(films: Films) -> None:
    films.add(2)
    films.finish(films.claimed())
    claim = films.claimed()
    films.database.write(lambda tx: tasks.release(tx, claim, Failure("no_room", "full"), delay_s=60))
    job = films.job()
    assert (job["state"], job["error_code"], job["error"], job["chunks_repeated"]) == ("queued", "no_room", "full", 0)
    assert films.claim() is None
    assert films.database.read(tasks.waiting_queues) == []
    films.skip_delays()
    assert films.database.read(tasks.waiting_queues) == [Queue.ENCODE]
    films.claimed()
    assert films.job()["error"] is None


def test_chunk_unlike_the_first_is_rejected_and_made_again(films: Films) -> None:
    films.add(4)
    audio, one, two = films.claimed(), films.claimed(), films.claimed("n2")
    films.finish(audio, "sound is bound to nothing")
    assert films.finish(one, "a") is Outcome.DONE
    assert films.finish(two, "b") is Outcome.REJECTED
    assert films.job()["rejections"] == 1
    assert object_keys.chunk(two.job_id, 2, 1) in films.due()
    again = films.claimed("n2")
    assert (again.number, again.attempt, again.encoder) == (2, 2, SOFTWARE)
    assert films.finish(again, "a") is Outcome.DONE
    assert films.job()["chunks_repeated"] == 0


def test_rendition_starts_again_in_software_when_chunks_were_rejected_again(films: Films) -> None:
    job_id = films.add(5)
    held = [films.claimed(encoder="h264_qsv") for _ in range(5)]
    films.finish(held[0])
    assert films.finish(held[1], "a", "h264_qsv") is Outcome.DONE
    rejections = MAX_REJECTIONS - 1
    for claim in held[2 : 2 + rejections]:
        assert films.finish(claim, "b", "h264_qsv") is Outcome.REJECTED
    assert films.finish(held[2 + rejections], "b", "h264_qsv") is Outcome.RESTARTED
    job = films.job()
    assert (job["encoder"], job["fingerprint"], job["restarts"], job["rejections"]) == (SOFTWARE, None, 1, 0)
    assert (job["chunks_done"], job["chunks_repeated"]) == (1, 0), "the sound stays"
    assert object_keys.chunk(job_id, 1, 1) in films.due()
    with pytest.raises(Superseded):
        films.finish(held[4], "a", "h264_qsv")
    assert films.claimed().encoder == SOFTWARE


def test_job_fails_when_chunks_differ_after_every_restart(films: Films) -> None:
    films.add(3)
    films.finish(films.claimed())
    outcome = None
    for number in range(200):
        claim = films.claim()
        if claim is None:
            break
        outcome = films.finish(claim, f"never the same: {number}")
    assert outcome is Outcome.FAILED
    assert (films.job()["state"], films.job()["error_code"]) == ("failed", "chunks_differ")
    assert films.job()["restarts"] == MAX_RESTARTS


def _never_the_same(films: Films) -> int:
    """Finish chunks of which none fits to another until the job ends; return how many that takes."""
    for number in range(200):
        claim = films.claim()
        if claim is None:
            return number
        films.finish(claim, f"never the same: {films.database.read(lambda tx: tx.now)} {number}")
    raise AssertionError("the job does not end")


def test_retry_gives_a_film_whose_chunks_differ_all_its_restarts_again(films: Films) -> None:
    films.add(3)
    taken = _never_the_same(films)
    films.retry()
    assert (films.job()["restarts"], films.job()["rejections"]) == (0, 0)
    films.lay_out(3)
    assert _never_the_same(films) == taken
    assert films.job()["restarts"] == MAX_RESTARTS


def _die(films: Films) -> int:
    """Let the worker of one chunk die until the job has failed; return how often."""
    for number in range(200):
        if films.job()["state"] == "failed":
            return number
        films.claimed()
        films.run_out()
        films.expire()
    raise AssertionError("the job does not end")


def test_retry_lets_the_workers_of_a_chunk_die_as_often_again(films: Films) -> None:
    films.add(3)
    assert _die(films) == MAX_INTERRUPTIONS + 1
    attempts = max(films.chunk(number)["attempt"] for number in range(3))
    films.retry()
    films.lay_out(3)
    assert films.claimed().attempt > attempts
    films.run_out()
    films.expire()
    assert _die(films) == MAX_INTERRUPTIONS


def test_retry_lets_a_chunk_fail_as_often_again(films: Films) -> None:
    films.add(2)
    for _ in range(2):
        for number in range(MAX_FAILURES):
            films.skip_delays()
            state = films.fail(films.claimed())
            assert (state is JobState.FAILED) == (number == MAX_FAILURES - 1)
        films.retry()
        films.lay_out(2)


def test_cancelled_job_keeps_what_is_done_for_a_while(films: Films) -> None:
    films.add(3)
    films.finish(films.claimed())
    films.claimed()
    assert films.doomed() == {}
    films.cancel()
    now = films.database.read(lambda tx: tx.now)
    (moment,) = films.doomed().values()
    assert KEEP_CHUNKS_S - 60 < (moment - now).total_seconds() <= KEEP_CHUNKS_S
    job = films.job()
    assert (job["state"], job["content_state"]) == ("cancelled", "stored")
    assert films.claim() is None


def _after_cancel(films: Films, total: int = 4) -> list[str]:
    """Cancel a film half way, and start it anew; return what is stored of it."""
    films.add(total)
    for _ in range(total - 1):
        films.finish(films.claimed())
    films.cancel()
    films.retry()
    job = films.job()
    assert (job["queue"], job["state"]) == ("quick", "queued")
    assert films.kinds()[0] == TaskKind.SPLIT
    return [chunk.object_key for chunk in films.stored()]


def test_retry_goes_on_with_the_chunks_that_are_there(films: Films) -> None:
    present = _after_cancel(films)
    assert films.lay_out(4, tuple(present))
    assert films.doomed() == {}
    assert films.job()["chunks_done"] == 3
    assert films.claimed().number == 3
    assert films.claim() is None


def test_retry_makes_anew_what_is_due_and_what_is_gone_or_does_not_fit(films: Films) -> None:
    present = _after_cancel(films, 5)
    films.sql(
        "UPDATE doomed_objects SET delete_after = $soon WHERE object_key = $key",
        soon=films.database.read(lambda tx: tx.after(60)),
        key=present[1],
    )
    assert films.lay_out(5, tuple(present[:2]))
    assert [chunk.number for chunk in films.stored()] == [0]
    claims = [films.claimed() for _ in range(4)]
    keys = {object_keys.chunk(claim.job_id, claim.number, claim.attempt) for claim in claims}
    assert not keys & set(present), "a doomed key must not be used again"
    assert films.job()["fingerprint"] is None


def test_retry_queues_the_join_at_once_when_every_chunk_is_there(films: Films) -> None:
    films.add(3)
    present = films.finish_all()
    claim = films.claim_job()
    films.database.write(lambda tx: tasks.fail(tx, claim, Failure("c", "e", is_permanent=True)))
    assert set(films.doomed()) == set(present)
    films.retry()
    assert not films.lay_out(3, tuple(present))
    assert films.claim_job().kind == TaskKind.JOIN
    assert films.doomed() == {}


def test_chunk_that_the_store_lost_is_made_again(films: Films) -> None:
    films.add(3)
    films.finish_all()
    claim = films.claim_job()
    films.database.write(lambda tx: chunks.send_back(tx, claim, [2]))
    assert films.claimed().number == 2
    assert films.claim() is None
    assert films.job()["chunks_repeated"] == 1
    with pytest.raises(Superseded):
        films.database.write(lambda tx: chunks.send_back(tx, claim, [1]))


def test_late_split_does_not_lay_out_again_while_chunks_are_made(films: Films) -> None:
    films.database.write(_job)
    claim = films.claim_job()
    lay_out = [_planned(0), _planned(1)]
    films.database.write(lambda tx: chunks.lay_out(tx, claim, lay_out, ()))
    held = films.claimed()
    with pytest.raises(Superseded):
        films.database.write(lambda tx: chunks.lay_out(tx, claim, lay_out, ()))
    assert films.database.read(lambda tx: tasks.is_held(tx, held))


def test_film_that_cannot_be_joined_is_queued_in_one_piece(films: Films) -> None:
    films.add(2)
    keys = films.finish_all()
    claim = films.claim_job()
    films.database.write(lambda tx: chunks.in_one_piece(tx, claim))
    job = films.job()
    assert (job["queue"], job["state"], job["chunks_total"]) == ("encode", "queued", 0)
    assert films.kinds() == [TaskKind.MAKE_WHOLE]
    assert set(films.due()) == set(keys)


def test_stored_chunks_are_needed_while_their_job_lives_and_doomed_when_the_file_is_purged(films: Films) -> None:
    films.add(3)
    films.finish(films.claimed())
    (key,) = [chunk.object_key for chunk in films.stored()]
    films.database.write(lambda tx: objects.doom(tx, key))
    assert films.due() == [], "a late worker's doom must not take what the film needs"
    assert key in films.database.read(objects.named).needed
    films.database.write(_purge)
    assert key in films.due()
    assert films.database.read(lambda tx: tx.e.Task.select().count()) == 0


def _purge(tx: Tx) -> None:
    content = tx.e.Content.select().first()
    file = tx.e.File(
        id="f",
        content=content,
        account_id=content.account.id,
        name="f",
        media_type="video/mp4",
        visibility="household",
        created_at=tx.now,
        updated_at=tx.now,
    )
    tx.flush()
    files.purge(tx, file.id)
