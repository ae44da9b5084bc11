"""Uploads over HTTP: tus 1.0.0 as its specification says, and whole bodies by name."""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any

import pytest
from falcon import testing

from nebula.api.app import Gateway
from nebula.api.gates import Transfer
from nebula.config import Settings
from nebula.domain.limits import MAX_UPLOAD_BYTES, UPLOADS
from nebula.storage.choose import open_storage
from tests.arrivals import data
from tests.people import People, Person

UPLOADS_PATH = "/api/v1/uploads"
BY_NAME = "/api/v1/files/by-name"
VERSION = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}
BYTES = data(70_000, "api")
HEX = hashlib.sha256(BYTES).hexdigest()
NO_ID = "00000000-0000-4000-8000-000000000000"

one_world = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture(autouse=True)
def prepared(settings: Settings) -> None:
    """The folders or the bucket, as `nebula-server up` makes them."""
    open_storage(settings).prepare()


@pytest.fixture
def anna(people: People) -> Person:
    return people.member


def metadata(**pairs: str) -> str:
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in pairs.items())


def create(person: Person, length: object = len(BYTES), more: dict[str, str] | None = None, **pairs: str) -> Any:
    headers = {"Upload-Length": str(length), "Upload-Metadata": metadata(**({"filename": "a.mkv"} | pairs))}
    return person.post(UPLOADS_PATH, headers=VERSION | headers | (more or {}))


def patch(person: Person, path: str, offset: object, body: bytes, **more: str) -> testing.Result:
    headers = {key.replace("_", "-"): value for key, value in more.items()}
    return person.patch(path, headers=VERSION | BODY | {"Upload-Offset": str(offset)} | headers, body=body)


def head(person: Person, path: str) -> testing.Result:
    return person.head(path, headers=VERSION)


def problem(answer: testing.Result) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json["code"]


# tus


@one_world
def test_options_says_what_works_here(anna: Person) -> None:
    for path in (UPLOADS_PATH, f"{UPLOADS_PATH}/{NO_ID}"):
        answer = anna.request("OPTIONS", path)
        assert answer.status_code == 204
        assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
        assert answer.headers["Tus-Extension"] == "creation,creation-with-upload,expiration,checksum,termination"
        assert answer.headers["Tus-Max-Size"] == str(MAX_UPLOAD_BYTES)
        assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"


def test_upload_is_created_sent_in_two_and_found(anna: Person, people: People) -> None:
    created = create(anna, sha256=HEX, filetype="video/x-matroska", visibility="private", unknown="")
    assert created.status_code == 201
    path = created.headers["Location"]
    assert re.fullmatch(rf"{UPLOADS_PATH}/[0-9a-f-]{{36}}", path)

    sent = patch(anna, path, 0, BYTES[:1000])
    assert (sent.status_code, sent.headers["Upload-Offset"]) == (204, "1000")
    assert parsedate_to_datetime(sent.headers["Upload-Expires"])

    asked = head(anna, path)
    assert asked.status_code == 200
    assert asked.headers["Upload-Offset"] == "1000"
    assert asked.headers["Upload-Length"] == str(len(BYTES))
    assert asked.headers["Cache-Control"] == "no-store"
    assert asked.headers["Upload-Metadata"] == metadata(
        filename="a.mkv", filetype="video/x-matroska", visibility="private", sha256=HEX
    )
    assert "Nebula-File-Id" not in asked.headers

    done = patch(anna, path, 1000, BYTES[1000:])
    assert (done.status_code, done.headers["Upload-Offset"]) == (204, str(len(BYTES)))
    file = anna.get(f"/api/v1/files/{done.headers['Nebula-File-Id']}").json
    assert (file["name"], file["sha256"], file["size_bytes"]) == ("a.mkv", HEX, len(BYTES))
    assert (file["visibility"], file["media_type"]) == ("private", "video/x-matroska")
    assert [job["kind"] for job in file["jobs"]] == ["probe"]
    assert head(anna, path).headers["Nebula-File-Id"] == file["id"]
    assert anna.get(f"/api/v1/files/{file['id']}/content").content == BYTES
    assert people.owner.get(f"/api/v1/files/{file['id']}").status_code == 404


@one_world
def test_creation_may_carry_the_body(anna: Person) -> None:
    headers = VERSION | BODY | {"Upload-Length": "70000", "Upload-Metadata": metadata(filename="a")}
    part = anna.post(UPLOADS_PATH, headers=headers, body=BYTES[:5])
    assert (part.status_code, part.headers["Upload-Offset"]) == (201, "5")
    whole = anna.post(UPLOADS_PATH, headers=headers, body=BYTES)
    assert whole.status_code == 201
    assert whole.headers["Nebula-File-Id"]


@one_world
def test_empty_file_is_done_at_its_creation(anna: Person) -> None:
    created = create(anna, 0)
    assert created.status_code == 201
    assert anna.get(f"/api/v1/files/{created.headers['Nebula-File-Id']}").json["size_bytes"] == 0


@one_world
def test_another_version_is_refused(anna: Person) -> None:
    for method, path in (("POST", UPLOADS_PATH), *((name, f"{UPLOADS_PATH}/{NO_ID}") for name in ("PATCH", "DELETE"))):
        for headers in ({}, {"Tus-Resumable": "0.2.2"}):
            answer = anna.request(method, path, headers=headers)
            assert problem(answer) == (412, "tus_version")
            assert answer.headers["Tus-Version"] == "1.0.0"


@one_world
def test_bad_creation_says_what_to_change(anna: Person) -> None:
    def outcome(**headers: str) -> tuple[int, str]:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return problem(anna.post(UPLOADS_PATH, headers=VERSION | named))

    good = metadata(filename="a")
    assert outcome(Upload_Metadata=good) == (400, "missing_header")
    assert outcome(Upload_Metadata=good, Upload_Defer_Length="1") == (400, "length_required")
    assert outcome(Upload_Metadata=good, Upload_Length="1", Upload_Concat="partial") == (400, "concat_unsupported")
    for length in ("", "-1", "1.5", "x", "1" * 30, "²"):
        assert outcome(Upload_Metadata=good, Upload_Length=length) == (400, "invalid_header")
    assert outcome(Upload_Metadata=good, Upload_Length=str(MAX_UPLOAD_BYTES + 1)) == (413, "file_too_large")
    assert outcome(Upload_Length="1") == (400, "missing_filename")
    for bad in ("filename", "filename !!", "filename w6", ",", "filename YQ==,,", "filename YQ==,filename YQ=="):
        assert outcome(Upload_Length="1", Upload_Metadata=bad)[0] == 400, bad
    assert outcome(Upload_Length="1", Upload_Metadata=metadata(filename="../a")) == (400, "invalid_name")
    assert outcome(Upload_Length="1", Upload_Metadata=metadata(filename="a", sha256="12")) == (400, "invalid_digest")
    public = metadata(filename="a", visibility="public")
    assert outcome(Upload_Length="1", Upload_Metadata=public) == (400, "invalid_field")
    assert anna.get("/api/v1/files").json["items"] == []


@one_world
def test_bad_body_says_what_to_change(anna: Person) -> None:
    path = create(anna).headers["Location"]
    text = anna.patch(path, headers=VERSION | {"Upload-Offset": "0", "Content-Type": "text/plain"}, body=b"x")
    assert problem(text) == (415, "unsupported_media_type")
    assert problem(anna.patch(path, headers=VERSION | BODY, body=b"x")) == (400, "missing_header")
    mismatch = patch(anna, path, 1, b"x")
    assert problem(mismatch) == (409, "offset_mismatch")
    assert mismatch.json["offset"] == 0
    assert problem(patch(anna, path, 0, BYTES + b"x")) == (413, "body_too_long")
    assert head(anna, path).headers["Upload-Offset"] == "0"


@one_world
def test_checksum_decides_over_its_body_alone(anna: Person) -> None:
    path = create(anna).headers["Location"]
    right = base64.b64encode(hashlib.sha1(BYTES[:10]).digest()).decode()
    assert problem(patch(anna, path, 0, BYTES[:11], Upload_Checksum=f"sha1 {right}")) == (460, "checksum_mismatch")
    assert problem(patch(anna, path, 0, BYTES[:10], Upload_Checksum=f"crc32 {right}")) == (400, "unsupported_checksum")
    assert head(anna, path).headers["Upload-Offset"] == "0"
    assert patch(anna, path, 0, BYTES[:10], Upload_Checksum=f"sha1 {right}").status_code == 204


@one_world
def test_announced_digest_that_does_not_fit_is_460_and_stays_said(anna: Person) -> None:
    path = create(anna, sha256="0" * 64).headers["Location"]
    assert problem(patch(anna, path, 0, BYTES)) == (460, "digest_mismatch")
    asked = head(anna, path)
    assert asked.headers["Nebula-Upload-Error"].startswith("digest_mismatch: ")
    assert problem(patch(anna, path, 0, BYTES)) == (410, "upload_failed")
    assert anna.get("/api/v1/files").json["items"] == []


@one_world
def test_upload_is_terminated(anna: Person) -> None:
    path = create(anna).headers["Location"]
    assert anna.delete(path, headers=VERSION).status_code == 204
    assert head(anna, path).status_code == 410
    assert problem(patch(anna, path, 0, BYTES)) == (410, "upload_terminated")


@one_world
def test_method_may_be_overridden(anna: Person) -> None:
    path = create(anna).headers["Location"]
    headers = VERSION | BODY | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert anna.post(path, headers=headers, body=b"x").headers["Upload-Offset"] == "1"
    assert anna.post(path, headers=VERSION | {"X-HTTP-Method-Override": "GET"}).status_code == 405


@one_world
def test_upload_of_another_account_is_not_there(anna: Person, people: People) -> None:
    path = create(anna).headers["Location"]
    for stranger in (people.owner, people.anonymous):
        status = 404 if stranger.name else 401
        assert head(stranger, path).status_code == status
        assert patch(stranger, path, 0, BYTES).status_code == status
        assert stranger.delete(path, headers=VERSION).status_code == status
    assert head(anna, f"{UPLOADS_PATH}/{NO_ID}").status_code == 404
    assert head(anna, f"{UPLOADS_PATH}/..%2F..").status_code == 404
    assert head(anna, path).headers["Upload-Offset"] == "0"


@one_world
def test_more_bodies_than_fit_are_told_to_wait(app: Gateway, anna: Person) -> None:
    gates = app._router.find(UPLOADS_PATH)[0]._gates
    path = create(anna).headers["Location"]
    places = [gates.uploads.enter(Transfer((anna.account_id, "127.0.0.1"))) for _ in range(UPLOADS)]
    for answer in (patch(anna, path, 0, BYTES), anna.put(f"{BY_NAME}/a", body=BYTES)):
        assert problem(answer) == (503, "busy")
        assert int(answer.headers["Retry-After"]) > 0
    gates.uploads.leave(places[0])
    assert patch(anna, path, 0, BYTES).status_code == 204


# By name


def test_put_by_name_makes_a_file_and_finds_it_again(anna: Person) -> None:
    made = anna.put(f"{BY_NAME}/films/a%20film%23%3F.mkv?visibility=private", body=BYTES)
    assert made.status_code == 201
    assert (made.json["name"], made.json["sha256"]) == ("films/a film#?.mkv", HEX)
    assert (made.json["visibility"], made.json["media_type"]) == ("private", "video/x-matroska")
    assert made.headers["Location"] == f"/api/v1/files/{made.json['id']}"
    again = anna.put(f"{BY_NAME}/films/a%20film%23%3F.mkv", body=BYTES)
    assert (again.status_code, again.json["id"], again.json["visibility"]) == (200, made.json["id"], "household")
    assert anna.get(f"/api/v1/files/{made.json['id']}/content").content == BYTES


@one_world
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a%2Fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("%20%20a+b", "  a+b"),
        ("Gr%C3%BC%C3%9Fe/%F0%9F%8E%AC", "Grüße/🎬"),
        ("-rf", "-rf"),
        ("back%5Cslash", "back\\slash"),
        ("by-name/by-name", "by-name/by-name"),
    ],
)
def test_name_in_the_path_is_decoded_once(anna: Person, path: str, name: str) -> None:
    assert anna.put(f"{BY_NAME}/{path}", body=b"x").json["name"] == name


@one_world
@pytest.mark.parametrize("path", ["", "a/", "a//b", "../a", "a/..", "%2E%2E/a", ".", "%ff", "a%00b", "x" * 256])
def test_name_in_the_path_that_is_none_is_refused(anna: Person, path: str) -> None:
    assert problem(anna.put(f"{BY_NAME}/{path}", body=b"x")) == (400, "invalid_name")


@one_world
def test_put_checks_its_digest(anna: Person) -> None:
    def digest(content: bytes) -> dict[str, str]:
        return {"Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"}

    assert problem(anna.put(f"{BY_NAME}/a", body=BYTES, headers=digest(b"x"))) == (400, "digest_mismatch")
    assert problem(anna.put(f"{BY_NAME}/a", body=BYTES, headers={"Repr-Digest": "sha-256=x"})) == (
        400,
        "invalid_digest",
    )
    assert anna.get("/api/v1/files").json["items"] == []
    assert anna.put(f"{BY_NAME}/a", body=BYTES, headers=digest(BYTES)).status_code == 201


@one_world
def test_put_refuses_a_taken_name_when_asked_to(anna: Person, people: People) -> None:
    new = {"If-None-Match": "*"}
    assert anna.put(f"{BY_NAME}/a", body=BYTES, headers=new).status_code == 201
    assert problem(anna.put(f"{BY_NAME}/a", body=b"x", headers=new)) == (412, "name_taken")
    assert problem(anna.put(f"{BY_NAME}/b", body=b"x", headers={"If-None-Match": '"x"'})) == (400, "invalid_header")
    assert people.owner.put(f"{BY_NAME}/a", body=BYTES, headers=new).status_code == 201


@one_world
def test_put_takes_a_chunked_body(anna: Person) -> None:
    made = anna.put(f"{BY_NAME}/a", extras={"wsgi.input_terminated": True, "wsgi.input": BytesIO(BYTES)})
    assert (made.status_code, made.json["sha256"]) == (201, HEX)


@one_world
def test_put_needs_a_length_or_chunks(anna: Person) -> None:
    assert problem(anna.put(f"{BY_NAME}/a")) == (411, "length_required")
    assert anna.put(f"{BY_NAME}/a", headers={"Content-Length": "0"}).json["size_bytes"] == 0


@one_world
def test_put_of_too_few_bytes_makes_no_file(anna: Person) -> None:
    short = anna.put(f"{BY_NAME}/a", body=BYTES, headers={"Content-Length": str(len(BYTES) + 1)})
    assert problem(short) == (400, "incomplete_body")
    assert anna.get("/api/v1/files").json["items"] == []


@one_world
def test_put_with_unknown_visibility_is_refused(anna: Person) -> None:
    assert problem(anna.put(f"{BY_NAME}/a?visibility=world", body=b"x")) == (400, "invalid_field")


@one_world
def test_put_of_a_stranger_is_refused(people: People) -> None:
    assert people.anonymous.put(f"{BY_NAME}/a", body=b"x").status_code == 401
