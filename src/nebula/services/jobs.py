"""Jobs as people see them: what is being made, retrying and cancelling."""

from __future__ import annotations

import logging
from typing import Any

from nebula.db import files, jobs, listing
from nebula.db.database import Database, Tx
from nebula.domain.listing import JobQuery, Page, Position
from nebula.domain.records import Job, Principal
from nebula.domain.states import LIVE_JOB_STATES, JobState
from nebula.errors import Conflict, Forbidden, NotFound
from nebula.messages import Messages

log = logging.getLogger(__name__)


class Jobs:
    """The work list."""

    def __init__(self, database: Database, messages: Messages) -> None:
        self._database = database
        self._messages = messages

    def page(self, principal: Principal, query: JobQuery) -> Page[Job]:
        """Return one page of the jobs on contents that this account may see, the newest first."""
        found = self._database.read(lambda tx: listing.job_page(tx, principal, query))
        items = tuple(found[: query.limit])
        last = items[-1] if len(found) > query.limit else None
        return Page(items, None if last is None else Position(last.created_at, last.id).to_cursor())

    def find(self, principal: Principal, job_id: str) -> Job:
        """Return one job. Raises NotFound."""
        return self._database.read(lambda tx: _record(tx, _seen(tx, principal, job_id)))

    def retry(self, principal: Principal, job_id: str) -> Job:
        """Start a failed or cancelled job anew. Raises Conflict where it is neither, or its file is in the trash."""

        def work(tx: Tx) -> Job:
            row = _owned(tx, principal, job_id)
            if row.state not in {JobState.FAILED, JobState.CANCELLED}:
                raise Conflict(
                    f"The job is {row.state}; only failed and cancelled jobs can be retried.", code="job_state"
                )
            if not files.living_files(tx, row.content.id):
                raise Conflict("The job's file is in the trash; restore it first.", code="file_trashed")
            jobs.requeue(tx, row)
            return _record(tx, row)

        job = self._database.write(work)
        log.info("retried job=%s account=%s", job_id, principal.account_id)
        self._messages.wake(job.queue)
        return job

    def cancel(self, principal: Principal, job_id: str) -> Job:
        """Stop a job that waits or runs; its worker lets go within seconds. Raises Conflict where it has ended."""

        def work(tx: Tx) -> Job:
            row = _owned(tx, principal, job_id)
            if row.state not in LIVE_JOB_STATES:
                raise Conflict(f"The job is {row.state} already.", code="job_state")
            jobs.cancel(tx, row)
            return _record(tx, row)

        log.info("cancelled job=%s account=%s", job_id, principal.account_id)
        return self._database.write(work)


def _record(tx: Tx, row: Any) -> Job:
    return listing.job_records(tx, [row])[0]


def _seen(tx: Tx, principal: Principal, job_id: str) -> Any:
    row = tx.e.Job.get(id=job_id)
    if row is None or not any(files.may_see(file, principal) for file in row.content.files):
        raise NotFound("There is no such job.", code="job_not_found")
    return row


def _owned(tx: Tx, principal: Principal, job_id: str) -> Any:
    row = _seen(tx, principal, job_id)
    if not principal.is_owner and row.content.account.id != principal.account_id:
        raise Forbidden("Only the account that stored a film, or the owner, steers its jobs.", code="not_your_file")
    return row
