"""The battery of a provisioned laptop: read inside the units' sandbox, acted on, and watched by upower."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.host import films
from tests.host.machine import Machine
from tests.host.site import AS_WORKER, Owner
from tests.stores import wait_until

SUPPLIES = "/sys/class/power_supply"
TREE = "/etc/nebula-test/power"
DROP_INS = "/etc/systemd/system/nebula-{}.service.d"  # they outlive a shutdown
BATTERY = {"type": "Battery", "scope": "System", "present": "1", "energy_full": "50000000"}
# Where this machine has a battery of its own or none: the stand-in takes the place that the units read by themselves.
STANDS_IN = f"[Service]\nBindReadOnlyPaths={TREE}:{SUPPLIES}\n"
# The encoder is never faster than twice the speed at which the film plays: there is time to interrupt it.
SLOWLY = "Environment=PATH=/opt/slow:/usr/bin:/bin\n"
# The quick worker decides whether a film is cut, the encode worker where.
IN_CHUNKS = "[Service]\nEnvironment=NEBULA_CHUNK_SECONDS=2\n"
LOOK = """
import json, os, pathlib, psutil
from nebula.power import PowerSupplies, load
found = PowerSupplies(pathlib.Path("/sys/class/power_supply")).read()
print(json.dumps({"on_mains": found.on_mains, "percent": found.percent, "problems": found.problems, "load": load(),
    "loadavg": pathlib.Path("/proc/loadavg").read_text(), "thermal": os.path.isdir("/sys/class/thermal"),
    "pids": len(psutil.pids()), "uid": os.getuid()}))
"""


Holds = Callable[[dict[str, Any]], bool]


class Battery:
    """A stand-in for the laptop's supplies, below the directory that the units read."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        for name, text in BATTERY.items():
            machine.write(f"{TREE}/BAT0/{name}", f"{text}\n")
        machine.write(f"{TREE}/AC/type", "Mains\n")
        self.set(percent=80, on_mains=True)

    def set(self, *, percent: int, on_mains: bool) -> None:
        self._machine.write(f"{TREE}/BAT0/energy_now", f"{percent * 500_000}\n")
        self._machine.write(f"{TREE}/BAT0/status", "Charging\n" if on_mains else "Discharging\n")
        self._machine.write(f"{TREE}/AC/online", f"{on_mains:d}\n")


@pytest.fixture(scope="module")
def battery(owner: Owner) -> Battery:
    """The laptop with a battery, as its encode worker sees it."""
    made = Battery(owner.machine)
    owner.machine.write("/opt/slow/ffmpeg", '#!/bin/sh\nexec /usr/bin/ffmpeg -readrate 2 "$@"\n', 0o755)
    _drop_in(owner.machine, worker=STANDS_IN)
    return made


def test_worker_reads_supplies_load_and_heat_inside_its_sandbox(owner: Owner, battery: Battery) -> None:
    owner.machine.write("/usr/local/lib/nebula/look.py", LOOK)
    found = json.loads(owner.machine.run(f"{AS_WORKER} venv/bin/python /usr/local/lib/nebula/look.py"))
    assert (found["on_mains"], found["percent"], found["problems"], found["thermal"]) == (True, 80.0, [], True)


def test_power_of_the_laptop_is_shown_and_follows_the_plug(owner: Owner, battery: Battery) -> None:
    shown = _shown(owner, lambda row: row["percent"] == 80)
    assert (shown["node"], shown["on_mains"], shown["throttle"], shown["problems"]) == ("laptop", True, "run", [])
    battery.set(percent=40, on_mains=False)
    shown = _shown(owner, lambda row: row["throttle"] == "pause")
    assert (shown["on_mains"], shown["percent"]) == (False, 40)
    (node,) = [row for row in owner.rows("power") if row["node"] == "laptop"]
    assert node["read_at"]
    battery.set(percent=80, on_mains=True)
    _shown(owner, lambda row: row["throttle"] == "run")


def test_film_goes_on_at_its_next_chunk_after_the_machine_was_shut_down(
    owner: Owner, battery: Battery, tmp_path: Path
) -> None:
    _drop_in(owner.machine, quick=IN_CHUNKS, worker=IN_CHUNKS + SLOWLY + STANDS_IN)
    film = tmp_path / "long.mkv"
    films.make(film, seconds=24)
    owner.nebula("upload", str(film))
    before = _job(owner, lambda job: job["chunks_done"] >= 2)
    owner.machine.stop()
    owner.machine.start()
    owner.is_back()
    wait_until(owner.is_ready, 120, "readiness")
    after = _job(owner, lambda job: job["state"] == "done")
    assert after["id"] == before["id"]
    assert after["chunks_done"] == after["chunks_total"] > before["chunks_done"]
    assert after["chunks_repeated"] <= 1, "what was in flight"
    assert owner.state(film.name) == "ready"


def _drop_in(machine: Machine, **units: str) -> None:
    for name, text in units.items():
        machine.write(f"{DROP_INS.format(name)}/test.conf", text)
    machine.run(f"systemctl daemon-reload && systemctl restart {' '.join(f'nebula-{name}' for name in units)}")


def _shown(owner: Owner, holds: Holds) -> dict[str, Any]:
    """Wait until the laptop's power is so; return it."""
    return _awaited(lambda: next(row for row in owner.rows("power") if row["node"] == "laptop"), holds, 60)


def _job(owner: Owner, holds: Holds) -> dict[str, Any]:
    """Wait until the newest film that is made in chunks is so; return its job."""
    return _awaited(lambda: next(row for row in owner.rows("jobs") if row["chunks_total"]), holds, 180)


def _awaited(ask: Callable[[], dict[str, Any]], holds: Holds, seconds: float) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def so() -> bool:
        try:
            seen.append(ask())
        except StopIteration:
            return False
        return holds(seen[-1])

    try:
        wait_until(so, seconds)
    except AssertionError as late:
        raise AssertionError(f"{late}; last seen: {seen[-1:]}") from None
    return seen[-1]
