"""How hard a laptop may encode: a pure policy from power readings to one of four, with its reasons.

A change needs two samples in a row, and to climb back takes more than it took to fall, so that a flickering plug or a
percentage at an edge does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

SAMPLE_S = 5.0
SAMPLES_TO_CHANGE = 2
GENTLY_FROM = 50.0  # per cent: on battery above this, encoding goes on gently
PAUSE_FROM = 15.0  # per cent: below this, the work is handed back
CLIMB = 3.0  # per cent more to climb back than to fall
HOT_C = 90.0
COOL_C = 82.0


class Throttle(StrEnum):
    """What the encoder may do, from everything to nothing."""

    RUN = "run"  # everything
    GENTLY = "gently"  # half the threads from the next chunk on, no lower rungs
    PAUSE = "pause"  # the encoder is stopped where it is, no new chunk
    HAND_BACK = "hand_back"  # the encoder ends, its leases are given back


SEVERITY = tuple(Throttle)


@dataclass(frozen=True)
class PowerReading:
    """What the machine says of its power. None is unknown, and unknown never holds anything up."""

    on_mains: bool | None = None
    percent: float | None = None  # all system batteries together, by energy
    temperature_c: float | None = None
    problems: tuple[str, ...] = ()  # what could not be read, in plain words


@dataclass(frozen=True)
class Demand:
    """What else the machine has to do: people watching while bytes flow, and whether processors are short."""

    viewers: int = 0
    is_short: bool = False


@dataclass(frozen=True)
class Decision:
    """What the encoder may do, and why."""

    throttle: Throttle
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ThrottleState:
    """The decision in force, and another one that has been seen `seen` times in a row."""

    decision: Decision
    candidate: Throttle | None = None
    seen: int = 0


INITIAL = ThrottleState(Decision(Throttle.RUN, ("no reading yet",)))


def decide(reading: PowerReading, demand: Demand, current: Throttle) -> Decision:
    """Return what this one sample asks for, given what is in force (the edges lie apart by direction)."""
    asked = [_by_battery(reading, current), _by_heat(reading, current), _by_viewers(demand)]
    strongest = max(asked, key=lambda decision: SEVERITY.index(decision.throttle))
    if strongest.throttle is Throttle.RUN:
        return asked[0]
    reasons = tuple(
        reason for decision in asked if decision.throttle is strongest.throttle for reason in decision.reasons
    )
    return Decision(strongest.throttle, reasons)


def step(state: ThrottleState, reading: PowerReading, demand: Demand) -> ThrottleState:
    """Take one sample in; the decision changes when two samples in a row ask for the same other one."""
    current = state.decision.throttle
    asked = decide(reading, demand, current)
    if asked.throttle is current:
        return ThrottleState(asked)
    seen = state.seen + 1 if asked.throttle is state.candidate else 1
    if seen >= SAMPLES_TO_CHANGE:
        return ThrottleState(asked)
    return replace(state, candidate=asked.throttle, seen=seen)


def threads(throttle: Throttle, cores: int) -> int:
    """Return how many threads an encoder that starts now gets."""
    return max(1, cores // 2) if throttle is Throttle.GENTLY else max(1, cores)


def is_short(load: float, own_threads: int, cores: int) -> bool:
    """Return whether others could use more than half of the processors: what an encoder of half the threads leaves."""
    return load - own_threads > cores / 2


def may_start(throttle: Throttle) -> bool:
    """Return whether new work may begin."""
    return throttle in {Throttle.RUN, Throttle.GENTLY}


def _by_battery(reading: PowerReading, current: Throttle) -> Decision:
    if reading.on_mains is None:
        return Decision(Throttle.RUN, ("whether the machine is on mains is unknown",))
    if reading.on_mains:
        return Decision(Throttle.RUN, ("on mains",))
    if reading.percent is None:
        return Decision(Throttle.RUN, ("on battery, its level is unknown",))
    throttle = _band(reading.percent, current)
    return Decision(throttle, (f"on battery at {reading.percent:.0f} %",))


def _band(percent: float, current: Throttle) -> Throttle:
    severity = SEVERITY.index(current)
    pause_from = PAUSE_FROM + (CLIMB if severity >= SEVERITY.index(Throttle.HAND_BACK) else 0)
    gently_from = GENTLY_FROM + (CLIMB if severity >= SEVERITY.index(Throttle.PAUSE) else 0)
    if percent < pause_from:
        return Throttle.HAND_BACK
    return Throttle.PAUSE if percent < gently_from else Throttle.GENTLY


def _by_heat(reading: PowerReading, current: Throttle) -> Decision:
    limit = HOT_C if current is Throttle.RUN else COOL_C
    if reading.temperature_c is None or reading.temperature_c < limit:
        return Decision(Throttle.RUN, ())
    return Decision(Throttle.GENTLY, (f"hot: {reading.temperature_c:.0f} °C",))


def _by_viewers(demand: Demand) -> Decision:
    if demand.viewers == 0 or not demand.is_short:
        return Decision(Throttle.RUN, ())
    return Decision(Throttle.GENTLY, (f"{demand.viewers} watching while the processors are short",))
