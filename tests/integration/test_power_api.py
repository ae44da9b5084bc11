"""The power of the nodes over the API, and who is watching."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nebula.api.objects import SCHEMAS
from nebula.db import nodes, power
from nebula.domain import limits
from nebula.domain.throttle import PowerReading, Throttle, ThrottleDecision
from nebula.services.machine.viewers import Watching
from tests.gateway import RunningGateway
from tests.people import People
from tests.shelf import Shelf
from tests.stores import wait_until

V1 = "/api/v1"
RUN = ThrottleDecision(Throttle.RUN, ("on mains",))
PAUSE = ThrottleDecision(Throttle.PAUSE, ("on battery at 40 %",))
AT_40 = PowerReading(on_mains=False, percent=40.04, temperature_c=61.5, problems=("BAT1 says 120 %",))


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return environ | {"METRICS_TOKEN": "metrics-token"}


@pytest.fixture
def laptop(shelf: Shelf) -> Shelf:
    """A node that went on battery, and one without an encoder."""
    for name in ("laptop", "spare"):
        shelf.database.write(lambda tx, name=name: nodes.register(tx, name, "1.0"))
    for decision, reading in [(RUN, PowerReading(on_mains=True, percent=99)), (PAUSE, AT_40)]:
        # Whatever was noted before was noted a minute earlier: two changes have two times.
        shelf.database.write(lambda tx: tx.execute("UPDATE power_changes SET at = $past", past=tx.after(-60)))
        shelf.database.write(lambda tx, d=decision, r=reading: power.note(tx, "laptop", d, r, 1.5))
    return shelf


def _fits(found: dict[str, Any], name: str) -> None:
    assert set(found) == set(SCHEMAS[name]["properties"])


def test_power_tells_everyone_the_reading_the_decision_and_its_reason(people: People, laptop: Shelf) -> None:
    (found,) = people.member.get(f"{V1}/power").json["items"]
    _fits(found, "Power")
    assert (found["node"], found["throttle"], found["reasons"]) == ("laptop", "pause", ["on battery at 40 %"])
    assert (found["on_mains"], found["percent"], found["temperature_c"]) == (False, 40.0, 61.5)
    assert (found["problems"], found["paused_s"]) == (["BAT1 says 120 %"], 3.0)


def test_history_is_for_the_owner(people: People, laptop: Shelf) -> None:
    (found,) = people.owner.get(f"{V1}/power").json["items"]
    for change in found["history"]:
        _fits(change, "PowerChange")
    assert [change["throttle"] for change in found["history"]] == ["pause", "run"]
    assert found["history"][0]["at"] == found["since"]
    assert people.member.get(f"{V1}/power").json["items"][0]["history"] is None


def test_power_is_not_sent_again_while_nothing_changed(people: People, laptop: Shelf) -> None:
    etag = people.member.get(f"{V1}/power").headers["ETag"]
    assert people.member.get(f"{V1}/power", headers={"If-None-Match": etag}).status_code == 304


def test_nodes_show_the_throttle_where_there_is_one(people: People, laptop: Shelf) -> None:
    by_name = {node["name"]: node for node in people.owner.get(f"{V1}/nodes").json["items"]}
    for node in by_name.values():
        _fits(node, "Node")
    assert (by_name["laptop"]["throttle"], by_name["laptop"]["percent"]) == ("pause", 40.0)
    assert (by_name["spare"]["throttle"], by_name["spare"]["throttle_reasons"]) == (None, [])


def test_metrics_show_power_and_throttle(people: People, laptop: Shelf) -> None:
    said = people.anonymous.get("/metrics", headers={"Authorization": "Bearer metrics-token"}).text
    assert re.search(r'^nebula_power_percent{node="laptop"} 40', said, re.MULTILINE)
    assert 'nebula_power_on_mains{node="laptop"} 0' in said
    assert 'nebula_throttle{node="laptop",throttle="pause"} 1' in said
    assert 'nebula_throttle{node="laptop",throttle="run"} 0' in said
    assert 'nebula_paused_seconds{node="laptop"} 3' in said
    assert 'node="spare"' not in said


def test_watching_is_noted_while_there_is_any_and_once_when_it_ended(laptop: Shelf) -> None:
    counts = [0, 2, 2, 0, 0]
    watching = Watching(laptop.database, lambda: counts.pop(0), node="laptop")
    seen = []
    for _ in range(5):
        watching.note()
        row = laptop.database.read(lambda tx: tx.e.Node["laptop"].to_dict())
        seen.append((row["viewers"], row["viewers_at"] is not None))
    assert seen == [(0, False), (2, True), (2, True), (0, True), (0, True)]


@pytest.mark.parametrize("environ", ["embedded"], indirect=True)
def test_gateway_counts_who_watches_while_bytes_flow(
    environ: dict[str, str], shelf: Shelf, people: People, tmp_path: Any
) -> None:
    gateway = RunningGateway(environ, tmp_path / "gateway.log", VIEWERS_NOTE_S=0.1)
    shelf.database.write(lambda tx: nodes.register(tx, "test-node", "1.0"))
    film = shelf.put(people.owner.account_id, "film.mkv", bytes(64 << 20))

    def viewers() -> int:
        return shelf.database.read(nodes.all_nodes)[0].viewers

    try:
        gateway.start()
        answer = gateway.get(f"{V1}/files/{film.id}/content", gateway.signed_in("owner"))
        answer.read(1000)
        wait_until(lambda: viewers() == 1, what="the viewer to count")
        while answer.read(1 << 20):
            pass
        wait_until(lambda: viewers() == 0, what="the viewer to be gone")
    finally:
        gateway.close()
    assert limits.VIEWERS_NOTE_S < limits.VIEWERS_COUNT_S
