"""Readings from fixture trees: the machines that psutil alone gets wrong (giampaolo/psutil#1658 and its like)."""

from __future__ import annotations

from pathlib import Path

import pytest

from nebula import power
from nebula.power import PowerSupplies

Tree = dict[str, dict[str, str]]
BAT = {"type": "Battery", "present": "1"}


def make(root: Path, tree: Tree) -> Path:
    for name, files in tree.items():
        (root / name).mkdir(parents=True)
        for file, text in files.items():
            (root / name / file).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("tree", "on_mains", "percent"),
    [
        pytest.param(
            {"ADP1": {"type": "Mains", "online": "1"}, "BAT0": BAT | {"status": "Full", "capacity": "100"}},
            True,
            100,
            id="adapter that is not called AC",
        ),
        pytest.param(
            {"ADP1": {"type": "Mains", "online": "0"}, "BAT0": BAT | {"status": "Discharging", "capacity": "40"}},
            False,
            40,
            id="unplugged",
        ),
        pytest.param(
            {
                "ucsi-source-psy-1": {"type": "USB", "online": "1"},
                "BAT0": BAT | {"status": "Charging", "capacity": "7"},
            },
            True,
            7,
            id="charging by USB-C",
        ),
        pytest.param(
            {
                "BAT0": BAT | {"status": "Unknown", "energy_now": "0", "energy_full": "20000000"},
                "BAT1": BAT | {"status": "Discharging", "energy_now": "27000000", "energy_full": "60000000"},
            },
            False,
            33.75,
            id="two batteries count by energy",
        ),
        pytest.param(
            {
                "hidpp_battery_0": {"type": "Battery", "scope": "Device", "capacity": "5", "status": "Discharging"},
                "AC": {"type": "Mains", "online": "1"},
            },
            True,
            None,
            id="wireless mouse is no battery",
        ),
        pytest.param(
            {"BAT0": BAT | {"status": "Not charging", "charge_now": "3000", "charge_full": "5000"}},
            True,
            60,
            id="held at a charge limit",
        ),
        pytest.param({"BAT0": BAT | {"status": "Unknown", "capacity": "80"}}, True, 80, id="status unknown"),
        pytest.param({"BAT0": {"type": "Battery", "present": "0"}}, None, None, id="battery taken out"),
        pytest.param({}, None, None, id="no supply at all"),
    ],
)
def test_read_sees_the_machine_as_it_is(tmp_path: Path, tree: Tree, on_mains: bool | None, percent: float) -> None:
    reading = PowerSupplies(make(tmp_path, tree)).read()
    assert reading.on_mains is on_mains
    assert reading.percent == percent
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"capacity": ""}, "does not say how full"),
        ({"capacity": "many"}, "does not say how full"),
        ({}, "does not say how full"),
        ({"capacity": "130"}, "says 130 %"),
        ({"capacity": "-4"}, "says -4 %"),
        ({"energy_now": "-5", "energy_full": "100"}, "says -5 %"),
        ({"energy_now": "500", "energy_full": "0", "capacity": "\x00"}, "does not say how full"),
    ],
)
def test_read_counts_nonsense_as_unknown_and_says_so(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    tree = {"BAT0": BAT | {"status": "Discharging"} | files}
    reading = PowerSupplies(make(tmp_path, tree)).read()
    assert (reading.on_mains, reading.percent) == (False, None)
    assert problem in reading.problems[0]


def test_read_says_that_the_tree_is_gone(tmp_path: Path) -> None:
    reading = PowerSupplies(tmp_path / "nowhere").read()
    assert (reading.on_mains, reading.percent) == (None, None)
    assert "cannot be read" in reading.problems[0]


def test_read_takes_the_hottest_plausible_zone(tmp_path: Path) -> None:
    zones = {
        "thermal_zone0": {"temp": "45000"},
        "thermal_zone1": {"temp": "91000"},
        "thermal_zone2": {"temp": "-274000"},
    }
    assert PowerSupplies(tmp_path / "power", make(tmp_path / "thermal", zones)).read().temperature_c == 91


def test_load_that_a_sandbox_hides_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> tuple[float, float, float]:
        raise OSError("load average was unobtainable")

    monkeypatch.setattr("os.getloadavg", hidden)
    assert power.load() == 0
