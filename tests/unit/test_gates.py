"""Gates: full ones refuse, except a newcomer that has less than its share."""

from __future__ import annotations

from itertools import count

import pytest

from nebula.api.gates import Gate, Place, Transfer
from nebula.errors import Busy

ANN = Transfer(("ann",))
BEN = Transfer(("ben",))


def test_one_holder_has_every_place_when_nobody_else_wants_one() -> None:
    gate = Gate(3, "streams")
    places = [gate.enter(ANN) for _ in range(3)]
    assert gate.inside == 3
    with pytest.raises(Busy):
        gate.enter(ANN)
    gate.leave(places[0])
    gate.leave(places[0])
    assert gate.inside == 2
    gate.enter(ANN)


def test_transfer_is_cut_when_it_gives_way_and_its_leaving_takes_nobody_elses_place() -> None:
    seconds = count(step=10)
    gate = Gate(3, "streams", clock=lambda: float(next(seconds)))
    cut: list[str] = []

    def enter(name: str, moved_bytes: int) -> Place:
        return gate.enter(Transfer(("ann",), lambda: cut.append(name), lambda: moved_bytes))

    enter("fast", 9_000_000)
    slow = enter("slow", 10)
    enter("middling", 100_000)
    gate.enter(BEN)
    assert (cut, gate.inside) == (["slow"], 3)
    gate.leave(slow)
    assert gate.inside == 3
    with pytest.raises(Busy):
        gate.enter(BEN)


def test_place_is_given_back_when_the_block_fails() -> None:
    gate = Gate(1, "uploads")
    with pytest.raises(ValueError, match="broken"), gate.admit(ANN):
        raise ValueError("broken")
    assert gate.inside == 0


def test_newcomer_is_told_that_it_was_admitted_only_if_it_was() -> None:
    gate = Gate(1, "uploads")
    admitted: list[str] = []
    gate.enter(Transfer(("ann",), admitted=lambda: admitted.append("first")))
    with pytest.raises(Busy):
        gate.enter(Transfer(("ann",), admitted=lambda: admitted.append("second")))
    assert admitted == ["first"]
