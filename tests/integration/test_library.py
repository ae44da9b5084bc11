"""The library over the API: who sees and changes what, the trash, pages."""

from __future__ import annotations

from typing import Any

import pytest

from nebula.domain.states import Visibility
from tests.people import People, Person
from tests.shelf import Shelf

V1 = "/api/v1"


def store(
    shelf: Shelf, person: Person, name: str, body: bytes = b"hello", visibility: Visibility = Visibility.HOUSEHOLD
) -> str:
    """Store a file as a finished upload does; return its id."""
    return shelf.put(person.account_id, name, body, media_type="text/plain", visibility=visibility).id


def keys(shelf: Shelf) -> set[str]:
    return {info.key for info in shelf.storage.list_objects()}


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json["items"]]


def test_a_private_file_is_seen_by_its_account_alone(people: People, shelf: Shelf) -> None:
    secret = store(shelf, people.member, "diary", visibility=Visibility.PRIVATE)
    store(shelf, people.member, "film")
    assert names(people.member.get(f"{V1}/files")) == ["film", "diary"]
    assert names(people.owner.get(f"{V1}/files")) == ["film"]
    assert people.owner.get(f"{V1}/files/{secret}").status_code == 404
    assert people.owner.delete(f"{V1}/files/{secret}").status_code == 404
    assert people.anonymous.get(f"{V1}/files/{secret}").status_code == 401


def test_only_its_account_or_the_owner_changes_a_file(people: People, shelf: Shelf) -> None:
    owners, members = store(shelf, people.owner, "a"), store(shelf, people.member, "b", b"other")
    for act in [people.member.patch, people.member.delete]:
        answer = act(f"{V1}/files/{owners}", json={"name": "c"} if act == people.member.patch else None)
        assert (answer.status_code, answer.json["code"]) == (403, "not_your_file")
    renamed = people.owner.patch(f"{V1}/files/{members}", json={"name": "ü #1"})
    assert renamed.json["name"] == "ü #1"
    private = people.member.patch(f"{V1}/files/{members}", json={"visibility": "private"})
    assert private.json["visibility"] == "private"


def test_trash_restore_and_purge(people: People, shelf: Shelf) -> None:
    file_id = store(shelf, people.member, "film")
    (key,) = keys(shelf)
    assert people.member.delete(f"{V1}/files/{file_id}").status_code == 204
    assert names(people.member.get(f"{V1}/files")) == []
    assert names(people.member.get(f"{V1}/files?trashed=true")) == ["film"]
    assert people.member.get(f"{V1}/files/{file_id}").json["deleted_at"] is not None
    assert people.member.post(f"{V1}/files/{file_id}/restore").json["deleted_at"] is None
    for _ in range(2):
        assert people.member.delete(f"{V1}/files/{file_id}").status_code == 204
    assert people.member.get(f"{V1}/files/{file_id}").status_code == 404
    stored = keys(shelf)
    assert key not in stored, "purging frees the room at once"


def test_a_content_stays_until_its_last_name_is_purged(people: People, shelf: Shelf) -> None:
    first, second = store(shelf, people.member, "one"), store(shelf, people.member, "two")
    for _ in range(2):
        people.member.delete(f"{V1}/files/{first}")
    assert people.member.get(f"{V1}/files/{second}").json["size_bytes"] == 5
    assert len(keys(shelf)) >= 1
    for _ in range(2):
        people.member.delete(f"{V1}/files/{second}")
    assert keys(shelf) == set()


def test_trashing_the_last_name_cancels_its_jobs_and_restoring_queues_them(people: People, shelf: Shelf) -> None:
    file_id = store(shelf, people.member, "film")

    def states() -> list[str]:
        return [job["state"] for job in people.member.get(f"{V1}/files/{file_id}").json["jobs"]]

    assert states() == ["queued"]
    people.member.delete(f"{V1}/files/{file_id}")
    assert states() == ["cancelled"]
    people.member.post(f"{V1}/files/{file_id}/restore")
    assert states() == ["queued"]


def test_the_trash_of_another_is_not_shown(people: People, shelf: Shelf) -> None:
    file_id = store(shelf, people.owner, "film")
    people.owner.delete(f"{V1}/files/{file_id}")
    assert names(people.member.get(f"{V1}/files?trashed=true")) == []
    assert people.member.get(f"{V1}/files/{file_id}").status_code == 404


def test_pages_hold_every_file_once_the_newest_first(people: People, shelf: Shelf) -> None:
    for number in range(7):
        store(shelf, people.member, f"file {number}", str(number).encode())
    seen, cursor = [], ""
    for _ in range(4):
        page = people.owner.get(f"{V1}/files?limit=2{cursor}").json
        seen += [item["name"] for item in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"file {number}" for number in range(6, -1, -1)]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("100%", ["100% real"]),
        ("1_0", []),
        ("REAL", ["100% real"]),
        ("\\", ["back\\slash"]),
        ("x", []),
        ("ÜN", ["ünï"]),
    ],
)
def test_a_search_takes_every_character_as_itself(people: People, shelf: Shelf, q: str, found: list[str]) -> None:
    store(shelf, people.member, "100% real")
    store(shelf, people.member, "back\\slash")
    store(shelf, people.member, "ünï")
    assert names(people.member.get(f"{V1}/files", params={"q": q})) == found


def test_a_listing_that_did_not_change_is_304(people: People, shelf: Shelf) -> None:
    store(shelf, people.member, "film")
    first = people.member.get(f"{V1}/files")
    again = people.member.get(f"{V1}/files", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    store(shelf, people.member, "another", b"x")
    assert people.member.get(f"{V1}/files", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "limit=٣", "state=odd", "cursor=xx", "trashed=yes", "sha256=zz", "q=%00"],
)
def test_a_query_that_cannot_be_meant_is_refused(people: People, query: str) -> None:
    answer = people.member.get(f"{V1}/files?{query}")
    assert answer.status_code == 400
    assert answer.json["code"] in {"invalid_query", "invalid_cursor", "invalid_field"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"name": NaN}', "invalid_json"),
        (b"[" * 100_000, "body_too_large"),
        (b'{"name":' + b"[" * 60_000, "invalid_json"),
        (b'{"name": "a", "name": "b"}', "invalid_json"),
        (b'{"name": 7}', "invalid_field"),
        (b'{"size": 7}', "unknown_field"),
        (b'{"name": "../x"}', "invalid_name"),
        (b'{"name": "\\u0000"}', "invalid_field"),
        (b'{"name": "\\ud800"}', "invalid_field"),
        (b'{"visibility": "secret"}', "invalid_field"),
        (b"\xff", "invalid_json"),
        (b'{"name": "' + b"x" * 5000 + b'"}', "invalid_name"),
    ],
)
def test_a_change_that_cannot_be_meant_is_refused(people: People, shelf: Shelf, body: bytes, code: str) -> None:
    file_id = store(shelf, people.member, "film")
    answer = people.member.patch(f"{V1}/files/{file_id}", body=body)
    assert (answer.status_code, answer.json["code"]) == (413 if code == "body_too_large" else 400, code)
    assert people.member.get(f"{V1}/files/{file_id}").json["name"] == "film"


def test_a_job_is_cancelled_and_retried_by_its_account_alone(people: People, shelf: Shelf) -> None:
    file_id = store(shelf, people.owner, "film")
    (job,) = people.owner.get(f"{V1}/files/{file_id}").json["jobs"]
    path = f"{V1}/jobs/{job['id']}"
    assert people.member.get(path).json["file_id"] == file_id
    assert people.member.post(f"{path}/cancel").status_code == 403
    assert people.owner.post(f"{path}/retry").json["code"] == "job_state"
    assert people.owner.post(f"{path}/cancel").json["state"] == "cancelled"
    assert people.owner.get(f"{V1}/files/{file_id}").json["state"] == "stored"
    assert people.owner.post(f"{path}/cancel").status_code == 409
    assert people.owner.post(f"{path}/retry").json["state"] == "queued"
    assert names_of_states(people.owner.get(f"{V1}/jobs?live=true")) == ["queued"]


def names_of_states(answer: Any) -> list[str]:
    return [item["state"] for item in answer.json["items"]]


def test_readiness_names_every_dependency(people: People, shelf: Shelf) -> None:
    answer = people.anonymous.get("/readyz")
    assert answer.json["services"] == {"database": "up", "objects": "up", "queue": "up"}
    assert answer.status_code == 200


def test_status_counts_what_there_is(people: People, shelf: Shelf) -> None:
    store(shelf, people.member, "film")
    status = people.member.get(f"{V1}/status").json
    assert status["files"]["processing"] == 1
    assert status["stored_bytes"] == 5
    assert status["queue"]["quick"]["queued"] == 1
    assert status["disk"]["free_bytes"] > 0


def test_metrics_are_not_there_without_a_token(people: People) -> None:
    assert people.owner.get("/metrics").status_code == 404
