"""A body on its way: it arrives whole, or the connection is reset."""

from __future__ import annotations

import random
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from nebula.api.wire import Wire, Withdrawn

BYTES = random.Random(4).randbytes(3_000_000)
Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The gateway's end and the client's, as after a request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), 30)
        server, _ = listener.accept()
    with client, server:
        server.settimeout(60)
        yield server, client


def _answered(value: bool) -> Callable[[], Future[bool]]:
    def ask() -> Future[bool]:
        future: Future[bool] = Future()
        future.set_result(value)
        return future

    return ask


def _wire(server: socket.socket, ask: Callable[[], Future[bool]], **times: float) -> Wire:
    return Wire(server, ask, lambda _count: None, **times)


def _read(client: socket.socket, into: bytearray) -> threading.Thread:
    def run() -> None:
        while piece := client.recv(50_000):
            into.extend(piece)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _send_on(wire: Wire, piece: bytes) -> None:
    while True:
        wire.send(memoryview(piece))


def _read_on(client: socket.socket) -> None:
    while client.recv(100):
        pass


def _sent(server: socket.socket, client: socket.socket, send: Callable[[Wire], Any]) -> bytes:
    received = bytearray()
    reading = _read(client, received)
    wire = _wire(server, _answered(True), check_s=0)
    send(wire)
    wire.release()
    assert server.gettimeout() == 60
    server.shutdown(socket.SHUT_WR)
    reading.join()
    return bytes(received)


def test_send_is_whole_when_the_reader_is_slower(ends: Ends) -> None:
    assert _sent(*ends, lambda wire: wire.send(memoryview(BYTES))) == BYTES


def test_send_file_is_exactly_its_span(ends: Ends) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(BYTES)
        file.flush()
        assert _sent(*ends, lambda wire: wire.send_file(file.fileno(), 7, 2_900_000)) == BYTES[7:2_900_007]


def test_send_file_fails_when_the_file_is_too_short(ends: Ends) -> None:
    with tempfile.TemporaryFile() as file, pytest.raises(OSError, match="ends before"):
        _wire(ends[0], _answered(True)).send_file(file.fileno(), 0, 10)


def test_reader_that_stalls_is_a_timeout(ends: Ends) -> None:
    wire = _wire(ends[0], _answered(True), stall_s=0.05)
    with pytest.raises(TimeoutError):
        wire.send(memoryview(bytes(64 << 20)))


@pytest.mark.parametrize("reading", [True, False])
def test_revocation_ends_the_body_whatever_the_reader_does(ends: Ends, reading: bool) -> None:
    server, client = ends
    thread = _read(client, bytearray()) if reading else None
    wire = _wire(server, _answered(False), check_s=0.05)
    with pytest.raises(Withdrawn):
        _send_on(wire, bytes(1 << 20))
    server.close()
    if thread is not None:
        thread.join()


def test_body_goes_on_while_nobody_answers_whether_it_may(ends: Ends) -> None:
    asked: list[Future[bool]] = []

    def ask() -> Future[bool]:
        asked.append(Future())
        return asked[-1]

    received = bytearray()
    reading = _read(ends[1], received)
    wire = _wire(ends[0], ask, check_s=0)
    wire.send(memoryview(BYTES))
    assert len(asked) == 1, "one question is enough"
    asked[0].set_result(False)
    with pytest.raises(Withdrawn):
        _send_on(wire, b"x")
    ends[0].close()
    reading.join()
    assert received.startswith(BYTES)


def test_abort_resets_the_connection(ends: Ends) -> None:
    server, client = ends
    wire = _wire(server, _answered(True))
    wire.send(memoryview(b"begun"))
    wire.abort()
    with pytest.raises(ConnectionResetError):
        _read_on(client)
