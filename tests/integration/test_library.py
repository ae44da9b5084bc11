"""The library over the API: who sees and changes what, the trash, pages."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from nebula.config import Settings
from nebula.db import files
from nebula.db.database import Database, Tx
from nebula.domain import object_keys
from nebula.domain.states import Visibility
from nebula.storage.choose import open_storage
from nebula.storage.contract import ObjectStorage
from tests.people import People, Person

V1 = "/api/v1"


@pytest.fixture
def library(settings: Settings, people: People) -> Shelf:
    storage = open_storage(settings)
    storage.prepare()
    return Shelf(Database(settings.database_url, threads=1), storage)


class Shelf:
    """Stores files behind the API's back, as a finished upload does."""

    def __init__(self, database: Database, storage: ObjectStorage) -> None:
        self.database = database
        self.storage = storage
        self._number = 0

    def store(
        self, person: Person, name: str, body: bytes = b"hello", visibility: Visibility = Visibility.HOUSEHOLD
    ) -> str:
        self._number += 1
        key = object_keys.original(f"upload-{self._number}")
        multipart = self.storage.create_multipart(key, "text/plain")
        part = self.storage.put_part(key, multipart, 1, body)
        self.storage.complete_multipart(key, multipart, [part], len(body))

        def add(tx: Tx) -> str:
            file, took_object = files.add_stored(
                tx,
                account_id=person.account_id,
                name=name,
                media_type="text/plain",
                visibility=visibility,
                sha256=hashlib.sha256(body).hexdigest(),
                size_bytes=len(body),
                object_key=key,
            )
            if not took_object:
                files.doom(tx, key)
            return file.id

        return self.database.write(add)

    def keys(self) -> set[str]:
        return {info.key for info in self.storage.list_objects()}


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json["items"]]


def test_a_private_file_is_seen_by_its_account_alone(people: People, library: Shelf) -> None:
    secret = library.store(people.member, "diary", visibility=Visibility.PRIVATE)
    library.store(people.member, "film")
    assert names(people.member.get(f"{V1}/files")) == ["film", "diary"]
    assert names(people.owner.get(f"{V1}/files")) == ["film"]
    assert people.owner.get(f"{V1}/files/{secret}").status_code == 404
    assert people.owner.delete(f"{V1}/files/{secret}").status_code == 404
    assert people.anonymous.get(f"{V1}/files/{secret}").status_code == 401


def test_only_its_account_or_the_owner_changes_a_file(people: People, library: Shelf) -> None:
    owners, members = library.store(people.owner, "a"), library.store(people.member, "b", b"other")
    for act in [people.member.patch, people.member.delete]:
        answer = act(f"{V1}/files/{owners}", json={"name": "c"} if act == people.member.patch else None)
        assert (answer.status_code, answer.json["code"]) == (403, "not_your_file")
    renamed = people.owner.patch(f"{V1}/files/{members}", json={"name": "ü #1"})
    assert renamed.json["name"] == "ü #1"
    private = people.member.patch(f"{V1}/files/{members}", json={"visibility": "private"})
    assert private.json["visibility"] == "private"


def test_trash_restore_and_purge(people: People, library: Shelf) -> None:
    file_id = library.store(people.member, "film")
    (key,) = library.keys()
    assert people.member.delete(f"{V1}/files/{file_id}").status_code == 204
    assert names(people.member.get(f"{V1}/files")) == []
    assert names(people.member.get(f"{V1}/files?trashed=true")) == ["film"]
    assert people.member.get(f"{V1}/files/{file_id}").json["deleted_at"] is not None
    assert people.member.post(f"{V1}/files/{file_id}/restore").json["deleted_at"] is None
    for _ in range(2):
        assert people.member.delete(f"{V1}/files/{file_id}").status_code == 204
    assert people.member.get(f"{V1}/files/{file_id}").status_code == 404
    stored = library.keys()
    assert key not in stored, "purging frees the room at once"


def test_a_content_stays_until_its_last_name_is_purged(people: People, library: Shelf) -> None:
    first, second = library.store(people.member, "one"), library.store(people.member, "two")
    for _ in range(2):
        people.member.delete(f"{V1}/files/{first}")
    assert people.member.get(f"{V1}/files/{second}").json["size_bytes"] == 5
    assert len(library.keys()) >= 1
    for _ in range(2):
        people.member.delete(f"{V1}/files/{second}")
    assert library.keys() == set()


def test_trashing_the_last_name_cancels_its_jobs_and_restoring_queues_them(people: People, library: Shelf) -> None:
    file_id = library.store(people.member, "film")

    def states() -> list[str]:
        return [job["state"] for job in people.member.get(f"{V1}/files/{file_id}").json["jobs"]]

    assert states() == ["queued"]
    people.member.delete(f"{V1}/files/{file_id}")
    assert states() == ["cancelled"]
    people.member.post(f"{V1}/files/{file_id}/restore")
    assert states() == ["queued"]


def test_the_trash_of_another_is_not_shown(people: People, library: Shelf) -> None:
    file_id = library.store(people.owner, "film")
    people.owner.delete(f"{V1}/files/{file_id}")
    assert names(people.member.get(f"{V1}/files?trashed=true")) == []
    assert people.member.get(f"{V1}/files/{file_id}").status_code == 404


def test_pages_hold_every_file_once_the_newest_first(people: People, library: Shelf) -> None:
    for number in range(7):
        library.store(people.member, f"file {number}", str(number).encode())
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
def test_a_search_takes_every_character_as_itself(people: People, library: Shelf, q: str, found: list[str]) -> None:
    library.store(people.member, "100% real")
    library.store(people.member, "back\\slash")
    library.store(people.member, "ünï")
    assert names(people.member.get(f"{V1}/files", params={"q": q})) == found


def test_a_listing_that_did_not_change_is_304(people: People, library: Shelf) -> None:
    library.store(people.member, "film")
    first = people.member.get(f"{V1}/files")
    again = people.member.get(f"{V1}/files", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    library.store(people.member, "another", b"x")
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
def test_a_change_that_cannot_be_meant_is_refused(people: People, library: Shelf, body: bytes, code: str) -> None:
    file_id = library.store(people.member, "film")
    answer = people.member.patch(f"{V1}/files/{file_id}", body=body)
    assert (answer.status_code, answer.json["code"]) == (413 if code == "body_too_large" else 400, code)
    assert people.member.get(f"{V1}/files/{file_id}").json["name"] == "film"


def test_a_job_is_cancelled_and_retried_by_its_account_alone(people: People, library: Shelf) -> None:
    file_id = library.store(people.owner, "film")
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


def test_readiness_names_every_dependency(people: People, library: Shelf) -> None:
    answer = people.anonymous.get("/readyz")
    assert answer.json["services"] == {"database": "up", "objects": "up", "queue": "up"}
    assert answer.status_code == 200


def test_status_counts_what_there_is(people: People, library: Shelf) -> None:
    library.store(people.member, "film")
    status = people.member.get(f"{V1}/status").json
    assert status["files"]["processing"] == 1
    assert status["stored_bytes"] == 5
    assert status["queue"]["quick"]["queued"] == 1
    assert status["disk"]["free_bytes"] > 0


def test_metrics_are_not_there_without_a_token(people: People) -> None:
    assert people.owner.get("/metrics").status_code == 404
