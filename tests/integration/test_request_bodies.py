"""Request bodies at the real gateway: those that stall, trickle, break off or are malformed, on each kind of route."""

from __future__ import annotations

import http.client
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway import RunningGateway, running_gateway
from tests.people import People
from tests.stores import wait_until

V1 = "/api/v1"
TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
LOGIN = f"{V1}/auth/login"
JSON = {"Content-Type": "application/json"}
CHUNKED = {"Transfer-Encoding": "chunked"}
BYTES = bytes(range(256)) * 400

pytestmark = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture
def gateway(environ: dict[str, str], tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway that takes a silence of two seconds for a stall, and gives a small body three in all."""
    yield from running_gateway(environ, tmp_path / "gateway.log", STALL_S=2, SMALL_BODY_S=3)


class Sender:
    """Somebody who is signed in and sends requests byte by byte, if need be."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self.headers = gateway.signed_in("member")

    def create(self) -> str:
        more = {"Upload-Length": str(len(BYTES)), "Upload-Metadata": "filename YQ=="}
        return str(self._request("POST", f"{V1}/uploads", more).headers["Location"])

    def offset(self, path: str) -> int:
        return int(self._request("HEAD", path, {}).headers["Upload-Offset"])

    def files(self) -> list[object]:
        items: list[object] = json.load(self._gateway.get(f"{V1}/files", self.headers))["items"]
        return items

    def begin(self, method: str, path: str, headers: dict[str, str], body: bytes) -> socket.socket:
        """Send a head and the beginning of its body."""
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway"]
        lines += [f"{name}: {value}" for name, value in (self.headers | headers).items()]
        connection = self._gateway.connect()
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return connection

    def patch(self, path: str, headers: dict[str, str], body: bytes) -> socket.socket:
        return self.begin("PATCH", path, TUS | {"Upload-Offset": "0"} | headers, body)

    def _request(self, method: str, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        return self._gateway.request(method, path, self.headers | {"Tus-Resumable": "1.0.0"} | headers)


@pytest.fixture
def anna(gateway: RunningGateway, people: People) -> Sender:
    return Sender(gateway)


def problem(connection: socket.socket) -> tuple[int, str]:
    """Read the answer: a problem, after which the connection ends."""
    with connection:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        told = answer.status, json.load(answer)["code"]
        assert connection.recv(1) == b""
    return told


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


STALLED = {
    "a length": ({"Content-Length": str(len(BYTES))}, BYTES[:50_000], 50_000),
    "nothing yet": ({"Content-Length": str(len(BYTES))}, b"", 0),
    "between chunks": (CHUNKED, chunk(BYTES[:50_000]), 50_000),
    "inside a chunk": (CHUNKED, chunk(BYTES[:50_000]) + b"9999\r\n" + BYTES[50_000:60_000], 60_000),
    "a chunk's size": (CHUNKED, chunk(BYTES[:50_000]) + b"99", 50_000),
}
TOLD = (408, "stalled")


def test_upload_whose_body_stalls_is_told_so_and_keeps_what_came(anna: Sender) -> None:
    uploads = {kind: anna.create() for kind in STALLED}
    sending = {kind: anna.patch(uploads[kind], headers, body) for kind, (headers, body, _) in STALLED.items()}
    assert {kind: problem(connection) for kind, connection in sending.items()} == dict.fromkeys(STALLED, TOLD)
    assert {kind: anna.offset(uploads[kind]) for kind in STALLED} == {
        kind: kept for kind, (*_, kept) in STALLED.items()
    }


def test_every_other_body_that_stalls_is_told_so(anna: Sender) -> None:
    headers = {"Upload-Length": str(len(BYTES)), "Upload-Metadata": "filename YQ==", "Content-Length": "50000"}
    sending = {"creation": anna.begin("POST", f"{V1}/uploads", TUS | headers, BYTES[:10])}
    for kind, (headers, body, _) in STALLED.items():
        sending[f"by name, {kind}"] = anna.begin("PUT", f"{V1}/files/by-name/a", headers, body)
        sending[f"JSON, {kind}"] = anna.begin("POST", LOGIN, JSON | headers, body)
    answers = {kind: problem(connection) for kind, connection in sending.items()}
    large = {"JSON, a length", "JSON, nothing yet"}  # announced to be too much for JSON: refused at once
    assert {kind: told for kind, told in answers.items() if kind not in large} == dict.fromkeys(
        sending.keys() - large, TOLD
    )
    assert {answers[kind] for kind in large} == {(413, "body_too_large")}
    assert problem(anna.begin("POST", LOGIN, JSON | {"Content-Length": "100"}, b'{"user')) == TOLD
    assert anna.files() == []


BROKEN = {
    "a length": ({"Content-Length": "50000"}, BYTES[:30_000], 30_000),
    "between chunks": (CHUNKED, chunk(BYTES[:30_000]), 30_000),
    "inside a chunk": (CHUNKED, chunk(BYTES[:20_000]) + b"9999\r\n" + BYTES[20_000:30_000], 30_000),
    "a chunk's size": (CHUNKED, chunk(BYTES[:30_000]) + b"99", 30_000),
    "the last chunk": (CHUNKED, chunk(BYTES[:30_000]) + b"0\r\n", 30_000),
}
MALFORMED = {
    "no size": (CHUNKED, chunk(BYTES[:30_000]) + b"nonsense\r\n", 30_000),
    "a negative size": (CHUNKED, chunk(BYTES[:30_000]) + b"-1\r\n", 30_000),
    "too much in a chunk": (CHUNKED, chunk(BYTES[:30_000]) + b"3\r\nfour\r\n", 30_003),
    "an endless size": (CHUNKED, chunk(BYTES[:30_000]) + b"0" * 10_000, 30_000),
    "a bad trailer": (CHUNKED, chunk(BYTES[:30_000]) + b"0\r\nno colon\r\n\r\n", 30_000),
}


def test_body_that_breaks_off_or_is_malformed_is_400_and_what_came_is_kept(anna: Sender) -> None:
    for kind, (headers, body, kept) in (BROKEN | MALFORMED).items():
        path = anna.create()
        for connection in (anna.begin("POST", LOGIN, JSON | headers, body), anna.patch(path, headers, body)):
            if kind in BROKEN:
                connection.shutdown(socket.SHUT_WR)
            assert problem(connection) == (400, "incomplete_body"), kind
        assert anna.offset(path) == kept, kind


def _trickle(connections: list[socket.socket], is_over: Callable[[], bool], what: str, each: bytes = b" ") -> None:
    def drip() -> bool:
        for connection in connections:
            try:
                connection.sendall(each)
            except OSError:  # the gateway has closed it
                continue
        return is_over()

    wait_until(drip, 30, what)


def test_small_body_that_trickles_is_refused_after_a_time_in_all(anna: Sender) -> None:
    for headers, each in (({"Content-Length": "60000"}, b" "), (CHUNKED, b"1\r\n \r\n")):
        with anna.begin("POST", LOGIN, JSON | headers, b"") as slow:
            _trickle([slow], lambda slow=slow: bool(select.select([slow], [], [], 0.01)[0]), "the refusal", each)
            assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_bodies_that_trickle_hold_no_place_that_a_sign_in_needs(gateway: RunningGateway, anna: Sender) -> None:
    slow = [anna.begin("POST", LOGIN, JSON | {"Content-Length": "60000"}, b"{") for _ in range(120)]
    until = time.monotonic() + 4
    signed_in = 0

    def is_over() -> bool:
        nonlocal signed_in
        body = json.dumps({"username": "nobody", "password": "nothing at all"})
        statuses = [gateway.request("POST", LOGIN, JSON, body).status, gateway.get("/ping").status]
        assert statuses[0] in {401, 429}
        assert statuses[1] == 200
        signed_in += 1
        return time.monotonic() > until

    _trickle(slow, is_over, "the end of the attack")
    assert signed_in > 1
    for connection in slow:
        connection.close()
