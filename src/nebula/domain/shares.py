"""Shares: who gives way when all places are taken and somebody else wants one.

A holder may take every place as long as nobody else wants it. When all are taken, places move from the group that has
the most to the newcomer's, until they have equally many. Groups are nested (an account, one of its links, an address),
and the rule holds on each level: an account that shares a hundred links has no larger share than one that shares none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

GRACE_S = 5.0  # for so long nobody can say that a transfer is slow

Holder = tuple[str, ...]  # the group, the group within it, and so on


class Taken(Protocol):
    """A place that is taken."""

    @property
    def holder(self) -> Holder: ...
    @property
    def age_s(self) -> float: ...
    @property
    def moved_bytes(self) -> int: ...


T = TypeVar("T", bound=Taken)


def place_to_yield(taken: Sequence[T], newcomer: Holder) -> T | None:
    """Return the place that a newcomer gets, the slowest of whoever has the most; None if it has its share already.

    Every holder names equally many groups.
    """
    rivals = list(taken)
    for level, group in enumerate(newcomer):
        counts = Counter(place.holder[level] for place in rivals)
        largest, count = counts.most_common(1)[0]
        if count > counts[group] + 1:
            return _slowest(_in_group(rivals, level, largest), level + 1)
        rivals = _in_group(rivals, level, group)
        if not rivals:
            return None
    return None


def _slowest(places: list[T], level: int) -> T:
    """Return the slowest place of the largest group on each level that is left."""
    if level < len(places[0].holder):
        counts = Counter(place.holder[level] for place in places)
        return _slowest(_in_group(places, level, counts.most_common(1)[0][0]), level + 1)
    return min(places, key=_speed)


def _in_group(places: list[T], level: int, group: str) -> list[T]:
    return [place for place in places if place.holder[level] == group]


def _speed(place: Taken) -> tuple[bool, float]:
    return place.age_s < GRACE_S, place.moved_bytes / max(place.age_s, GRACE_S)
