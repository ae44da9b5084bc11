"""A worker node has what it needs in each store, and it opens nothing more: by the very rules that the roles set."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import jinja2
import psycopg2
import psycopg2.errors
import pytest
import redis
import yaml
from botocore.exceptions import ClientError
from pony import orm

from nebula import command
from nebula.db import entities, grants, migrate
from nebula.domain.states import FileState, JobState, Queue
from nebula.storage.s3 import CLIENT
from tests.films import Clips
from tests.integration.test_chunk_workers import clips, slow  # noqa: F401  (fixtures)
from tests.integration.test_worker import LONG_S, Site
from tests.static.source import ROOT
from tests.stores import BUILT_MINIO, Stores, wait_until

pytestmark = pytest.mark.parametrize("environ", ["provisioned"], indirect=True)
TABLES = set(grants.MAY)


@dataclass
class Node:
    """The credentials of one worker node, as its roles on the stores make them."""

    name: str = "worker-spare"
    password: str = field(default_factory=lambda: secrets.token_hex(20))
    environ: dict[str, str] = field(default_factory=dict)

    def database(self) -> Any:
        return psycopg2.connect(self.environ["DATABASE_URL"])

    def may_not(self, statement: str) -> bool:
        with closing(self.database()) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except psycopg2.errors.InsufficientPrivilege:
                return True
            except psycopg2.errors.NotNullViolation:  # it came as far as the row
                return False
        return False


@pytest.fixture
def node(environ: dict[str, str], stores: Stores) -> Iterator[Node]:
    """A worker node's own role, user and S3 user; the database was migrated before there were any."""
    node = Node()
    with _role(environ["DATABASE_URL"], node):
        migrate.upgrade(environ["DATABASE_URL"])
        _add_redis_user(stores, node)
        _add_s3_user(stores, environ["S3_BUCKET"], node)
        _give(node, environ, stores)
        yield node


def _give(node: Node, environ: dict[str, str], stores: Stores) -> None:
    node.environ = {
        "DATABASE_URL": environ["DATABASE_URL"].replace(
            f"nebula:{stores.postgresql.password}", f"{node.name}:{node.password}"
        ),
        "REDIS_URL": f"redis://{node.name}:{node.password}@127.0.0.1:{stores.redis.port}/0",
        "S3_ACCESS_KEY": node.name,
        "S3_SECRET_KEY": node.password,
        "SECRET_KEY": "",
        "NEBULA_NODE": "spare",
    }


@pytest.fixture
def site(environ: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """A site that cuts films into chunks of a second."""
    opened = Site(environ | {"NEBULA_CHUNK_SECONDS": "1", "NEBULA_SWEEP_INTERVAL": "1"}, tmp_path)
    yield opened
    opened.close()


@contextmanager
def _role(url: str, node: Node) -> Iterator[None]:
    """Roles are the whole server's: they go before the next test makes them."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE ROLE {grants.WORKERS} NOLOGIN")
        cursor.execute(f'CREATE ROLE "{node.name}" LOGIN PASSWORD %s IN ROLE {grants.WORKERS}', (node.password,))
        try:
            yield
        finally:
            cursor.execute(f'DROP OWNED BY {grants.WORKERS}; DROP ROLE "{node.name}"; DROP ROLE {grants.WORKERS}')


def _add_redis_user(stores: Stores, node: Node) -> None:
    may = yaml.safe_load((ROOT / "roles/redis/vars/main.yml").read_text())["redis_worker_may"]
    rules, *selectors = may.split("(")
    words = [*rules.split(), *(f"({selector}".strip() for selector in selectors)]
    with redis.Redis.from_url(stores.redis.url) as client:
        client.execute_command("ACL", "SETUSER", node.name, "reset", "on", f">{node.password}", *words)


def _add_s3_user(stores: Stores, bucket: str, node: Node) -> None:
    program = BUILT_MINIO.with_name("mc")
    if not program.exists():
        pytest.skip(f"MinIO's client is not at {program}: script/build-minio")
    template = jinja2.Template((ROOT / "roles/minio/templates/worker-policy.json.j2").read_text())
    policy = stores.folder / "worker-policy.json"
    policy.write_text(template.render(minio_bucket=bucket))
    host = f"http://{stores.minio.access_key}:{stores.minio.secret_key}@127.0.0.1:{stores.minio.port}"
    for words in (
        ["policy", "create", "store", "worker", str(policy)],
        ["user", "add", "store", node.name, node.password],
        ["policy", "detach", "store", "worker", "--user", node.name],
        ["policy", "attach", "store", "worker", "--user", node.name],
    ):
        subprocess.run(
            [program, "--config-dir", stores.folder / "mc", "admin", *words],
            env=os.environ | {"MC_HOST_store": host},
            capture_output=True,
            check=words[1] != "detach",
        )


def _s3(stores: Stores, node: Node) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=stores.minio.endpoint,
        region_name="us-east-1",
        aws_access_key_id=node.name,
        aws_secret_access_key=node.password,
        config=CLIENT,
    )


def _selected(site: Site, sql: str) -> list[Any]:
    return [row[0] for row in site.bench.database.read(lambda tx: tx.select(sql.replace(" FROM", ", 0 FROM")))]


def test_node_makes_films_whole_and_in_chunks_with_nothing_but_its_own_credentials(
    site: Site,
    node: Node,
    clips: Clips,  # noqa: F811
    tmp_path: Path,
) -> None:
    site.start(Queue.QUICK)
    site.start(Queue.ENCODE, **node.environ, NEBULA_DATA_DIR=str(tmp_path / "spare"))
    for clip, chunks in (("cut.mkv", 5), ("encode.avi", 0), ("sound.mkv", 0)):
        content_id = site.store(clips[clip])
        site.wait_for_state(content_id, FileState.READY)
        job = site.bench.film_job(content_id)
        assert (job["state"], job["failures"], job["chunks_total"] >= chunks) == (JobState.DONE, 0, True)
    assert _selected(site, "SELECT name FROM nodes ORDER BY name") == ["spare", "test-node"]
    assert "spare" in _selected(site, "SELECT node FROM power_changes")


def test_film_that_cannot_be_made_fails_for_a_node_as_for_the_laptop(
    site: Site,
    node: Node,
    clips: Clips,  # noqa: F811
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ffmpeg").write_text("#!/bin/sh\nexit 1\n")
    (broken / "ffmpeg").chmod(0o755)
    site.start(Queue.QUICK)
    site.start(Queue.ENCODE, broken, **node.environ, NEBULA_DATA_DIR=str(tmp_path / "spare"))
    content_id = site.store(clips["encode.avi"])

    def has_failed() -> bool:
        site.bench.sql("UPDATE tasks SET not_before = NULL WHERE state = 'queued'")
        return bool(site.bench.content(content_id)["state"] == FileState.FAILED)

    wait_until(has_failed, LONG_S, "the failure")
    assert site.bench.film_job(content_id)["error_code"] == "ffmpeg_failed"


def test_lists_of_what_a_node_may_do_and_of_what_is_there_agree(site: Site, node: Node) -> None:
    mapped = {entity._table_ for entity in vars(entities.define_entities(orm.Database())).values()}
    assert TABLES - mapped == {"alembic_version"}
    for table in sorted(mapped - TABLES):
        assert node.may_not(f"SELECT * FROM {table}"), table
    for table in sorted(TABLES):
        for verb, statement in {
            "SELECT": f"SELECT * FROM {table}",
            "INSERT": f"INSERT INTO {table} DEFAULT VALUES",
            "DELETE": f"DELETE FROM {table}",
        }.items():
            assert node.may_not(statement) == (verb not in grants.MAY[table]), (table, verb)


def test_node_cannot_move_a_content_to_another_account_or_to_other_bytes(site: Site, node: Node) -> None:
    for column in ("account_id", "object_key", "sha256", "id"):
        assert node.may_not(f"UPDATE contents SET {column} = 'x'")
    assert node.may_not("CREATE TABLE mine (id text)")


def test_node_reads_no_key_of_redis_but_its_queues_and_cannot_take_from_the_quick_one(
    site: Site, node: Node, stores: Stores
) -> None:
    with redis.Redis.from_url(stores.redis.url) as owner:
        owner.set("secret", "x")
    with redis.Redis.from_url(node.environ["REDIS_URL"], decode_responses=True) as client:
        for words in (
            ["GET", "secret"],
            ["KEYS", "*"],
            ["LRANGE", "quick", "0", "-1"],
            ["BRPOP", "quick", "1"],
            ["FLUSHALL"],
            ["CONFIG", "GET", "*"],
            ["ACL", "LIST"],
            ["CLIENT", "KILL", "ID", "1"],
            ["EVAL", "return redis.call('get', 'secret')", "0"],
        ):
            with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)no permissions|NOPERM|can't access"):
                client.execute_command(*words)


def test_node_reads_originals_and_cannot_change_delete_or_list_them(site: Site, node: Node, stores: Stores) -> None:
    site.bench.storage.prepare()
    path = stores.folder / "original"
    path.write_bytes(b"original")
    site.bench.storage.put_file("originals/one", path, "video/mp4")
    client, bucket = _s3(stores, node), site.environ["S3_BUCKET"]
    assert client.get_object(Bucket=bucket, Key="originals/one")["Body"].read() == b"original"
    client.put_object(Bucket=bucket, Key="renditions/job/1.mp4", Body=b"film")
    for attempt in (
        lambda: client.put_object(Bucket=bucket, Key="originals/one", Body=b"other"),
        lambda: client.delete_object(Bucket=bucket, Key="originals/one"),
        lambda: client.delete_object(Bucket=bucket, Key="renditions/job/1.mp4"),
        lambda: client.list_objects_v2(Bucket=bucket),
        lambda: client.list_multipart_uploads(Bucket=bucket),
        lambda: client.get_object(Bucket=bucket, Key="subtitles/one.vtt"),
        lambda: client.create_bucket(Bucket="mine-alone"),
        lambda: client.delete_bucket(Bucket=bucket),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


def test_command_that_needs_more_says_where_to_run_it(
    site: Site, node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (site.environ | node.environ).items():
        monkeypatch.setenv(name, value)
    assert command.main(["nodes"]) == 0
    assert command.main(["migrate", "--status"]) == 0
    assert command.main(["accounts"]) == 1
    assert "may not do this: run it on the laptop" in capsys.readouterr().err


def test_node_that_left_is_forgotten_and_another_goes_on_with_what_it_held(
    site: Site,
    node: Node,
    clips: Clips,  # noqa: F811
    slow: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site.start(Queue.QUICK)
    gone = site.start(Queue.ENCODE, slow, **node.environ, NEBULA_DATA_DIR=str(tmp_path / "spare"))
    content_id = site.store(clips["cut.mkv"])
    wait_until(lambda: site.bench.film_job(content_id)["node"] == "spare", LONG_S, "the node's first chunk")
    gone.kill()
    gone.wait()
    held = _selected(site, "SELECT number FROM tasks WHERE node = 'spare' AND state = 'running'")
    for name, value in site.environ.items():
        monkeypatch.setenv(name, value)
    assert command.main(["forget-node", "test-node"]) == 1
    assert command.main(["forget-node", "spare"]) == 0
    assert "The node spare is forgotten." in capsys.readouterr().out
    assert command.main(["forget-node", "spare"]) == command.NOT_FOUND
    assert _selected(site, "SELECT name FROM nodes") == ["test-node"]
    site.start(Queue.ENCODE)
    site.wait_for_state(content_id, FileState.READY)
    job = site.bench.film_job(content_id)
    assert (job["state"], job["chunks_repeated"]) == (JobState.DONE, len(held))
