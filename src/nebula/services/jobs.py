"""Jobs as people see them: listing, retrying, cancelling, pausing, resuming and removing them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nebula.db import files, listing
from nebula.db.database import Database, Tx
from nebula.db.work import jobs
from nebula.domain.listing import JobQuery, Page, Position
from nebula.domain.records import Job, Principal
from nebula.errors import Conflict, Forbidden, NotFound
from nebula.messages import Messages

log = logging.getLogger(__name__)


class Jobs:
    """The use cases of jobs."""

    def __init__(self, database: Database, messages: Messages) -> None:
        self._database = database
        self._messages = messages

    def page(self, principal: Principal, query: JobQuery) -> Page[Job]:
        """Return one page of jobs, the newest first. The owner sees all; others see jobs of files that they may see."""
        matching_jobs = self._database.read(lambda tx: listing.job_page(tx, principal, query))
        items = tuple(matching_jobs[: query.limit])
        last = items[-1] if len(matching_jobs) > query.limit else None
        return Page(items, None if last is None else Position(last.created_at, last.id).to_cursor())

    def find(self, principal: Principal, job_id: str) -> Job:
        """Return one job. Raises NotFound."""
        return self._database.read(lambda tx: _record(tx, principal, _seen(tx, principal, job_id)))

    def retry(self, principal: Principal, job_id: str) -> Job:
        """Start a failed or cancelled job again. Raises Conflict if it is neither, or if its file is in the trash."""

        def work(tx: Tx, job_id: str) -> None:
            jobs.requeue(tx, job_id)
            if not files.living_files(tx, jobs.content_of(tx, job_id).id):
                raise Conflict("The job's file is in the trash; restore it first.", code="file_trashed")

        job = self._change(principal, job_id, "retried", work)
        self._messages.wake(job.queue)
        return job

    def cancel(self, principal: Principal, job_id: str) -> Job:
        """Cancel a live job; its worker stops within seconds. Raises Conflict if it has ended."""
        return self._change(principal, job_id, "cancelled", jobs.cancel)

    def pause(self, principal: Principal, job_id: str) -> Job:
        """Stop a live job until `resume`; its worker stops within seconds. Raises Conflict if it has ended."""
        reason = f"paused by {principal.name}"
        return self._change(principal, job_id, "paused", lambda tx, job_id: jobs.pause(tx, job_id, reason))

    def resume(self, principal: Principal, job_id: str) -> Job:
        """Let a job continue that a person paused. Raises Conflict for any other job."""
        job = self._change(principal, job_id, "resumed", jobs.resume)
        self._messages.wake(job.queue)
        return job

    def remove(self, principal: Principal, job_id: str) -> None:
        """Stop a job and delete it. It cannot be retried afterwards."""
        self._database.write(lambda tx: jobs.remove(tx, _owned(tx, principal, job_id)))
        log.info("removed job=%s account=%s", job_id, principal.account_id)

    def _change(self, principal: Principal, job_id: str, done: str, change: Callable[[Tx, str], None]) -> Job:
        def work(tx: Tx) -> Job:
            change(tx, _owned(tx, principal, job_id))
            return _record(tx, principal, job_id)

        job = self._database.write(work)
        log.info("%s job=%s account=%s", done, job_id, principal.account_id)
        return job


def _record(tx: Tx, principal: Principal, job_id: str) -> Job:
    return listing.job_records(tx, principal, [tx.e.Job[job_id]])[0]


def _seen(tx: Tx, principal: Principal, job_id: str) -> str:
    """Return `job_id` if this account may see the job. Its row is not loaded, because SQL statements change it.

    Raises NotFound.
    """
    content = jobs.content_of(tx, job_id)
    if content is None or not (principal.is_owner or any(files.may_see(file, principal) for file in content.files)):
        raise NotFound("There is no such job.", code="job_not_found")
    return job_id


def _owned(tx: Tx, principal: Principal, job_id: str) -> str:
    content = jobs.content_of(tx, _seen(tx, principal, job_id))
    if not principal.is_owner and content.account.id != principal.account_id:
        raise Forbidden("Only the account that stored a film, or the owner, changes its jobs.", code="not_your_file")
    return job_id
