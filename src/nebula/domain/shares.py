"""Shares: who gives up a place if all places are taken and somebody else wants one.

A holder may take every place as long as nobody else wants one. When all are taken, places move from the group that has
the most to the newcomer's group, until both have equally many. Groups are nested (an account, one of its links, an
address), and the rule applies on each level: an account that shares a hundred links gets no larger share than an
account that shares none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

GRACE_S = 5.0  # a transfer is not judged to be slow before it is this old

Holder = tuple[str, ...]  # the account, the link, the address: each group lies within the one before


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
    """Return the place that a newcomer takes over: the slowest of the holder that has the most places.

    Returns None if the newcomer already has its share. Every holder has the same number of groups.
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
    """Return the slowest place of the largest group on each remaining level."""
    if level < len(places[0].holder):
        counts = Counter(place.holder[level] for place in places)
        return _slowest(_in_group(places, level, counts.most_common(1)[0][0]), level + 1)
    return min(places, key=_speed)


def _in_group(places: list[T], level: int, group: str) -> list[T]:
    return [place for place in places if place.holder[level] == group]


def _speed(place: Taken) -> tuple[bool, float]:
    return place.age_s < GRACE_S, place.moved_bytes / max(place.age_s, GRACE_S)
