"""`nebula power`, and a paused job as the client shows it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recording import Recording
from tests.unit.cli import V1, Cli, holds, job


def node(**more: Any) -> dict[str, Any]:
    """Return a node's power as the API shows it."""
    return {
        "node": "laptop",
        "encoder": "h264_qsv",
        "throttle": "pause",
        "reasons": ["on battery at 40 %"],
        "on_mains": False,
        "percent": 40.2,
        "temperature_c": 61.4,
        "since": "2026-01-01T10:00:00.000Z",
        "read_at": "2026-01-01T10:05:00.000Z",
        "problems": [],
        "viewers": 2,
        "paused_s": 754.0,
        "history": [
            {"at": "2026-01-01T10:00:00.000Z", "throttle": "pause", "reasons": ["on battery at 49 %"]},
            {"at": "2026-01-01T09:00:00.000Z", "throttle": "run", "reasons": ["on mains"]},
        ],
    } | more


def says(server: Recording, *nodes: dict[str, Any]) -> None:
    server.answers[f"GET {V1}/power"] = {"items": list(nodes), "next_cursor": None}


def test_power_shows_reading_decision_reason_and_history(cli: Cli, recording: Recording) -> None:
    says(recording, node())
    out = cli("power").out
    for words in ("laptop", "on battery, 40 %", "61 °C", "pause, since", "because:     on battery at 40 %", "12:34"):
        assert words in out
    assert "encoder:     h264_qsv" in out
    assert out.index("on battery at 49 %") < out.index("on mains")


def test_job_shows_its_encoder_and_that_hardware_failed_at_it(cli: Cli, recording: Recording) -> None:
    found = job(encoder="libx264", restarts=1, rejections=0, chunks_total=4, chunks_done=2, chunks_repeated=0)
    holds(recording)
    recording.answers[f"GET {V1}/jobs"] = {"items": [found], "next_cursor": None}
    recording.answers[f"GET {V1}/jobs/{found['id']}"] = found
    out = cli("job", str(found["id"])).out
    assert "encoder:     libx264, begun again 1 time in software" in out


def test_power_of_a_machine_without_a_battery_is_said_plainly(cli: Cli, recording: Recording) -> None:
    unknown: dict[str, Any] = {"on_mains": None, "percent": None, "temperature_c": None}
    says(recording, node(**unknown, throttle="run", paused_s=0.0, viewers=0, history=None, problems=["gone"]))
    out = cli("power").out
    assert "power:       unknown\n" in out
    assert "not read:    gone" in out
    assert "waited" not in out
    assert "history" not in out


def test_power_says_that_no_machine_has_read_anything(cli: Cli, recording: Recording) -> None:
    says(recording)
    ran = cli("power")
    assert (ran.code, ran.out) == (0, "")
    assert "nebula status" in ran.err


def test_power_as_json_is_the_apis_objects(cli: Cli, recording: Recording) -> None:
    says(recording, node(), node(node="spare"))
    assert cli("power", "--json").objects() == [node(), node(node="spare")]


def test_power_obeys_nothing_that_a_machine_says(cli: Cli, recording: Recording) -> None:
    says(recording, node(node="a\x1b[31m", reasons=["b\x1b[2J"], problems=["c\x07"], throttle="\x1b[0m"))
    out = cli("power").out
    assert "\x1b" not in out
    assert "\x07" not in out


HELD = {
    "paused (on battery at 40 %)": {"state": "paused", "paused_reason": "on battery at 40 %"},
    "queued (Waits: The disk is full.)": {"state": "queued", "error": "Waits: The disk is full."},
}


@pytest.mark.parametrize("words", [("jobs",), ("jobs", "--follow")])
@pytest.mark.parametrize("shown", HELD)
def test_job_that_waits_is_shown_with_its_reason(
    cli: Cli, recording: Recording, words: tuple[str, ...], shown: str
) -> None:
    holds(recording)
    paused = job(**HELD[shown])
    looks: list[int] = []

    def listing(_asked: Any) -> dict[str, Any]:
        looks.append(1)
        return {"items": [paused] if len(looks) == 1 else [], "next_cursor": None}

    recording.answers[f"GET {V1}/jobs"] = listing
    recording.answers[f"GET {V1}/jobs/{paused['id']}"] = job(state="done")
    assert shown in cli(*words).out
