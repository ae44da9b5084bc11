"""Which request gets a thread next, and which connection must go if there are too many."""

from __future__ import annotations

import pytest

from nebula.api.crowd import Crowd
from nebula.api.turns import Turns


@pytest.fixture
def begun() -> list[str]:
    return []


@pytest.fixture
def turns(begun: list[str]) -> Turns[str]:
    return Turns(12, begun.append)


@pytest.mark.parametrize(("addresses", "each"), [(1, 6), (2, 4), (3, 3), (5, 2), (11, 1)])
def test_addresses_share_the_turns_and_leave_as_many_free(
    turns: Turns[str], begun: list[str], addresses: int, each: int
) -> None:
    for number in range(20):
        for address in range(addresses):
            turns.request(f"{address}/{number}", str(address))
    assert all(sum(name.startswith(f"{address}/") for name in begun) >= each for address in range(addresses))
    assert turns.request("newcomer", "elsewhere"), "somebody who has no turn finds one"


def test_waiting_requests_begin_in_order_when_a_turn_ends(turns: Turns[str], begun: list[str]) -> None:
    names = [f"a{number}" for number in range(9)]
    assert [turns.request(name, "a") for name in names] == [True] * 6 + [False] * 3
    turns.release("a2")
    turns.release("a2")
    assert begun == names[:7]
    turns.release("a0")
    assert begun == names[:8]


def test_address_with_the_fewest_turns_is_next(turns: Turns[str], begun: list[str]) -> None:
    for address in "abcdefghijkl":
        assert turns.request(address, address)
    for name in ("a2", "m", "b2"):
        assert not turns.request(name, name[0])
    turns.release("c")
    assert begun[-1] == "m"


def test_request_that_gave_up_waiting_never_begins(turns: Turns[str], begun: list[str]) -> None:
    for number in range(8):
        turns.request(f"a{number}", "a")
    assert turns.withdraw("a6", "a")
    assert not turns.withdraw("a6", "a")
    assert not turns.withdraw("a0", "a"), "it has begun"
    turns.release("a0")
    turns.release("a1")
    assert begun == ["a0", "a1", "a2", "a3", "a4", "a5", "a7"]


def test_oldest_of_the_heaviest_address_can_be_spared_first() -> None:
    crowd: Crowd[str] = Crowd()
    assert crowd.most_dispensable() is None
    for name in ("home", "x1", "x2", "x3", "other"):
        crowd.add(name, name[0])
    assert crowd.most_dispensable() == "x1"
    crowd.add("x1", "x")  # it comes again, as the newest
    assert crowd.most_dispensable() == "x2"
    crowd.remove("x2")
    crowd.remove("x2")
    crowd.add("heavy", "y", weight=3)
    assert crowd.most_dispensable() == "heavy"
    assert crowd.weight == 7
