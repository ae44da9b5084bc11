"""Counts of files, stored bytes, jobs and uploads, for status and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from nebula.db.database import Tx
from nebula.db.moves import listed
from nebula.domain.states import ENDED_UPLOAD_STATES, FileState, JobState, Queue


@dataclass(frozen=True)
class Counts:
    """Files outside the trash by state, stored bytes, jobs by queue and state, and unfinished uploads."""

    files: dict[FileState, int]
    stored_bytes: int
    jobs: dict[tuple[Queue, JobState], int]
    uploads: int


def count(tx: Tx) -> Counts:
    """Return the current counts."""
    by_state = dict(
        tx.select(
            "SELECT c.state, COUNT(*) FROM files AS f JOIN contents AS c ON c.id = f.content_id"
            " WHERE f.deleted_at IS NULL GROUP BY c.state"
        )
    )
    by_queue = {
        (Queue(queue), JobState(state)): int(number)
        for queue, state, number in tx.select("SELECT queue, state, COUNT(*) FROM jobs GROUP BY queue, state")
    }
    ((stored, _),) = tx.select("SELECT COALESCE(SUM(size_bytes), 0), COUNT(*) FROM contents")
    ((rendered, _),) = tx.select("SELECT COALESCE(SUM(size_bytes), 0), COUNT(*) FROM renditions")
    ((uploads, _),) = tx.select(f"SELECT COUNT(*), 0 FROM uploads WHERE state NOT IN {listed(ENDED_UPLOAD_STATES)}")
    return Counts(
        files={state: int(by_state.get(state.value, 0)) for state in FileState},
        stored_bytes=int(stored) + int(rendered),
        jobs={(queue, state): by_queue.get((queue, state), 0) for queue in Queue for state in JobState},
        uploads=int(uploads),
    )
