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


FULL = {"energy_full": "50000000"}
DRAINING, CHARGING = BAT | {"status": "Discharging"}, BAT | {"status": "Charging"}
AC_0, AC_1 = {"type": "Mains", "online": "0"}, {"type": "Mains", "online": "1"}


@pytest.mark.parametrize(
    ("tree", "on_mains", "percent"),
    [
        pytest.param({"BAT0": DRAINING | {"capacity": "103"}}, False, 100, id="103 %"),
        pytest.param({"BAT0": DRAINING | FULL | {"energy_now": "51500000"}}, False, 100, id="more energy than full"),
        pytest.param(
            {
                "BAT0": DRAINING | {"charge_now": "4120", "charge_full": "4000"},
                "BAT1": DRAINING | {"charge_now": "100", "charge_full": "1000"},
            },
            False,
            82,
            id="103 % beside a second battery at 10 %",
        ),
        pytest.param({"ADP1": AC_0, "BAT0": CHARGING | {"capacity": "60"}}, True, 60, id="mains 0, but charging"),
        pytest.param(
            {"AC": AC_0, "usbc": {"type": "USB", "online": "0"}, "BAT0": CHARGING | {"capacity": "9"}},
            True,
            9,
            id="no adapter is online, but charging",
        ),
        pytest.param(
            {"AC": AC_0, "BAT0": CHARGING | {"capacity": "50"}, "BAT1": DRAINING | {"capacity": "30"}},
            False,
            40,
            id="one battery has not noticed that the plug is out",
        ),
        pytest.param({"AC": AC_1, "BAT0": DRAINING | {"capacity": "80"}}, True, 80, id="a charger that is too weak"),
        pytest.param(
            {"pad": {"type": "Wireless", "online": "1"}, "BAT0": DRAINING | {"capacity": "70"}}, True, 70, id="wireless"
        ),
        pytest.param({"pad": {"type": "Wireless", "online": "1"}}, True, None, id="wireless alone"),
        pytest.param(
            {"pad": {"type": "Wireless", "online": "0"}, "BAT0": DRAINING | {"capacity": "70"}},
            False,
            70,
            id="wireless off",
        ),
        pytest.param(
            {"usb": {"type": "USB", "online": "2"}, "BAT0": DRAINING | {"capacity": "70"}},
            True,
            70,
            id="programmable USB charger",
        ),
        pytest.param(
            {"usb": {"type": "USB_PD", "online": "1"}, "BAT0": BAT | {"status": "Unknown", "capacity": "70"}},
            True,
            70,
            id="an old kernel's type",
        ),
        pytest.param(
            {"usb": {"type": "USB", "online": "0"}, "BAT0": DRAINING | {"capacity": "70"}},
            False,
            70,
            id="USB port without a charger",
        ),
        pytest.param(
            {"AC": AC_0, "BAT0": BAT | {"status": "Full", "capacity": "100"}}, False, 100, id="full, just unplugged"
        ),
        pytest.param(
            {"AC": AC_0, "BAT0": BAT | {"status": "Not charging", "capacity": "80"}},
            False,
            80,
            id="limit, just unplugged",
        ),
        pytest.param(
            {"AC": AC_1, "BAT0": BAT | {"status": "Not charging", "capacity": "80"}}, True, 80, id="held at a limit"
        ),
        pytest.param(
            {"AC": AC_0, "BAT0": BAT | {"status": "Unknown", "capacity": "55"}}, False, 55, id="unknown on battery"
        ),
        pytest.param(
            {"AC": AC_0, "BAT0": {"type": "Battery", "present": "0"}, "BAT1": DRAINING | {"capacity": "44"}},
            False,
            44,
            id="one battery is taken out",
        ),
        pytest.param(
            {"AC": AC_0, "BAT0": DRAINING | {"capacity": "44"}, "hid-00:11-battery": CHARGING | {"capacity": "99"}},
            False,
            44,
            id="a mouse that charges, without a scope",
        ),
        pytest.param(
            {
                "AC": AC_0,
                "BAT0": DRAINING | {"capacity": "44"},
                "pen": {"type": "Wireless", "online": "1", "scope": "Device"},
            },
            False,
            44,
            id="a pen's charger",
        ),
        pytest.param(
            {"AC": AC_1, "ups": {"type": "UPS", "status": "Discharging", "capacity": "35"}},
            False,
            35,
            id="UPS without mains",
        ),
        pytest.param(
            {"AC": AC_1, "ups": {"type": "UPS", "status": "Charging", "capacity": "95"}}, True, 95, id="UPS on mains"
        ),
        pytest.param(
            {
                "BAT0": DRAINING | {"energy_now": "20000000", "energy_full": "40000000"},
                "BAT1": DRAINING | {"charge_now": "1000", "charge_full": "4000"},
            },
            False,
            37.5,
            id="energy beside charge",
        ),
        pytest.param(
            {"BAT0": DRAINING | {"energy_now": "-1", "energy_full": "100", "capacity": "61"}},
            False,
            61,
            id="negative energy, but a percentage",
        ),
        pytest.param(
            {"BAT0": DRAINING | {"charge_now": "2000", "charge_full": "0", "capacity": "52"}},
            False,
            52,
            id="a full of nothing",
        ),
        pytest.param(
            {"BAT0": DRAINING | FULL | {"energy_now": "25000000", "current_now": "-1200000"}},
            False,
            50,
            id="current below zero",
        ),
        pytest.param(
            {"BAT0": DRAINING | FULL | {"energy_now": "0", "voltage_now": "9800000"}}, False, 0, id="really empty"
        ),
        pytest.param(
            {"BAT0": {"type": "Battery", "status": "Discharging", "capacity": "33"}},
            False,
            33,
            id="no word of presence",
        ),
    ],
)
def test_contradictions_are_decided_by_the_table(tmp_path: Path, tree: Tree, on_mains: bool, percent: float) -> None:
    reading = PowerSupplies(make(tmp_path, tree)).read()
    assert reading.on_mains is on_mains
    assert reading.percent == percent
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"status": "Full", "capacity": "0"}, "full at 0 %"),
        ({"capacity": "0", "voltage_now": "0"}, "0 % at 0 V"),
        ({"energy_now": "999000000", **FULL}, "says 1998 %"),
    ],
)
def test_a_gauge_that_does_not_answer_leaves_the_other_battery_its_word(
    tmp_path: Path, files: dict[str, str], problem: str
) -> None:
    tree = {"BAT0": DRAINING | files, "BAT1": DRAINING | {"capacity": "76"}}
    reading = PowerSupplies(make(tmp_path, tree)).read()
    assert (reading.on_mains, reading.percent) == (False, 76)
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
