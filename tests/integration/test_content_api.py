"""Bytes over HTTP: whose they are, what their headers say, and what may be shown inline."""

from __future__ import annotations

import hashlib
import random
import re
from urllib.parse import unquote

import pytest
from falcon import testing

from nebula.domain.records import File
from nebula.domain.states import Visibility
from tests.people import People
from tests.shelf import Shelf

V1 = "/api/v1"
# What no store has a part in is asked in one world.
one_world = pytest.mark.parametrize("environ", ["embedded"], indirect=True)
BYTES = random.Random(1).randbytes(300_000)
ETAG = f'"{hashlib.sha256(BYTES).hexdigest()}"'


@pytest.fixture
def film(shelf: Shelf, people: People) -> File:
    return shelf.put(people.member.account_id, 'films/Tränen & 100% "Regen".mkv', BYTES)


def _content(file: File) -> str:
    return f"{V1}/files/{file.id}/content"


def _stream(file: File, purpose: str) -> str:
    return f"{V1}/files/{file.id}/stream?for={purpose}"


def test_original_is_served_with_its_headers(people: People, film: File) -> None:
    answer = people.owner.get(_content(film))
    assert answer.status_code == 200
    assert answer.content == BYTES
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "video/x-matroska"
    assert answer.headers["Content-Length"] == str(len(BYTES))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["Last-Modified"])


@one_world
def test_name_is_kept_in_full_and_in_plain_letters(people: People, film: File) -> None:
    disposition = people.owner.get(_content(film)).headers["Content-Disposition"]
    plain, encoded = re.fullmatch(r"inline; filename=\"([^\"]*)\"; filename\*=UTF-8''(\S+)", disposition).groups()
    assert plain == "Tr_nen & 100_ _Regen_.mkv"
    assert unquote(encoded) == 'Tränen & 100% "Regen".mkv'


@one_world
def test_head_says_what_get_says_when_there_is_no_body(people: People, film: File) -> None:
    got, head = people.owner.get(_content(film)), people.owner.head(_content(film), headers={"Range": "bytes=0-4"})
    assert head.status_code == 200
    assert head.content == b""
    assert dict(head.headers) == dict(got.headers)


def test_range_is_served_with_exactly_its_bytes(people: People, film: File) -> None:
    answer = people.owner.get(_content(film), headers={"Range": "bytes=1000-200999"})
    assert (answer.status_code, answer.content) == (206, BYTES[1000:201_000])
    assert answer.headers["Content-Range"] == f"bytes 1000-200999/{len(BYTES)}"
    assert answer.headers["Content-Length"] == "200000"
    assert answer.headers["ETag"] == ETAG


@one_world
def test_two_ranges_are_served_as_parts(people: People, film: File) -> None:
    answer = people.owner.get(_content(film), headers={"Range": "bytes=5-9,-3"})
    assert answer.status_code == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert [part.split(b"\r\n\r\n")[1] for part in answer.content.split(b"\r\n--")[1:3]] == [BYTES[5:10], BYTES[-3:]]


@one_world
def test_range_outside_is_a_problem_that_names_the_size(people: People, film: File) -> None:
    answer = people.owner.get(_content(film), headers={"Range": "bytes=300000-"})
    assert (answer.status_code, answer.json["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(BYTES)}"


@one_world
def test_conditions_are_answered_without_bytes(people: People, film: File) -> None:
    unchanged = people.owner.get(_content(film), headers={"If-None-Match": ETAG})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", ETAG)
    other = people.owner.get(_content(film), headers={"If-Match": '"other"'})
    assert (other.status_code, other.json["code"]) == (412, "precondition_failed")


@one_world
def test_stale_if_range_gets_the_whole(people: People, film: File) -> None:
    answer = people.owner.get(_content(film), headers={"Range": "bytes=5-", "If-Range": '"old"'})
    assert (answer.status_code, answer.content) == (200, BYTES)


def test_empty_file_is_a_file(people: People, shelf: Shelf) -> None:
    empty = shelf.put(people.owner.account_id, "empty", b"")
    answer = people.owner.get(_content(empty))
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")
    assert people.owner.get(_content(empty), headers={"Range": "bytes=0-"}).status_code == 416


@one_world
def test_only_sound_and_pictures_are_shown_inline(people: People, shelf: Shelf) -> None:
    for media_type, shown, kind in [
        ("video/mp4", "video/mp4", "inline"),
        ("AUDIO/flac; rate=44100", "AUDIO/flac; rate=44100", "inline"),
        ("image/png", "image/png", "inline"),
        ("image/svg+xml", "image/svg+xml", "attachment"),
        ("Image/SVG+XML; charset=utf-8", "Image/SVG+XML; charset=utf-8", "attachment"),
        ("text/html", "text/html", "attachment"),
        ("application/pdf", "application/pdf", "attachment"),
        ("nonsense", "application/octet-stream", "attachment"),
        ("video/mp4\r\nX-Evil: 1", "application/octet-stream", "attachment"),
        ("vidéo/mp4", "application/octet-stream", "attachment"),
    ]:
        file = shelf.put(people.owner.account_id, media_type, b"<script>", media_type=media_type)
        answer = people.owner.get(_content(file))
        assert answer.headers["Content-Type"] == shown
        assert answer.headers["Content-Disposition"].startswith(kind), media_type
        assert "X-Evil" not in answer.headers


def test_rendition_is_served_as_mp4_with_its_own_validators(people: People, shelf: Shelf, film: File) -> None:
    body = BYTES[:1000]
    rendition = shelf.add_rendition(film, body)
    path = f"{V1}/files/{film.id}/renditions/{rendition.id}/content"
    answer = people.owner.get(path)
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'
    assert answer.headers["Content-Disposition"].endswith(".mp4")
    assert people.anonymous.get(path).status_code == 401
    assert people.owner.get(path.replace(rendition.id, film.id)).status_code == 404


@one_world
def test_rendition_of_another_file_is_not_found(people: People, shelf: Shelf, film: File) -> None:
    other = shelf.put(people.owner.account_id, "other.mkv", b"other")
    rendition = shelf.add_rendition(film, b"film")
    answer = people.owner.get(f"{V1}/files/{other.id}/renditions/{rendition.id}/content")
    assert (answer.status_code, answer.json["code"]) == (404, "rendition_not_found")


@one_world
def test_bytes_are_refused_to_strangers(people: People, film: File) -> None:
    for method in ("GET", "HEAD"):
        assert people.anonymous.request(method, _content(film)).status_code == 401
        assert people.anonymous.request(method, _stream(film, "any")).status_code == 401


@one_world
def test_private_bytes_are_not_found_by_another_account(people: People, shelf: Shelf) -> None:
    secret = shelf.put(people.member.account_id, "secret", b"secret", visibility=Visibility.PRIVATE)
    assert people.member.get(_content(secret)).content == b"secret"
    for path in (_content(secret), _stream(secret, "any")):
        answer = people.owner.get(path)
        assert (answer.status_code, answer.json["code"]) == (404, "file_not_found")
    assert people.owner.post(f"{V1}/files/{secret.id}/links").status_code == 404


def test_unknown_file_is_not_found(people: People) -> None:
    for file_id in ["00000000-0000-4000-8000-000000000000", "x", "%00", "..", "🌌", "%ff"]:
        assert people.owner.get(f"{V1}/files/{file_id}/content").status_code == 404, file_id


@one_world
def test_trashed_bytes_are_not_found_until_they_are_restored(people: People, shelf: Shelf, film: File) -> None:
    shelf.trash(film)
    assert people.member.get(_content(film)).status_code == 404
    assert people.member.get(_stream(film, "any")).status_code == 404
    shelf.restore(film)
    assert people.member.get(_content(film)).status_code == 200


def _redirect(answer: testing.Result) -> str:
    assert answer.status_code == 307
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.headers["Location"]


def test_stream_is_not_ready_while_the_film_is_made(people: People, film: File) -> None:
    answer = people.owner.get(_stream(film, "web"))
    assert (answer.status_code, answer.json["code"]) == (409, "not_ready")
    assert (answer.json["state"], answer.json["progress"]) == ("processing", 0)
    assert int(answer.headers["Retry-After"]) >= 1
    assert _redirect(people.owner.get(_stream(film, "any"))) == _content(film)
    assert people.owner.head(_stream(film, "web")).status_code == 409


def test_stream_is_the_highest_rendition_when_there_are_several(people: People, shelf: Shelf, film: File) -> None:
    shelf.add_rendition(film, b"low", rung="480p", height=480)
    high = shelf.add_rendition(film, b"high", rung="1080p", height=1080)
    for purpose in ("web", "any"):
        path = _redirect(people.owner.get(_stream(film, purpose)))
        assert path == f"{V1}/files/{film.id}/renditions/{high.id}/content"
        assert people.owner.get(path).content == b"high"


@one_world
def test_stream_is_the_original_when_it_plays_everywhere(people: People, shelf: Shelf, film: File) -> None:
    shelf.change_content(film, web_ready=True, state="ready")
    assert _redirect(people.owner.get(_stream(film, "web"))) == _content(film)


def test_stream_says_why_when_no_film_could_be_made(people: People, shelf: Shelf, film: File) -> None:
    shelf.end_jobs(film, "failed", "The file breaks off.")
    shelf.change_content(film, state="failed")
    answer = people.owner.get(_stream(film, "web"))
    assert (answer.status_code, answer.json["code"]) == (409, "film_failed")
    assert "The file breaks off." in answer.json["detail"]
    assert _redirect(people.owner.get(_stream(film, "any"))) == _content(film)


@one_world
def test_stream_says_so_when_there_is_no_film_in_it(people: People, shelf: Shelf, film: File) -> None:
    shelf.end_jobs(film, "done")
    shelf.change_content(film, state="stored")
    answer = people.owner.get(_stream(film, "web"))
    assert (answer.status_code, answer.json["code"]) == (409, "not_a_film")
    assert "Retry-After" not in answer.headers


@one_world
def test_stream_refuses_a_purpose_that_it_does_not_know(people: People, film: File) -> None:
    answer = people.owner.get(_stream(film, "fun"))
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_query")


@one_world
def test_gate_is_free_again_after_every_answer(people: People, film: File) -> None:
    for _ in range(170):  # more than there are places
        assert people.owner.get(_content(film), headers={"Range": "bytes=0-9"}).status_code == 206
        assert people.owner.get(_content(film), headers={"Range": "bytes=900000-"}).status_code == 416


def test_missing_object_is_said_before_any_byte(people: People, shelf: Shelf, film: File) -> None:
    shelf.storage.delete(film.content.object_key)
    answer = people.owner.get(_content(film))
    assert (answer.status_code, answer.json["code"]) == (404, "object_not_found")
