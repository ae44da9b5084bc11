"""A client's socket: answers that are not read are kept, and bytes that come too slowly are not waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from nebula.api.client_socket import ClientSocket, Pace

LARGE = bytes(range(256)) * (1 << 16)  # more than two sockets hold


@pytest.fixture
def ends() -> Iterator[tuple[ClientSocket, socket.socket]]:
    accepted, client = socket.socketpair()
    with ClientSocket(accepted) as server, client:
        server.begin_request("127.0.0.1")
        yield server, client


def test_answer_that_nobody_reads_holds_nobody_up_and_arrives_whole_later(
    ends: tuple[ClientSocket, socket.socket],
) -> None:
    server, client = ends
    server.sendall(LARGE)
    server.sendall(b"end")
    assert server.send(b"!") == 1
    received = bytearray()
    while not server.send_unsent():
        received += client.recv(1 << 20)
    server.shutdown(socket.SHUT_WR)
    while piece := client.recv(1 << 20):
        received += piece
    assert received == LARGE + b"end!"


def test_unsent_bytes_are_the_callers_when_it_takes_them(ends: tuple[ClientSocket, socket.socket]) -> None:
    server, client = ends
    server.sendall(LARGE)
    kept = server.take_unsent()
    assert kept
    assert server.send_unsent()
    client.settimeout(10)
    read = bytearray()
    while len(read) < len(LARGE) - len(kept):
        read += client.recv(1 << 20)
    assert bytes(read) + kept == LARGE


def test_received_bytes_count_for_one_request(ends: tuple[ClientSocket, socket.socket]) -> None:
    server, client = ends
    client.sendall(b"0123456789")
    assert server.recv(4) == b"0123"
    assert server.recv_into(bytearray(10)) == 6
    assert server.received_bytes == 10
    server.begin_request("127.0.0.1")
    assert server.received_bytes == 0


def test_pace_is_too_slow_when_a_window_of_waiting_moved_too_few_bytes() -> None:
    pace = Pace(60, 2048)
    for _ in range(100):  # a pause of nearly a window in each window
        pace.moved(60 * 2048)
        pace.waited(59)
        pace.waited(1)
    pace.moved(60 * 1024)
    pace.waited(59)
    with pytest.raises(TimeoutError):
        pace.waited(1)


def test_time_that_is_not_spent_waiting_for_the_client_does_not_count() -> None:
    pace = Pace(60, 2048)
    pace.waited(30)
    pace.moved(1)  # the store took an hour to give it
    pace.waited(29)
