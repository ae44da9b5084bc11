"""Links: whoever holds one gets exactly its bytes, until anything that it stands on ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from falcon import testing

from nebula.db import accounts, links
from nebula.db.database import Tx
from nebula.domain.records import File
from nebula.domain.states import Visibility
from tests.people import People, Person
from tests.shelf import Shelf

V1 = "/api/v1"
# What no store has a part in is asked in one world.
one_world = pytest.mark.parametrize("environ", ["embedded"], indirect=True)
BYTES = b"0123456789" * 100


@pytest.fixture
def film(shelf: Shelf, people: People) -> File:
    return shelf.put(people.member.account_id, "films/Das Boot #1 🌌.mkv", BYTES)


def _make(person: Person, file: File, **wanted: Any) -> dict[str, Any]:
    answer = person.post(f"{V1}/files/{file.id}/links", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json


def _path(link: dict[str, Any]) -> str:
    return "/s/" + link["url"].split("/s/")[1]


def _open(client: testing.TestClient, link: dict[str, Any], **options: Any) -> testing.Result:
    return client.simulate_get(_path(link), **options)


def _life(link: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(link["expires_at"]) - datetime.fromisoformat(link["created_at"])


def test_link_opens_without_credentials(client: testing.TestClient, people: People, film: File) -> None:
    link = _make(people.member, film)
    assert link["url"].startswith("http://falconframework.org/s/")
    assert link["url"].endswith("/Das%20Boot%20%231%20%F0%9F%8C%8C.mkv")
    assert (link["file_id"], link["name"]) == (film.id, film.name)
    assert (link["quality"], link["rendition_id"]) == ("original", None)
    answer = _open(client, link)
    assert (answer.status_code, answer.content) == (200, BYTES)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    token = _path(link).split("/")[2]
    assert len(token) == 43
    for path in (f"/s/{token}", f"/s/{token}/anything"):
        assert client.simulate_get(path, headers={"Range": "bytes=3-5"}).content == b"345"
        assert client.simulate_head(path).headers["Content-Length"] == str(len(BYTES))


@one_world
def test_link_is_made_without_a_body(people: People, film: File) -> None:
    assert people.member.post(f"{V1}/files/{film.id}/links").status_code == 201


@one_world
def test_token_is_stored_nowhere(people: People, shelf: Shelf, film: File) -> None:
    token = _path(_make(people.member, film)).split("/")[2]
    rows = shelf.database.read(lambda tx: tx.select("SELECT * FROM links"))
    assert token not in str(rows)


@one_world
def test_link_lives_six_hours_or_twice_the_film(people: People, shelf: Shelf, film: File) -> None:
    assert _life(_make(people.member, film)) == timedelta(hours=6)
    shelf.change_content(film, duration_s=4 * 3600.0)
    assert _life(_make(people.member, film)) == timedelta(hours=8)
    assert _life(_make(people.member, film, expires_s=60)) == timedelta(seconds=60)
    assert _life(_make(people.member, film, expires_s=366 * 86400)) == timedelta(days=366)


@one_world
def test_link_is_refused_when_it_cannot_be_meant(people: People, film: File) -> None:
    for wanted, code in [
        ({"expires_s": 59}, "invalid_expiry"),
        ({"expires_s": 0}, "invalid_expiry"),
        ({"expires_s": -60}, "invalid_expiry"),
        ({"expires_s": 366 * 86400 + 1}, "invalid_expiry"),
        ({"expires_s": 10**30}, "invalid_expiry"),
        ({"expires_s": "6h"}, "invalid_field"),
        ({"quality": "720p"}, "invalid_quality"),
        ({"quality": ""}, "invalid_quality"),
        ({"colour": "blue"}, "unknown_field"),
    ]:
        answer = people.member.post(f"{V1}/files/{film.id}/links", json=wanted)
        assert (answer.status_code, answer.json["code"]) == (400, code), wanted
    assert people.member.get(f"{V1}/links").json["items"] == []


def test_link_keeps_its_quality_whatever_is_made_later(
    client: testing.TestClient, people: People, shelf: Shelf, film: File
) -> None:
    original = _make(people.member, film)
    low = shelf.add_rendition(film, b"low", rung="480p", height=480)
    auto = _make(people.member, film, quality="auto")
    assert (auto["quality"], auto["rendition_id"]) == ("480p", low.id)
    assert auto["url"].endswith(".mp4")
    shelf.add_rendition(film, b"high", rung="1080p", height=1080)
    assert [_open(client, link).content for link in (original, auto)] == [BYTES, b"low"]
    assert _open(client, _make(people.member, film)).content == b"high"
    assert _open(client, _make(people.member, film, quality="480p")).content == b"low"
    assert _open(client, _make(people.member, film, quality="original")).content == BYTES


@one_world
def test_link_to_a_rendition_never_becomes_one_to_the_original(
    client: testing.TestClient, people: People, shelf: Shelf, film: File
) -> None:
    rendition = shelf.add_rendition(film, b"film")
    link = _make(people.member, film)
    shelf.database.write(lambda tx: tx.e.Rendition[rendition.id].delete())
    assert _open(client, link).status_code == 404


def test_listing_holds_own_living_links_without_their_urls(people: People, shelf: Shelf, film: File) -> None:
    first = _make(people.member, film)
    shelf.wait_beyond(datetime.fromisoformat(first["created_at"]))
    second = _make(people.member, film)
    _make(people.owner, film)
    listed = people.member.get(f"{V1}/links")
    assert listed.json == {"items": [second | {"url": None}, first | {"url": None}], "next_cursor": None}
    assert people.member.get(f"{V1}/links", headers={"If-None-Match": listed.headers["ETag"]}).status_code == 304
    people.member.delete(f"{V1}/links/{second['id']}")
    assert people.member.get(f"{V1}/links").json["items"] == [first | {"url": None}]


@one_world
def test_links_are_refused_to_strangers(people: People, film: File) -> None:
    link = _make(people.member, film)
    assert people.anonymous.post(f"{V1}/files/{film.id}/links").status_code == 401
    assert people.anonymous.get(f"{V1}/links").status_code == 401
    assert people.anonymous.delete(f"{V1}/links/{link['id']}").status_code == 401


@one_world
def test_link_of_another_account_is_not_found(client: testing.TestClient, people: People, film: File) -> None:
    link = _make(people.member, film)
    answer = people.owner.delete(f"{V1}/links/{link['id']}")
    assert (answer.status_code, answer.json["code"]) == (404, "link_not_found")
    assert _open(client, link).status_code == 200


def _revoke(people: People, _shelf: Shelf, _film: File, link: dict[str, Any]) -> None:
    for _ in range(2):
        assert people.member.delete(f"{V1}/links/{link['id']}").status_code == 204


def _expire(_people: People, shelf: Shelf, _film: File, link: dict[str, Any]) -> None:
    shelf.database.write(lambda tx: tx.e.Link[link["id"]].set(expires_at=tx.now))


def _trash(_people: People, shelf: Shelf, film: File, _link: dict[str, Any]) -> None:
    shelf.trash(film)


def _trash_and_restore(_people: People, shelf: Shelf, film: File, _link: dict[str, Any]) -> None:
    shelf.trash(film)
    shelf.restore(film)


def _disable(people: People, shelf: Shelf, _film: File, _link: dict[str, Any]) -> None:
    account_id = people.member.account_id
    shelf.database.write(lambda tx: accounts.disable(tx, account_id))


def test_link_is_dead_when_what_it_stands_on_ends(
    client: testing.TestClient, people: People, shelf: Shelf, film: File
) -> None:
    for end in (_revoke, _expire, _trash_and_restore, _trash, _disable):
        shelf.restore(film)
        link = _make(people.member, film)
        assert _open(client, link).status_code == 200
        end(people, shelf, film, link)
        answer = _open(client, link)
        assert (answer.status_code, answer.json["code"]) == (404, "link_not_found"), end


def test_link_is_dead_when_its_account_may_no_longer_see_the_file(
    client: testing.TestClient, people: People, shelf: Shelf, film: File
) -> None:
    link, own = _make(people.owner, film), _make(people.member, film)
    shelf.database.write(lambda tx: tx.e.File[film.id].set(visibility=Visibility.PRIVATE))
    assert _open(client, link).status_code == 404
    assert _open(client, own).status_code == 200


def test_unknown_token_is_a_problem_that_never_repeats_it(client: testing.TestClient) -> None:
    for token in ["q" * 43, "qqq", "%00", "%F0%9F%8C%8C", "%ff%fe", "q" * 2000]:
        for path in (f"/s/{token}", f"/s/{token}/film.mkv"):
            answer = client.simulate_get(path)
            assert (answer.status_code, answer.json["code"]) == (404, "link_not_found"), token
            assert token not in answer.text


def test_purging_a_file_takes_its_links_along(people: People, shelf: Shelf, film: File) -> None:
    _make(people.member, film)
    for _ in range(2):
        assert people.member.delete(f"{V1}/files/{film.id}").status_code == 204
    assert shelf.database.read(lambda tx: tx.select("SELECT id, digest FROM links")) == []


def test_tidying_forgets_what_ended_a_week_ago(people: People, shelf: Shelf, film: File) -> None:
    kept, gone = _make(people.member, film), _make(people.member, film)

    def age(tx: Tx) -> None:
        tx.e.Link[gone["id"]].set(revoked_at=tx.after(-8 * 86400))
        tx.flush()
        links.tidy(tx)

    shelf.database.write(age)
    rows = shelf.database.read(lambda tx: tx.select("SELECT id, digest FROM links"))
    assert [row[0] for row in rows] == [kept["id"]]
