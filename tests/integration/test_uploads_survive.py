"""Uploads through the real gateway: killed at any moment, cut by the client, overtaken by a second connection."""

from __future__ import annotations

import base64
import random
import socket
from collections.abc import Callable, Iterator

import pytest

from nebula.db.database import Database
from nebula.domain.limits import MIB
from tests.arrivals import data, sha256
from tests.gateway import RunningGateway
from tests.people import People
from tests.stores import wait_until

KILLS = 5
PIECE = 256 * 1024
FILM = data(40 * MIB, "film")
TUS = {"Tus-Resumable": "1.0.0"}
UPLOADS = "/api/v1/uploads"
one_world = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


class Client:
    """A client that can be stopped in the middle of a body."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.headers = gateway.signed_in("member")

    def create(self, size: int) -> str:
        name = base64.b64encode(b"film.mkv").decode()
        more = {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        answer = self.gateway.request("POST", UPLOADS, self.headers | TUS | more)
        assert answer.status == 201
        return str(answer.headers["Location"])

    def offset(self, path: str) -> int:
        answer = self.gateway.request("HEAD", path, self.headers | TUS)
        assert answer.status == 200
        return int(answer.headers["Upload-Offset"])

    def patch(self, path: str, offset: int, length: int) -> socket.socket:
        """Send a PATCH up to its body."""
        more = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        return self.begin("PATCH", path, TUS | more | {"Content-Length": str(length)})

    def begin(self, method: str, path: str, headers: dict[str, str]) -> socket.socket:
        lines = [f"{method} {path} HTTP/1.1", "Host: gateway"]
        lines += [f"{name}: {value}" for name, value in (self.headers | headers).items()]
        connection = self.gateway.connect()
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def files(self) -> list[dict[str, object]]:
        import json

        items: list[dict[str, object]] = json.load(self.gateway.get("/api/v1/files", self.headers))["items"]
        return items


@pytest.fixture
def anna(gateway: RunningGateway, people: People) -> Client:
    return Client(gateway)


@pytest.fixture
def database(gateway: RunningGateway) -> Iterator[Database]:
    opened = Database(gateway.settings.database_url, threads=1)
    yield opened
    opened.close()


def states(database: Database) -> list[str]:
    return database.read(lambda tx: [row.state for row in tx.e.Upload.select()])


def test_upload_survives_kill_at_any_moment(gateway: RunningGateway, anna: Client) -> None:
    moments = random.Random(8)
    path, acknowledged = anna.create(len(FILM)), 0
    for _ in range(KILLS):
        offset = anna.offset(path)
        assert offset >= acknowledged
        connection = anna.patch(path, offset, len(FILM) - offset)
        last = moments.randint(offset, len(FILM) - 1)
        for at in range(offset, last, PIECE):
            connection.sendall(FILM[at : min(at + PIECE, last)])
        acknowledged = anna.offset(path)
        gateway.kill()
        connection.close()
        gateway.start()
    offset = anna.offset(path)
    assert offset >= acknowledged
    connection = anna.patch(path, offset, len(FILM) - offset)
    connection.sendall(FILM[offset:])
    assert connection.recv(100).startswith(b"HTTP/1.1 204 ")
    connection.close()

    def is_done() -> bool:
        return bool(gateway.request("HEAD", path, anna.headers | TUS).headers.get("Nebula-File-Id"))

    wait_until(is_done, 120, "the file")
    (file,) = anna.files()
    assert (file["sha256"], file["size_bytes"]) == (sha256(FILM), len(FILM))
    content = gateway.get(f"/api/v1/files/{file['id']}/content", anna.headers).read()
    assert content == FILM


def test_kill_while_the_file_is_made_is_made_up_for(gateway: RunningGateway, anna: Client) -> None:
    """Nobody sweeps here: who asks for the upload is enough, once the dead process's lease ran out."""
    path = anna.create(len(FILM))
    connection = anna.patch(path, 0, len(FILM))
    connection.sendall(FILM)
    gateway.kill()
    connection.close()
    gateway.start()
    offset = anna.offset(path)
    if offset < len(FILM):
        connection = anna.patch(path, offset, len(FILM) - offset)
        connection.sendall(FILM[offset:])
        assert connection.recv(100).startswith(b"HTTP/1.1 204 ")
        connection.close()
    wait_until(lambda: anna.offset(path) == len(FILM) and anna.files(), 120, "the file")
    assert [file["sha256"] for file in anna.files()] == [sha256(FILM)]


def test_bytes_before_a_cut_are_kept(anna: Client) -> None:
    path = anna.create(len(FILM))
    connection = anna.patch(path, 0, len(FILM))
    connection.sendall(FILM[:1_000_000])
    connection.close()
    wait_until(lambda: anna.offset(path) == 1_000_000, what="the bytes that came")


@one_world
def test_second_connection_overtakes_a_stalled_one(anna: Client) -> None:
    path = anna.create(len(FILM))
    stalled = anna.patch(path, 0, len(FILM))
    stalled.sendall(FILM[: 17 * MIB])
    wait_until(lambda: anna.offset(path) == 16 * MIB, what="the first part")
    newer = anna.patch(path, 16 * MIB, len(FILM) - 16 * MIB)
    newer.sendall(FILM[16 * MIB :])
    assert newer.recv(100).startswith(b"HTTP/1.1 204 ")
    assert stalled.recv(100).startswith(b"HTTP/1.1 409 ")
    newer.close()
    stalled.close()
    wait_until(anna.files, 120, "the file")
    assert [file["sha256"] for file in anna.files()] == [sha256(FILM)]


def chunks(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


CUT_BODIES: dict[str, tuple[dict[str, str], bytes]] = {
    "length": ({"Content-Length": "3000000"}, FILM[:2_000_000]),
    "inside a chunk": ({"Transfer-Encoding": "chunked"}, chunks(FILM[:100_000])[:-50_000]),
    "between chunks": ({"Transfer-Encoding": "chunked"}, chunks(FILM[:100_000])),
    "a chunk's size": ({"Transfer-Encoding": "chunked"}, chunks(FILM[:100_000]) + b"7f"),
    "the last chunk": ({"Transfer-Encoding": "chunked"}, chunks(FILM[:100_000]) + b"0\r\n"),
    "after a part": ({"Transfer-Encoding": "chunked"}, chunks(FILM[: 17 * MIB])),
    "no chunk": ({"Transfer-Encoding": "chunked"}, chunks(FILM[:100_000]) + b"nonsense\r\n"),
}


def _leave(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(100).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))


@pytest.mark.parametrize("leave", [socket.socket.close, _leave], ids=["closed", "half closed"])
@one_world
def test_whole_body_that_is_cut_never_becomes_a_file(
    anna: Client, database: Database, leave: Callable[[socket.socket], None]
) -> None:
    for number, (cut, (headers, body)) in enumerate(CUT_BODIES.items()):
        connection = anna.begin("PUT", f"/api/v1/files/by-name/{number}", headers)
        connection.sendall(body)
        leave(connection)
        connection.close()
        wait_until(lambda n=number: states(database) == ["failed"] * (n + 1), what=f"the end of {cut}")  # type: ignore[misc]
    assert anna.files() == []
    whole = anna.begin("PUT", "/api/v1/files/by-name/whole", {"Transfer-Encoding": "chunked"})
    whole.sendall(chunks(FILM[:100_000]) + chunks(FILM[100_000:200_000]) + b"0\r\n\r\n")
    assert whole.recv(100).startswith(b"HTTP/1.1 201 ")
    whole.close()
    assert [file["sha256"] for file in anna.files()] == [sha256(FILM[:200_000])]


def test_whole_body_whose_gateway_is_killed_never_becomes_a_file(
    gateway: RunningGateway, anna: Client, database: Database
) -> None:
    connection = anna.begin("PUT", "/api/v1/files/by-name/film.mkv", {"Content-Length": str(len(FILM))})
    connection.sendall(FILM[: 20 * MIB])
    gateway.kill()
    connection.close()
    gateway.start()
    assert states(database) == ["receiving"]
    assert anna.files() == []
