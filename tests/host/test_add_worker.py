"""A spare laptop joins, makes films with nothing but its own credentials, and leaves, alive or dead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host import films, page
from tests.host.conftest import Boot
from tests.host.machine import Machine
from tests.host.pushing import Clone
from tests.host.shell import CommandFailed
from tests.host.site import Owner, changed
from tests.host.tailnet import TAG
from tests.stores import wait_until

PORTS = {"PostgreSQL": 5432, "Redis": 6379, "MinIO": 9000}
HERS = {"database_url", "redis_url", "s3_secret_key"}
# Run by the release's Python on the worker node, with what it is given and nothing else: what it can do with that.
TRIES = """
import json, sys
import boto3, psycopg2, redis
from nebula import config
from nebula.storage.s3 import CLIENT

settings = config.load()
bucket = settings.s3_bucket
s3 = boto3.session.Session().client("s3", endpoint_url=settings.s3_endpoint, region_name="us-east-1", config=CLIENT,
    aws_access_key_id=settings.s3_access_key, aws_secret_access_key=settings.s3_secret_key)
database = psycopg2.connect(settings.database_url)
database.autocommit = True
queue = redis.Redis.from_url(settings.redis_url)
original = sys.argv[1]

def sql(statement):
    cursor = database.cursor()
    cursor.execute(statement)
    return cursor.fetchall() if cursor.description else []

ways = {
    "reads jobs": lambda: sql("SELECT id FROM jobs"),
    "reads an original": lambda: s3.get_object(Bucket=bucket, Key=original),
    "looks at its queue": lambda: queue.llen("encode"),
    "reads accounts": lambda: sql("SELECT password_hash FROM accounts"),
    "reads sessions": lambda: sql("SELECT * FROM refresh_tokens"),
    "reads names": lambda: sql("SELECT name FROM files"),
    "takes a content": lambda: sql("UPDATE contents SET object_key = 'x' WHERE false"),
    "makes a table": lambda: sql("CREATE TABLE mine (id text)"),
    "becomes nebula": lambda: sql("SET ROLE nebula"),
    "reads a key of the queue": lambda: queue.get("nebula:check"),
    "lists the queue's keys": lambda: queue.keys("*"),
    "takes from the quick queue": lambda: queue.brpop("quick", 1),
    "lists originals": lambda: s3.list_objects_v2(Bucket=bucket, Prefix="originals/"),
    "deletes an original": lambda: s3.delete_object(Bucket=bucket, Key=original),
    "replaces an original": lambda: s3.put_object(Bucket=bucket, Key=original, Body=b"x"),
}

def can(way):
    try:
        way()
    except Exception as error:
        said = repr(error)
        return "refused" if any(word in said for word in ("denied", "NoPermission", "AccessDenied")) else said
    return "done"

print(json.dumps({name: can(way) for name, way in ways.items()}))
"""
MAY = {"reads jobs", "reads an original", "looks at its queue"}


@pytest.fixture(scope="module")
def spare(owner: Owner, boot: Boot) -> Machine:
    """A spare laptop, a line below [workers], added by its plain address."""
    machine = boot("spare")
    before = owner.inventory.read_text()
    owner.inventory.write_text(before.replace("[workers]\n", "[workers]\nspare\n", 1))
    assert changed(_add(owner, machine))["spare"] > 0
    owner.member.computer.knows("spare", owner.mesh.address("spare"))
    return machine


def _add(owner: Owner, machine: Machine | None = None) -> str:
    """Add it as the page says: by its plain address, or, where it has been in the tailnet before, by its name."""
    key, book, *words = page.commands("I want a second laptop")[0].replace(" ansible-playbook", "", 1).split()
    assert (key.partition("=")[0], words[-1]) == ("TAILSCALE_AUTH_KEY", "worker_address=192.168.1.51")
    if machine is None:
        return owner.playbook(*words[:-2], name=Path(book).name)
    environ = {"TAILSCALE_AUTH_KEY": owner.mesh.key(TAG, reusable=False)}
    return owner.playbook(*words[:-1], f"worker_address={machine.address}", name=Path(book).name, environ=environ)


def _remove(owner: Owner) -> str:
    _, book, *words = page.commands("I want a second laptop")[-1].split()
    return owner.playbook(*words, name=Path(book).name)


def _nodes(owner: Owner) -> set[str]:
    return {line.split()[0] for line in owner.machine.run("nebula-server nodes").splitlines()}


def _film(owner: Owner, folder: Path, name: str, minutes: int) -> Path:
    path = folder / name
    films.make_long(path, minutes=minutes)
    owner.nebula("upload", str(path))
    return path


def _encoding(owner: Owner, film: Path) -> dict[str, Any]:
    """Return the job that makes the film; nothing while it is only looked at."""
    (row,) = owner.rows("ls", film.name)
    jobs = (job for job in owner.rows("jobs") if job["file_id"] == row["id"] and job["kind"] == "rendition")
    return next(jobs, {})


def _both_make(owner: Owner, film: Path) -> None:
    wait_until(lambda: _encoding(owner, film).get("node") == "laptop, spare", 600, "both machines at one film")


def _is_whole(owner: Owner, film: Path, *, repeated: int) -> None:
    wait_until(lambda: owner.state(film.name) in ("ready", "failed"), 1200, f"film of {film.name}")
    job = _encoding(owner, film)
    assert (job["state"], job["restarts"]) == ("done", 0), job
    assert job["chunks_repeated"] <= repeated


def _connects(owner: Owner, port: int, machine: Machine | None = None) -> bool:
    """Whether a store's port takes a connection: from the owner's computer in the tailnet, or from a machine's."""
    asks = f"timeout 5 bash -c 'exec 3<>/dev/tcp/{owner.address}/{port}'"
    try:
        machine.run(asks) if machine else owner.member.computer.run(["sh", "-c", asks])
    except CommandFailed:
        return False
    return True


def test_spare_laptop_joins_and_runs_the_encode_worker_alone(owner: Owner, spare: Machine) -> None:
    units = spare.run("systemctl list-units --all --plain --no-legend 'nebula-*.service'").splitlines()
    running = {line.split()[0] for line in units if " running " in line}
    assert running == {"nebula-worker.service"}
    assert _nodes(owner) == {"laptop", "spare"}
    assert owner.is_ready()


@pytest.mark.long
def test_second_run_changes_nothing_on_either_machine(owner: Owner, spare: Machine) -> None:
    assert changed(owner.playbook()) == {"laptop": 0, "spare": 0, "localhost": 0}
    assert changed(_add(owner)) == {"laptop": 0, "spare": 0, "localhost": 0}


def test_verify_finds_both_machines_as_promised(owner: Owner, spare: Machine) -> None:
    assert changed(owner.playbook(name="verify.yml")) == {"laptop": 0, "spare": 0}


def test_stores_answer_the_worker_node_and_nobody_else_in_the_tailnet(owner: Owner, spare: Machine) -> None:
    assert {name for name, port in PORTS.items() if _connects(owner, port, spare)} == set(PORTS)
    assert {name for name, port in PORTS.items() if _connects(owner, port)} == set()
    # The socket's own wall stands without the firewall, too.
    owner.machine.run("nft delete table inet nebula")
    try:
        assert {name for name, port in PORTS.items() if _connects(owner, port)} == set()
    finally:
        owner.machine.run("systemctl restart nebula-firewall.service")
    assert owner.pongs()


def test_no_secret_of_the_laptop_is_on_the_worker_node(owner: Owner, spare: Machine) -> None:
    assert set(spare.run("ls /etc/nebula/secrets").split()) == HERS
    for name in owner.machine.run("ls /etc/nebula/secrets").split():
        if not name.startswith("worker-"):
            secret = owner.machine.run(f"cat /etc/nebula/secrets/{name}")
            looks = "grep -rqF -f - /etc /opt/nebula /root /run /tmp /usr/local /var --devices=skip"
            assert spare.run(f"{looks} 2>/dev/null || echo none", stdin=f"{secret}\n", timeout=300) == "none", name


def test_credentials_do_what_a_worker_node_does_and_nothing_else(owner: Owner, spare: Machine, film: Path) -> None:
    sql = "SELECT object_key FROM contents LIMIT 1"
    key = owner.machine.run(f"cd / && runuser -u postgres -- psql -XAtq -d nebula -c '{sql}'")
    spare.write("/run/tries.py", TRIES)
    said = spare.run(
        "set -a; . /etc/nebula/nebula.env; cd /etc/nebula/secrets;"
        " DATABASE_URL=$(cat database_url) REDIS_URL=$(cat redis_url) S3_SECRET_KEY=$(cat s3_secret_key)"
        f" /opt/nebula/current/venv/bin/python /run/tries.py {key}",
        timeout=120,
    )
    found = json.loads(said.splitlines()[-1])
    assert {name: how for name, how in found.items() if how != "refused"} == dict.fromkeys(MAY, "done")


@pytest.mark.long
def test_deploy_yml_brings_the_laptop_first_and_the_worker_node_along(
    owner: Owner, spare: Machine, tmp_path: Path
) -> None:
    clone = Clone(owner, tmp_path / "clone")
    version = clone.release()
    printed = clone.playbook("deploy.yml")
    assert changed(printed) == {"laptop": 1, "spare": 1, "localhost": 0}
    assert printed.index("changed: [laptop]") < printed.index("changed: [spare]")
    for machine in (owner.machine, spare):
        assert f"Nebula {version}" in machine.run("/opt/nebula/current/venv/bin/nebula-server --version")
    wait_until(lambda: {"laptop", "spare"} == _of_version(owner, version), 120, "both workers of that version")


def _of_version(owner: Owner, version: str) -> set[str]:
    lines = [line.split() for line in owner.machine.run("nebula-server nodes").splitlines()]
    return {words[0] for words in lines if words[1] == version}


def test_two_machines_make_one_film_and_one_of_them_leaves_in_the_middle(
    owner: Owner, spare: Machine, tmp_path: Path
) -> None:
    film = _film(owner, tmp_path, "two.mkv", 60)
    _both_make(owner, film)
    _remove(owner)
    assert _encoding(owner, film)["state"] == "running", "it left too late"
    assert _nodes(owner) == {"laptop"}
    _is_whole(owner, film, repeated=2)  # sound, and a span of the picture
    assert "laptop" in _encoding(owner, film)["node"]
    assert {name for name, port in PORTS.items() if _connects(owner, port, spare)} == set()
    assert owner.machine.run("ls /etc/nebula/secrets /etc/nebula/workers | grep -c spare || true") == "0"
    listening = owner.machine.run("ss -Hltn '( sport = 5432 or sport = 6379 or sport = 9000 )'")
    assert owner.address not in listening
    assert changed(owner.playbook("--limit", "laptop", name="verify.yml")) == {"laptop": 0}


@pytest.mark.long
def test_machine_that_died_in_the_middle_of_a_film_is_removed_without_it(
    owner: Owner, spare: Machine, tmp_path: Path
) -> None:
    _add(owner)
    assert _nodes(owner) == {"laptop", "spare"}
    film = _film(owner, tmp_path, "died.mkv", 61)
    _both_make(owner, film)
    spare.kill()
    printed = _remove(owner)
    assert "spare" in printed
    assert _nodes(owner) == {"laptop"}
    _is_whole(owner, film, repeated=2)  # sound, and a span of the picture
    with pytest.raises(CommandFailed):
        owner.playbook("-e", "worker=laptop", name="remove-worker.yml")
