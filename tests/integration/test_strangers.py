"""Strangers who take all that they can get from one gateway, at full size: the household does not notice them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks import LOGIN, Attack, assert_household_is_served, many_files, request
from tests.gateway import RunningGateway
from tests.people import People

STRANGER = ["127.0.0.2"]
CROWD = [f"127.0.1.{number}" for number in range(1, 21)]
JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.parametrize("environ", ["embedded"], indirect=True)


@pytest.fixture(autouse=True)
def open_files() -> Iterator[None]:
    with many_files():
        yield


def test_household_is_served_when_nobody_reads_the_answers_to_pipelined_requests(
    gateway: RunningGateway, people: People
) -> None:
    with Attack(gateway, 270, request("GET", "/openapi.json") * 100, STRANGER):
        assert_household_is_served(gateway)


def test_household_is_served_when_the_table_of_connections_is_full_of_half_heads(
    gateway: RunningGateway, people: People
) -> None:
    with Attack(gateway, 2100, b"GET /ping HTTP/1.1\r\nHost: nebula\r\nX-Half:", STRANGER, drip=b" "):
        assert_household_is_served(gateway)


@pytest.mark.parametrize("framing", [{"Content-Length": "60000"}, {"Transfer-Encoding": "chunked"}])
def test_household_is_served_when_the_bodies_of_sign_ins_trickle(
    gateway: RunningGateway, people: People, framing: dict[str, str]
) -> None:
    drip = b" " if "Content-Length" in framing else b"1\r\n \r\n"
    with Attack(gateway, 60, request("POST", LOGIN, JSON | framing), STRANGER, drip=drip):
        assert_household_is_served(gateway)


def test_household_is_served_when_the_strangers_have_twenty_addresses(gateway: RunningGateway, people: People) -> None:
    """They read nothing, send half heads and trickle bodies, all at once."""
    trickle = request("POST", LOGIN, JSON | {"Transfer-Encoding": "chunked"})
    with (
        Attack(gateway, 300, request("GET", "/openapi.json") * 100, CROWD),
        Attack(gateway, 2000, b"GET /ping HTTP/1.1\r\nX-Half:", CROWD, drip=b" "),
        Attack(gateway, 300, trickle, CROWD, drip=b"1\r\n \r\n"),
    ):
        assert_household_is_served(gateway)


def test_household_is_served_when_bodies_wait_for_a_continue_and_never_come(
    gateway: RunningGateway, people: People
) -> None:
    expecting = request("POST", LOGIN, JSON | {"Content-Length": "60000", "Expect": "100-continue"})
    with Attack(gateway, 400, expecting, STRANGER):
        assert_household_is_served(gateway)
