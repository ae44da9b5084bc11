"""Subtitles over HTTP: listed with their file, served as the other bytes are, and by links."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from falcon import testing

from nebula.domain.records import File, Subtitles
from nebula.domain.states import Visibility
from tests.people import People
from tests.shelf import Shelf

V1 = "/api/v1"
NO_ID = "00000000-0000-4000-8000-000000000000"
VTT = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGrüße\n".encode()
one_world = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture
def film(shelf: Shelf, people: People) -> File:
    return shelf.put(people.member.account_id, "films/Das Boot #1.mkv", b"0123456789")


@pytest.fixture
def german(shelf: Shelf, film: File) -> Subtitles:
    return shelf.add_subtitles(film, VTT, title="Für alle", is_default=True)


def _path(film: File, found: Subtitles) -> str:
    return f"{V1}/files/{film.id}/subtitles/{found.id}/content"


def _open(client: testing.TestClient, link: dict[str, Any]) -> testing.Result:
    return client.simulate_get("/s/" + link["url"].split("/s/")[1])


@one_world
def test_a_file_lists_its_subtitles_in_the_order_of_the_source(
    people: People, shelf: Shelf, film: File, german: Subtitles
) -> None:
    other = shelf.add_subtitles(
        film, b"WEBVTT\n", number=1, language=None, is_forced=True, is_for_hearing_impaired=True
    )
    first, second = people.owner.get(f"{V1}/files/{film.id}").json["subtitles"]
    assert first == {
        "id": other.id,
        "language": None,
        "title": None,
        "default": False,
        "forced": True,
        "hearing_impaired": True,
        "size_bytes": 7,
        "sha256": hashlib.sha256(b"WEBVTT\n").hexdigest(),
        "cues": 1,
    }
    assert (second["id"], second["language"], second["title"], second["default"]) == (
        german.id,
        "de",
        "Für alle",
        True,
    )
    (listed,) = people.owner.get(f"{V1}/files").json["items"]
    assert listed["subtitles"] == [first, second]


def test_subtitles_are_served_as_the_other_bytes_are(people: People, film: File, german: Subtitles) -> None:
    path = _path(film, german)
    answer = people.owner.get(path)
    assert (answer.status_code, answer.content) == (200, VTT)
    assert answer.headers["Content-Type"] == "text/vtt; charset=utf-8"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(VTT).hexdigest()}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert 'filename="Das Boot #1.de.vtt"' in answer.headers["Content-Disposition"]
    head = people.owner.head(path)
    assert (head.status_code, head.content, dict(head.headers)) == (200, b"", dict(answer.headers))
    part = people.owner.get(path, headers={"Range": "bytes=0-5"})
    assert (part.status_code, part.content) == (206, b"WEBVTT")
    assert people.owner.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert people.owner.get(path, headers={"Range": "bytes=9999-"}).status_code == 416


@one_world
def test_subtitles_are_seen_by_whom_their_file_is(people: People, shelf: Shelf, film: File, german: Subtitles) -> None:
    path = _path(film, german)
    assert people.anonymous.get(path).status_code == 401
    assert people.owner.get(path).status_code == 200
    shelf.database.write(lambda tx: tx.e.File[film.id].set(visibility=Visibility.PRIVATE))
    refused = people.owner.get(path)
    assert (refused.status_code, refused.json["code"]) == (404, "file_not_found")
    assert people.member.get(path).status_code == 200
    shelf.trash(film)
    assert people.member.get(path).status_code == 404


@one_world
def test_subtitles_of_another_file_are_not_found(people: People, shelf: Shelf, film: File, german: Subtitles) -> None:
    other = shelf.put(people.member.account_id, "other.mkv", b"other")
    for path in (_path(other, german), f"{V1}/files/{film.id}/subtitles/{NO_ID}/content"):
        answer = people.member.get(path)
        assert (answer.status_code, answer.json["code"]) == (404, "subtitles_not_found")
    answer = people.member.post(f"{V1}/files/{other.id}/links", json={"subtitles_id": german.id})
    assert (answer.status_code, answer.json["code"]) == (404, "subtitles_not_found")


def test_a_link_opens_subtitles_without_credentials(
    client: testing.TestClient, people: People, film: File, german: Subtitles
) -> None:
    made = people.member.post(f"{V1}/files/{film.id}/links", json={"subtitles_id": german.id, "expires_s": 600})
    assert made.status_code == 201
    link = made.json
    assert (link["subtitles_id"], link["rendition_id"], link["quality"]) == (german.id, None, "subtitles")
    assert link["url"].endswith("/Das%20Boot%20%231.de.vtt")
    answer = _open(client, link)
    assert (answer.status_code, answer.content) == (200, VTT)
    assert answer.headers["Content-Type"] == "text/vtt; charset=utf-8"
    assert people.member.get(f"{V1}/links").json["items"] == [link | {"url": None}]
    assert people.member.delete(f"{V1}/links/{link['id']}").status_code == 204
    assert _open(client, link).status_code == 404


@one_world
def test_a_link_is_for_a_quality_or_for_subtitles(people: People, film: File, german: Subtitles) -> None:
    for wanted, code in [
        ({"subtitles_id": german.id, "quality": "original"}, "invalid_quality"),
        ({"subtitles_id": 7}, "invalid_field"),
        ({"subtitles_id": "\x00"}, "invalid_field"),
    ]:
        answer = people.member.post(f"{V1}/files/{film.id}/links", json=wanted)
        assert (answer.status_code, answer.json["code"]) == (400, code)
    for strange in ("", "x", "é" * 500):
        answer = people.member.post(f"{V1}/files/{film.id}/links", json={"subtitles_id": strange})
        assert answer.status_code == 404
    assert people.member.get(f"{V1}/links").json["items"] == []


@one_world
def test_a_link_to_subtitles_never_becomes_one_to_the_original(
    client: testing.TestClient, people: People, shelf: Shelf, film: File, german: Subtitles
) -> None:
    link = people.member.post(f"{V1}/files/{film.id}/links", json={"subtitles_id": german.id}).json
    shelf.database.write(lambda tx: tx.e.Subtitles[german.id].delete())
    assert _open(client, link).status_code == 404


def test_purging_a_file_takes_its_subtitles_along(people: People, shelf: Shelf, film: File, german: Subtitles) -> None:
    people.member.post(f"{V1}/files/{film.id}/links", json={"subtitles_id": german.id})
    for _ in range(2):
        assert people.member.delete(f"{V1}/files/{film.id}").status_code == 204
    assert shelf.database.read(lambda tx: tx.select("SELECT id, number FROM subtitles")) == []
    assert [info.key for info in shelf.storage.list_objects("subtitles/")] == []


@one_world
def test_a_film_is_not_said_to_be_made_while_only_its_subtitles_are(people: People, shelf: Shelf, film: File) -> None:
    shelf.end_jobs(film, "failed", "It broke.")
    shelf.change_content(film, state="stored")
    shelf.database.write(lambda tx: tx.e.Content[film.content.id].jobs.select().first().set(kind="subtitles"))
    shelf.database.write(lambda tx: tx.e.Content[film.content.id].jobs.select().first().set(state="running"))
    answer = people.member.get(f"{V1}/files/{film.id}/stream?for=web")
    assert (answer.status_code, answer.json["code"]) == (409, "not_a_film")
