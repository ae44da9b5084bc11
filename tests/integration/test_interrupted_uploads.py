"""`nebula upload` against the real gateway while something between or beside them goes wrong: what came is kept."""

from __future__ import annotations

import hashlib
import json
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cutting import CuttingProxy
from tests.gateway import RunningGateway
from tests.integration.test_cli import MIB, House, Person
from tests.stores import wait_until

LENGTH = 8 * MIB
CUT_AT = 3 * MIB
STALL_S = 2.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    """A gateway that takes a silence of two seconds for a stall."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "data").mkdir()
    (folder / "data" / "nebula.sqlite").write_bytes(sqlite_template.read_bytes())
    environ = {
        "NEBULA_DATA_DIR": str(folder / "data"),
        "NEBULA_NODE": "test-node",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "NEBULA_RESERVE_BYTES": str(MIB),
    }
    running = RunningGateway(environ, folder / "gateway.log", STALL_S=STALL_S)
    running.start()
    standing = House(running)
    yield standing
    standing.close()


@pytest.fixture
def proxy(house: House) -> Iterator[CuttingProxy]:
    standing = CuttingProxy(house.running.port)
    yield standing
    standing.close()


@pytest.fixture
def ana(house: House, proxy: CuttingProxy, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Person:
    """Somebody who is signed in over a connection that breaks, and has a film."""
    person = Person(house, tmp_path / "ana", house.account(), capfd)
    person.environ["NEBULA_SERVER"] = proxy.url
    assert person.sign_in().code == 0
    person.write("film.bin", secrets.token_bytes(LENGTH))
    return person


def digest(person: Person) -> str:
    return hashlib.sha256((person.here / "film.bin").read_bytes()).hexdigest()


def upload_path(person: Person) -> str:
    """Return the path of the upload that the person's own note tells of."""
    (path,) = (person.state / "nebula" / "uploads").glob("*.json")
    return str(json.loads(path.read_text())["upload"])


def answer(status: str, body: bytes, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def problem(status: str, code: str, detail: str = "It did not work.") -> bytes:
    body = json.dumps({"status": int(status[:3]), "code": code, "detail": detail}).encode()
    return answer(status, body, Content_Type="application/problem+json", Tus_Resumable="1.0.0")


def page(status: str) -> bytes:
    return answer(status, b"<html><h1>The proxy says no</h1></html>", Content_Type="text/html")


PASSING = {
    "a stall": problem("408 Request Timeout", "stalled"),
    "a broken body": problem("400 Bad Request", "incomplete_body"),
    "another request's turn": problem("409 Conflict", "superseded"),
    "a full gate": problem("503 Service Unavailable", "busy"),
    "a proxy's 400": page("400 Bad Request"),
    "a proxy's 404": page("404 Not Found"),
    "a proxy's 408": page("408 Request Timeout"),
    "a proxy's 410": page("410 Gone"),
    "a proxy's 413": page("413 Content Too Large"),
    "a proxy's 460": page("460 Error"),
    "a proxy's 502": page("502 Bad Gateway"),
    "a proxy's 503": page("503 Service Unavailable"),
    "a proxy's page": page("200 OK"),
    "a proxy's redirect": answer("302 Found", b"", Location="http://127.0.0.1:9/"),
    "an access token that ran out": problem("401 Unauthorized", "sign_in_required"),
    "a reset": b"",
}


@pytest.mark.parametrize("kind", PASSING)
def test_upload_goes_on_after_an_answer_that_refuses_no_bytes_for_good(
    ana: Person, proxy: CuttingProxy, kind: str
) -> None:
    proxy.last_words, proxy.cut_after_up, proxy.cuts = PASSING[kind], CUT_AT, 1
    ran = ana("upload", "film.bin", "--json")
    assert ran.code == 0, ran.err
    assert ran.objects()[0]["sha256"] == digest(ana)
    assert proxy.cuts == 0
    assert proxy.requests.count("POST /api/v1/uploads HTTP/1.1") == 1, "it was begun anew"
    assert not [line for line in proxy.requests if line.startswith("DELETE")]


LASTING = {
    "a disk that is full": problem("507 Insufficient Storage", "no_room", "The disk is nearly full."),
    "a request that is none": problem("400 Bad Request", "invalid_header", "Upload-Offset must be a number."),
    "an account that may not": problem("403 Forbidden", "forbidden", "Your account may not."),
    "another version": problem("412 Precondition Failed", "tus_version", "This is tus 2."),
}


@pytest.mark.parametrize("kind", LASTING)
def test_upload_is_kept_when_only_a_person_can_help(ana: Person, proxy: CuttingProxy, kind: str) -> None:
    proxy.last_words, proxy.cut_after_up, proxy.cuts = LASTING[kind], CUT_AT, 1
    ran = ana("upload", "film.bin")
    assert ran.code != 0
    assert ran.err.endswith("What came is kept; to go on, type it again: nebula upload film.bin\n")
    wait_until(lambda: ana.acknowledged() > 0, what="the bytes that came")
    ran = ana("upload", "film.bin", "--json")
    assert ran.code == 0, ran.err
    assert ran.objects()[0]["sha256"] == digest(ana)
    assert proxy.requests.count("POST /api/v1/uploads HTTP/1.1") == 1, "it was begun anew"


@pytest.mark.parametrize("code", ["digest_mismatch", "checksum_mismatch"])
def test_upload_ends_when_its_bytes_are_refused_for_good(ana: Person, proxy: CuttingProxy, code: str) -> None:
    proxy.last_words, proxy.cut_after_up, proxy.cuts = problem("460 Error", code, "Other bytes."), CUT_AT, 1
    ran = ana("upload", "film.bin")
    assert (ran.code, ran.err) == (1, "nebula: Other bytes.\n")
    assert list((ana.state / "nebula" / "uploads").glob("*.json")) == []


def test_upload_is_kept_when_its_disk_is_away(ana: Person, proxy: CuttingProxy) -> None:
    path, elsewhere = ana.here / "film.bin", ana.here / "unplugged"
    proxy.stall_after_up = CUT_AT
    with ana.start("upload", "film.bin") as process:
        assert proxy.stalled.wait(60)
        path.rename(elsewhere)
        proxy.stall_after_up = None
        proxy.break_all()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Cannot read film.bin" in err
    elsewhere.rename(path)
    ran = ana("upload", "film.bin", "--json")
    assert ran.code == 0, ran.err
    assert ran.objects()[0]["sha256"] == digest(ana)
    assert proxy.requests.count("POST /api/v1/uploads HTTP/1.1") == 1, "it was begun anew"


def test_suspended_upload_goes_on_when_it_is_resumed(ana: Person, proxy: CuttingProxy) -> None:
    path = ana.here / "film.bin"
    path.write_bytes(secrets.token_bytes(100 * MIB))
    proxy.slow_s = 0.005
    with ana.start("upload", "film.bin", "--json") as process:
        wait_until(lambda: proxy.up_bytes > CUT_AT, what="the first bytes")
        process.send_signal(signal.SIGSTOP)
        upload = upload_path(ana)
        # The gateway acknowledges what came when it lets the silent connection go.
        wait_until(lambda: ana.acknowledged() >= CUT_AT // 2 and proxy.ended > 0, 60, "the end of patience")
        proxy.slow_s = 0.0
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["sha256"] == digest(ana)
    assert "trying again" in err
    wait_until(lambda: _is_done(ana, upload), what="the same upload's end")


def _is_done(person: Person, path: str) -> bool:
    sessions = json.loads((person.state / "nebula" / "credentials.json").read_text())["sessions"]
    token = sessions[person.environ["NEBULA_SERVER"]]["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}
    told = person.house.running.request("HEAD", path, headers)
    return told.status == 200 and bool(told.headers["Nebula-File-Id"])
