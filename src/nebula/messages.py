"""Messages that say "this queue has work", sent by Celery over Redis or over a directory.

A message only wakes a worker; the database rows say what there is to do. `wake` leaves a note for one background thread
and returns, so a Redis that is down, hung or full never delays a request. If a message is lost, the sweep makes up for
it, and so do the workers, which also look for work themselves.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import kombu
import redis
from celery import Celery
from kombu.exceptions import ChannelError, KombuError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps
from redis.backoff import NoBackoff
from redis.retry import Retry

from nebula.config import Settings
from nebula.domain.states import Queue
from nebula.errors import StoreUnavailable

log = logging.getLogger(__name__)

TASK = "nebula.work"
MESSAGE_LIFE_S = 300  # by then a worker has found the work by itself
SEND_S = 2.0
CHECK_S = 1.0
RECEIVE_S = 5.0
HEALTH_S = 5
FILES = "nebulafiles"


class FileChannel(filesystem.Channel):  # type: ignore[misc]
    """Kombu's queue of files, made safe for readers while another process writes a message or dies writing it.

    Kombu 5.7 writes a message in place. A worker that reads it while it is empty ends (JSONDecodeError), and if the
    table of queues is left empty, no worker can start.
    """

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        fresh = Path(self.data_folder_out) / f"{name}.part"
        try:
            fresh.write_text(dumps(payload))
            fresh.rename(fresh.with_suffix(""))
        except OSError as error:
            raise ChannelError(f"A message cannot be written: {error}") from error

    def _get(self, queue: str) -> Any:
        while True:
            try:
                return super()._get(queue)
            except ValueError:  # the message's file is already removed; the rows say what there is to do
                log.warning("message unreadable queue=%s", queue)

    def get_table(self, exchange: str) -> Any:
        try:
            return super().get_table(exchange)
        except ValueError:
            return []

    def _queue_bind(self, exchange: str, *binding: Any) -> None:
        try:
            super()._queue_bind(exchange, *binding)
        except ValueError:
            self._exchange_file(exchange).unlink(missing_ok=True)
            super()._queue_bind(exchange, *binding)


class FileTransport(filesystem.Transport):  # type: ignore[misc]
    """The transport of FileChannel."""

    Channel = FileChannel


TRANSPORT_ALIASES[FILES] = f"{__name__}:{FileTransport.__name__}"


def make_celery(settings: Settings, *, socket_timeout_s: float = RECEIVE_S) -> Celery:
    """Create the Celery app of the worker or, with a short timeout, of the sender. Nothing connects yet."""
    app = Celery("nebula", set_as_current=False, fixups=[])
    app.conf.update(
        broker_url=settings.redis_url or f"{FILES}://localhost",
        broker_transport_options=_over_redis(socket_timeout_s) if settings.redis_url else _over_files(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker survives any outage: it also finds work without messages
        # No acknowledgements: the sweep replaces a message that is lost with its worker. Celery 5.7.0 dies if Redis
        # restarts while one is outstanding (AttributeError: 'NoneType' object has no attribute 'hostname'), with early
        # acks too.
        task_queues=[kombu.Queue(queue.value, no_ack=True) for queue in Queue],
        task_default_queue=Queue.QUICK.value,
        task_acks_late=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=bool(settings.redis_url),  # Redis only
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        accept_content=["json"],
    )
    return app


def _over_redis(socket_timeout_s: float) -> dict[str, Any]:
    return {
        # Longer than the second that BRPOP waits in the server. Without them, a Redis that hangs blocks for ever.
        "socket_timeout": socket_timeout_s,
        "socket_connect_timeout": SEND_S,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_S,
        "retry_on_timeout": False,
    }


def _over_files(settings: Settings) -> dict[str, Any]:
    folder, control = settings.queue_dir / "messages", settings.queue_dir / "control"
    for path in (folder, control):
        path.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(control),
        "store_processed": False,
        "polling_interval": 0.1,
    }


class Messages:
    """Wakes workers. Its thread starts with the first message, so an instance may be created before a fork."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._celery = make_celery(settings, socket_timeout_s=SEND_S)
        self._pending: set[Queue] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def wake(self, queue: Queue) -> None:
        """Say that a queue has work. Returns at once and never raises.

        While a message for a queue is still pending, no second one is sent.
        """
        with self._changed:
            if self._closing:
                return
            self._pending.add(queue)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send_all, name="messages", daemon=True)
                self._thread.start()
            self._changed.notify()

    def check(self) -> None:
        """Raise StoreUnavailable("queue") if no message can be stored: the store is down, hung, full or read-only."""
        try:
            self._check_redis() if self._settings.redis_url else self._check_folder()
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable("queue") from error

    def close(self, timeout_s: float = 3.0) -> None:
        """Send the pending messages, for at most `timeout_s`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _send_all(self) -> None:
        while (queue := self._next()) is not None:
            self._send(queue)

    def _next(self) -> Queue | None:
        with self._changed:
            while not self._pending and not self._closing:
                self._changed.wait()
            return self._pending.pop() if self._pending else None

    def _send(self, queue: Queue) -> None:
        try:
            self._celery.send_task(TASK, queue=queue.value, retry=False, expires=MESSAGE_LIFE_S)
        except (KombuError, ChannelError, redis.RedisError, OSError) as error:
            log.warning("message lost queue=%s error=%r", queue, str(error))
        except Exception:  # whatever else two libraries may raise: the thread must survive it
            log.exception("message lost queue=%s", queue)

    def _check_redis(self) -> None:
        client = redis.Redis.from_url(
            self._settings.redis_url,
            socket_timeout=CHECK_S,
            socket_connect_timeout=CHECK_S,
            retry=Retry(NoBackoff(), 0),
        )
        with client:
            # Write something: a full or read-only Redis still answers PING.
            client.set("nebula:check", "1", ex=60)

    def _check_folder(self) -> None:
        folder = self._settings.queue_dir / "messages"
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StoreUnavailable("queue", f"The queue's directory cannot be written: {folder}.")
