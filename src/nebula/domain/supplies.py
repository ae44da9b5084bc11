"""Combine what batteries and adapters report: is the machine on mains, and how full are the batteries? Pure.

The readings contradict each other: each comes from a different driver, at a different moment, and firmware reports
wrong values. The rules below say which reading is believed, and why. A short contradiction (just plugged in, just
resumed) does no harm: the throttle changes only after two samples in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ADAPTERS = frozenset({"Mains", "USB", "Wireless", "USB_DCP", "USB_CDP", "USB_ACA", "USB_C", "USB_PD", "USB_PD_DRP"})
ONLINE = frozenset({"1", "2"})  # 2: a USB charger with a programmable voltage (sysfs-class-power)
# Batteries of mice, keyboards, pens and gamepads whose drivers set no scope.
DEVICE_NAMES = ("hid", "wacom_", "sony_controller_", "ps-controller-", "nintendo_switch_controller_", "xpad_")
# A gauge that was just calibrated reports a little more than its own estimate of full (103 % on several Dells). A value
# above this is not an estimate but an error.
MOST_PERCENT = 120.0


@dataclass(frozen=True)
class Supply:
    """One folder of /sys/class/power_supply. None means that there is no such file, or that its value is impossible."""

    name: str
    type: str = ""
    scope: str = ""
    present: str = ""
    online: str = ""
    status: str = ""
    energy_now: float | None = None
    energy_full: float | None = None
    charge_now: float | None = None
    charge_full: float | None = None
    capacity: float | None = None
    voltage_now: float | None = None

    @property
    def is_device(self) -> bool:
        """Whether it belongs to a mouse, a pen or the like, and not to the machine."""
        return self.scope == "Device" or (not self.scope and self.name.startswith(DEVICE_NAMES))

    @property
    def is_battery(self) -> bool:
        """Whether it is a battery of the machine, and is inserted."""
        return self.type == "Battery" and self.present != "0" and not self.is_device

    @property
    def is_adapter(self) -> bool:
        """Whether it supplies the machine with power from outside."""
        return self.type in ADAPTERS and not self.is_device

    @property
    def is_ups(self) -> bool:
        """Whether it is an uninterruptible power supply that the machine is connected to."""
        return self.type == "UPS" and self.present != "0"


@dataclass(frozen=True)
class Share:
    """How full one battery is, and how much it holds when full, in its unit."""

    percent: float
    full: float
    unit: str


@dataclass(frozen=True)
class Rule:
    """If `applies` is true, `on_mains` says whether the machine is on mains."""

    applies: Callable[[Sequence[Supply]], bool]
    on_mains: bool | None
    why: str


def _batteries_say(supplies: Sequence[Supply], status: str) -> bool:
    return any(supply.is_battery and supply.status == status for supply in supplies)


def _mains_says_no(supplies: Sequence[Supply]) -> bool:
    return any(supply.is_adapter and supply.type == "Mains" and supply.online == "0" for supply in supplies)


# The first rule that applies decides.
RULES = (
    Rule(
        lambda all_: any(supply.is_ups and supply.status == "Discharging" for supply in all_),
        False,
        "the machine's adapter hangs on the UPS: it is online although the mains are gone",
    ),
    Rule(
        lambda all_: any(supply.is_adapter and supply.online in ONLINE for supply in all_),
        True,
        "a battery that discharges beside an adapter hangs on a weak charger, or is being calibrated",
    ),
    Rule(
        lambda all_: _batteries_say(all_, "Charging") and not _batteries_say(all_, "Discharging"),
        True,
        "nothing charges a battery but power from outside: firmware does not report each USB-C charger as an adapter",
    ),
    Rule(
        lambda all_: _batteries_say(all_, "Discharging"),
        False,
        "no adapter is online; a second battery that says Charging has not noticed yet",
    ),
    Rule(
        _mains_says_no,
        False,
        "Full, Not charging and Unknown stay for a while after the plug is out",
    ),
    Rule(
        lambda all_: any(supply.is_battery or supply.is_ups for supply in all_),
        True,
        "nothing drains the battery, and no adapter of type Mains denies it: held at a charge limit, or full",
    ),
)


def on_mains(supplies: Sequence[Supply]) -> bool | None:
    """Return whether the machine is on mains; None if the readings do not tell."""
    return next((rule.on_mains for rule in RULES if rule.applies(supplies)), None)


def percent(supplies: Sequence[Supply], problems: list[str]) -> float | None:
    """Return how full all batteries are together, weighted by their size; None if no battery reports it.

    Impossible readings are left out, with a line in `problems`. A UPS counts only if there is no battery.
    """
    batteries = [supply for supply in supplies if supply.is_battery] or [ups for ups in supplies if ups.is_ups]
    shares = [battery_share for battery in batteries if (battery_share := _share(battery, problems)) is not None]
    if not shares:
        return None
    # Amounts in different units cannot be added, so in that case every battery has the same weight.
    alike = len(shares) == len(batteries) and len({share.unit for share in shares}) == 1
    weights = [share.full if alike else 1.0 for share in shares]
    return sum(share.percent * weight for share, weight in zip(shares, weights, strict=True)) / sum(weights)


def _share(battery: Supply, problems: list[str]) -> Share | None:
    gauge = _gauge(battery)
    if gauge is None:
        problems.append(f"{battery.name} does not say how full it is")
        return None
    if not 0 <= gauge.percent <= MOST_PERCENT:
        problems.append(f"{battery.name} says {gauge.percent:.0f} %")
        return None
    if gauge.percent == 0 and battery.status == "Full":
        problems.append(f"{battery.name} says that it is full at 0 %")
        return None
    if gauge.percent == 0 and battery.voltage_now == 0:
        problems.append(f"{battery.name} says 0 % at 0 V: its gauge does not answer")
        return None
    return Share(min(100.0, gauge.percent), gauge.full, gauge.unit)


def _gauge(battery: Supply) -> Share | None:
    """Return what a battery reports: from its energy or charge, else its own percentage."""
    gauges = [
        Share(100 * now / full, full, unit)
        for unit, now, full in (
            ("energy", battery.energy_now, battery.energy_full),
            ("charge", battery.charge_now, battery.charge_full),
        )
        if now is not None and full is not None and full > 0
    ]
    if battery.capacity is not None:
        gauges.append(Share(battery.capacity, 100.0, "capacity"))
    # If a gauge reports an impossible value, the next one is used.
    return next((share for share in gauges if 0 <= share.percent <= MOST_PERCENT), gauges[0] if gauges else None)
