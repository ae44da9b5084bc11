"""Jobs as the owner, their account and others see, stop, pause and remove them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens
from nebula.db.work import chunks, rows, tasks
from nebula.domain import plan as plans
from nebula.domain.states import FileState, Queue, TaskKind, Visibility
from nebula.domain.work import Claim, Claimant, MadeChunk, NewTask
from nebula.errors import Superseded
from nebula.services.accounts import Accounts
from nebula.services.library import Library
from tests.films import Woken
from tests.people import People, Person
from tests.shelf import Shelf

V1 = "/api/v1"
PRIVATE = Visibility.PRIVATE


def _job(shelf: Shelf, person: Person, name: str = "secret film.mkv", visibility: Visibility = PRIVATE) -> str:
    """Store a file, which has one job; return the job's id."""
    file = shelf.put(person.account_id, name, name.encode(), visibility=visibility)
    (job_id,) = shelf.database.read(lambda tx: [job.id for job in tx.e.Content[file.content.id].jobs])
    return str(job_id)


def _listed(person: Person, query: str = "") -> dict[str, dict[str, Any]]:
    answer = person.get(f"{V1}/jobs{query}")
    assert answer.status_code == 200
    return {job["id"]: job for job in answer.json["items"]}


def _claimed(shelf: Shelf) -> Claim:
    claim = shelf.database.write(lambda tx: tasks.claim_next(tx, Claimant("n1", Queue.QUICK, plans.VERSION)))
    assert claim is not None
    return claim


def _state(shelf: Shelf, job_id: str) -> str:
    return str(shelf.database.read(lambda tx: tx.e.Job[job_id].state))


# Seeing


def test_owner_sees_every_accounts_jobs_and_whose_they_are(people: People, shelf: Shelf) -> None:
    private = _job(shelf, people.member)
    shared = _job(shelf, people.member, "shared.mkv", Visibility.HOUSEHOLD)
    own = _job(shelf, people.owner, "own.mkv")
    found = _listed(people.owner)
    assert {job_id: job["account"] for job_id, job in found.items()} == {
        private: "member",
        shared: "member",
        own: "owner",
    }
    assert people.owner.get(f"{V1}/jobs/{private}").json == found[private]
    assert _listed(people.member).keys() == {private, shared}


def test_owner_is_told_nothing_of_a_private_film_but_the_work_on_it(people: People, shelf: Shelf) -> None:
    job_id = _job(shelf, people.member)
    told = {"command": "ffmpeg -i secret", "log": "title: secret", "error": "secret", "warning": "secret"}
    shelf.database.write(lambda tx: tx.e.Job[job_id].set(**told, plan_reasons='["secret"]', error_code="x", node="n1"))
    seen = _listed(people.owner)[job_id]
    assert "secret" not in str(seen)
    assert (seen["file_id"], seen["command"], seen["log"], seen["plan_reasons"]) == (None, None, None, [])
    assert (seen["state"], seen["node"], seen["error_code"], seen["account"]) == ("queued", "n1", "x", "member")
    own = _listed(people.member)[job_id]
    assert (own["command"], own["log"], own["error"], own["plan_reasons"]) == (
        *("ffmpeg -i secret", "title: secret", "secret"),
        ["secret"],
    )


def test_member_sees_no_private_job_of_anyone_else(people: People, shelf: Shelf) -> None:
    job_id = _job(shelf, people.owner)
    assert _listed(people.member) == {}
    path = f"{V1}/jobs/{job_id}"
    assert people.member.get(path).status_code == 404
    for answer in [*(people.member.post(f"{path}/{verb}") for verb in VERBS), people.member.delete(path)]:
        assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
    assert _state(shelf, job_id) == "queued"


def test_job_names_no_private_file_of_a_content_that_has_a_shared_name_too(people: People, shelf: Shelf) -> None:
    body = b"the same bytes"
    private = shelf.put(people.member.account_id, "private.mkv", body, visibility=PRIVATE)
    shared = shelf.put(people.member.account_id, "shared.mkv", body)
    (seen,) = _listed(people.owner).values()
    assert seen["file_id"] == shared.id
    (in_file,) = people.owner.get(f"{V1}/files/{shared.id}").json["jobs"]
    assert in_file["file_id"] == shared.id
    (own,) = _listed(people.member).values()
    assert own["file_id"] == private.id


# Stopping


VERBS = ("cancel", "retry", "pause", "resume")


@pytest.mark.parametrize("visibility", Visibility)
def test_only_the_owner_and_its_account_stop_a_job(people: People, shelf: Shelf, visibility: Visibility) -> None:
    job_id = _job(shelf, people.owner, visibility=visibility)
    path = f"{V1}/jobs/{job_id}"
    refused = 404 if visibility is PRIVATE else 403
    for verb in VERBS:
        assert people.member.post(f"{path}/{verb}").status_code == refused
        assert people.anonymous.post(f"{path}/{verb}").status_code == 401
    assert people.member.delete(path).status_code == refused
    assert people.anonymous.delete(path).status_code == 401
    others = _job(shelf, people.member, "another.mkv", visibility)
    for job, person in ((others, people.owner), (others, people.member)):
        assert person.post(f"{V1}/jobs/{job}/cancel").json["state"] == "cancelled"
        assert person.post(f"{V1}/jobs/{job}/retry").json["state"] == "queued"


def test_removed_job_is_gone_and_whoever_did_it_is_superseded(people: People, shelf: Shelf) -> None:
    job_id = _job(shelf, people.member)
    claim = _claimed(shelf)
    assert people.owner.delete(f"{V1}/jobs/{job_id}").status_code == 204
    assert _listed(people.owner) == {}
    assert people.member.post(f"{V1}/jobs/{job_id}/retry").status_code == 404
    with pytest.raises(Superseded):
        shelf.database.write(lambda tx: tasks.finish(tx, claim))
    (file,) = people.member.get(f"{V1}/files").json["items"]
    assert (file["state"], file["jobs"]) == (FileState.STORED, [])


def test_job_that_ended_is_removed_with_its_chunks(people: People, shelf: Shelf) -> None:
    job_id = _job(shelf, people.member)
    _with_chunk(shelf, job_id, object_key="jobs/x/1/1")
    assert people.member.post(f"{V1}/jobs/{job_id}/cancel").status_code == 200
    assert people.member.delete(f"{V1}/jobs/{job_id}").status_code == 204
    assert "jobs/x/1/1" in shelf.database.read(lambda tx: {row.object_key for row in tx.e.DoomedObject.select()})


# Pausing


def test_paused_job_waits_until_a_person_lets_it_go_on(people: People, shelf: Shelf) -> None:
    job_id = _job(shelf, people.member)
    paused = people.owner.post(f"{V1}/jobs/{job_id}/pause").json
    assert (paused["state"], paused["paused_reason"]) == ("paused", "paused by owner")
    assert people.owner.post(f"{V1}/jobs/{job_id}/pause").json["code"] == "job_state"
    assert shelf.database.write(lambda tx: tasks.claim_next(tx, Claimant("n1", Queue.QUICK, plans.VERSION))) is None
    resumed = people.member.post(f"{V1}/jobs/{job_id}/resume").json
    assert (resumed["state"], resumed["paused_reason"]) == ("queued", None)
    assert people.member.post(f"{V1}/jobs/{job_id}/resume").json["code"] == "job_state"
    assert _claimed(shelf).job_id == job_id


def test_pause_takes_a_running_job_from_its_worker_and_outlives_the_worker(people: People, shelf: Shelf) -> None:
    job_id = _job(shelf, people.member)
    claim = _claimed(shelf)
    assert people.owner.post(f"{V1}/jobs/{job_id}/pause").json["state"] == "paused"

    def meanwhile(tx: Any) -> list[bool]:
        # What the worker, its power policy and its end do, and the next one's start, and the sweep.
        tasks.give_back(tx, Queue.QUICK, "n1")
        tasks.expire(tx)
        return [tasks.is_held(tx, claim), tasks.heartbeat(tx, claim), tasks.pause(tx, claim, None)]

    assert shelf.database.write(meanwhile) == [False, False, False]
    Library(shelf.database, shelf.storage, Woken()).sweep()  # type: ignore[arg-type]
    assert _state(shelf, job_id) == "paused"
    row = shelf.database.read(lambda tx: tx.e.Job[job_id].to_dict())
    assert (row["interruptions"], row["failures"], row["node"]) == (0, 0, None)


def test_paused_job_holds_no_queue_up(people: People, shelf: Shelf) -> None:
    first, second = _job(shelf, people.member, "1"), _job(shelf, people.member, "2")
    assert people.owner.post(f"{V1}/jobs/{first}/pause").status_code == 200
    assert shelf.database.read(tasks.waiting_queues) == [Queue.QUICK]
    assert _claimed(shelf).job_id == second


def test_chunks_of_a_paused_film_wait_and_what_is_done_of_them_is_kept(people: People, shelf: Shelf) -> None:
    job_id = _job(shelf, people.member)
    _with_chunk(shelf, job_id)
    _with_chunk(shelf, job_id, number=2, object_key="jobs/x/2/1")
    assert people.owner.post(f"{V1}/jobs/{job_id}/pause").json["state"] == "paused"
    row = shelf.database.read(lambda tx: tx.e.Job[job_id].to_dict())
    assert (row["node"], row["paused_reason"]) == (None, "paused by owner")
    states = shelf.database.read(
        lambda tx: {task.number: task.state for task in tx.e.Job[job_id].tasks if task.step == 1}
    )
    assert states == {1: "cancelled", 2: "done"}
    assert shelf.database.read(lambda tx: [chunk.number for chunk in chunks.stored(tx, job_id)]) == [2]
    shelf.database.write(lambda tx: tx.execute("UPDATE doomed_objects SET delete_after = $now", now=tx.now))
    Library(shelf.database, shelf.storage, Woken()).sweep()  # type: ignore[arg-type]
    assert shelf.database.read(lambda tx: tx.e.DoomedObject.get(object_key="jobs/x/2/1")) is not None


def test_paused_job_can_be_cancelled_and_retried(people: People, shelf: Shelf) -> None:
    path = f"{V1}/jobs/{_job(shelf, people.member)}"
    assert people.owner.post(f"{path}/pause").status_code == 200
    assert people.owner.post(f"{path}/retry").json["code"] == "job_state"
    assert people.member.post(f"{path}/cancel").json["state"] == "cancelled"
    assert people.member.post(f"{path}/pause").json["code"] == "job_state"
    assert people.member.post(f"{path}/retry").json["state"] == "queued"


# An account that is closed


def test_work_of_a_disabled_account_ends_and_does_not_come_back_by_itself(
    people: People, shelf: Shelf, accounts: Accounts
) -> None:
    waiting, running = _job(shelf, people.member, "1"), None
    claim = _claimed(shelf)
    waiting, running = _job(shelf, people.member, "2"), claim.job_id
    held = _job(shelf, people.member, "3")
    other = _job(shelf, people.owner, "4")
    assert people.owner.post(f"{V1}/jobs/{held}/pause").status_code == 200
    accounts.disable_account("member")
    assert {_state(shelf, job_id) for job_id in (waiting, running, held)} == {"cancelled"}
    assert _state(shelf, other) == "queued"
    assert not shelf.database.read(lambda tx: tasks.is_held(tx, claim))
    accounts.enable_account("member")
    assert {_state(shelf, job_id) for job_id in (waiting, running, held)} == {"cancelled"}
    assert people.owner.post(f"{V1}/jobs/{running}/retry").json["state"] == "queued"


def test_file_that_arrives_for_a_disabled_account_makes_no_work(
    people: People, shelf: Shelf, accounts: Accounts
) -> None:
    account_id = people.member.account_id
    accounts.disable_account("member")
    file = shelf.put(account_id, "late.mkv", b"late")
    (job,) = shelf.database.read(lambda tx: [job.to_dict() for job in tx.e.Content[file.content.id].jobs])
    assert job["state"] == "cancelled"
    assert file.content.state == FileState.STORED


@pytest.fixture
def accounts(shelf: Shelf) -> Accounts:

    return Accounts(shelf.database, Passwords(), AccessTokens(["x" * 40], minutes=1), refresh_token_days=1)


def _with_chunk(shelf: Shelf, job_id: str, *, number: int = 1, object_key: str | None = None) -> None:
    """Turn a job into that of a film in chunks, with one more chunk: done if an object is stored of it, or running."""
    made = MadeChunk("libx264", "key", "build", 1).to_json()

    def work(tx: Any) -> None:
        tx.execute("UPDATE jobs SET kind = 'rendition' WHERE id = $id", id=job_id)
        tx.execute("UPDATE tasks SET kind = 'split', state = 'done' WHERE job_id = $id AND step = 0", id=job_id)
        chunk = NewTask(TaskKind.VIDEO_CHUNK, chunks.CHUNKS, number, media_s=1.0)
        if object_key is not None:
            chunk = replace(chunk, object_key=object_key, result=made, is_done=True)
        rows.add(tx, job_id, chunk)
        tx.execute("UPDATE tasks SET state = 'running', node = 'n1', attempt = 1 WHERE state = 'waiting' AND step = 1")
        rows.add(tx, job_id, NewTask(TaskKind.JOIN, chunks.JOIN))
        rows.show(tx, job_id)

    shelf.database.write(work)
