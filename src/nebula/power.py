"""Battery, mains and heat, read from sysfs. What cannot be read is unknown, with the reason; nothing here raises.

psutil's `sensors_battery` knows only adapters called AC and the first battery by name, and takes a wireless mouse for a
battery: supplies are read here, temperatures by psutil where no other tree is named.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nebula.domain.throttle import PowerReading

MAINS_TYPES = {"Mains", "USB"}
HOTTEST_PLAUSIBLE_C = 130.0
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


@dataclass(frozen=True)
class Battery:
    """One system battery: its share of what all hold, in whatever unit the driver counts in."""

    name: str
    status: str
    now: float | None
    full: float | None
    unit: str  # energy, charge or capacity


class PowerSupplies:
    """Reads a tree like /sys/class/power_supply; another tree can stand in for it."""

    def __init__(self, directory: Path, thermal_directory: Path | None = None) -> None:
        self._directory = directory
        self._thermal_directory = thermal_directory

    def read(self) -> PowerReading:
        """Take one reading."""
        problems: list[str] = []
        supplies = self._supplies(problems)
        batteries = [found for path in supplies if (found := _battery(path, problems)) is not None]
        on_mains = _on_mains(supplies, batteries)
        percent = _percent(batteries, problems)
        return PowerReading(on_mains, percent, self._temperature(), tuple(problems))

    def _supplies(self, problems: list[str]) -> list[Path]:
        try:
            return sorted(self._directory.iterdir())
        except OSError as error:
            problems.append(f"{self._directory} cannot be read ({error.strerror})")
            return []

    def _temperature(self) -> float | None:
        if self._thermal_directory is None:
            return _psutil_temperature()
        found = []
        with contextlib.suppress(OSError):
            for zone in sorted(self._thermal_directory.glob("thermal_zone*")):
                found.append(_number(zone / "temp"))
        degrees = [value / 1000 for value in found if value is not None and 0 < value / 1000 < HOTTEST_PLAUSIBLE_C]
        return max(degrees, default=None)


def load() -> float:
    """Return how many threads ran, or waited for a processor or a disk, on the average of the last minute."""
    try:
        return os.getloadavg()[0]
    except OSError:  # a sandbox that hides it
        return 0.0


def _on_mains(supplies: list[Path], batteries: list[Battery]) -> bool | None:
    adapters = [path for path in supplies if _text(path / "type") in MAINS_TYPES]
    if any(_text(path / "online") == "1" for path in adapters):
        return True
    if any(battery.status == "Discharging" for battery in batteries):
        return False
    if any(_text(path / "type") == "Mains" and _text(path / "online") == "0" for path in adapters):
        return False
    # "Not charging" (a charge limit), "Full" and "Unknown" without an adapter's word: nothing drains the battery.
    return True if batteries else None


def _battery(path: Path, problems: list[str]) -> Battery | None:
    if _text(path / "type") != "Battery" or _text(path / "scope") == "Device" or _text(path / "present") == "0":
        return None
    status = _text(path / "status") or "Unknown"
    for unit in ("energy", "charge"):
        now, full = _number(path / f"{unit}_now"), _number(path / f"{unit}_full")
        if now is not None and full is not None and full > 0:
            return Battery(path.name, status, now, full, unit)
    capacity = _number(path / "capacity")
    if capacity is None:
        problems.append(f"{path.name} does not say how full it is")
        return Battery(path.name, status, None, None, "capacity")
    return Battery(path.name, status, capacity, 100.0, "capacity")


def _percent(batteries: list[Battery], problems: list[str]) -> float | None:
    known = [_plausible(battery, problems) for battery in batteries]
    shares = [share for share in known if share is not None]
    if not shares:
        return None
    # Different units cannot be added: then every battery counts the same.
    alike = len({battery.unit for battery in batteries}) == 1
    weights = [full if alike else 1.0 for _, full in shares]
    return sum(percent * weight for (percent, _), weight in zip(shares, weights, strict=True)) / sum(weights)


def _plausible(battery: Battery, problems: list[str]) -> tuple[float, float] | None:
    if battery.now is None or battery.full is None:
        return None
    percent = 100 * battery.now / battery.full
    if not 0 <= percent <= 100:
        problems.append(f"{battery.name} says {percent:.0f} %")
        return None
    return percent, battery.full


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
