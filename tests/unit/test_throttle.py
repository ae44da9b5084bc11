"""The throttle's policy: every row and edge of its table, and that no sequence of readings makes it flap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.domain import throttle
from nebula.domain.throttle import INITIAL, Decision, Demand, PowerReading, Throttle, ThrottleState

RUN, GENTLY, PAUSE, HAND_BACK = Throttle
QUIET = Demand()


def battery(percent: float | None) -> PowerReading:
    return PowerReading(on_mains=False, percent=percent)


@pytest.mark.parametrize(
    ("reading", "current", "asked", "reason"),
    [
        (PowerReading(on_mains=True, percent=4), RUN, RUN, "on mains"),
        (PowerReading(), RUN, RUN, "unknown"),
        (battery(None), PAUSE, RUN, "unknown"),
        (battery(100), RUN, GENTLY, "100 %"),
        (battery(50), RUN, GENTLY, "50 %"),
        (battery(49.9), RUN, PAUSE, "50 %"),
        (battery(52.9), PAUSE, PAUSE, "53 %"),
        (battery(53), PAUSE, GENTLY, "53 %"),
        (battery(15), PAUSE, PAUSE, "15 %"),
        (battery(14.9), PAUSE, HAND_BACK, "15 %"),
        (battery(17.9), HAND_BACK, HAND_BACK, "18 %"),
        (battery(18), HAND_BACK, PAUSE, "18 %"),
        (battery(0), RUN, HAND_BACK, "0 %"),
        (PowerReading(on_mains=True, temperature_c=90), RUN, GENTLY, "hot: 90"),
        (PowerReading(on_mains=True, temperature_c=89.9), RUN, RUN, "on mains"),
        (PowerReading(on_mains=True, temperature_c=82), GENTLY, GENTLY, "hot: 82"),
        (PowerReading(on_mains=True, temperature_c=81.9), GENTLY, RUN, "on mains"),
        (PowerReading(on_mains=False, percent=20, temperature_c=99), RUN, PAUSE, "20 %"),
    ],
)
def test_decide_by_power(reading: PowerReading, current: Throttle, asked: Throttle, reason: str) -> None:
    decision = throttle.decide(reading, QUIET, current)
    assert decision.throttle is asked
    assert reason in decision.reasons[0]


@pytest.mark.parametrize(
    ("demand", "asked"),
    [(Demand(1, True), GENTLY), (Demand(1, False), RUN), (Demand(0, True), RUN)],
)
def test_decide_is_gentle_only_when_someone_watches_and_the_machine_is_short(demand: Demand, asked: Throttle) -> None:
    assert throttle.decide(PowerReading(on_mains=True), demand, RUN).throttle is asked


def after(*readings: PowerReading) -> Throttle:
    state = INITIAL
    for reading in readings:
        state = throttle.step(state, reading, QUIET)
    return state.decision.throttle


def test_step_changes_after_two_samples_in_a_row() -> None:
    assert after(battery(80)) is RUN
    assert after(battery(80), battery(80)) is GENTLY
    assert after(battery(80), battery(80), battery(40), battery(40), battery(10), battery(10)) is HAND_BACK


def test_step_ignores_a_plug_that_flickers() -> None:
    mains = PowerReading(on_mains=True)
    assert after(*[battery(40), mains] * 20) is RUN


def test_step_ignores_a_level_that_swings_within_the_margin() -> None:
    states = [INITIAL]
    for _ in range(20):
        for percent in (49, 49, 51, 51):
            states.append(throttle.step(states[-1], battery(percent), QUIET))
    changes = sum(a.decision.throttle is not b.decision.throttle for a, b in pairwise(states))
    assert changes == 1


READINGS = st.builds(
    PowerReading,
    on_mains=st.sampled_from([True, False, None]),
    percent=st.none() | st.floats(0, 100),
    temperature_c=st.none() | st.floats(20, 110),
)


@given(st.lists(READINGS, max_size=60))
def test_step_never_changes_twice_within_two_samples(readings: list[PowerReading]) -> None:
    state, since = INITIAL, 99
    for reading in readings:
        following = throttle.step(state, reading, QUIET)
        changed = following.decision.throttle is not state.decision.throttle
        assert not changed or since + 1 >= throttle.SAMPLES_TO_CHANGE
        since = 0 if changed else since + 1
        state = following


@given(READINGS, st.sampled_from(list(Throttle)))
def test_step_settles_on_what_a_steady_reading_asks_for(reading: PowerReading, start: Throttle) -> None:
    state = ThrottleState(Decision(start, ()))
    seen = []
    for _ in range(12):
        state = throttle.step(state, reading, QUIET)
        seen.append(state.decision.throttle)
    assert len(set(seen[-4:])) == 1


@pytest.mark.parametrize(("decided", "cores", "count"), [(RUN, 8, 8), (GENTLY, 8, 4), (GENTLY, 1, 1), (RUN, 1, 1)])
def test_threads(decided: Throttle, cores: int, count: int) -> None:
    assert throttle.threads(decided, cores) == count


@pytest.mark.parametrize(
    ("load", "own", "is_short"), [(12, 8, False), (12.1, 8, True), (4.1, 0, True), (4, 0, False), (3, 8, False)]
)
def test_processors_are_short_when_others_could_use_more_than_half(load: float, own: int, is_short: bool) -> None:
    assert throttle.is_short(load, own, 8) is is_short
