"""A crowd: connections that wait for their client, by address, to find out which one must go if there are too many."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Crowd(Generic[T]):
    """Members of a weight each, in the order in which they came. For one thread."""

    def __init__(self) -> None:
        self._members: dict[T, tuple[str, int]] = {}
        self._by_address: dict[str, dict[T, None]] = {}
        self._weights: dict[str, int] = {}
        self.weight = 0

    def add(self, member: T, address: str, weight: int = 1) -> None:
        """Add a member, as the newest of its address."""
        self.remove(member)
        self._members[member] = address, weight
        self._by_address.setdefault(address, {})[member] = None
        self._change(address, weight)

    def remove(self, member: T) -> None:
        """Remove a member, if it is one."""
        if member not in self._members:
            return
        address, weight = self._members.pop(member)
        del self._by_address[address][member]
        self._change(address, -weight)
        if not self._by_address[address]:
            del self._by_address[address], self._weights[address]

    def most_dispensable(self) -> T | None:
        """Return the oldest member of the address that weighs most; None if there is nobody."""
        if not self._members:
            return None
        heaviest = max(self._weights, key=self._weights.__getitem__)
        return next(iter(self._by_address[heaviest]))

    def _change(self, address: str, weight: int) -> None:
        self._weights[address] = self._weights.get(address, 0) + weight
        self.weight += weight
