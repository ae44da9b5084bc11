"""One family of encoders for each rendition, on SQLite and on PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from nebula.db import nodes, power
from nebula.db.database import Database
from nebula.db.work import chunks, families, jobs, tasks
from nebula.db.work.chunks import Outcome
from nebula.domain import object_keys
from nebula.domain.encoders import SOFTWARE
from nebula.domain.limits import ENCODER_GONE_S, MAX_RESTARTS
from nebula.domain.states import Queue, TaskKind
from nebula.domain.throttle import PowerReading, Throttle, ThrottleDecision
from nebula.errors import Superseded
from tests.contract.test_film_chunks import Films

QSV, VAAPI = "h264_qsv", "h264_vaapi"


@pytest.fixture
def films(database: Database) -> Films:
    return Films(database)


def _hear_of(films: Films, node: str, encoder: str) -> None:
    """Have the node's encode worker say that it is alive."""
    decision = ThrottleDecision(Throttle.RUN, ("on mains",))
    films.database.write(lambda tx: nodes.register(tx, node, "1"))
    films.database.write(lambda tx: nodes.note_encoder(tx, node, encoder))
    films.database.write(lambda tx: power.note(tx, node, decision, PowerReading(), 0))


def _be_silent(films: Films, seconds: float) -> None:
    films.sql("UPDATE nodes SET power_at = $then", then=films.database.read(lambda tx: tx.after(-seconds)))


def _free(films: Films) -> list[tuple[str, str]]:
    return films.database.write(families.free_stranded)


def test_first_claim_of_the_picture_binds_the_film_to_its_nodes_encoder(films: Films) -> None:
    films.add(4)
    sound = films.claimed("a", VAAPI)
    assert (sound.number, sound.encoder, films.job()["encoder"]) == (0, None, None)
    assert films.claimed("b", QSV).encoder == QSV
    assert films.claimed("c", QSV).encoder == QSV
    assert films.claim("a", VAAPI) is None
    assert films.claim("d") is None
    assert films.job()["encoder"] == QSV


def test_node_with_hardware_goes_on_with_what_software_began(films: Films) -> None:
    films.add(3)
    films.finish(films.claimed())
    films.finish(films.claimed())
    assert films.claimed("b", QSV).encoder == SOFTWARE


def test_film_that_suits_no_hardware_is_bound_to_software_from_the_start(films: Films) -> None:
    films.add(3, encoder=SOFTWARE)
    films.claimed("b", QSV)
    assert films.claimed("b", QSV).encoder == SOFTWARE


def test_film_of_another_encoder_does_not_keep_a_node_from_the_next_film(films: Films) -> None:
    films.add(3)
    for _ in range(2):
        films.claimed("a", QSV)
    second = films.add(3, rank=jobs.LOWER_RANK)
    assert films.claimed("b").job_id == second


def test_film_is_bound_anew_when_its_first_node_died_before_anything_was_done(films: Films) -> None:
    films.add(3)
    films.finish(films.claimed("a", QSV))
    films.claimed("a", QSV)
    assert films.claim("b") is None
    films.database.write(lambda tx: tasks.give_back(tx, Queue.ENCODE, "a"))
    claim = films.claimed("b")
    assert (claim.encoder, films.job()["restarts"]) == (SOFTWARE, 0)
    assert films.finish(claim) is Outcome.DONE


def test_only_one_of_two_families_gets_a_film_when_they_race(films: Films) -> None:
    films.add(13)
    films.finish(films.claimed())

    def take(node: int) -> set[str | None]:
        taken = set()
        while claim := films.claim(f"n{node}", (QSV, VAAPI)[node % 2]):
            taken.add(claim.encoder)
            films.finish(claim, encoder=claim.encoder or "")
        return taken

    with ThreadPoolExecutor(4) as threads:
        taken = set().union(*threads.map(take, range(4)))
    assert len(taken) == 1
    assert (films.kinds(), films.job()["rejections"]) == ([TaskKind.JOIN], 0)


def test_film_starts_again_in_software_when_hardware_failed_at_a_chunk(films: Films) -> None:
    job_id = films.add(4)
    films.finish(films.claimed())
    films.finish(films.claimed("a", QSV), "a", QSV)
    failed, held = films.claimed("a", QSV), films.claimed("b", QSV)
    outcome = films.database.write(lambda tx: chunks.fail_hardware(tx, failed, "device failed"))
    assert outcome is Outcome.RESTARTED
    job = films.job()
    assert (job["encoder"], job["fingerprint"], job["restarts"]) == (SOFTWARE, None, 1)
    assert (job["chunks_done"], job["chunks_repeated"]) == (1, 0), "the sound stays"
    assert object_keys.chunk(job_id, 1, 1) in films.due()
    with pytest.raises(Superseded):
        films.finish(held, "a", QSV)
    with pytest.raises(Superseded):
        films.database.write(lambda tx: chunks.fail_hardware(tx, failed, "late"))
    assert [films.claimed("a", QSV).encoder for _ in range(3)] == [SOFTWARE] * 3


def test_film_fails_when_it_was_restarted_too_often(films: Films) -> None:
    films.add(3)
    films.claimed()
    films.sql("UPDATE jobs SET restarts = $most", most=MAX_RESTARTS)
    claim = films.claimed("a", QSV)
    outcome = films.database.write(lambda tx: chunks.fail_hardware(tx, claim, "device failed"))
    assert (outcome, films.job()["state"], films.job()["error_code"]) == (Outcome.FAILED, "failed", "hardware_failed")


def _half_made(films: Films) -> str:
    """Make the sound and one span, on node a's hardware."""
    job_id = films.add(4)
    _hear_of(films, "a", QSV)
    films.finish(films.claimed("a", QSV))
    films.finish(films.claimed("a", QSV), "a", QSV)
    return job_id


def test_film_starts_again_in_software_when_no_node_has_its_encoder_any_more(films: Films) -> None:
    job_id = _half_made(films)
    _hear_of(films, "b", SOFTWARE)
    assert _free(films) == [], "its node is there"
    _be_silent(films, ENCODER_GONE_S - 60)
    assert _free(films) == [], "it may only be starting"
    _be_silent(films, ENCODER_GONE_S + 60)
    assert _free(films) == [(job_id, QSV)]
    assert _free(films) == []
    job = films.job()
    assert (job["encoder"], job["restarts"], job["chunks_done"]) == (SOFTWARE, 1, 1)
    assert films.claimed("b").number == 1


def test_film_starts_again_at_once_when_its_nodes_hardware_is_trusted_no_more(films: Films) -> None:
    job_id = _half_made(films)
    _hear_of(films, "a", SOFTWARE)
    assert _free(films) == [(job_id, QSV)]


def test_film_is_left_alone_while_another_node_has_its_encoder_or_makes_a_chunk_of_it(films: Films) -> None:
    _half_made(films)
    films.claimed("a", QSV)
    _be_silent(films, ENCODER_GONE_S + 60)
    assert _free(films) == [], "it is being made"
    films.run_out()
    films.expire()
    _hear_of(films, "b", QSV)
    assert _free(films) == []
    assert films.job()["restarts"] == 0
