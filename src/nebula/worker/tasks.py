"""Celery's task: a message says that the queue has work, the worker does the rest."""

from __future__ import annotations

from celery import Celery

from nebula.messages import TASK
from nebula.worker.work import Worker


def install(celery: Celery, worker: Worker) -> None:
    """Make `celery` answer the message with the worker's work."""

    @celery.task(name=TASK)  # type: ignore[untyped-decorator]
    def work() -> None:
        worker.work()
