"""Who gives way when all places are taken."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nebula.domain.shares import GRACE_S, Holder, place_to_yield

LINK, OWN = "link", "own"


@dataclass
class Taken:
    holder: Holder
    age_s: float = 100.0
    moved_bytes: int = 0


def _many(count: int, *holder: str) -> list[Taken]:
    return [Taken(holder, moved_bytes=1000 + number) for number in range(count)]


@pytest.mark.parametrize(
    ("taken", "newcomer", "gives_way"),
    [
        # One account has everything; another wants its first place, its next one, and one more than its half.
        (_many(8, "ann", OWN, "1.1"), ("ben", OWN, "1.2"), ("ann", OWN, "1.1")),
        (_many(6, "ann", OWN, "1.1") + _many(2, "ben", OWN, "1.2"), ("ben", OWN, "1.2"), ("ann", OWN, "1.1")),
        (_many(4, "ann", OWN, "1.1") + _many(4, "ben", OWN, "1.2"), ("ben", OWN, "1.2"), None),
        # Nobody gives way to somebody who would then have more.
        (_many(5, "ann", OWN, "1.1") + _many(4, "ben", OWN, "1.2"), ("ben", OWN, "1.2"), None),
        # The same holder gets no more by asking.
        (_many(8, "ann", OWN, "1.1"), ("ann", OWN, "1.1"), None),
        # An account's link gives way to the account itself, and to another of its links.
        (_many(8, "ann", LINK, "1.9"), ("ann", OWN, "1.1"), ("ann", LINK, "1.9")),
        (_many(8, "ann", LINK, "1.9"), ("ann", "other link", "1.1"), ("ann", LINK, "1.9")),
        # A hundred links are one account.
        ([Taken(("ann", f"link {n}", "1.9")) for n in range(8)], ("ben", OWN, "1.2"), ("ann", "link 0", "1.9")),
        # Within an account that must give way it is the group with the most that does.
        (
            _many(2, "ann", OWN, "1.1") + _many(6, "ann", LINK, "1.9"),
            ("ben", OWN, "1.2"),
            ("ann", LINK, "1.9"),
        ),
        # Two who have the same link share it by address.
        (_many(8, "ann", LINK, "1.9"), ("ann", LINK, "1.8"), ("ann", LINK, "1.9")),
        (
            _many(1, "ann", LINK, "1.8") + _many(7, "ann", LINK, "1.9"),
            ("ben", OWN, "1.2"),
            ("ann", LINK, "1.9"),
        ),
        # The account has its share already, but one address has all of it.
        (
            _many(4, "ann", OWN, "1.1") + _many(4, "ben", OWN, "1.2"),
            ("ann", OWN, "1.3"),
            ("ann", OWN, "1.1"),
        ),
        # Twenty addresses have one place each: nobody gives one to them or to a newcomer.
        ([Taken((f"1.{n}",)) for n in range(20)], ("1.3",), None),
        ([Taken((f"1.{n}",)) for n in range(20)], ("2.1",), None),
        ([Taken((f"1.{n % 10}",)) for n in range(20)], ("2.1",), ("1.0",)),
    ],
)
def test_place_moves_from_the_group_that_has_most(
    taken: list[Taken], newcomer: Holder, gives_way: Holder | None
) -> None:
    yielded = place_to_yield(taken, newcomer)
    assert (yielded and yielded.holder) == gives_way


def test_shares_are_equal_in_the_end_and_nothing_moves_any_more() -> None:
    taken = _many(16, "ann", OWN, "1.1")
    for _ in range(100):
        for name in ("ben", "cat", "dan", "ann"):
            newcomer = (name, OWN, f"1.{name}")
            yielded = place_to_yield(taken, newcomer)
            if yielded is not None:
                taken.remove(yielded)
                taken.append(Taken(newcomer))
    names = [place.holder[0] for place in taken]
    assert {name: names.count(name) for name in names} == {"ann": 4, "ben": 4, "cat": 4, "dan": 4}
    assert place_to_yield(taken, ("ben", OWN, "1.ben")) is None


def test_slowest_gives_way_first_when_its_holder_has_the_most() -> None:
    holder = ("ann", LINK, "1.9")
    film = Taken(holder, 3600, 3600 * 500_000)
    paused = Taken(holder, 3600, 1_000_000)
    trickling = Taken(holder, 60, 60 * 100)
    newest = Taken(holder, GRACE_S / 2, 0)
    taken = [film, paused, trickling, newest]
    order = []
    while len(taken) > 1:
        yielded = place_to_yield(taken, ("ben", OWN, "1.2"))
        assert yielded is not None
        order.append(yielded)
        taken.remove(yielded)
    assert order == [trickling, paused, film], "what has only just begun cannot be told to be slow"
