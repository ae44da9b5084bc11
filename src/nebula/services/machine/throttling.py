"""The throttle of a node's encoder: reads its power every few seconds, decides, and keeps what was decided.

The worker that owns the encoder runs it. What may be done right now stands in a `Pace`, which that worker's attempts
look at as often as they like; the reading, the decision and its history are in the database for everyone else. A
reading that fails is unknown, an unreachable database waits: neither holds the encoder up. Nothing here, and nothing
that it calls, can switch a machine off: that is upower's.
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
    Decision,
    Demand,
    PowerReading,
    Throttle,
    ThrottleState,
)
from nebula.errors import StoreUnavailable
from nebula.power import PowerSupplies, load

log = logging.getLogger(__name__)

NOTE_S = 30.0  # a reading that shows nothing new is noted so often
JOIN_S = 10.0
HELD = frozenset({Throttle.PAUSE, Throttle.HAND_BACK})


class Pace:
    """What the encoder may do at this moment. One that nobody sets lets everything run: the quick worker's."""

    def __init__(self, cores: int | None = None) -> None:
        self.cores = cores or len(os.sched_getaffinity(0))
        self._working = 0
        self._lock = threading.Lock()
        self._decision = INITIAL.decision
        self.hand_back = threading.Event()  # the encoder is to end, and its lease to be given back

    def set(self, decision: Decision) -> None:
        """Put a decision into force."""
        self._decision = decision
        if decision.throttle is Throttle.HAND_BACK:
            self.hand_back.set()
        else:
            self.hand_back.clear()

    def enter(self) -> None:
        """Note that an attempt begins."""
        with self._lock:
            self._working += 1

    def leave(self) -> None:
        """Note that an attempt has ended."""
        with self._lock:
            self._working -= 1

    @property
    def is_working(self) -> bool:
        """Whether an attempt is under way."""
        return self._working > 0

    @property
    def throttle(self) -> Throttle:
        """The decision in force."""
        return self._decision.throttle

    def reason(self) -> str:
        """Say why it is as it is."""
        return "; ".join(self._decision.reasons)

    def is_paused(self) -> bool:
        """Whether a running encoder is to be held where it is; one that is to end does not run on until it does."""
        return self.throttle in HELD

    def may_start(self) -> bool:
        """Whether new work may be claimed."""
        return throttle.may_start(self.throttle)

    def may_start_lower_rungs(self) -> bool:
        """Whether work may be claimed that no film needs to be playable."""
        return self.throttle is Throttle.RUN

    def may_overlap(self) -> bool:
        """Whether a chunk may be encoded while the one before it is verified: that takes the whole machine."""
        return self.throttle is Throttle.RUN

    def threads(self) -> int:
        """Return how many threads an encoder that starts now gets; 0 is what it takes by itself: all."""
        return 0 if self.throttle is Throttle.RUN else throttle.threads(Throttle.GENTLY, self.cores)


class Throttling:
    """Samples the node's power in a thread of its own, and sets the pace."""

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
        """Take the first sample, which counts at once, and go on in a thread: an empty battery claims nothing."""
        self.sample()
        self._thread.start()

    def end(self) -> None:
        """End the thread. May be called twice, and without a start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def sample(self) -> None:
        """Read, decide, put it into force, and keep it."""
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
        except Exception as error:  # unknown is the answer to whatever a driver does: it must not hold the encoder
            log.exception("power reading failed node=%s", self._node)
            reading = PowerReading(problems=(f"the reading failed ({type(error).__name__})",))
        if reading.problems and reading.problems != self._problems:
            log.warning("power not readable node=%s problems=%r", self._node, "; ".join(reading.problems))
        self._problems = reading.problems
        return reading

    def _stepped(self, reading: PowerReading, demand: Demand) -> ThrottleState:
        if self._state is not None:
            return throttle.step(self._state, reading, demand)
        # A restart is no way to climb back: it goes on from what was in force when the last worker ended.
        last = Causes()
        with suppress(StoreUnavailable):
            last = self._database.read(lambda tx: power.last_causes(tx, self._node))
        return throttle.start(reading, demand, last)

    def _demand(self) -> Demand:
        cores = self._pace.cores
        own = (self._pace.threads() or cores) if self._pace.is_working and not self._pace.is_paused() else 0
        if not throttle.is_short(self._load(), own, cores):
            return Demand()  # who is watching makes no difference then
        with suppress(StoreUnavailable):
            return Demand(self._database.read(lambda tx: power.viewers(tx, self._node)), is_short=True)
        return Demand()

    def _count_pause(self) -> None:
        """Add the time since the last sample where an encoder was held through it."""
        now = time.monotonic()
        if self._pace.throttle is Throttle.PAUSE and self._pace.is_working:
            self._paused_s += now - self._looked_at
        self._looked_at = now

    def _say_change(self, decision: Decision, reading: PowerReading) -> None:
        log.info(
            "throttle node=%s throttle=%s reasons=%r on_mains=%s percent=%s temperature_c=%s",
            *(self._node, decision.throttle, "; ".join(decision.reasons)),
            *(reading.on_mains, reading.percent, reading.temperature_c),
        )

    def _note(self, state: ThrottleState, reading: PowerReading) -> None:
        """Write what is new to the database, and from time to time that nothing has changed."""
        shown = (state.decision, state.causes, reading.on_mains, _whole(reading.percent), reading.problems)
        if shown == self._noted and time.monotonic() - self._noted_at < NOTE_S:
            return
        paused_s = self._paused_s
        try:
            kept = self._database.write(
                lambda tx: power.note(tx, self._node, state.decision, reading, paused_s, state.causes)
            )
        except StoreUnavailable:
            return  # the next sample tries again
        if kept:
            self._noted, self._noted_at = shown, time.monotonic()
            self._paused_s -= paused_s

    def _loop(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self.sample()
            except Exception:  # one sample's mistake must not end the sampling: the next one may undo a pause
                log.exception("power sample failed node=%s", self._node)


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)
