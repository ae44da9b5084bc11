"""The throttle's policy: every row and edge of its table, and that no sequence of readings makes it flap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.domain import throttle
from nebula.domain.throttle import INITIAL, Causes, Demand, PowerReading, Throttle

RUN, GENTLY, PAUSE, HAND_BACK = Throttle
QUIET = Demand()


def battery(percent: float | None) -> PowerReading:
    return PowerReading(on_mains=False, percent=percent)


def mains(temperature_c: float | None = None) -> PowerReading:
    return PowerReading(on_mains=True, percent=80, temperature_c=temperature_c)


def unplugged(temperature_c: float, percent: float = 80) -> PowerReading:
    return PowerReading(on_mains=False, percent=percent, temperature_c=temperature_c)


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
    ],
)
def test_decide_by_battery(reading: PowerReading, current: Throttle, asked: Throttle, reason: str) -> None:
    decision = throttle.start(reading, QUIET, Causes(battery=current)).decision
    assert decision.throttle is asked
    assert reason in decision.reasons[0]


@pytest.mark.parametrize(
    ("reading", "current", "asked", "reason"),
    [
        (mains(90), RUN, GENTLY, "hot: 90"),
        (mains(89.9), RUN, RUN, "on mains"),
        (mains(82), GENTLY, GENTLY, "hot: 82"),
        (mains(81.9), GENTLY, RUN, "on mains"),
        (mains(None), GENTLY, RUN, "on mains"),
        (unplugged(99, 20), RUN, PAUSE, "20 %"),
    ],
)
def test_decide_by_heat(reading: PowerReading, current: Throttle, asked: Throttle, reason: str) -> None:
    decision = throttle.start(reading, QUIET, Causes(heat=current)).decision
    assert decision.throttle is asked
    assert reason in decision.reasons[0]


@pytest.mark.parametrize(
    ("demand", "asked"),
    [(Demand(1, True), GENTLY), (Demand(1, False), RUN), (Demand(0, True), RUN)],
)
def test_decide_is_gentle_only_when_someone_watches_and_the_machine_is_short(demand: Demand, asked: Throttle) -> None:
    assert throttle.start(PowerReading(on_mains=True), demand, Causes()).decision.throttle is asked


WATCHED = Demand(1, True)


@pytest.mark.parametrize(
    ("samples", "asked", "reasons"),
    [
        pytest.param([(unplugged(85), QUIET), (mains(85), QUIET)], RUN, ("on mains",), id="never hot, was unplugged"),
        pytest.param(
            [(mains(95), QUIET), (unplugged(80), QUIET), (mains(85), QUIET)],
            RUN,
            ("on mains",),
            id="was hot, cooled down while unplugged",
        ),
        pytest.param(
            [(mains(95), QUIET), (unplugged(80, 30), QUIET), (mains(89), QUIET)],
            RUN,
            ("on mains",),
            id="was hot, cooled down while paused",
        ),
        pytest.param(
            [(mains(85), WATCHED), (mains(85), QUIET)], RUN, ("on mains",), id="gentle for a viewer, never hot"
        ),
        pytest.param(
            [(mains(95), QUIET), (unplugged(85), QUIET), (mains(85), QUIET)],
            GENTLY,
            ("hot: 85 °C",),
            id="still hot when it is plugged in again",
        ),
        pytest.param(
            [(mains(95), QUIET), (unplugged(95, 10), QUIET), (mains(85), QUIET)],
            GENTLY,
            ("hot: 85 °C",),
            id="heat outlasts an empty battery",
        ),
        pytest.param(
            [(unplugged(95, 49), QUIET), (unplugged(85, 51), QUIET)],
            PAUSE,
            ("on battery at 51 %",),
            id="the battery's margin is its own while the heat goes",
        ),
        pytest.param(
            [(unplugged(60, 40), QUIET), (mains(60), WATCHED), (unplugged(60, 51), WATCHED)],
            GENTLY,
            ("on battery at 51 %", "1 watching while the processors are short"),
            id="mains ends the battery's margin though viewers keep it gentle",
        ),
    ],
)
def test_each_cause_climbs_back_by_its_own_margin(
    samples: list[tuple[PowerReading, Demand]], asked: Throttle, reasons: tuple[str, ...]
) -> None:
    state = INITIAL
    for reading, demand in samples:
        for _ in range(throttle.SAMPLES_TO_CHANGE):
            state = throttle.step(state, reading, demand)
    assert (state.decision.throttle, state.decision.reasons) == (asked, reasons)


@pytest.mark.parametrize("elsewhere", [mains(85), unplugged(85), unplugged(85, 30)])
def test_one_hot_sample_is_no_heat_whatever_else_holds(elsewhere: PowerReading) -> None:
    state = throttle.start(elsewhere, QUIET, Causes())
    spike = PowerReading(elsewhere.on_mains, elsewhere.percent, 95)
    for reading in (spike, elsewhere, elsewhere, mains(85), mains(85)):
        state = throttle.step(state, reading, QUIET)
    assert state.decision.throttle is RUN


def test_start_goes_on_from_each_cause_of_the_worker_before() -> None:
    assert throttle.start(mains(85), QUIET, Causes(battery=GENTLY)).decision.throttle is RUN
    assert throttle.start(mains(85), QUIET, Causes(heat=GENTLY)).decision.throttle is GENTLY
    assert throttle.start(battery(51), QUIET, Causes(heat=GENTLY)).decision.throttle is GENTLY
    assert throttle.start(battery(51), QUIET, Causes(battery=PAUSE)).decision.throttle is PAUSE


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
    assert after(*[battery(40), mains()] * 20) is RUN


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


@given(st.lists(READINGS, max_size=60), st.sampled_from([QUIET, WATCHED]))
def test_step_never_changes_a_cause_twice_within_two_samples(readings: list[PowerReading], demand: Demand) -> None:
    state, since = INITIAL, {"battery": 99, "heat": 99, "viewers": 99}
    for reading in readings:
        following = throttle.step(state, reading, demand)
        for cause in since:
            changed = getattr(following.causes, cause) is not getattr(state.causes, cause)
            assert not changed or since[cause] + 1 >= throttle.SAMPLES_TO_CHANGE
            since[cause] = 0 if changed else since[cause] + 1
        state = following


@given(READINGS, *[st.sampled_from(list(Throttle))] * 3)
def test_step_settles_on_what_a_steady_reading_asks_for(
    reading: PowerReading, by_battery: Throttle, by_heat: Throttle, by_viewers: Throttle
) -> None:
    state = throttle.start(reading, QUIET, Causes(by_battery, by_heat, by_viewers))
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
