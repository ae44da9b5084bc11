"""Read battery, mains and heat from sysfs. What cannot be read is unknown, with the reason; nothing here raises.

psutil's `sensors_battery` knows only adapters called AC and the first battery by name, and takes a wireless mouse for a
battery. So power supplies are read here; temperatures come from psutil unless another directory tree is named.
domain/supplies.py decides what the readings mean together.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import psutil

from nebula.domain import supplies
from nebula.domain.supplies import Supply
from nebula.domain.throttle import PowerReading

HOTTEST_PLAUSIBLE_C = 130.0
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
TEXTS = ("type", "scope", "present", "online", "status")
NUMBERS = ("energy_now", "energy_full", "charge_now", "charge_full", "capacity", "voltage_now")


class PowerSupplies:
    """Reads a directory tree like /sys/class/power_supply. Another tree can replace the real one."""

    def __init__(self, directory: Path, thermal_directory: Path | None = None) -> None:
        self._directory = directory
        self._thermal_directory = thermal_directory

    def read(self) -> PowerReading:
        """Take one reading."""
        problems: list[str] = []
        all_supplies = [_supply(path) for path in self._supplies(problems)]
        percent = supplies.percent(all_supplies, problems)
        return PowerReading(supplies.on_mains(all_supplies), percent, self._temperature(), tuple(problems))

    def _supplies(self, problems: list[str]) -> list[Path]:
        try:
            return sorted(self._directory.iterdir())
        except OSError as error:
            problems.append(f"{self._directory} cannot be read ({error.strerror})")
            return []

    def _temperature(self) -> float | None:
        if self._thermal_directory is None:
            return _psutil_temperature()
        readings = []
        with contextlib.suppress(OSError):
            for zone in sorted(self._thermal_directory.glob("thermal_zone*")):
                readings.append(_number(zone / "temp"))
        degrees = [value / 1000 for value in readings if value is not None and 0 < value / 1000 < HOTTEST_PLAUSIBLE_C]
        return max(degrees, default=None)


def load() -> float:
    """Return the average number of threads in the last minute that ran or waited for a processor or a disk."""
    try:
        return os.getloadavg()[0]
    except OSError:  # a sandbox hides the load
        return 0.0


def _supply(path: Path) -> Supply:
    texts = {name: _text(path / name) or "" for name in TEXTS}
    numbers = {name: _number(path / name) for name in NUMBERS}
    return Supply(path.name, **texts, **numbers)  # type: ignore[arg-type]


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(int(text))
    except ValueError:
        return None


def _psutil_temperature() -> float | None:
    sensors: dict[str, list[Any]] = getattr(psutil, "sensors_temperatures", dict)()
    degrees = [entry.current for name in CPU_SENSORS for entry in sensors.get(name, [])]
    plausible = [value for value in degrees if 0 < value < HOTTEST_PLAUSIBLE_C]
    return max(plausible, default=None)
