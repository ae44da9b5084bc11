"""The gateway's metrics as Prometheus text. The library prometheus-client writes the format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from nebula.api.gates import Gates
from nebula.domain.records import Node
from nebula.domain.states import BackupState
from nebula.domain.throttle import Throttle
from nebula.errors import StoreUnavailable
from nebula.services.machine.status import Status

Sample = tuple[dict[str, str], float]


def exposition(status: Status, gates: Gates) -> str:
    """Return all metrics, without those from the database if it does not answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(status, gates))
    return generate_latest(registry).decode()


class _Metrics(Collector):
    """Reads the current status at each scrape."""

    def __init__(self, status: Status, gates: Gates) -> None:
        self._status = status
        self._gates = gates

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield each metric with its samples."""
        disk = self._status.disk()
        gates = self._gates
        bodies = {"streams": gates.streams.inside, "bodies": gates.bodies.inside, "uploads": gates.uploads.inside}
        services = [({"service": name}, float(answers)) for name, answers in self._status.services().items()]
        yield _gauge("nebula_service_up", "Whether a dependency answers", services)
        yield _gauge(
            "nebula_gate_inside",
            "Bodies in transfer, by gate",
            [({"gate": name}, float(count)) for name, count in bodies.items()],
        )
        yield _gauge("nebula_disk_free_bytes", "Free space where the node keeps its data", [({}, disk.free_bytes)])
        yield _gauge("nebula_disk_reserve_bytes", "Space that is kept for the database", [({}, disk.reserve_bytes)])
        with suppress(StoreUnavailable):
            yield from [*_counts(self._status), *_power(self._status.nodes()), *_backup(self._status)]


def _counts(status: Status) -> Iterator[GaugeMetricFamily]:
    counts = status.counts()
    jobs = [({"queue": str(queue), "state": str(state)}, float(n)) for (queue, state), n in counts.jobs.items()]
    files = [({"state": str(state)}, float(n)) for state, n in counts.files.items()]
    yield _gauge("nebula_files", "Files outside the trash, by state", files)
    yield _gauge("nebula_stored_bytes", "Bytes of originals and renditions", [({}, counts.stored_bytes)])
    yield _gauge("nebula_jobs", "Jobs, by queue and state", jobs)
    yield _gauge("nebula_uploads", "Unfinished uploads", [({}, counts.uploads)])


def _power(nodes: list[Node]) -> Iterator[GaugeMetricFamily]:
    powers = [({"node": node.name}, node.power) for node in nodes if node.power is not None]
    yield _gauge(
        "nebula_power_on_mains",
        "Whether a node is on mains",
        [sample for name, power in powers for sample in _sample(name, power.reading.on_mains)],
    )
    yield _gauge(
        "nebula_power_percent",
        "Charge of a node's batteries",
        [sample for name, power in powers for sample in _sample(name, power.reading.percent)],
    )
    yield _gauge(
        "nebula_power_temperature_celsius",
        "Temperature of a node's processor",
        [sample for name, power in powers for sample in _sample(name, power.reading.temperature_c)],
    )
    yield _gauge(
        "nebula_throttle",
        "1 for the throttle decision that applies to a node's encoder",
        [
            (name | {"throttle": str(throttle)}, float(throttle is power.decision.throttle))
            for name, power in powers
            for throttle in Throttle
        ],
    )
    yield _gauge(
        "nebula_paused_seconds",
        "Seconds for which a node's encoders were suspended, in all",
        [(name, power.paused_s) for name, power in powers],
    )


def _backup(status: Status) -> Iterator[GaugeMetricFamily]:
    overview = status.backup()
    backup = overview.backup
    if backup is None:
        return
    states: list[Sample] = [({"state": str(state)}, float(state is overview.state)) for state in BackupState]
    is_overdue = float(overview.state is BackupState.OVERDUE)
    yield _gauge("nebula_backup_state", "1 for the state of the backup", states)
    yield _gauge("nebula_backup_overdue", "Whether the last backup is too old", [({}, is_overdue)])
    yield _gauge(
        "nebula_backup_last_success_timestamp_seconds", "Time of the last backup", _moment(backup.succeeded_at)
    )
    yield _gauge(
        "nebula_backup_last_read_timestamp_seconds", "Time at which a part was last read", _moment(backup.read_at)
    )


def _moment(moment: datetime | None) -> list[Sample]:
    return [] if moment is None else [({}, moment.timestamp())]


def _sample(labels: dict[str, str], value: float | None) -> list[Sample]:
    return [] if value is None else [(labels, float(value))]


def _gauge(name: str, documentation: str, samples: list[Sample]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation)
    for labels, value in samples:
        family.add_sample(name, labels, value)
    return family
