"""The real gateway: what clients that stall, break off or talk nonsense do to it, and that its bodies are whole."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nebula.domain import limits
from nebula.domain.records import File
from tests.gateway import RunningGateway, running_gateway
from tests.people import People
from tests.proxy import Proxy
from tests.shelf import Shelf
from tests.stores import Stores, wait_until

V1 = "/api/v1"
MANY = 300
BYTES = random.Random(2).randbytes(24 << 20)  # more than the sockets between gateway and client hold
one_world = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture
def film(shelf: Shelf, people: People) -> File:
    return shelf.put(people.member.account_id, "film.mkv", BYTES)


@pytest.fixture
def impatient(environ: dict[str, str], tmp_path: Path) -> Iterator[RunningGateway]:
    """The gateway with a patience of seconds."""
    yield from running_gateway(environ, tmp_path / "gateway.log", HEADER_S=3, STALL_S=3)


@pytest.fixture
def watchful(environ: dict[str, str], tmp_path: Path) -> Iterator[RunningGateway]:
    """The gateway that asks each second whether a body may go on."""
    yield from running_gateway(environ, tmp_path / "gateway.log", CHECK_S=1)


def _content(file: File) -> str:
    return f"{V1}/files/{file.id}/content"


@contextlib.contextmanager
def _stalled(gateway: RunningGateway, sent: bytes, count: int = MANY) -> Iterator[list[socket.socket]]:
    """Open connections that send something and then nothing more."""
    with contextlib.ExitStack() as open_ones:
        clients = []
        for _ in range(count):
            client = open_ones.enter_context(gateway.connect())
            client.sendall(sent)
            clients.append(client)
        yield clients


def _request(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: nebula", *[f"{name}: {value}" for name, value in headers.items()]]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _polled(clients: list[socket.socket], wanted: int) -> list[socket.socket]:
    poll = select.poll()
    for client in clients:
        poll.register(client, select.POLLIN)
    ready = {descriptor for descriptor, events in poll.poll(0) if events & wanted}
    return [client for client in clients if client.fileno() in ready]


def _is_going(client: socket.socket, size: int) -> bool:
    """Read a little; whether the connection was reset says the kernel even to who reads nothing."""
    try:
        return not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) and (not size or client.recv(size) != b"")
    except ConnectionResetError:
        return False
    except TimeoutError:
        return True


def _assert_prompt(gateway: RunningGateway) -> None:
    """Ask; who has to wait for those that stall waits for STALL_S at the least."""
    began = time.monotonic()
    for _ in range(5):
        answer = gateway.get("/ping")
        assert (answer.status, json.load(answer)["ping"]) == (200, "pong")
    assert time.monotonic() - began < limits.STALL_S / 2


def _answer(client: socket.socket) -> tuple[int, dict[str, str]]:
    """Read an answer's head and, where it is a problem, the problem."""
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer.status, json.load(answer) if "json" in (answer.headers["Content-Type"] or "") else {}


@one_world
def test_silent_and_half_sent_headers_hold_nobody_up(impatient: RunningGateway) -> None:
    with (
        _stalled(impatient, b"") as silent,
        _stalled(impatient, b"GET /ping HTTP/1.1\r\nHost: nebula\r\nX-Half:") as half,
    ):
        _assert_prompt(impatient)
        status, problem = _answer(half[0])
        assert (status, problem["code"]) == (408, "header_stalled")
        assert silent[0].recv(1) == b""
        _assert_prompt(impatient)


@one_world
def test_header_that_comes_a_byte_at_a_time_is_not_waited_for(impatient: RunningGateway) -> None:
    def drip() -> bool:
        client.sendall(b"x")
        return b"408" in client.recv(1000)

    with impatient.connect(0.1) as client:
        client.sendall(b"GET /ping HTTP/1.1\r\nX-Slow: ")
        wait_until(drip, what="the end of patience")


@one_world
def test_half_sent_bodies_hold_nobody_up(gateway: RunningGateway, people: People) -> None:
    login = _request("POST", f"{V1}/auth/login", {"Content-Length": "100", "Content-Type": "application/json"})
    with _stalled(gateway, login + b'{"username"') as clients:
        _assert_prompt(gateway)
        assert gateway.signed_in("owner"), "a body that is not there yet takes no place"
        for client in clients:
            status, problem = _answer(client)
            assert (status, problem["code"]) == (408, "stalled")


@one_world
def test_sender_that_stalls_is_told_and_its_place_is_free(impatient: RunningGateway) -> None:
    login = _request("POST", f"{V1}/auth/login", {"Content-Length": "100", "Content-Type": "application/json"})
    with _stalled(impatient, login + b"{", limits.BODIES) as clients:
        for client in clients:
            assert _answer(client)[0] == 408
        assert impatient.request("POST", f"{V1}/auth/login", body="{").status == 400


@one_world
def test_reader_that_stalls_is_cut_off_and_its_place_is_free(
    impatient: RunningGateway, people: People, film: File
) -> None:
    headers = impatient.signed_in("member")
    with _stalled(impatient, _request("GET", _content(film), headers), limits.STREAMS) as clients:
        assert {_answer(client)[0] for client in clients} == {200}
        refused = impatient.get(_content(film), headers).status == 503
        # A machine that took seconds to open them all has cut the first one off by now.
        assert refused or _polled(clients, select.POLLHUP), "every place was taken"
        wanted = headers | {"Range": "bytes=0-0"}
        wait_until(lambda: impatient.get(_content(film), wanted).status == 206, what="a free place")
        wait_until(lambda: len(_polled(clients, select.POLLHUP)) == len(clients), what="every reset")


@pytest.mark.parametrize("reading", [True, False])
@one_world
def test_running_body_ends_when_its_right_is_revoked(
    watchful: RunningGateway, people: People, shelf: Shelf, film: File, reading: bool
) -> None:
    """A link, and a session; read slowly, or not at all."""
    made = json.load(watchful.request("POST", f"{V1}/files/{film.id}/links", watchful.signed_in("member")))
    link = _request("GET", made["url"].removeprefix(watchful.base_url), {})
    own = _request("GET", _content(film), watchful.signed_in("owner"))
    with watchful.connect(0.05) as by_link, watchful.connect(0.05) as by_session:
        by_link.sendall(link)
        by_session.sendall(own)
        for client in (by_link, by_session):
            wait_until(lambda client=client: client.recv(1), what="the body")
        assert watchful.request("DELETE", f"{V1}/links/{made['id']}", watchful.signed_in("member")).status == 204
        assert watchful.request("POST", f"{V1}/auth/logout", watchful.signed_in("owner")).status == 204
        for client in (by_link, by_session):
            wait_until(lambda client=client: not _is_going(client, 1000 * reading), 30, "the end of the body")


@one_world
def test_bodies_that_are_refused_unread_hold_nobody_up(gateway: RunningGateway) -> None:
    refused = _request("POST", f"{V1}/files/x/links", {"Content-Length": "1000000"})
    with _stalled(gateway, refused + b"{") as clients:
        _assert_prompt(gateway)
        assert [_answer(client)[0] for client in clients] == [401] * MANY
        assert clients[0].recv(1) == b"", "the rest of the body must not be taken for a request"


def test_readers_that_stall_hold_nobody_up(gateway: RunningGateway, people: People, film: File) -> None:
    headers = gateway.signed_in("member")
    with _stalled(gateway, _request("GET", _content(film), headers)) as clients:
        answers = [_answer(client) for client in clients]
        statuses = [status for status, _ in answers]
        assert {problem["code"] for status, problem in answers if status == 503} == {"busy"}
        assert (statuses.count(200), statuses.count(503)) == (limits.STREAMS, MANY - limits.STREAMS)
        _assert_prompt(gateway)
        assert gateway.get(f"{V1}/files", headers).status == 200
        assert gateway.get(_content(film), headers).headers["Retry-After"]
    wait_until(lambda: gateway.get(_content(film), headers | {"Range": "bytes=0-0"}).status == 206, what="a free place")


def test_any_range_is_exactly_its_bytes(gateway: RunningGateway, people: People, film: File) -> None:
    draw = random.Random(3)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    for _ in range(60):
        start = draw.randrange(len(BYTES))
        stop = min(len(BYTES), start + draw.choice([1, 4096, 262_144, 262_145, 3_000_000]))
        wanted = {"Range": f"bytes={start}-{stop - 1}"}
        connection.request("GET", _content(film), headers=gateway.signed_in("owner") | wanted)
        answer = connection.getresponse()
        assert answer.status == 206
        assert answer.read() == BYTES[start:stop]
    connection.request("GET", _content(film), headers=gateway.signed_in("owner") | {"Range": "bytes=7-9,-300000"})
    body = connection.getresponse().read()
    parts = body.split(b"\r\n\r\n", 2)
    assert parts[1].startswith(BYTES[7:10] + b"\r\n--")
    assert parts[2].startswith(BYTES[-300_000:] + b"\r\n--")
    connection.request("GET", _content(film), headers=gateway.signed_in("owner"))
    assert connection.getresponse().read() == BYTES
    connection.close()


@pytest.fixture
def proxy(stores: Stores, environ: dict[str, str]) -> Iterator[Proxy]:
    """Stands between the gateway and MinIO; asked for before `gateway`."""
    with Proxy(stores.minio.port) as between:
        environ["S3_ENDPOINT"] = between.endpoint
        yield between


@pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
def test_body_is_whole_when_the_store_is_cut_off_in_the_middle(
    proxy: Proxy, gateway: RunningGateway, people: People, film: File
) -> None:
    answer = gateway.get(_content(film), gateway.signed_in("owner"))
    received = answer.read(1 << 20)
    proxy.cut()
    received += answer.read(8 << 20)
    proxy.cut_after(1 << 20)
    received += answer.read()
    assert received == BYTES


@pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
def test_store_that_is_down_is_said_before_any_byte(
    proxy: Proxy, gateway: RunningGateway, people: People, film: File
) -> None:
    headers = gateway.signed_in("owner")
    proxy.refuse()
    answer = gateway.get(_content(film), headers)
    assert (answer.status, json.load(answer)["code"]) == (503, "store_unavailable")
    assert gateway.request("HEAD", _content(film), headers).status == 200
    proxy.accept()
    wait_until(lambda: gateway.get(_content(film), headers | {"Range": "bytes=0-0"}).status == 206)


@one_world
def test_requests_in_pieces_and_in_a_row_are_all_answered(gateway: RunningGateway) -> None:
    ping = _request("GET", "/ping", {})
    with gateway.connect() as client:
        for byte in ping:
            client.sendall(bytes([byte]))
        assert _answer(client)[0] == 200
        client.sendall(ping * 3 + ping[:10])
        received = b""
        while received.count(b'"pong"') < 3:
            received += client.recv(1000)
        client.sendall(ping[10:])
        assert _answer(client)[0] == 200


@one_world
def test_what_is_not_http_gets_a_problem(gateway: RunningGateway) -> None:
    for sent, expected in [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\nHost: x\n\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /s/SECRET-TOKEN extra HTTP/1.1\r\n\r\n", 400),
        (b"GET /s/SECRET-TOKEN?" + b"q" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (_request("GET", "/ping", {"X-Large": "x" * 9000}), 431),
        (_request("GET", "/ping", {f"X-{number}": "x" for number in range(120)}), 431),
        (b"GET /ping HTTP/1.1\r\nX-Endless: " + b"x" * 70_000, 431),
        (_request("GET", "/ping", {"Transfer-Encoding": "gzip"}), 400),
        (_request("GET", "/ping", {"Content-Length": "-1"}), 400),
        (_request("GET", "/ping", {"Content-Length": "1", "Transfer-Encoding": "chunked"}), 400),
        (_request("GET", "/ping", {"Expect": "miracles"}), 417),
        (_request("GET", "/%", {}), 404),
        (_request("GET", "//", {}), 404),
    ]:
        with gateway.connect() as client:
            client.sendall(sent)
            status, problem = _answer(client)
            assert status == expected == problem["status"], sent[:60]
    assert "SECRET-TOKEN" not in gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()


@one_world
def test_request_that_names_no_host_or_several_or_none_that_is_one_is_refused(gateway: RunningGateway) -> None:
    for hosts in (
        [],
        ["a", "a"],
        ["a", "b"],
        [""],
        ["a b"],
        ["a, b"],
        ["a,b"],
        ["a/b"],
        ["a@b"],
        ["http://a"],
        ["a:port"],
        ["a:123456"],
        ["[::1"],
        ["::1"],
        ["[a]]"],
        ["a%"],
        ["\xe4"],
    ):
        with gateway.connect() as client:
            lines = "".join(f"Host: {host}\r\n" for host in hosts)
            client.sendall(f"GET /ping HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
            assert _answer(client)[0] == 400, hosts
    for host in ("laptop", "laptop.tail.ts.net:8420", "100.64.0.1", "[fd7a::1]:80", "[::1]", "a:", "under_score"):
        with gateway.connect() as client:
            client.sendall(f"GET /ping HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert _answer(client)[0] == 200, host
    with gateway.connect() as client:
        client.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        assert _answer(client)[0] == 200


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match", "If-Range", "If-Modified-Since", "Range"])
@one_world
def test_conditions_that_make_no_sense_hold_nobody_up(
    gateway: RunningGateway, people: People, film: File, header: str
) -> None:
    attacks = ['"a"' + " , " * 40 + "x", '"a"' + " , " * 2500 + "x", '"' * 8000, "bytes=" + "0-, " * 1900 + "x"]
    headers = gateway.signed_in("member")
    listing = [_request("GET", f"{V1}/files", headers | {header: attack}) for attack in attacks]
    content = [_request("HEAD", _content(film), headers | {header: attack}) for attack in attacks]
    with contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(gateway.connect()) for _ in listing + content]
        for client, request in zip(clients, listing + content, strict=True):
            client.sendall(request)
        for client in clients:
            # Whoever runs the pattern holds the interpreter's lock: nobody else is answered meanwhile.
            assert gateway.get("/ping").status == 200
            assert client.recv(12) in {b"HTTP/1.1 200", b"HTTP/1.1 412"}


@one_world
def test_malformed_chunks_are_the_clients_mistake(gateway: RunningGateway, people: People) -> None:
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    with gateway.connect() as client:
        client.sendall(_request("POST", f"{V1}/auth/login", headers) + b"zz\r\n{}\r\n")
        assert _answer(client)[0] == 400
        assert client.recv(1) == b""


@one_world
def test_stopping_is_quick_and_cuts_what_streams_so_that_it_shows(
    gateway: RunningGateway, people: People, film: File
) -> None:
    answer = gateway.get(_content(film), gateway.signed_in("owner"))
    answer.read(1)
    with gateway.connect():
        began = time.monotonic()
        gateway.stop()
        assert time.monotonic() - began < 15
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    gateway.start()
    assert gateway.get(_content(film), gateway.signed_in("owner")).read() == BYTES


@one_world
def test_nothing_of_a_link_reaches_the_journal(gateway: RunningGateway, people: People, film: File) -> None:
    made = gateway.request("POST", f"{V1}/files/{film.id}/links", gateway.signed_in("member"))
    url = json.load(made)["url"]
    assert url.startswith(gateway.base_url + "/s/")
    path = url.removeprefix(gateway.base_url)
    assert gateway.get(path).read() == BYTES
    broken_off = gateway.connect()
    broken_off.sendall(_request("GET", path, {}))
    broken_off.recv(1)
    broken_off.close()
    gateway.get(path + "/no/such/thing")
    gateway.request("DELETE", path)
    gateway.stop()
    token = path.split("/")[2]
    assert token not in _text(gateway.log)
    assert "Traceback" not in _text(gateway.log)


def _text(log: Path) -> str:
    return log.read_text()
