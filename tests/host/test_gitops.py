"""`git push nebula main` on the provisioned laptop: what it brings to life, what it refuses, and the ways back.

The laptop's package index is away for all of it: a push with the same lock file needs none.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import pytest

from tests.host import films
from tests.host.crowd import VIEWERS, longest_s
from tests.host.pushing import Clone
from tests.host.shell import CommandFailed
from tests.host.site import Owner, changed
from tests.stores import wait_until

INDEX_IS_AWAY = "[global]\nindex-url = http://127.0.0.1:9/simple\n"
HEALTH = "src/nebula/api/resources/health.py"
# What the gateway's own sandbox is asked to do. Each answers whether it could.
SANDBOX = """
import json, os, subprocess, sys, uuid

def runs(*words):
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode == 0

def writes(path):
    try:
        open(path, "w").close()
    except OSError:
        return False
    return True

def becomes_root():
    try:
        os.setuid(0)
    except OSError:
        return False
    return os.getuid() == 0 and writes("/etc/nebula/x")

start = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartUnit", "ss"]
print(json.dumps({
    "who": os.getuid(),
    "systemctl start": runs("systemctl", "start", "nebula-operations.service"),
    "systemctl restart": runs("systemctl", "restart", "nebula-quick.service"),
    "StartUnit": runs("busctl", "call", *start, "nebula-operations.service", "replace"),
    "systemd-run": runs("systemd-run", "true"),
    "the deployer": runs("/usr/local/sbin/nebula-deploy", "rollback"),
    "nebula-server": runs("/usr/local/sbin/nebula-server", "accounts"),
    "setuid": becomes_root(),
    "a push": writes("/var/spool/nebula/pushes/" + "ab" * 20),
    "the spool itself": writes("/var/spool/nebula/x"),
    "a log": writes("/var/lib/nebula-deploy/logs/x"),
    "a unit": writes("/etc/systemd/system/nebula-operations.service"),
    "the deployer's code": writes("/usr/local/lib/nebula/nebula_deploy/__main__.py"),
    "its own code": writes("/opt/nebula/current/venv/x"),
    "a hook": writes("/var/lib/nebula-git/nebula.git/hooks/pre-receive"),
    "main": writes("/var/lib/nebula-git/nebula.git/refs/heads/main"),
    "an id": writes("/var/spool/nebula/requests/" + str(uuid.uuid4())),
}))
"""


@pytest.fixture(scope="module")
def clone(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The owner's clone, whose first push is live; the laptop can ask no package index."""
    owner.machine.write("/etc/pip.conf", INDEX_IS_AWAY)
    made = Clone(owner, tmp_path_factory.mktemp("clone"))
    version = made.release()
    printed = made.push()
    assert f"Done: {_running(owner)} serves." in printed
    assert _version(owner) == version
    return made


def test_push_is_live_and_refuses_nobody(clone: Clone, owner: Owner, tmp_path: Path) -> None:
    archive = tmp_path / "pushed.bin"
    archive.write_bytes(random.Random(7).randbytes(96 << 20))
    owner.nebula("upload", str(archive))
    link = owner.nebula("link", archive.name).split()[0]
    version = clone.release()
    with owner.start([sys.executable, "-m", "tests.host.crowd", owner.server, link]) as crowd:
        assert crowd.stdout is not None
        try:
            assert crowd.stdout.readline() == "ready\n"
            printed = clone.push()
            printed_by_crowd, _ = crowd.communicate("enough\n", timeout=600)
        finally:
            crowd.kill()
    assert "Done: " in printed
    assert _version(owner) == version
    seen = json.loads(printed_by_crowd.splitlines()[-1])
    assert (seen["refused"], seen["asked"] > 0) == ([], True)
    assert seen["longest_s"] <= longest_s()
    assert len(set(seen["digests"])) == 1
    assert len(seen["digests"]) == VIEWERS


def test_commit_that_cannot_be_parsed_is_a_refused_push(clone: Clone, owner: Owner) -> None:
    before, version = _running(owner), _version(owner)
    (clone.folder / "src/nebula/broken.py").write_text("def f(:\n")
    clone.commit("A slip")
    assert "src/nebula/broken.py, line 1" in clone.refused()
    clone.undo()
    assert (_running(owner), _version(owner)) == (before, version)


def test_other_branches_deletes_and_force_pushes_are_refused(clone: Clone, owner: Owner) -> None:
    assert "Only main is deployed" in clone.refused("nebula", "main:feature")
    assert "main cannot be deleted" in clone.refused("nebula", ":main")
    clone.git("commit", "--quiet", "--amend", "-m", "Another history")
    assert "without --force" in clone.refused("--force", "nebula", "main")
    clone.git("reset", "--quiet", "--hard", "nebula/main")


def test_pusher_gets_no_shell_and_cannot_change_what_judges_pushes(clone: Clone, owner: Owner) -> None:
    for words in ("id", "cat /etc/passwd", "git-receive-pack '/var/lib/nebula-deploy'"):
        with pytest.raises(CommandFailed):
            owner.run([*clone._ssh.split(), f"git@{owner.machine.name}", words])
    as_git = "setpriv --reuid=git --regid=git --init-groups"
    for path in ("hooks/pre-receive", "config", "hooks/update"):
        with pytest.raises(CommandFailed):
            owner.machine.run(f"{as_git} sh -c 'echo x >>/var/lib/nebula-git/nebula.git/{path}'")
    with pytest.raises(CommandFailed):
        owner.machine.run(f"{as_git} mv /var/lib/nebula-git/nebula.git/hooks /var/lib/nebula-git/nebula.git/gone")


@pytest.mark.parametrize("how", ["not ready", pytest.param("not even started", marks=pytest.mark.long)])
def test_release_that_does_not_serve_goes_by_itself_and_the_pusher_sees_why(
    clone: Clone, owner: Owner, how: str
) -> None:
    before, version = _running(owner), _version(owner)
    if how == "not ready":
        readiness = "return all(services[name] for name in NEEDED)"
        clone.edit("src/nebula/services/machine/status.py", readiness, "return False")
    else:
        clone.edit("src/nebula/api/app.py", "V1 =", 'raise RuntimeError("a slip at the start")\nV1 =')
    clone.commit("A slip")
    printed = clone.push()
    clone.undo()
    assert "Not done: " in printed
    assert f"{before} is back and serves." in printed
    assert ("/readyz answers" if how == "not ready" else "RuntimeError: a slip at the start") in printed
    assert (_running(owner), _version(owner)) == (before, version)
    assert owner.is_ready()


def test_failing_migration_leaves_the_old_version_serving_and_the_data_as_it_was(clone: Clone, owner: Owner) -> None:
    before, head = _running(owner), clone.head
    tables = _tables(owner)
    body = 'op.execute("CREATE TABLE half_made (id text)")\n    op.execute("SELECT no_such_column FROM nodes")'
    clone.revision("broken1", body)
    clone.release()
    printed = clone.push()
    clone.undo()
    clone.head = head
    assert "Not done: nebula-server migrate failed: " in printed
    assert 'column "no_such_column" does not exist' in printed
    assert (_running(owner), _tables(owner)) == (before, tables)
    assert owner.is_ready()


def test_status_shows_the_history_and_rollback_goes_back(clone: Clone, owner: Owner) -> None:
    before, old = _running(owner), _version(owner)
    clone.revision("grown1", 'op.execute("CREATE TABLE grown (id text)")')
    new = clone.release()
    clone.push()
    assert _version(owner) == new
    shown = owner.nebula("deploy", "status")
    assert f"runs:        {_running(owner)}" in shown
    assert "nebula-server migrate failed" in shown, "the deploy before it"
    assert owner.nebula("deploy", "rollback", timeout=600).endswith(f"{before} serves again.")
    assert (_running(owner), _version(owner)) == (before, old)
    assert "grown" in _tables(owner), "the old code runs on the grown schema"
    rows = owner.rows("deploy", "status")
    assert [(row["kind"], row["state"]) for row in rows[:2]] == [("rollback", "done"), ("deploy", "done")]
    clone.push()
    assert _version(owner) == new


def test_rollback_past_a_contracting_migration_is_refused(clone: Clone, owner: Owner) -> None:
    clone.revision("shrunk1", 'op.execute("DROP TABLE grown")', contracts=True)
    version = clone.release()
    assert "takes away what older versions needed" in clone.push()
    before = _running(owner)
    assert "grown" not in _tables(owner)
    with pytest.raises(CommandFailed, match="Revision shrunk1 of the schema contracts"):
        owner.nebula("deploy", "rollback", timeout=600)
    assert (_running(owner), _version(owner)) == (before, version)


@pytest.mark.long
def test_encode_in_progress_goes_on_after_a_deploy(clone: Clone, owner: Owner, tmp_path: Path) -> None:
    film = tmp_path / "long.mkv"
    films.make(film, seconds=1500)
    owner.nebula("upload", str(film))
    wait_until(lambda: _encoding(owner, film)["chunks_done"] >= 2, 300, "the first chunks")
    before = _encoding(owner, film)
    version = clone.release()
    clone.push()
    assert _version(owner) == version
    after = _encoding(owner, film)
    assert before["state"] != "done"
    assert (after["id"], after["restarts"]) == (before["id"], 0)
    assert after["chunks_done"] >= before["chunks_done"]
    wait_until(lambda: owner.state(film.name) == "ready", 900, "the film")
    assert _encoding(owner, film)["chunks_repeated"] <= 2  # at most what was in flight


@pytest.mark.long
def test_second_push_waits_for_the_first(clone: Clone, owner: Owner) -> None:
    clone.release()
    with clone.begin_push() as first:
        try:
            wait_until(lambda: _deploys(owner), 60, "the first deploy")
            version = clone.release()
            printed = clone.push()
            assert first.wait(600) == 0
        finally:
            first.kill()
    assert "It waits for the deploy before it." in printed
    assert "Done: " in printed
    assert _version(owner) == version
    kinds = [(row["kind"], row["state"]) for row in owner.rows("deploy", "status")[:2]]
    assert kinds == [("deploy", "done")] * 2


@pytest.mark.long
def test_what_is_pushed_is_built_and_migrated_by_users_who_may_nothing_else(clone: Clone, owner: Owner) -> None:
    (clone.folder / "setup.py").write_text(
        "import os, setuptools\n"
        "open('/var/cache/nebula-build/built-by', 'w').write(str(os.getuid()))\n"
        "setuptools.setup()\n"
    )
    body = 'import os\n    op.execute(f"CREATE TABLE migrated_by_{os.getuid()} (id text)")'
    clone.revision("who1", body)
    clone.release()
    clone.push()
    uids = {name: owner.machine.run(f"id -u {name}") for name in ("nebula-build", "nebula")}
    assert owner.machine.run("cat /var/cache/nebula-build/built-by") == uids["nebula-build"]
    assert f"migrated_by_{uids['nebula']}" in _tables(owner)
    owned = owner.machine.run("find /opt/nebula/current/ ! -user root -print -quit")
    assert owned == "", "who builds the next release cannot change this one"
    (clone.folder / "setup.py").unlink()
    clone.commit("Without it")


@pytest.mark.long
def test_five_releases_are_kept(clone: Clone, owner: Owner) -> None:
    kept = owner.machine.run("ls /opt/nebula/releases").split()
    assert len(kept) == 5
    assert _running(owner) in kept


@pytest.mark.long
def test_push_while_the_disk_is_full_is_refused(clone: Clone, owner: Owner) -> None:
    before = _running(owner)
    room = "/opt/nebula/releases"
    # A small file system stands in for a full one: releases seen through it, nothing of it used.
    owner.machine.run(f"mkdir -p /run/old && mount --bind {room} /run/old && mount -t tmpfs -o size=64m tmpfs {room}")
    try:
        owner.machine.run(f"cd /run/old && for each in *; do ln -s /run/old/$each {room}/$each; done")
        clone.release()
        assert "nebula trash --empty" in clone.refused()
    finally:
        owner.machine.run(f"umount {room} && umount /run/old")
    assert _running(owner) == before
    assert owner.is_ready()
    clone.undo()


@pytest.mark.long
def test_site_yml_never_goes_back_to_an_older_checkout(clone: Clone, owner: Owner) -> None:
    before, version = _running(owner), _version(owner)
    assert changed(owner.playbook("--tags", "nebula,api,worker,gitops"))["laptop"] == 0
    assert (_running(owner), _version(owner)) == (before, version)


def test_gateway_can_start_nothing_itself(clone: Clone, owner: Owner) -> None:
    said = _in_the_gateways_sandbox(owner, SANDBOX)
    assert said.pop("who") == int(owner.machine.run("id -u nebula"))
    assert said.pop("an id") is True, "the one thing that it may"
    assert {name for name, could in said.items() if could} == set()
    wait_until(lambda: owner.machine.run("ls -A /var/spool/nebula/requests") == "", 60, "the unknown id to be dropped")
    assert owner.machine.run("systemctl is-active nebula-operations.path") == "active"


@pytest.mark.long
def test_deploy_yml_brings_the_machine_to_a_commit(clone: Clone, owner: Owner) -> None:
    version = clone.release()
    assert changed(clone.playbook("deploy.yml"))["laptop"] == 1
    assert _version(owner) == version
    assert changed(clone.playbook("deploy.yml"))["laptop"] == 0


@pytest.mark.long
def test_deploy_that_a_power_cut_ended_goes_on_at_the_next_boot(clone: Clone, owner: Owner) -> None:
    version = clone.release()
    with clone.begin_push() as push:
        try:
            building = "ls /opt/nebula/releases/*/building"
            wait_until(lambda: "No such file" not in owner.machine.run(building, check=False), 60, "the build")
            owner.machine.kill()
        finally:
            push.kill()
    owner.machine.start()
    wait_until(lambda: owner.machine.run("ls -A /var/spool/nebula/pushes") == "", 300, "the deploy")
    wait_until(lambda: f'"version":"{version}"' in _ping(owner), 120, "the gateway in the tailnet")
    states = [row["state"] for row in owner.rows("deploy", "status")[:2]]
    assert states == ["done", "failed"]


@pytest.mark.long
def test_operator_goes_back_at_the_machine_where_the_gateway_is_down(clone: Clone, owner: Owner) -> None:
    before = _running(owner)
    owner.machine.run("systemctl stop nebula-api.service")
    printed = owner.machine.run("nebula-deploy rollback", timeout=300)
    assert "serves again." in printed
    assert _running(owner) != before
    assert owner.is_ready()


def _in_the_gateways_sandbox(owner: Owner, program: str) -> dict[str, bool]:
    """Run a program in a unit that is the gateway's own, but for what it starts."""
    machine, units = owner.machine, "/run/systemd/system"
    machine.write("/run/sandbox.py", program)
    unit = machine.run("cat /etc/systemd/system/nebula-api.service")
    kept = [line for line in unit.splitlines() if not line.startswith(("Type=", "ExecStart=", "Restart", "Requires="))]
    at = kept.index("[Service]") + 1
    own = ["Type=oneshot", "ExecStart=/usr/bin/python3 /run/sandbox.py", "StandardOutput=file:/run/sandbox.out"]
    machine.write(f"{units}/nebula-sandboxed.service", "\n".join([*kept[:at], *own, *kept[at:], ""]))
    copied = f"mkdir -p {units}/nebula-sandboxed.service.d && cp /etc/systemd/system/nebula-api.service.d/*.conf"
    machine.run(f"{copied} {units}/nebula-sandboxed.service.d/ && systemctl daemon-reload")
    try:
        machine.run("systemctl start nebula-sandboxed.service", timeout=300)
        found: dict[str, bool] = json.loads(machine.run("cat /run/sandbox.out"))
    finally:
        machine.run(f"rm -r {units}/nebula-sandboxed.service* && systemctl daemon-reload")
    return found


def _running(owner: Owner) -> str:
    return owner.machine.run("readlink -f /opt/nebula/current").rpartition("/")[2]


def _version(owner: Owner) -> str:
    wait_until(lambda: owner.is_ready(), 60, "the gateway")
    return owner.nebula("ping").rpartition("version ")[2]


def _tables(owner: Owner) -> list[str]:
    asked = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
    return owner.machine.run(f'cd / && runuser -u postgres -- psql -XAtqd nebula -c "{asked}"').split()


def _encoding(owner: Owner, film: Path) -> dict[str, object]:
    (row,) = owner.rows("ls", film.name)
    jobs = [job for job in row["jobs"] if job["kind"] == "rendition"]
    return jobs[-1] if jobs else {"chunks_done": 0, "state": ""}


def _ping(owner: Owner) -> str:
    asks = ["curl", "-s", "-m", "5", f"http://{owner.address}:8420/ping"]
    return owner.member.computer.run(asks, check=False).replace(" ", "")


def _deploys(owner: Owner) -> bool:
    state = owner.machine.run("systemctl is-active nebula-operations.service", check=False)
    time.sleep(0.2)
    return state == "activating"
