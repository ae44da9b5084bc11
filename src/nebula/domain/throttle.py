"""How hard a laptop may encode: a pure policy from power readings to one of four decisions, with reasons.

Three causes can ask for a throttle, independently: the battery, heat, and people who watch. The decision is the
strongest throttle of the three. A cause changes its throttle after two samples in a row, and it needs a larger change
to go back up than to go down. So a loose plug, or a percentage close to a limit, changes nothing. Each cause has its
own margin: if the battery slowed the encoder down, that does not make a warm machine count as hot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SAMPLE_S = 5.0
SAMPLES_TO_CHANGE = 2
PAUSE_BELOW_PERCENT = 50.0  # on battery at this level or above, encoding continues gently
HAND_BACK_BELOW_PERCENT = 15.0
CLIMB_PERCENT = 3.0  # the level must be this much higher to go back up than to go down
HOT_FROM_C = 90.0
COOL_BELOW_C = 82.0


class Throttle(StrEnum):
    """What the encoder may do, from the most to the least."""

    RUN = "run"  # everything
    GENTLY = "gently"  # half the threads from the next chunk on, no lower rungs
    PAUSE = "pause"  # the encoder is suspended; no new chunk starts
    HAND_BACK = "hand_back"  # the encoder ends, and its leases are given back


SEVERITY = tuple(Throttle)


@dataclass(frozen=True)
class PowerReading:
    """What the machine reports about its power. None means unknown; an unknown value never throttles anything."""

    on_mains: bool | None = None
    percent: float | None = None  # of all system batteries together, by energy
    temperature_c: float | None = None
    problems: tuple[str, ...] = ()  # what could not be read, in plain words


@dataclass(frozen=True)
class Demand:
    """What else the machine has to do: people who watch while bytes flow, and whether processor time is short."""

    viewers: int = 0
    is_short: bool = False


@dataclass(frozen=True)
class ThrottleDecision:
    """What the encoder may do, and why."""

    throttle: Throttle
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Causes:
    """The throttle that each cause asks for."""

    battery: Throttle = Throttle.RUN
    heat: Throttle = Throttle.RUN
    viewers: Throttle = Throttle.RUN


@dataclass(frozen=True)
class Level:
    """The throttle that one cause asks for, and another one that its last `seen` samples in a row asked for.

    `asked` is in force, `candidate` is not yet.
    """

    asked: ThrottleDecision
    candidate: Throttle | None = None
    seen: int = 0

    def after(self, sample: ThrottleDecision) -> Level:
        """Return the level after one more sample of this cause."""
        if sample.throttle is self.asked.throttle:
            return Level(sample)
        seen = self.seen + 1 if sample.throttle is self.candidate else 1
        return Level(sample) if seen >= SAMPLES_TO_CHANGE else Level(self.asked, sample.throttle, seen)


@dataclass(frozen=True)
class ThrottleState:
    """The level of each cause, and the decision that results from them."""

    battery: Level
    heat: Level
    viewers: Level

    @property
    def decision(self) -> ThrottleDecision:
        """The strongest throttle that a cause asks for, with the reasons of all causes that ask for it."""
        decisions = [self.battery.asked, self.heat.asked, self.viewers.asked]
        strongest = max(decisions, key=lambda decision: SEVERITY.index(decision.throttle)).throttle
        if strongest is Throttle.RUN:
            return self.battery.asked
        reasons = [reason for decision in decisions if decision.throttle is strongest for reason in decision.reasons]
        return ThrottleDecision(strongest, tuple(reasons))

    @property
    def causes(self) -> Causes:
        """The throttle that each cause asks for."""
        return Causes(self.battery.asked.throttle, self.heat.asked.throttle, self.viewers.asked.throttle)


_NOTHING_ASKED = Level(ThrottleDecision(Throttle.RUN, ()))
INITIAL = ThrottleState(Level(ThrottleDecision(Throttle.RUN, ("no reading yet",))), _NOTHING_ASKED, _NOTHING_ASKED)


def start(reading: PowerReading, demand: Demand, last: Causes) -> ThrottleState:
    """Return the state after the first sample, which counts at once. `last` is what the last worker had in force."""
    return ThrottleState(
        Level(_by_battery(reading, last.battery)), Level(_by_heat(reading, last.heat)), Level(_by_viewers(demand))
    )


def step(state: ThrottleState, reading: PowerReading, demand: Demand) -> ThrottleState:
    """Return the state after one more sample. A cause changes if two samples in a row ask for the same new throttle."""
    return ThrottleState(
        state.battery.after(_by_battery(reading, state.causes.battery)),
        state.heat.after(_by_heat(reading, state.causes.heat)),
        state.viewers.after(_by_viewers(demand)),
    )


def threads(throttle: Throttle, cores: int) -> int:
    """Return how many threads an encoder that starts now gets."""
    return max(1, cores // 2) if throttle is Throttle.GENTLY else max(1, cores)


def is_short(load: float, own_threads: int, cores: int) -> bool:
    """Return whether other programs could use more than half of the processors.

    Half is what an encoder with half the threads leaves to them.
    """
    return load - own_threads > cores / 2


def may_start(throttle: Throttle) -> bool:
    """Return whether new work may begin."""
    return throttle in {Throttle.RUN, Throttle.GENTLY}


def _by_battery(reading: PowerReading, current: Throttle) -> ThrottleDecision:
    if reading.on_mains is None:
        return ThrottleDecision(Throttle.RUN, ("whether the machine is on mains is unknown",))
    if reading.on_mains:
        return ThrottleDecision(Throttle.RUN, ("on mains",))
    if reading.percent is None:
        return ThrottleDecision(Throttle.RUN, ("on battery, its level is unknown",))
    throttle = _band(reading.percent, current)
    return ThrottleDecision(throttle, (f"on battery at {reading.percent:.0f} %",))


def _band(percent: float, current: Throttle) -> Throttle:
    severity = SEVERITY.index(current)
    hand_back_below = HAND_BACK_BELOW_PERCENT + (CLIMB_PERCENT if current is Throttle.HAND_BACK else 0)
    pause_below = PAUSE_BELOW_PERCENT + (CLIMB_PERCENT if severity >= SEVERITY.index(Throttle.PAUSE) else 0)
    if percent < hand_back_below:
        return Throttle.HAND_BACK
    return Throttle.PAUSE if percent < pause_below else Throttle.GENTLY


def _by_heat(reading: PowerReading, current: Throttle) -> ThrottleDecision:
    gently_from = HOT_FROM_C if current is Throttle.RUN else COOL_BELOW_C
    if reading.temperature_c is None or reading.temperature_c < gently_from:
        return ThrottleDecision(Throttle.RUN, ())
    return ThrottleDecision(Throttle.GENTLY, (f"hot: {reading.temperature_c:.0f} °C",))


def _by_viewers(demand: Demand) -> ThrottleDecision:
    if demand.viewers == 0 or not demand.is_short:
        return ThrottleDecision(Throttle.RUN, ())
    return ThrottleDecision(Throttle.GENTLY, (f"{demand.viewers} watching while the processors are short",))
