"""Attacks on the gateway: many connections from chosen source addresses, kept up by a thread until the test ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import select
import socket
import statistics
import threading
import time
from collections.abc import Iterator

from tests.gateway import RunningGateway
from tests.people import PASSWORD

OPEN_FILES = 8192
HOUSEHOLD = "127.0.0.3"
LOGIN = "/api/v1/auth/login"


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: nebula",
        *[f"{name}: {value}" for name, value in (headers or {}).items()],
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Attack:
    """Keeps `count` connections open, spread over `addresses`: each sends `first`, then `drip` every `pause_s`.

    A connection that the gateway closes is opened again. With `read_bytes`, each reads that much per pause.
    """

    def __init__(
        self,
        gateway: RunningGateway,
        count: int,
        first: bytes,
        addresses: list[str],
        *,
        drip: bytes = b"",
        pause_s: float = 1.0,
        read_bytes: int = 0,
    ) -> None:
        self._gateway = gateway
        self._count = count
        self._first = first
        self._addresses = addresses
        self._drip = drip
        self._pause_s = pause_s
        self._read_bytes = read_bytes
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.clients: list[socket.socket] = []
        self.opened = 0

    def __enter__(self) -> Attack:
        for _ in range(self._count):
            self.clients.append(self._open())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for client in self.clients:
            client.close()

    def _run(self) -> None:
        while not self._is_over.wait(self._pause_s):
            gone = self._gone()
            for place, client in enumerate(self.clients):
                if client.fileno() in gone or not self._goes_on(client):
                    client.close()
                    self.clients[place] = self._open()

    def _open(self) -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the kernel reads nothing ahead for it
        client.bind((self._addresses[self.opened % len(self._addresses)], 0))
        self.opened += 1
        client.settimeout(5)
        with contextlib.suppress(OSError):
            client.connect(("127.0.0.1", self._gateway.port))
            client.setblocking(False)
            client.send(self._first)
        return client

    def _goes_on(self, client: socket.socket) -> bool:
        try:
            if self._drip:
                client.send(self._drip)
            return not self._read_bytes or client.recv(self._read_bytes) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _gone(self) -> set[int]:
        poll = select.poll()
        for client in self.clients:
            poll.register(client, select.POLLRDHUP)
        return {descriptor for descriptor, _ in poll.poll(0)}


@contextlib.contextmanager
def many_files() -> Iterator[None]:
    """Let this process open as many sockets as an attacker would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(
    gateway: RunningGateway, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, float]:
    """Send one request from the household's address; return its status and after how many seconds it was there."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, 60, source_address=(HOUSEHOLD, 0))
    connection.request(method, path, body, headers or {})
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - began


def assert_household_is_served(gateway: RunningGateway, seconds: float = 10) -> None:
    """Ping and sign in for some seconds of an attack: each answer within a second.

    The median keeps that second. One answer may take longer, because other tests share this machine's processors; who
    waits for the attacker to be let go waits HEADER_S or STALL_S, ten seconds at the least.
    """
    pings, sign_ins = [], []
    given = json.dumps({"username": "owner", "password": PASSWORD}).encode()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(5):
            status, took_s = ask(gateway, "GET", "/ping")
            assert status == 200
            pings.append(took_s)
        status, took_s = ask(gateway, "POST", LOGIN, {"Content-Type": "application/json"}, given)
        assert status == 200
        sign_ins.append(took_s)
        time.sleep(0.2)
    for times in (pings, sign_ins):
        assert statistics.median(times) < 1, times
        assert max(times) < 5, times


def open_request(gateway: RunningGateway, sent: bytes, address: str = HOUSEHOLD) -> socket.socket:
    """Send a request on a connection whose kernel reads nothing ahead."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.bind((address, 0))
    client.connect(("127.0.0.1", gateway.port))
    client.sendall(sent)
    return client


def status_of(client: socket.socket) -> int:
    """Read the beginning of an answer; return its status."""
    return int(client.recv(12).split()[1])


def is_cut(client: socket.socket) -> bool:
    """Return whether the gateway ended a connection that nobody reads from."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))
