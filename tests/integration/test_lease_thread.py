"""The thread that keeps a lease: it survives what the database does, and ends the attempt where nothing else helps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nebula.db.database import Tx
from nebula.db.work import jobs, tasks
from nebula.domain.states import Queue
from nebula.domain.throttle import Throttle, ThrottleDecision
from nebula.domain.work import Claim
from nebula.errors import HandedBack, StoreUnavailable, Superseded
from nebula.services.films import attempt
from nebula.services.films.attempt import Attempt
from nebula.services.machine.throttling import Pace
from tests.films import Bench
from tests.stores import wait_until

HAND_BACK = ThrottleDecision(Throttle.HAND_BACK, ("the battery is at 9 %",))
Begin = Callable[..., Attempt]
IS_HELD = tasks.is_held


@pytest.fixture
def begin(bench: Bench, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Claim a probe, and look after it with a lease whose look may go wrong."""
    path = tmp_path_factory.mktemp("stored") / "letter.txt"
    path.write_text("Dear all")
    bench.store(path)
    claim = bench.claim(Queue.QUICK)
    assert claim is not None

    def make(look: Callable[[Tx, Claim], bool], pace: Pace | None = None) -> Attempt:
        monkeypatch.setattr(tasks, "is_held", look)
        return Attempt(
            bench.database,
            claim,
            folder=bench.settings.scratch_dir / "x",
            worker_stop=bench.stop,
            check_room=lambda: None,
            pace=pace,
        )

    return make


def test_lease_is_kept_after_an_error_that_nobody_expected(begin: Begin, bench: Bench) -> None:
    errors: list[Exception] = [RuntimeError("odd"), ValueError("odder")]
    looks: list[bool] = []

    def look(tx: Tx, claim: Claim) -> bool:
        if errors:
            raise errors.pop()
        looks.append(IS_HELD(tx, claim))
        return looks[-1]

    with begin(look) as running:
        wait_until(lambda: len(looks) >= 2, what="looks after the errors")
        assert not running.stop.is_set()
        bench.database.write(lambda tx: jobs.cancel(tx, running.claim.job_id))
        assert running.stop.wait(20)
    assert isinstance(running.reason, Superseded)


def test_work_is_handed_back_while_the_database_makes_errors(begin: Begin) -> None:
    failed: list[bool] = []

    def look(tx: Tx, claim: Claim) -> bool:
        failed.append(True)
        raise RuntimeError("odd")

    pace = Pace()
    with begin(look, pace) as running:
        wait_until(lambda: failed, what="an error")
        pace.set(HAND_BACK)
        assert running.stop.wait(20)
    assert isinstance(running.reason, HandedBack)


def test_attempt_ends_when_its_lease_could_not_be_renewed(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "LEASE_S", 0.5)

    def look(tx: Tx, claim: Claim) -> bool:
        raise RuntimeError("odd")

    with begin(look) as running:
        assert running.stop.wait(20)
    assert isinstance(running.reason, StoreUnavailable)


def test_database_that_is_away_ends_nothing(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "LEASE_S", 0.1)
    looks: list[bool] = []

    def look(tx: Tx, claim: Claim) -> bool:
        looks.append(True)
        raise StoreUnavailable("database")

    with begin(look) as running:
        wait_until(lambda: len(looks) >= 4, what="four looks")
        assert not running.stop.is_set()
