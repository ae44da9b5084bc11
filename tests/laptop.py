"""A stand-in for a laptop's sysfs: batteries, an adapter and a temperature that a test moves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class Laptop:
    """Starts on mains, full and cool. Each file is replaced at once, as a driver's value is."""

    def __init__(self, folder: Path) -> None:
        self.supplies = folder / "power_supply"
        self.thermal = folder / "thermal"
        self._batteries: list[str] = []
        self._write("AC", type="Mains", online="1")
        self.add_battery("BAT0", 100, full_wh=50)
        self.heat(50)

    def environ(self) -> dict[str, str]:
        """Return the settings that make a worker read it."""
        return {"NEBULA_POWER_SUPPLY_DIR": str(self.supplies), "NEBULA_THERMAL_DIR": str(self.thermal)}

    def add_battery(self, name: str, percent: float, *, full_wh: int) -> None:
        self._batteries.append(name)
        full = full_wh * 1_000_000
        self._write(
            name, type="Battery", present="1", energy_full=str(full), energy_now=str(round(full * percent / 100))
        )
        self._say_status("Discharging" if self._text("AC/online") == "0" else "Charging")

    def unplug(self, percent: float) -> None:
        """Take the plug out; the first battery is at `percent`."""
        full = int(self._text("BAT0/energy_full"))
        self._write("BAT0", energy_now=str(round(full * percent / 100)))
        self._say_status("Discharging")
        self._write("AC", online="0")

    def plug_in(self) -> None:
        self._write("AC", online="1")
        self._say_status("Charging")

    def heat(self, celsius: float) -> None:
        zone = self.thermal / "thermal_zone0"
        zone.mkdir(parents=True, exist_ok=True)
        _replace(zone / "temp", f"{celsius * 1000:.0f}")

    def spoil(self, how: str) -> None:
        """Make the battery say what cannot be."""
        if how == "vanish":
            # At once: who reads meanwhile must not find half of it.
            shutil.rmtree(self.supplies.rename(self.supplies.with_name("gone")))
        elif how == "unreadable":
            # Whoever tests may be root, who may read everything: a folder cannot be read as a file by anyone.
            for name in ("energy_now", "energy_full"):
                (self.supplies / "BAT0" / name).unlink()
                (self.supplies / "BAT0" / name).mkdir()
        else:
            self._write("BAT0", energy_now={"garbage": "??", "negative": "-7", "over": "999000000"}[how])

    def _say_status(self, status: str) -> None:
        for name in self._batteries:
            self._write(name, status=status)

    def _write(self, supply: str, **files: str) -> None:
        folder = self.supplies / supply
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _replace(folder / name, text)

    def _text(self, path: str) -> str:
        return (self.supplies / path).read_text().strip()


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(f"{text}\n")
    os.replace(beside, path)
