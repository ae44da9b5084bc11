"""Shows jobs live: as a table that is updated in place on a terminal, else as one line per change."""

from __future__ import annotations

import sys
import time
from typing import Any

from nebula_cli import lookup, output, shapes
from nebula_cli.errors import CliError, NotFound
from nebula_cli.retrying import Patience
from nebula_cli.signed_in import SignedIn, objects

TITLES = ("ID", "STATE", "DONE", "SPEED", "LEFT", "NODE", "MAKES", "FILE")
POLL_S = 1.0
WATCHED = 40
STEP = 10  # percent of progress between two lines, if lines cannot be overwritten


class Names:
    """Looks up the names of files by their ids, and asks the server for each only once."""

    def __init__(self, api: SignedIn) -> None:
        self._api = api
        self._known: dict[str, str] = {}

    def of(self, job: dict[str, Any]) -> str:
        """Return the name of a job's file.

        Returns the id if the file is not found, or whose private file it is if the server withholds the id.
        """
        file_id = str(job.get("file_id") or "")
        if not file_id:
            return f"(a private file of {job['account']})" if job.get("account") else ""
        if file_id not in self._known:
            try:
                self._known[file_id] = str(self._api.get(f"/files/{file_id}")["name"])
            except NotFound:
                self._known[file_id] = file_id
        return self._known.get(file_id, "")


def row(job: dict[str, Any], names: Names) -> tuple[str, ...]:
    """Return a job's row of the table."""
    return (
        lookup.short_id(job),
        shapes.job_state(job),
        shapes.job_progress(job),
        shapes.speed(job),
        shapes.eta(job),
        str(job.get("node") or ""),
        shapes.what(job),
        names.of(job),
    )


def follow(api: SignedIn, *, json: bool) -> None:
    """Show the live jobs until none of them is left."""
    watch = Watch(api)
    view = _Json() if json else _Table(api) if output.is_terminal(sys.stdout) else _Lines(api)
    patience = Patience(output.say)
    while True:
        try:
            changed = watch.look()
            patience.got_on()
        except CliError as error:
            patience.wait(error)
            continue
        if changed:
            view.show(watch.jobs)
        if not watch.is_live:
            break
        time.sleep(POLL_S)
    if not watch.jobs:
        output.say("Nothing is being worked on; what there was: nebula jobs")


class Watch:
    """The jobs that are live, and those that ended while they were watched."""

    def __init__(self, api: SignedIn) -> None:
        self._api = api
        self._etag = ""
        self._live: list[dict[str, Any]] = []
        self._ended: dict[str, dict[str, Any]] = {}

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The watched jobs: first those that have ended, then those that are live."""
        return [*self._ended.values(), *self._live]

    @property
    def is_live(self) -> bool:
        """Whether any job is live."""
        return bool(self._live)

    def look(self) -> bool:
        """Ask the server; return whether anything changed."""
        headers = {"If-None-Match": self._etag} if self._etag else {}
        query = {"live": "true", "limit": str(WATCHED)}
        answer = self._api.request("GET", "/jobs", query=query, headers=headers)
        if answer.status == 304:
            return False
        live = objects(answer.json()["items"])
        live_ids = {job["id"] for job in live}
        for job in self._live:
            if job["id"] not in live_ids:
                self._ended[job["id"]] = self._api.get(f"/jobs/{job['id']}")
        # A job that was retried is live again.
        self._ended = {job_id: job for job_id, job in self._ended.items() if job_id not in live_ids}
        self._live = live
        self._etag = answer.headers.get("ETag", "")
        return True


class _Json:
    def show(self, jobs: list[dict[str, Any]]) -> None:
        output.print_all(jobs)
        sys.stdout.flush()


class _Table:
    def __init__(self, api: SignedIn) -> None:
        self._names = Names(api)
        self._height = 0

    def show(self, jobs: list[dict[str, Any]]) -> None:
        if not jobs:
            return
        # Lines that the terminal would wrap, or that do not fit its height, could not be overwritten.
        columns, rows = _terminal_size()
        visible_jobs = jobs[-max(rows - 3, 1) :]
        lines = output.table(TITLES, [row(job, self._names) for job in visible_jobs])
        up = f"\x1b[{self._height}A" if self._height else ""
        sys.stdout.write(up + "".join(f"\x1b[2K{output.cut(line, columns - 1)}\n" for line in lines) + "\x1b[J")
        sys.stdout.flush()
        self._height = len(lines)


class _Lines:
    def __init__(self, api: SignedIn) -> None:
        self._names = Names(api)
        self._said: dict[str, tuple[str, int]] = {}

    def show(self, jobs: list[dict[str, Any]]) -> None:
        for job in jobs:
            state_and_step = (shapes.job_state(job), int(100 * (job.get("progress") or 0)) // STEP)
            if self._said.get(job["id"]) != state_and_step:
                self._said[job["id"]] = state_and_step
                output.data("  ".join(output.clean(cell) for cell in row(job, self._names) if cell))
        sys.stdout.flush()


def _terminal_size() -> tuple[int, int]:
    import shutil  # slow to import, and needed only here

    return shutil.get_terminal_size()
