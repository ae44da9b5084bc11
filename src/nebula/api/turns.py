"""Turns: decide which client's request gets a thread next.

A turn lasts from a complete request to its answer, or until the request takes a place in a gate, which has its own
rules. An address gets another turn only while it has fewer turns than are free: one address alone gets half of them,
two addresses get a third each, and an address without a turn always gets one. The requests of an address that cannot
begin wait in the order in which they came.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A fixed number of turns. Thread-safe."""

    def __init__(self, turns: int, begin: Callable[[T], None]) -> None:
        self._turns = turns
        self._begin = begin
        self._lock = threading.Lock()
        self._taken: dict[T, str] = {}
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[str, dict[T, None]] = {}

    def request(self, member: T, address: str) -> bool:
        """Begin now, or later when the address may have another turn; returns True if it began now."""
        with self._lock:
            may_begin = self._may_begin(address)
            if may_begin:
                self._take(member, address)
            else:
                self._waiting.setdefault(address, {})[member] = None
        if may_begin:
            self._begin(member)
        return may_begin

    def release(self, member: T) -> None:
        """End a turn, and begin the members that can now have one. Does nothing if the turn has already ended."""
        ready_members: list[T] = []
        with self._lock:
            address = self._taken.pop(member, None)
            if address is None:
                return
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
            while (ready_member := self._next()) is not None:
                ready_members.append(ready_member)
        for ready_member in ready_members:
            self._begin(ready_member)

    def withdraw(self, member: T, address: str) -> bool:
        """Stop waiting for a turn; returns True if the member was waiting."""
        with self._lock:
            return self._stop_waiting(member, address)

    def _next(self) -> T | None:
        """Give a turn to the waiting address that has the fewest turns, and return its oldest waiting member."""
        if not self._waiting:
            return None
        address = min(self._waiting, key=self._by_address.__getitem__)
        if not self._may_begin(address):
            return None
        member = next(iter(self._waiting[address]))
        self._stop_waiting(member, address)
        self._take(member, address)
        return member

    def _may_begin(self, address: str) -> bool:
        return self._by_address[address] < self._turns - len(self._taken)

    def _take(self, member: T, address: str) -> None:
        self._taken[member] = address
        self._by_address[address] += 1

    def _stop_waiting(self, member: T, address: str) -> bool:
        queue = self._waiting.get(address, {})
        if member not in queue:
            return False
        del queue[member]
        if not queue:
            del self._waiting[address]
        return True
