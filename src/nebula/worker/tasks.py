"""Celery's task: a message says that the queue has work, and the worker does it."""

from __future__ import annotations

from celery import Celery

from nebula.messages import TASK
from nebula.worker.work import Worker


def install(celery: Celery, worker: Worker) -> None:
    """Register the Celery task that runs the worker when a message arrives."""

    @celery.task(name=TASK)  # type: ignore[untyped-decorator]
    def work() -> None:
        worker.work()
