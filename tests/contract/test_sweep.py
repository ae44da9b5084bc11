"""The sweep's own parts, and that one which fails leaves the others alone."""

from __future__ import annotations

import uuid

import pytest

from nebula.db import files
from nebula.db.database import Database, Tx
from nebula.db.work import tasks
from nebula.domain.states import JobState, Queue, Visibility
from nebula.domain.work import Claimant
from nebula.errors import StoreUnavailable
from nebula.services.machine.sweep import Sweep
from tests.contract.test_film_chunks import Films
from tests.films import Woken


class Part:
    """A part of the sweep that does as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self._error = error

    def sweep(self) -> None:
        self.runs += 1
        if self._error is not None:
            raise self._error


def _sweep(database: Database, woken: Woken, uploads: Part, library: Part) -> None:
    Sweep(database, woken, plan_anew=lambda: None, uploads=uploads, library=library).run()  # type: ignore[arg-type]


def _job(database: Database) -> str:
    def work(tx: Tx) -> str:
        account = tx.e.Account(id="a", name="a", role="owner", password_hash="x", created_at=tx.now)
        tx.flush()
        file, _ = files.add_stored(
            tx,
            account_id=account.id,
            name="film.mkv",
            media_type="video/x-matroska",
            visibility=Visibility.HOUSEHOLD,
            sha256=uuid.uuid4().hex,
            size_bytes=1,
            object_key="originals/a",
        )
        return str(tx.e.Job.get(content=file.content.id).id)

    return database.write(work)


@pytest.mark.parametrize("error", [RuntimeError("broken"), StoreUnavailable("objects")])
def test_part_that_fails_does_not_keep_the_others_from_running(
    database: Database, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    woken, uploads, library = Woken(), Part(error), Part()
    _job(database)
    _sweep(database, woken, uploads, library)
    assert (uploads.runs, library.runs) == (1, 1)
    assert woken.queues == [Queue.QUICK]
    assert "part=uploads" in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(error, RuntimeError)


def test_sweep_puts_back_what_has_no_live_lease_and_wakes_its_queue(database: Database) -> None:
    job_id = _job(database)
    woken = Woken()
    database.write(lambda tx: tasks.claim_next(tx, Claimant("n1", Queue.QUICK, 1)))
    _sweep(database, woken, Part(), Part())
    assert woken.queues == []
    sql = "UPDATE tasks SET lease_until = $past WHERE job_id = $id"
    database.write(lambda tx: tx.execute(sql, past=tx.after(-1), id=job_id))
    _sweep(database, woken, Part(), Part())
    assert woken.queues == [Queue.QUICK]
    assert database.read(lambda tx: tx.e.Job[job_id].state) == JobState.QUEUED


def test_sweep_puts_back_chunks_whose_lease_ran_out(database: Database) -> None:
    films, woken = Films(database), Woken()
    films.add(3)
    films.claimed("gone")
    films.run_out()
    _sweep(database, woken, Part(), Part())
    assert woken.queues == [Queue.ENCODE]
    assert (films.chunk(0)["state"], films.job()["chunks_repeated"]) == ("queued", 1)
