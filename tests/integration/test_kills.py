"""Everything is killed, again and again, while films are stored and made: nothing is lost, little is made again.

A round kills every part of a world once, in a random order and at random moments. NEBULA_KILLS asks for more kills (in
whole rounds), NEBULA_SEED for other moments.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nebula import config
from nebula.db import migrate
from nebula.domain.states import Queue
from tests import people
from tests.films import Bench, Clips
from tests.killing import (
    House,
    Household,
    Sender,
    films_are_made,
    make_programs,
    nothing_is_left_over,
    seen_and_heard,
)
from tests.stores import Stores

KILLS = int(os.environ.get("NEBULA_KILLS", "1"))
SEED = int(os.environ.get("NEBULA_SEED", "7"))
CHUNK_S = 1.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 30 * KILLS)]  # a lease may have to run out
FILMS = ("cut.mkv", "raw.avi", "ten.mkv")


@pytest.fixture(scope="module")
def clips() -> Clips:
    return Clips()


@pytest.fixture
def own_stores() -> Iterator[Stores]:
    """Stores that nobody else waits for."""
    with tempfile.TemporaryDirectory(prefix="nebula-stores-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user
        running = Stores(Path(folder))
        yield running
        running.stop()


@pytest.fixture(params=["embedded", "provisioned"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    stores: Stores | None = request.getfixturevalue("own_stores") if request.param == "provisioned" else None
    environ = _environ(tmp_path / "data") | _own(stores, tmp_path)
    migrate.upgrade(environ["DATABASE_URL"])
    people.make_people(config.load(environ), None)  # type: ignore[arg-type]
    opened = House(environ, tmp_path, make_programs(tmp_path / "programs", is_slow=True), stores)
    yield opened
    opened.close()


def _environ(data_dir: Path) -> dict[str, str]:
    data_dir.mkdir()
    (data_dir / "nothing").mkdir()
    return {
        "NEBULA_DATA_DIR": str(data_dir),
        "NEBULA_NODE": "first",
        "NEBULA_RESERVE_BYTES": "1",
        "NEBULA_SWEEP_INTERVAL": "1",
        "NEBULA_CHUNK_SECONDS": str(CHUNK_S),
        # This machine's battery and heat are none of a test's: they would change the number of threads.
        "NEBULA_POWER_SUPPLY_DIR": str(data_dir / "nothing"),
        "NEBULA_THERMAL_DIR": str(data_dir / "nothing"),
        "SECRET_KEY": secrets.token_urlsafe(32),
        "ACCESS_TOKEN_EXPIRE_MINUTES": "600",
    }


def _own(stores: Stores | None, folder: Path) -> dict[str, str]:
    if stores is None:
        return {"DATABASE_URL": f"sqlite:///{folder / 'data' / 'nebula.sqlite'}"}
    return {
        "DATABASE_URL": f"{stores.postgresql.url}/postgres",
        "REDIS_URL": stores.redis.url,
        "S3_ENDPOINT": stores.minio.endpoint,
        "S3_ACCESS_KEY": stores.minio.access_key,
        "S3_SECRET_KEY": stores.minio.secret_key,
        "S3_BUCKET": "killed",
    }


@pytest.fixture(scope="module")
def undisturbed(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Return what is seen and heard of a clip's film when nobody dies; made of chunks, too."""

    @functools.cache
    def make(name: str) -> list[str]:
        folder = tmp_path_factory.mktemp("undisturbed")
        environ = _environ(folder / "data") | _own(None, folder)
        migrate.upgrade(environ["DATABASE_URL"])
        bench = Bench(config.load(environ))
        node = bench.transcoder("calm", chunk_s=CHUNK_S)
        content_id = bench.store(clips[name])
        programs = make_programs(folder / "programs", is_slow=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
            while node.run_next(Queue.QUICK, bench.stop) or node.run_next(Queue.ENCODE, bench.stop):
                pass
        assert bench.film_job(content_id)["chunks_done"] > 4
        found = _content(bench, content_id)
        bench.close()
        return found

    return make


def _content(bench: Bench, content_id: str) -> list[str]:
    (rendition,) = bench.renditions(content_id)
    return seen_and_heard(bench.fetched(rendition["object_key"]))


def _titled(clip: Path, title: str, folder: Path) -> Path:
    """Return a file of other bytes with the same pictures and sounds."""
    path = folder / f"{title}{clip.suffix}"
    argv = ["ffmpeg", "-v", "error", "-i", str(clip), "-map", "0", "-c", "copy", "-metadata", f"title={title}"]
    subprocess.run([*argv, str(path)], check=True, stdin=subprocess.DEVNULL)
    return path


def test_films_are_those_of_a_calm_day_when_every_part_is_killed_at_random_moments(
    house: House, clips: Clips, undisturbed: Callable[[str], list[str]], tmp_path: Path
) -> None:
    print(f"NEBULA_SEED={SEED}")  # shown where it fails
    sender = Sender(house.gateway, "member")
    household = Household(sender)
    made_of, in_flight = _strike(house, household, clips, tmp_path)
    stored = household.acknowledged()
    films_are_made(house, sender, stored)
    assert {file_id: digest for file_id, (digest, _) in sender.files().items()} == {
        file_id: hashlib.sha256(film.read_bytes()).hexdigest() for file_id, film in stored.items()
    }
    _little_was_made_again(house, len(stored), in_flight)
    for file_id, film in stored.items():
        assert _content(house.bench, house.content_id(file_id)) == undisturbed(made_of[film]), film
    nothing_is_left_over(house)
    household.close()


def _strike(house: House, household: Household, clips: Clips, folder: Path) -> tuple[dict[Path, str], int]:
    """Kill while films are stored and made; return the clip of each film, and how many chunks were in flight."""
    choose = random.Random(SEED)
    made_of: dict[Path, str] = {}
    kills = in_flight = 0
    while kills < KILLS:
        for victim in choose.sample(house.victims, len(house.victims)):
            if kills % 3 == 0:
                clip = FILMS[len(made_of) % len(FILMS)]
                film = _titled(clips[clip], f"film {len(made_of)}", folder)
                made_of[film] = clip
                household.store(film)
            time.sleep(choose.uniform(0.2, 3.0))  # some moment of the work
            print(f"kill {victim}")
            in_flight += house.strike(victim, choose)
            kills += 1
    return made_of, in_flight


def _little_was_made_again(house: House, films: int, in_flight: int) -> None:
    jobs = house.bench.database.read(lambda tx: [row.to_dict() for row in tx.e.Job.select() if row.chunks_total])
    assert len(jobs) == films
    repeated, total = (sum(job[column] for job in jobs) for column in ("chunks_repeated", "chunks_total"))
    print(f"{repeated} of {total} chunks made again, {in_flight} were in flight")
    assert repeated <= in_flight
    assert all(job["restarts"] == job["rejections"] == 0 for job in jobs)
    assert all(job["warning"] is None for job in jobs)
