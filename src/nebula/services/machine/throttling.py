"""The throttle of a node's encoder: reads the node's power every few seconds, decides, and records the decision.

It runs in the worker that owns the encoder. What that worker's attempts may do right now is in a `Pace`, which they can
read as often as they like. The reading, the decision and its history are in the database for everyone else. If a
reading fails, the power is unknown; if the database is unreachable, the next sample writes again. Neither stops the
encoder. Nothing here, and nothing that it calls, can switch a machine off; upower does that.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from nebula.db import power
from nebula.db.database import Database
from nebula.domain import throttle
from nebula.domain.throttle import (
    INITIAL,
    SAMPLE_S,
    SEVERITY,
    Causes,
    Demand,
    PowerReading,
    Throttle,
    ThrottleDecision,
    ThrottleState,
)
from nebula.errors import StoreUnavailable
from nebula.power import PowerSupplies, load

log = logging.getLogger(__name__)

NOTE_S = 30.0  # how often a reading is written if nothing has changed
JOIN_S = 10.0
HELD = frozenset({Throttle.PAUSE, Throttle.HAND_BACK})


class Pace:
    """What the encoder may do at this moment. If nobody sets it, everything may run, as in the quick worker."""

    def __init__(self, cores: int | None = None) -> None:
        self.cores = cores or len(os.sched_getaffinity(0))
        self._working = 0
        self._lock = threading.Lock()
        self._decision = INITIAL.decision
        self.hand_back = threading.Event()  # set if the encoder must end and its lease must be given back

    def set(self, decision: ThrottleDecision) -> None:
        """Apply a decision."""
        self._decision = decision
        if decision.throttle is Throttle.HAND_BACK:
            self.hand_back.set()
        else:
            self.hand_back.clear()

    def enter(self) -> None:
        """Count an attempt that begins."""
        with self._lock:
            self._working += 1

    def leave(self) -> None:
        """Stop counting an attempt that has ended."""
        with self._lock:
            self._working -= 1

    @property
    def is_working(self) -> bool:
        """Whether an attempt is running."""
        return self._working > 0

    @property
    def throttle(self) -> Throttle:
        """The throttle decision that applies now."""
        return self._decision.throttle

    def reason(self) -> str:
        """Return the reasons for the decision."""
        return "; ".join(self._decision.reasons)

    def is_paused(self) -> bool:
        """Whether a running encoder must be suspended. This includes an encoder that must end, until it has ended."""
        return self.throttle in HELD

    def may_start(self) -> bool:
        """Whether new work may be claimed."""
        return throttle.may_start(self.throttle)

    def may_start_lower_rungs(self) -> bool:
        """Whether work may be claimed that no film needs in order to be playable."""
        return self.throttle is Throttle.RUN

    def may_overlap(self) -> bool:
        """Whether a chunk may be encoded while the one before it is verified. Both together use the whole machine."""
        return self.throttle is Throttle.RUN

    def threads(self) -> int:
        """Return how many threads an encoder that starts now gets. 0 lets it choose, and it then uses all cores."""
        return 0 if self.throttle is Throttle.RUN else throttle.threads(Throttle.GENTLY, self.cores)


class Throttling:
    """Samples the node's power in its own thread, and sets the pace."""

    def __init__(
        self,
        database: Database,
        supplies: PowerSupplies,
        pace: Pace,
        *,
        node: str,
        interval_s: float = SAMPLE_S,
        load: Callable[[], float] = load,
        on_more: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._supplies = supplies
        self._pace = pace
        self._node = node
        self._interval_s = interval_s
        self._load = load
        self._on_more = on_more
        self._state: ThrottleState | None = None
        self._problems: tuple[str, ...] = ()
        self._noted: tuple[object, ...] = ()
        self._noted_at = 0.0
        self._paused_s = 0.0
        self._looked_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="power", daemon=True)

    def start(self) -> None:
        """Take the first sample now and the others in a thread. On an empty battery, no work is claimed at all."""
        self.sample()
        self._thread.start()

    def end(self) -> None:
        """End the thread. It may be called twice, and without `start`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def sample(self) -> None:
        """Read the power, decide, apply the decision, and record it."""
        reading = self._read()
        self._count_pause()
        before = self._pace.throttle
        state = self._stepped(reading, self._demand())
        is_new = self._state is None or before is not state.decision.throttle
        self._state = state
        self._pace.set(state.decision)
        if is_new:
            self._say_change(state.decision, reading)
        self._note(state, reading)
        if SEVERITY.index(state.decision.throttle) < SEVERITY.index(before):
            self._on_more()

    def _read(self) -> PowerReading:
        try:
            reading = self._supplies.read()
        except Exception as error:  # whatever a driver does, the power is then unknown; it must not stop the encoder
            log.exception("power reading failed node=%s", self._node)
            reading = PowerReading(problems=(f"the reading failed ({type(error).__name__})",))
        if reading.problems and reading.problems != self._problems:
            log.warning("power not readable node=%s problems=%r", self._node, "; ".join(reading.problems))
        self._problems = reading.problems
        return reading

    def _stepped(self, reading: PowerReading, demand: Demand) -> ThrottleState:
        if self._state is not None:
            return throttle.step(self._state, reading, demand)
        # A restart must not end a throttle early: start from the causes that applied when the last worker ended.
        last = Causes()
        with suppress(StoreUnavailable):
            last = self._database.read(lambda tx: power.last_causes(tx, self._node))
        return throttle.start(reading, demand, last)

    def _demand(self) -> Demand:
        cores = self._pace.cores
        own_threads = (self._pace.threads() or cores) if self._pace.is_working and not self._pace.is_paused() else 0
        if not throttle.is_short(self._load(), own_threads, cores):
            return Demand()  # viewers make no difference if the machine is not short of cores
        with suppress(StoreUnavailable):
            return Demand(self._database.read(lambda tx: power.viewers(tx, self._node)), is_short=True)
        return Demand()

    def _count_pause(self) -> None:
        """Add the time since the last sample if an encoder was suspended throughout."""
        now = time.monotonic()
        if self._pace.throttle is Throttle.PAUSE and self._pace.is_working:
            self._paused_s += now - self._looked_at
        self._looked_at = now

    def _say_change(self, decision: ThrottleDecision, reading: PowerReading) -> None:
        log.info(
            "throttle node=%s throttle=%s reasons=%r on_mains=%s percent=%s temperature_c=%s",
            *(self._node, decision.throttle, "; ".join(decision.reasons)),
            *(reading.on_mains, reading.percent, reading.temperature_c),
        )

    def _note(self, state: ThrottleState, reading: PowerReading) -> None:
        """Write a change to the database at once; without a change, write every NOTE_S."""
        noted_values = (state.decision, state.causes, reading.on_mains, _whole(reading.percent), reading.problems)
        if noted_values == self._noted and time.monotonic() - self._noted_at < NOTE_S:
            return
        paused_s = self._paused_s
        try:
            is_written = self._database.write(
                lambda tx: power.note(tx, self._node, state.decision, reading, paused_s, state.causes)
            )
        except StoreUnavailable:
            return  # the next sample tries again
        if is_written:
            self._noted, self._noted_at = noted_values, time.monotonic()
            self._paused_s -= paused_s

    def _loop(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.sample()
            except Exception:  # an error in one sample must not end the thread: the next sample may end a pause
                log.exception("power sample failed node=%s", self._node)


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)
