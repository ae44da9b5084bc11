"""Whether a pattern can make Python's `re` do more than linear work on some text.

`re` tries one way to match after the other. How many there are shows in the pattern's position automaton (Glushkov):
it is exponential if two ways lead around one loop over the same text, and at least quadratic if one text leads around
a loop, from that loop to another, and around that one (Weideman et al., "Analyzing matching time behavior of
backtracking regular expression matchers by using ambiguity of NFA", 2016). `search` adds a loop before the pattern, for
it begins anew at each character. What this cannot judge (a back reference) it refuses; where it simplifies (lookahead,
atomic groups, repeats with a bound), it is stricter than `re`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from re import _constants as op
from re import _parser as parser
from typing import Any

BEGIN, END = -1, -2  # what ^ and $ consume, as if the text had a mark there
USUAL = [*range(0x180), 0x663, 0x2003, 0x3042, 0xD800, 0x10FFFF]  # stand for all characters, with a pattern's own
COPIES = 12  # of what a bounded repeat repeats; more are taken for a loop
CATEGORIES = {
    op.CATEGORY_DIGIT: str.isdecimal,
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_WORD: lambda character: character.isalnum() or character == "_",
}
OPPOSITES = {
    op.CATEGORY_NOT_DIGIT: op.CATEGORY_DIGIT,
    op.CATEGORY_NOT_SPACE: op.CATEGORY_SPACE,
    op.CATEGORY_NOT_WORD: op.CATEGORY_WORD,
}


@dataclass(frozen=True)
class Part:
    """A part of a pattern: in how many ways (2: two or more) it matches nothing, begins and ends at each position."""

    empty: int = 1
    first: Counter[int] = field(default_factory=Counter)
    last: Counter[int] = field(default_factory=Counter)


def fault(pattern: str | bytes, flags: int = 0, how: str = "search") -> str | None:
    """Return "exponential" or "polynomial" if matching can take so long; None if it is linear.

    `how` is search, match or fullmatch.
    """
    return _Automaton(pattern, flags, how).fault()


class _Automaton:
    def __init__(self, pattern: str | bytes, flags: int, how: str) -> None:
        parsed = parser.parse(pattern, flags)
        self._flags = parsed.state.flags
        self._is_ascii = isinstance(pattern, bytes) or bool(self._flags & re.ASCII)
        self._alphabet = sorted({*USUAL, *_named(parsed)})
        self.characters: list[frozenset[int]] = []
        self.follow: list[Counter[int]] = []
        whole = self._sequence(parsed)
        if how == "search":
            start = self._position(frozenset(self._alphabet))
            self._link(Counter({start: 1}), whole.first + Counter({start: 1}))
        # Where the pattern has matched already, nothing is tried again; fullmatch asks what follows.
        self._done = frozenset() if how == "fullmatch" else frozenset(whole.last)

    def fault(self) -> str | None:
        if any(self._doubles(ring) for ring in self._rings):
            return "exponential"
        return "polynomial" if any(self._chains(*pair) for pair in product(self._looping, repeat=2)) else None

    # Building

    def _position(self, characters: frozenset[int]) -> int:
        self.characters.append(characters)
        self.follow.append(Counter())
        return len(self.follow) - 1

    def _link(self, lasts: Counter[int], firsts: Counter[int]) -> None:
        for (last, ways), (first, more) in product(lasts.items(), firsts.items()):
            self.follow[last][first] += ways * more

    def _sequence(self, nodes: Iterable[Any]) -> Part:
        whole = Part()
        for node in nodes:
            whole = self._joined(whole, self._part(*node))
        return whole

    def _joined(self, left: Part, right: Part) -> Part:
        self._link(left.last, right.first)
        first = left.first + _times(right.first, left.empty)
        return Part(min(2, left.empty * right.empty), first, right.last + _times(left.last, right.empty))

    def _part(self, kind: Any, value: Any) -> Part:
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeat(*value)
        if kind is op.SUBPATTERN:
            assert value[1:3] == (0, 0), "flags of a group cannot be judged: give them to the whole pattern"
            return self._sequence(value[3])
        if kind is op.ATOMIC_GROUP:
            return self._sequence(value)
        if kind is op.BRANCH:
            return _either([self._sequence(branch) for branch in value[1]])
        if kind in (op.ASSERT, op.ASSERT_NOT):
            return Part(1, self._sequence(value[1]).first)
        if kind is op.AT:
            return self._at(value)
        return self._single(self._characters(kind, value))

    def _single(self, characters: frozenset[int]) -> Part:
        ways = Counter({self._position(characters): 1})
        return Part(0, ways, ways)

    def _at(self, value: Any) -> Part:
        if value in (op.AT_BEGINNING, op.AT_BEGINNING_STRING) and not self._flags & re.MULTILINE:
            return self._single(frozenset({BEGIN}))
        return self._single(frozenset({END})) if value in (op.AT_END, op.AT_END_STRING) else Part()

    def _repeat(self, least: int, most: Any, body: Any) -> Part:
        whole = Part()
        for _ in range(min(least, COPIES)):
            whole = self._joined(whole, self._sequence(body))
        if most == least:
            return whole
        more = self._sequence(body)
        if most is op.MAXREPEAT or most - least > 1:
            self._link(more.last, more.first)
        return self._joined(whole, _either([more, Part()]))

    def _characters(self, kind: Any, value: Any) -> frozenset[int]:
        if kind is op.ANY:
            return frozenset(self._alphabet) - (set() if self._flags & re.DOTALL else {10})
        if kind is op.NOT_LITERAL:
            return frozenset(self._alphabet) - self._characters(op.LITERAL, value)
        if kind is op.LITERAL:
            return frozenset(code for code in self._alphabet if value in self._cases(code))
        if kind is op.RANGE:
            low, high = value
            return frozenset(code for code in self._alphabet if any(low <= c <= high for c in self._cases(code)))
        if kind is op.CATEGORY:
            return self._category(value)
        if kind is op.IN:
            negated = value[0][0] is op.NEGATE
            wanted = frozenset().union(*(self._characters(*item) for item in value[negated:]))
            return frozenset(self._alphabet) - wanted if negated else wanted
        raise AssertionError(f"{kind} cannot be judged: write the pattern without it")

    def _category(self, value: Any) -> frozenset[int]:
        if value in OPPOSITES:
            return frozenset(self._alphabet) - self._category(OPPOSITES[value])
        holds = CATEGORIES[value]
        return frozenset(code for code in self._alphabet if holds(chr(code)) and not (self._is_ascii and code > 127))

    def _cases(self, code: int) -> set[int]:
        if not self._flags & re.IGNORECASE:
            return {code}
        return {code} | {ord(cased) for cased in (chr(code).lower(), chr(code).upper()) if len(cased) == 1}

    # Judging

    def _steps(self, position: int) -> Iterator[int]:
        return (later for later in self.follow[position] if later not in self._done)

    @cached_property
    def _reach(self) -> list[frozenset[int]]:
        """From each position: what one or more steps lead to."""
        return [frozenset(_closure(self._steps(position), self._steps)) for position in range(len(self.follow))]

    @cached_property
    def _looping(self) -> list[int]:
        return [p for p in range(len(self.follow)) if p in self._reach[p] and p not in self._done]

    @cached_property
    def _rings(self) -> set[frozenset[int]]:
        return {self._ring(position) for position in self._looping}

    def _ring(self, position: int) -> frozenset[int]:
        return frozenset(other for other in self._reach[position] if position in self._reach[other])

    def _doubles(self, ring: frozenset[int]) -> bool:
        """Return whether one text leads around the ring in two ways."""
        if any(self.follow[p][q] > 1 for p, q in product(ring, repeat=2)):
            return True
        backward: dict[tuple[int, ...], set[tuple[int, ...]]] = {}

        def steps(pair: tuple[int, ...]) -> list[tuple[int, ...]]:
            found = [later for later in self._together(pair) if ring.issuperset(later)]
            for later in found:
                backward.setdefault(later, set()).add(pair)
            return found

        same = [(p, p) for p in ring]
        _closure(same, steps)
        return any(p != q for p, q in _closure(same, lambda pair: backward.get(pair, ())))

    def _chains(self, p: int, q: int) -> bool:
        """Return whether one text leads around p's loop, from p to q, and around q's loop."""
        if p == q or q not in self._reach[p]:
            return False
        rings = self._ring(p), self._ring(q)

        def steps(at: tuple[int, ...]) -> list[tuple[int, ...]]:
            return [
                later
                for later in self._together(at)
                if later[0] in rings[0] and later[2] in rings[1] and (later[1] == q or q in self._reach[later[1]])
            ]

        return (p, q, q) in _closure(steps((p, p, q)), steps)

    def _together(self, at: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Yield where several ways lead that read the same character."""
        for later in product(*(self._steps(position) for position in at)):
            if frozenset.intersection(*(self.characters[position] for position in later)):
                yield later


def _times(ways: Counter[int], count: int) -> Counter[int]:
    return Counter({position: min(2, number * count) for position, number in ways.items() if count})


def _either(parts: list[Part]) -> Part:
    first, last = sum((part.first for part in parts), Counter()), sum((part.last for part in parts), Counter())
    return Part(min(2, sum(part.empty for part in parts)), first, last)


def _closure(begin: Iterable[Any], steps: Any) -> set[Any]:
    found = set(begin)
    waiting = list(found)
    while waiting:
        for later in steps(waiting.pop()):
            if later not in found:
                found.add(later)
                waiting.append(later)
    return found


def _named(node: Any) -> Iterator[int]:
    """Yield the characters that a pattern names, and their neighbours."""
    if isinstance(node, int) and not isinstance(node, op._NamedIntConstant) and 0 <= node < 0x10FFFF:
        yield from (max(0, node - 1), node, node + 1)
    elif isinstance(node, tuple | list | parser.SubPattern):
        for child in node:
            yield from _named(child)
