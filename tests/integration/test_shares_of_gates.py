"""One account, link or address takes every place of a gate, at full size: the others get theirs all the same."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nebula.domain import limits
from nebula.domain.records import File
from tests.attacks import HOUSEHOLD, Attack, ask, is_cut, many_files, open_request, request, status_of
from tests.gateway import RunningGateway, running_gateway
from tests.people import People
from tests.shelf import Shelf
from tests.stores import wait_until

V1 = "/api/v1"
STRANGER = "127.0.0.2"
BYTES = random.Random(5).randbytes(24 << 20)  # more than the sockets between gateway and client hold
RANGE = {"Range": "bytes=1000000-1999999"}

pytestmark = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    with many_files():
        yield


@pytest.fixture
def film(shelf: Shelf, people: People) -> File:
    return shelf.put(people.owner.account_id, "film.mkv", BYTES)


@pytest.fixture
def narrow(environ: dict[str, str], tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway with four streams and uploads, where ten seconds of trickling count as stalled."""
    yield from running_gateway(environ, tmp_path / "gateway.log", STREAMS=4, UPLOADS=4, STALL_S=10)


@pytest.fixture
def lasting(environ: dict[str, str], tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway with four streams."""
    yield from running_gateway(environ, tmp_path / "gateway.log", STREAMS=4, UPLOADS=4)


def _content(file: File) -> str:
    return f"{V1}/files/{file.id}/content"


def _link(gateway: RunningGateway, name: str, film: File) -> str:
    made = json.load(gateway.request("POST", f"{V1}/files/{film.id}/links", gateway.signed_in(name)))
    return str(made["url"].removeprefix(gateway.base_url))


def _assert_plays(gateway: RunningGateway, name: str, film: File) -> None:
    """Ask for a range and for a listing: who waits for a stalled reader waits for STALL_S, a minute."""
    headers = gateway.signed_in(name)
    for path, more, expected in [(_content(film), RANGE, 206), (f"{V1}/files", {}, 200), ("/ping", {}, 200)]:
        status, took_s = ask(gateway, "GET", path, headers | more)
        assert status == expected
        assert took_s < 5, "a second, and more only for a machine that others use, too"


def _wait_until_full(gateway: RunningGateway, name: str, streams: int) -> None:
    headers = gateway.signed_in(name)
    wait_until(lambda: json.load(gateway.get(f"{V1}/status", headers))["streams"] == streams, what="a full gate")


@pytest.mark.parametrize("maker", ["owner", "member"])
def test_others_play_when_one_link_has_165_slow_readers(
    gateway: RunningGateway, people: People, film: File, maker: str
) -> None:
    """Somebody else's link, and the account's own."""
    gateway.signed_in("owner")
    link = request("GET", _link(gateway, maker, film))
    with Attack(gateway, 165, link, [STRANGER], read_bytes=1000, pause_s=0.2):
        _wait_until_full(gateway, "owner", limits.STREAMS)
        _assert_plays(gateway, "owner", film)
        _assert_plays(gateway, "member", film)
        status, _ = ask(gateway, "GET", _link(gateway, "owner", film), RANGE)
        assert status == 206, "another link"


def test_account_reads_twenty_ranges_at_once_when_its_link_has_every_place(
    gateway: RunningGateway, people: People, film: File
) -> None:
    own = request("GET", _content(film), gateway.signed_in("owner") | {"Range": "bytes=0-"})
    with ExitStack() as stack, Attack(gateway, 160, request("GET", _link(gateway, "owner", film)), [STRANGER]):
        _wait_until_full(gateway, "owner", limits.STREAMS)
        clients = [stack.enter_context(open_request(gateway, own)) for _ in range(20)]
        assert [status_of(client) for client in clients] == [206] * 20
        time.sleep(2)  # the link's readers come back and are refused
        assert not any(is_cut(client) for client in clients)
        _assert_plays(gateway, "member", film)


def test_second_reader_of_a_link_has_a_share_when_the_first_has_every_place(
    gateway: RunningGateway, people: People, film: File
) -> None:
    path = _link(gateway, "owner", film)
    with Attack(gateway, 165, request("GET", path), [STRANGER]):
        _wait_until_full(gateway, "owner", limits.STREAMS)
        assert ask(gateway, "GET", path, RANGE)[0] == 206


def test_account_cannot_take_every_place_by_making_many_links(
    gateway: RunningGateway, people: People, film: File
) -> None:
    with ExitStack() as stack:
        for _ in range(limits.STREAMS // 4):
            link = request("GET", _link(gateway, "owner", film))
            for _ in range(4):
                stack.enter_context(open_request(gateway, link, STRANGER))
        _wait_until_full(gateway, "owner", limits.STREAMS)
        _assert_plays(gateway, "member", film)


def test_trickling_reader_gives_way_first_and_its_player_comes_back_by_range(
    lasting: RunningGateway, people: People, film: File
) -> None:
    """The others of its account read a film's rate; they are not noticed to be too many."""
    own = request("GET", _content(film), lasting.signed_in("owner"))
    rest = {"Range": f"bytes={12 << 20}-"}
    lasting.signed_in("member")
    with ExitStack() as stack:
        trickling, *watching = [stack.enter_context(open_request(lasting, own)) for _ in range(4)]
        until = time.monotonic() + 8  # for the first seconds nobody is called slow
        while time.monotonic() < until:
            trickling.recv(100)
            for client in watching:
                client.recv(1 << 16)
            time.sleep(0.1)
        assert ask(lasting, "GET", _content(film), lasting.signed_in("member") | RANGE)[0] == 206
        wait_until(lambda: is_cut(trickling), what="the trickling reader's end")
        assert not any(is_cut(client) for client in watching)
        again = ask(lasting, "GET", _content(film), lasting.signed_in("owner") | rest)
        assert again[0] == 206, "its place is free again"


def test_reader_of_a_kibibyte_per_second_counts_as_stalled(narrow: RunningGateway, people: People, film: File) -> None:
    own = request("GET", _content(film), narrow.signed_in("owner"))
    with open_request(narrow, own) as trickling, open_request(narrow, own) as watching:
        until = time.monotonic() + 60
        while not is_cut(trickling) and time.monotonic() < until:
            trickling.recv(100)
            watching.recv(4096)
            time.sleep(0.1)
        assert is_cut(trickling)
        assert not is_cut(watching)


def _begun_upload(gateway: RunningGateway, name: str, address: str) -> tuple[str, bytes]:
    """Create an upload; return its path and a PATCH that has only begun."""
    headers = gateway.signed_in(name) | {"Tus-Resumable": "1.0.0"}
    metadata = {"Upload-Length": "1000000", "Upload-Metadata": "filename ZmlsbQ=="}
    created = gateway.request("POST", f"{V1}/uploads", headers | metadata)
    assert created.status == 201
    body = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Content-Length": "1000000"}
    path = str(created.headers["Location"])
    return path, request("PATCH", path, headers | body, b"x" * 1000)


def _offset(gateway: RunningGateway, name: str, path: str) -> int:
    head = gateway.request("HEAD", path, gateway.signed_in(name) | {"Tus-Resumable": "1.0.0"})
    return int(head.headers["Upload-Offset"])


def test_other_account_stores_when_one_has_every_upload_and_nothing_is_lost(
    gateway: RunningGateway, people: People
) -> None:
    with ExitStack() as stack:
        paths, clients = [], []
        for _ in range(limits.UPLOADS):
            path, patch = _begun_upload(gateway, "member", STRANGER)
            paths.append(path)
            clients.append(stack.enter_context(open_request(gateway, patch, STRANGER)))
        time.sleep(1)
        status, took_s = ask(gateway, "PUT", f"{V1}/files/by-name/mine", gateway.signed_in("owner"), b"y" * 70_000)
        assert status == 201
        assert took_s < 5
        wait_until(lambda: sum(is_cut(client) for client in clients) == 1, what="one upload that gave way")
        cut = next(path for path, client in zip(paths, clients, strict=True) if is_cut(client))
        wait_until(lambda: _offset(gateway, "member", cut) == 1000, what="what it had sent")


def test_upload_that_trickles_counts_as_stalled(narrow: RunningGateway, people: People) -> None:
    _, patch = _begun_upload(narrow, "member", HOUSEHOLD)
    with open_request(narrow, patch) as client:
        until = time.monotonic() + 60
        while not is_cut(client) and time.monotonic() < until:
            client.sendall(b"x" * 100)
            time.sleep(0.1)
            client.setblocking(False)
            try:
                answer = client.recv(1000)
                break
            except BlockingIOError:
                client.settimeout(60)
        assert answer.startswith(b"HTTP/1.1 4")
