"""A worker's composition on one page: settings, adapters, services, Celery. `python -m nebula.worker.app QUEUE`."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

from celery import Celery, bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from nebula import config
from nebula.config import Settings
from nebula.db.database import Database
from nebula.domain.states import Queue
from nebula.errors import SettingsError
from nebula.messages import Messages, make_celery
from nebula.power import PowerSupplies
from nebula.services.disk_reserve import Room
from nebula.services.films.claiming import Transcoding
from nebula.services.films.encoder import Encoders
from nebula.services.library import Library
from nebula.services.machine.sweep import Sweep
from nebula.services.machine.throttling import Pace, Throttling
from nebula.services.uploads.lifecycle import Uploads
from nebula.storage.choose import open_storage
from nebula.worker import tasks
from nebula.worker.readiness import tell_ready
from nebula.worker.work import PLACES, Worker


def argv(queue: Queue) -> list[str]:
    """Return the command that runs this queue's worker with this interpreter. Settings come from the environment."""
    return [sys.executable, "-m", "nebula.worker.app", queue.value]


def create_encoders(settings: Settings) -> Encoders:
    """Build the service that finds this node's encoder."""
    return Encoders(settings.data_dir / "encoder.json", wanted=settings.encoder)


def create_worker(settings: Settings, queue: Queue) -> tuple[Celery, Worker]:
    """Build one queue's worker. It starts and ends together with Celery's worker."""
    # Adapters
    database = Database(settings.database_url)
    storage = open_storage(settings)
    messages = Messages(settings)

    # Services
    room = Room(storage, settings.data_dir, settings.reserve_bytes)
    pace = Pace()
    transcoding = Transcoding(
        database,
        storage,
        messages,
        room,
        node=settings.node_name,
        scratch_dir=settings.scratch_dir,
        chunk_s=settings.chunk_s,
        pace=pace,
        encoders=create_encoders(settings) if queue is Queue.ENCODE else None,
    )
    throttling = Throttling(
        database,
        PowerSupplies(settings.power_supply_dir, settings.thermal_dir),
        pace,
        node=settings.node_name,
        interval_s=settings.power_interval_s,
        on_more=lambda: messages.wake(Queue.ENCODE),
    )
    library = Library(database, storage, messages)
    uploads = Uploads(
        database,
        storage,
        messages,
        tails_dir=settings.tails_dir,
        data_dir=settings.data_dir,
        reserve_bytes=settings.reserve_bytes,
    )
    sweep = Sweep(database, messages, plan_anew=transcoding.plan_anew, uploads=uploads, library=library)

    # Tasks
    worker = Worker(
        queue,
        transcoding,
        sweep if queue is Queue.QUICK else None,
        sweep_interval_s=settings.sweep_interval_s,
        throttling=throttling if queue is Queue.ENCODE else None,
        on_ready=tell_ready,
        on_failed=_end_this_process,
    )
    celery = make_celery(settings)
    tasks.install(celery, worker)
    celery.steps["worker"].add(_step(worker))
    return celery, worker


def _step(worker: Worker) -> type[bootsteps.StartStopStep]:
    class Own(bootsteps.StartStopStep):  # type: ignore[misc]
        """Starts before Celery connects to its broker, which may be down; ends before Celery waits for its pool."""

        requires = ("celery.worker.components:Pool",)

        def start(self, parent: Any) -> None:
            worker.start()

        def stop(self, parent: Any) -> None:
            worker.end()

        def terminate(self, parent: Any) -> None:
            worker.end()

    return Own


def main() -> int:
    """Run the worker of the queue that the command line names until a signal ends it; return the exit status."""
    queue = Queue(sys.argv[1])
    try:
        settings = config.load()
    except SettingsError as error:
        print(f"nebula-server: {error.message}", file=sys.stderr)
        return 1
    _log_plainly()
    _require_scratch(settings.scratch_dir)
    celery, worker = create_worker(settings, queue)

    def stop_at_once(**_: Any) -> None:
        worker.stop.set()

    signals.worker_shutting_down.connect(stop_at_once)
    # A stable name: a worker that starts gives back what the previous worker of this name had claimed.
    name_options = ["-n", f"{queue}@{settings.node_name}", "-Q", queue.value]
    # Threads are enough: ffmpeg does the work. Workers need not talk to each other: all they need is in the rows.
    options = ["-P", "threads", "-c", str(PLACES[queue]), "--without-gossip", "--without-mingle", "--without-heartbeat"]
    celery.worker_main(["--quiet", "worker", *name_options, *options])
    return 1 if worker.has_failed else 0


def _require_scratch(folder: Path) -> None:
    """Raise OSError if the worker cannot write to this folder: every film would fail without it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "The scratch directory cannot be written to", str(folder))


def _end_this_process() -> None:
    """End with SIGTERM, as systemd would: leases are given back. The supervisor then starts the worker again."""
    os.kill(os.getpid(), signal.SIGTERM)


def _log_plainly() -> None:
    logging.basicConfig(level=logging.INFO, format="level=%(levelname)s logger=%(name)s %(message)s", stream=sys.stderr)
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The first warns about running as root with pickle (only JSON is accepted here), the second about late acks, each
    # time the broker is lost.
    for category in (SecurityWarning, CPendingDeprecationWarning):
        warnings.simplefilter("ignore", category)
    # Celery does not configure logging if this signal has a receiver.
    signals.setup_logging.connect(_leave_logging_alone)


def _leave_logging_alone(**_: Any) -> None:
    """Receive Celery's signal and do nothing."""


if __name__ == "__main__":
    sys.exit(main())
