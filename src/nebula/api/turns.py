"""Turns: whose request gets a thread next.

A turn lasts from a complete request to its answer, or until the request takes a place in a gate, which has rules of its
own. An address may have as many turns at once as would be left free: alone it gets half of them, two addresses get a
third each, and one that has none always finds one. What cannot begin waits in the order of its address.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A number of turns. Safe to use from many threads."""

    def __init__(self, turns: int, begin: Callable[[T], None]) -> None:
        self._turns = turns
        self._begin = begin
        self._lock = threading.Lock()
        self._taken: dict[T, str] = {}
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[str, dict[T, None]] = {}

    def request(self, member: T, address: str) -> bool:
        """Begin now, or as soon as it is this address's turn; return whether it began."""
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
        """End a turn, if it has not ended before, and begin what waited for it."""
        begun: list[T] = []
        with self._lock:
            address = self._taken.pop(member, None)
            if address is None:
                return
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
            while (waiting := self._next()) is not None:
                begun.append(waiting)
        for waiting in begun:
            self._begin(waiting)

    def withdraw(self, member: T, address: str) -> bool:
        """Give up waiting; return whether it waited."""
        with self._lock:
            return self._stop_waiting(member, address)

    def _next(self) -> T | None:
        """Take a turn for the first of the waiting addresses that has the fewest."""
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
