"""The throttle over a stand-in tree: what it decides, says and keeps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nebula.db import nodes, power
from nebula.db.database import Database
from nebula.domain.limits import POWER_CHANGES_KEPT
from nebula.domain.records import Node
from nebula.domain.throttle import PowerReading, Throttle, ThrottleDecision
from nebula.errors import StoreUnavailable
from nebula.power import PowerSupplies
from nebula.services.machine.throttling import Pace, Throttling
from tests.laptop import Laptop

RUN, GENTLY, PAUSE, HAND_BACK = Throttle
NODE = "n1"


class Node1:
    """A node whose samples are taken by hand."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.laptop = Laptop(folder / "laptop")
        self.load = 0.0
        self.started = 0
        database.write(lambda tx: nodes.register(tx, NODE, "1.0"))
        self.restart()

    def restart(self) -> None:
        self.pace = Pace(cores=8)
        self.throttling = Throttling(
            self.database,
            PowerSupplies(self.laptop.supplies, self.laptop.thermal),
            self.pace,
            node=NODE,
            load=lambda: self.load,
            on_more=self._may_start,
        )

    def _may_start(self) -> None:
        self.started += 1

    def sample(self, times: int = 2) -> Throttle:
        for _ in range(times):
            self.throttling.sample()
        return self.pace.throttle

    def row(self) -> Node:
        (node,) = self.database.read(nodes.all_nodes)
        return node

    def history(self) -> list[Throttle]:
        """The throttles that were ever in force, the oldest first."""
        return [change.decision.throttle for change in self.database.read(lambda tx: power.changes(tx, NODE, 100))][
            ::-1
        ]


@pytest.fixture
def node(database: Database, tmp_path: Path) -> Iterator[Node1]:
    made = Node1(database, tmp_path)
    yield made
    made.throttling.end()


def test_first_sample_counts_at_once(node: Node1) -> None:
    node.laptop.unplug(10)
    assert node.sample(1) is HAND_BACK
    assert node.pace.hand_back.is_set()


def test_each_change_is_one_line_and_one_row_of_history(node: Node1, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    node.sample(3)
    for percent, throttle in [(80, GENTLY), (40, PAUSE), (10, HAND_BACK)]:
        node.laptop.unplug(percent)
        assert node.sample() is throttle
        node.sample(3)
    node.laptop.plug_in()
    assert node.sample() is RUN
    assert node.history() == [RUN, GENTLY, PAUSE, HAND_BACK, RUN]
    said = [record.getMessage() for record in caplog.records]
    assert [line.split()[2] for line in said] == [f"throttle={throttle}" for throttle in node.history()]
    assert "reasons='on battery at 40 %'" in said[2]
    assert node.started == 1


def test_flicker_of_the_plug_changes_nothing(node: Node1) -> None:
    node.sample()
    for _ in range(10):
        node.laptop.unplug(40)
        node.sample(1)
        node.laptop.plug_in()
        node.sample(1)
    assert node.history() == [RUN]


def test_second_battery_counts_by_what_it_holds(node: Node1) -> None:
    node.laptop.unplug(40)
    assert node.sample() is PAUSE
    node.laptop.add_battery("BAT1", 95, full_wh=100)
    assert node.sample() is GENTLY


def test_heat_takes_half_of_the_threads_until_it_has_cooled(node: Node1) -> None:
    node.sample()
    assert node.pace.threads() == 0
    node.laptop.heat(93)
    assert node.sample() is GENTLY
    assert node.pace.threads() == 4
    node.laptop.heat(86)
    assert node.sample() is GENTLY
    node.laptop.heat(70)
    assert node.sample() is RUN


def test_someone_watching_on_a_short_machine_makes_it_gentle(node: Node1) -> None:
    node.database.write(lambda tx: nodes.note_viewers(tx, NODE, 2))
    assert node.sample() is RUN
    node.pace.enter()
    node.load = 12  # of which the encoder's eight threads are its own
    assert node.sample() is RUN
    node.load = 13
    assert node.sample() is GENTLY
    assert node.pace.reason() == "2 watching while the processors are short"
    assert node.row().viewers == 2
    node.load = 8.5  # of which four are its own now
    assert node.sample() is GENTLY
    node.load = 8
    assert node.sample() is RUN


def test_word_of_a_gateway_that_died_counts_for_a_while_only(node: Node1) -> None:
    node.load = 99
    node.database.write(lambda tx: nodes.note_viewers(tx, NODE, 2))
    moment = "2026-01-01 00:00:00.000000"
    node.database.write(lambda tx: tx.execute(f"UPDATE nodes SET viewers_at = '{moment}'"))
    assert node.sample() is RUN
    assert node.row().viewers == 0


@pytest.mark.parametrize("how", ["vanish", "garbage", "negative", "over", "unreadable"])
def test_what_cannot_be_read_is_unknown_and_said_once(node: Node1, how: str, caplog: pytest.LogCaptureFixture) -> None:
    node.laptop.unplug(40)
    assert node.sample() is PAUSE
    node.laptop.spoil(how)
    caplog.clear()
    assert node.sample(4) is RUN
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert node.row().power is not None
    assert node.row().power.reading.problems


def test_reader_that_fails_is_unknown(node: Node1, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Any) -> PowerReading:
        raise RuntimeError("a driver")

    node.laptop.unplug(40)
    assert node.sample() is PAUSE
    monkeypatch.setattr(PowerSupplies, "read", fail)
    assert node.sample() is RUN


def test_row_says_what_was_read_and_since_when(node: Node1) -> None:
    node.laptop.unplug(40)
    node.laptop.heat(61)
    node.sample()
    found = node.row().power
    assert found is not None
    assert found.decision == ThrottleDecision(PAUSE, ("on battery at 40 %",))
    assert found.reading == PowerReading(on_mains=False, percent=40, temperature_c=61)
    node.laptop.unplug(39)
    node.sample(1)
    again = node.row().power
    assert again is not None
    assert (again.since, again.reading.percent) == (found.since, 39)
    assert again.read_at > found.read_at


def test_worker_that_starts_again_writes_no_change_that_was_none(node: Node1) -> None:
    node.laptop.unplug(40)
    node.sample()
    node.restart()
    node.sample()
    assert node.history() == [PAUSE]


def test_worker_that_starts_again_has_not_climbed(node: Node1) -> None:
    node.laptop.unplug(10)
    node.sample()
    node.restart()
    node.laptop.unplug(16)
    assert node.sample() is HAND_BACK
    node.restart()
    node.laptop.unplug(19)
    assert node.sample(1) is PAUSE


def test_worker_that_starts_again_is_hot_only_if_it_was(node: Node1) -> None:
    node.laptop.unplug(80)
    node.laptop.heat(85)
    assert node.sample() is GENTLY
    node.restart()
    node.laptop.plug_in()
    assert node.sample(1) is RUN
    node.laptop.heat(91)
    assert node.sample() is GENTLY
    node.laptop.heat(85)
    node.restart()
    assert node.sample(1) is GENTLY


def test_row_of_a_version_that_knew_no_causes_is_the_battery_s(node: Node1) -> None:
    decision, reading = ThrottleDecision(HAND_BACK, ("on battery at 10 %",)), PowerReading(on_mains=False, percent=10)
    node.database.write(lambda tx: power.note(tx, NODE, decision, reading, 0))
    node.laptop.unplug(16)
    assert node.sample(1) is HAND_BACK


def test_time_is_counted_while_an_encoder_is_held(node: Node1) -> None:
    node.laptop.unplug(40)
    node.sample(3)
    assert node.throttling._paused_s == 0
    node.pace.enter()
    node.sample(3)
    node.laptop.plug_in()
    node.sample(3)
    found = node.row().power
    assert found is not None
    counted = found.paused_s + node.throttling._paused_s
    assert counted > 0
    node.sample(3)
    assert found.paused_s + node.throttling._paused_s == counted


def test_database_that_is_away_holds_nothing_up_and_hears_of_it_later(
    node: Node1, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_work: Any) -> None:
        raise StoreUnavailable("database")

    node.sample()
    node.load = 99
    with monkeypatch.context() as patched:
        patched.setattr(node.database, "write", away)
        patched.setattr(node.database, "read", away)
        node.laptop.unplug(40)
        assert node.sample() is PAUSE
    node.sample(1)
    assert node.history() == [RUN, PAUSE]


def test_history_is_bounded_for_each_node(database: Database) -> None:
    def add(node: str, number: int) -> None:
        decision = ThrottleDecision(PAUSE, (str(number),))
        database.write(lambda tx: [power._add_change(tx, node, decision, PowerReading()) for _ in range(number)])

    add("n1", POWER_CHANGES_KEPT + 5)
    add("n2", 3)
    database.write(lambda tx: tx.execute("UPDATE power_changes SET reasons = '[\"kept\"]' WHERE node = 'n2'"))
    database.write(power.tidy)
    counted = database.read(
        lambda tx: tx.select("SELECT node, COUNT(*) FROM power_changes GROUP BY node ORDER BY node")
    )
    assert counted == [("n1", POWER_CHANGES_KEPT), ("n2", 3)]


def test_thread_samples_until_it_is_ended(node: Node1, tmp_path: Path) -> None:
    pace = Pace()
    supplies = PowerSupplies(node.laptop.supplies, node.laptop.thermal)
    throttling = Throttling(node.database, supplies, pace, node=NODE, interval_s=0.02)
    throttling.start()
    try:
        assert pace.may_start()
        node.laptop.unplug(10)
        assert pace.hand_back.wait(20)
        assert not pace.may_start()
    finally:
        throttling.end()
    assert not throttling._thread.is_alive()
