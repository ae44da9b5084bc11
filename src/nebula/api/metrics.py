"""Prometheus text (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from nebula.api.gates import Gates
from nebula.domain.states import BackupState
from nebula.domain.throttle import Throttle
from nebula.errors import StoreUnavailable
from nebula.services.status import Status

Sample = tuple[dict[str, str], float]


def exposition(status: Status, gates: Gates) -> str:
    """Return every metric; those of the database are left out while it does not answer."""
    disk = status.disk()
    inside = {"streams": gates.streams.inside, "bodies": gates.bodies.inside, "uploads": gates.uploads.inside}
    gate_samples = [({"gate": name}, float(count)) for name, count in inside.items()]
    services = [({"service": name}, float(answers)) for name, answers in status.services().items()]
    lines = [
        *_gauge("nebula_service_up", "Whether a dependency answers", services),
        *_gauge("nebula_gate_inside", "Bodies that are under way, by gate", gate_samples),
        *_gauge("nebula_disk_free_bytes", "Room where the node keeps its data", [({}, disk.free_bytes)]),
        *_gauge("nebula_disk_reserve_bytes", "Room that is kept for the database", [({}, disk.reserve_bytes)]),
    ]
    with suppress(StoreUnavailable):
        lines += _counted(status)
    return "\n".join(lines) + "\n"


def _counted(status: Status) -> list[str]:
    counts = status.counts()
    jobs = [({"queue": str(queue), "state": str(state)}, float(n)) for (queue, state), n in counts.jobs.items()]
    files = [({"state": str(state)}, float(n)) for state, n in counts.files.items()]
    return [
        *_gauge("nebula_files", "Files outside the trash, by state", files),
        *_gauge("nebula_stored_bytes", "Bytes of originals and renditions", [({}, counts.stored_bytes)]),
        *_gauge("nebula_jobs", "Jobs, by queue and state", jobs),
        *_gauge("nebula_uploads", "Unfinished uploads", [({}, counts.uploads)]),
        *_power(status),
        *_backup(status),
    ]


def _power(status: Status) -> list[str]:
    known = [(node, node.power) for node in status.nodes() if node.power is not None]
    mains, levels, heat, throttles = [], [], [], []
    for node, power in known:
        name, reading = {"node": node.name}, power.reading
        mains += _known(name, reading.on_mains)
        levels += _known(name, reading.percent)
        heat += _known(name, reading.temperature_c)
        throttles += [(name | {"throttle": one}, float(one is power.decision.throttle)) for one in Throttle]
    paused = [({"node": node.name}, power.paused_s) for node, power in known]
    return [
        *_gauge("nebula_power_on_mains", "Whether a node is on mains", mains),
        *_gauge("nebula_power_percent", "Charge of a node's batteries", levels),
        *_gauge("nebula_power_temperature_celsius", "Temperature of a node's processor", heat),
        *_gauge("nebula_throttle", "1 for what a node's encoder may do", throttles),
        *_gauge("nebula_paused_seconds", "How long a node's encoders were held still, in all", paused),
    ]


def _backup(status: Status) -> list[str]:
    standing = status.backup()
    backup = standing.backup
    if backup is None:
        return []
    states: list[Sample] = [({"state": state}, float(state is standing.state)) for state in BackupState]
    return [
        *_gauge("nebula_backup_state", "1 for how the backup is", states),
        *_gauge(
            "nebula_backup_overdue",
            "Whether no backup was made for too long",
            [({}, standing.state is BackupState.OVERDUE)],
        ),
        *_gauge("nebula_backup_last_success_timestamp_seconds", "When a backup was made", _moment(backup.succeeded_at)),
        *_gauge("nebula_backup_last_read_timestamp_seconds", "When a part of it was read", _moment(backup.read_at)),
    ]


def _moment(moment: datetime | None) -> list[Sample]:
    return [] if moment is None else [({}, moment.timestamp())]


def _known(labels: dict[str, str], value: float | None) -> list[Sample]:
    return [] if value is None else [(labels, float(value))]


def _gauge(name: str, help_text: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# HELP {name} {help_text}.", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value:g}" if shown else f"{name} {value:.0f}")
    return lines
