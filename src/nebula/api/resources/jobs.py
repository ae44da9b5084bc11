"""Jobs: list, show, retry, cancel, pause, resume, remove."""

from __future__ import annotations

import falcon

from nebula.api.listings import write_cacheable, write_listing
from nebula.api.objects import JOB
from nebula.api.requests import principal, query_int
from nebula.api.resources.files import flag_param, member, position_param, text_param
from nebula.domain.listing import MAX_PAGE_SIZE, PAGE_SIZE, JobQuery
from nebula.domain.states import JobState
from nebula.services.jobs import Jobs


class JobList:
    """`GET /jobs`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        state = text_param(req, "state")
        query = JobQuery(
            state=None if state is None else member(JobState, "state", state),
            live=flag_param(req, "live"),
            after=position_param(req),
            limit=query_int(req, "limit", PAGE_SIZE, least=1, most=MAX_PAGE_SIZE),
        )
        page = self._jobs.page(principal(req), query)
        write_listing(req, resp, [JOB.json(job) for job in page.items], page.next_cursor)


class Job:
    """`GET` and `DELETE /jobs/{id}`; `POST /jobs/{id}/retry`, `/cancel`, `/pause` and `/resume`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        write_cacheable(req, resp, JOB.json(self._jobs.find(principal(req), job_id)))

    def on_post_retry(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        resp.media = JOB.json(self._jobs.retry(principal(req), job_id))

    def on_post_cancel(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        resp.media = JOB.json(self._jobs.cancel(principal(req), job_id))

    def on_post_pause(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        resp.media = JOB.json(self._jobs.pause(principal(req), job_id))

    def on_post_resume(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        resp.media = JOB.json(self._jobs.resume(principal(req), job_id))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        self._jobs.remove(principal(req), job_id)
        resp.status = falcon.HTTP_204
