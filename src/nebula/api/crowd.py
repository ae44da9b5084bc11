"""A crowd: waiting connections, grouped by client address, to choose which to close if there are too many."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Crowd(Generic[T]):
    """Members that each have a weight, in the order in which they were added. Not thread-safe."""

    def __init__(self) -> None:
        self._members: dict[T, tuple[str, int]] = {}
        self._by_address: dict[str, dict[T, None]] = {}
        self._weights: dict[str, int] = {}
        self.weight = 0

    def add(self, member: T, address: str, weight: int = 1) -> None:
        """Add a member as the newest of its address; a member that is already here moves to the end."""
        self.remove(member)
        self._members[member] = address, weight
        self._by_address.setdefault(address, {})[member] = None
        self._change(address, weight)

    def remove(self, member: T) -> None:
        """Remove a member; does nothing if it is not here."""
        if member not in self._members:
            return
        address, weight = self._members.pop(member)
        del self._by_address[address][member]
        self._change(address, -weight)
        if not self._by_address[address]:
            del self._by_address[address], self._weights[address]

    def most_dispensable(self) -> T | None:
        """Return the oldest member of the address with the largest total weight; None if there are no members."""
        if not self._members:
            return None
        heaviest = max(self._weights, key=self._weights.__getitem__)
        return next(iter(self._by_address[heaviest]))

    def _change(self, address: str, weight: int) -> None:
        self._weights[address] = self._weights.get(address, 0) + weight
        self.weight += weight
