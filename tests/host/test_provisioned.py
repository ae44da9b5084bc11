"""A bare Debian becomes a running cloud by the real playbook over SSH, and is then used from the tailnet."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.shell import CommandFailed
from tests.host.site import AS_WORKER, Owner, changed
from tests.stores import wait_until

# What a role says when it runs alone. The others do so where this file and test_firewall_order.py use them.
ROLES = {
    "postgresql": "",
    "redis": "",
    "minio": "",
    "intel_media": "laptop: there is no graphics device",
    "nebula": "",
    "worker": "laptop makes films with libx264.",
}
SECRETS = ("postgresql_password", "redis_password", "minio_secret_key", "secret_key")
# What one could find broken, how it gets so, and what verify.yml says then.
BROKEN = {
    "chmod 0644 /etc/nebula/secrets/redis_password": "can be read by others than root. Run chown",
    "systemctl -q unmask sleep.target": "The machine may fall asleep. Run site.yml --tags laptop.",
    "systemctl -q disable nebula-firewall.service": "The firewall would be off after a reboot. Run site.yml",
    "sed -i s/=7/=0/ /etc/nebula/upower.conf": "Nothing shuts the machine down in order when its battery",
}


def test_second_run_changes_nothing(owner: Owner) -> None:
    assert changed(owner.playbook()) == {"laptop": 0, "localhost": 0}


@pytest.mark.long
def test_looking_ahead_finds_nothing_to_change(owner: Owner) -> None:
    assert changed(owner.playbook("--check", "--diff"))["laptop"] == 0


def test_verify_finds_the_machine_as_promised(owner: Owner) -> None:
    printed = owner.playbook(name="verify.yml")
    assert changed(printed) == {"laptop": 0}
    assert "It shuts down in order at 7 % of its battery" in printed


def test_verify_says_in_plain_words_what_is_not_as_promised_and_only_looks(owner: Owner) -> None:
    for how in BROKEN:
        owner.machine.run(how)
    before = owner.machine.written()
    said = owner.stopped(name="verify.yml")
    assert [sentence for sentence in BROKEN.values() if sentence not in said] == []
    assert owner.machine.written() == before
    owner.machine.run("chmod 0600 /etc/nebula/secrets/redis_password")
    assert changed(owner.playbook("--tags", "laptop,firewall"))["laptop"] > 0
    assert changed(owner.playbook(name="verify.yml")) == {"laptop": 0}


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
def test_role_runs_alone_by_its_tag(owner: Owner, role: str) -> None:
    printed = owner.playbook("--tags", role)
    assert changed(printed)["laptop"] == 0
    assert ROLES[role] in printed


def test_two_files_are_left_for_the_owner_and_for_nobody_else(owner: Owner) -> None:
    assert stat.S_IMODE(owner.left_folder.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in owner.left_folder.iterdir()}
    assert files == {"owner-password": 0o600, "recovery.yml": 0o600}
    key = owner.machine.run("cat /etc/nebula/secrets/secret_key")
    assert f"secret_key: {key}" in (owner.left_folder / "recovery.yml").read_text()


def test_film_is_made_by_the_real_workers_and_plays_from_a_link(owner: Owner, film: Path) -> None:
    wait_until(lambda: owner.state(film.name) in ("ready", "failed"), 180, f"film of {film.name}")
    assert owner.state(film.name) == "ready", owner.machine.journal("-u nebula-quick -u nebula-worker")
    (file,) = owner.rows("ls", film.name)
    jobs = [job for job in owner.rows("jobs") if job["file_id"] == file["id"]]
    assert {(job["state"], job["node"]) for job in jobs} == {("done", "laptop")}
    link = owner.nebula("play", film.name, "--player", "none").split()[-1]
    said = owner.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", link])
    assert said.split() == ["h264", "aac"]


def test_encode_worker_leaves_the_machine_to_everything_else(owner: Owner, film: Path) -> None:
    show = "systemctl show --value --property=MainPID nebula-worker.service"
    assert owner.machine.run(f"ps -o ni= -p $({show})").strip() == "10"


@pytest.fixture
def graphics(owner: Owner) -> Iterator[str]:
    """A file in the place of a graphics device, of the owner, group and mode that udev gives one."""
    node = "/dev/dri/renderD128"
    owner.machine.run(f"mkdir /dev/dri && echo pictures >{node} && chown root:render {node} && chmod 0660 {node}")
    yield node
    owner.machine.run("rm -r /dev/dri")


def test_graphics_device_is_the_encode_workers_inside_its_sandbox(owner: Owner, graphics: str) -> None:
    """Its user namespace does not know the group render by name; the kernel knows it still."""
    owner.machine.run(f"{AS_WORKER} dd if={graphics} of={graphics} conv=notrunc status=none")
    with pytest.raises(CommandFailed, match="Permission denied"):
        owner.machine.run(f"setpriv --reuid=nebula --regid=nebula --init-groups cat {graphics}")


def test_graphics_device_that_cannot_encode_is_named_with_the_reason(owner: Owner, graphics: str) -> None:
    said = " ".join(owner.playbook("--tags", "intel_media,worker").split())
    assert f"laptop: {graphics} has no driver that works: " in said
    assert f"laptop makes films with libx264. h264_qsv does not work on {graphics}: " in said
    assert changed(owner.playbook(name="verify.yml")) == {"laptop": 0}


def test_runtime_reads_no_secret_of_another_and_changes_no_code(owner: Owner) -> None:
    for attempt in (
        "cat /etc/nebula/secrets/secret_key",
        "touch /opt/nebula/current/venv/x",
        "ls /var/lib/minio/drive",
    ):
        with pytest.raises(CommandFailed):
            owner.machine.run(f"setpriv --reuid=nebula --regid=nebula --init-groups {attempt}")
    pid = owner.machine.run("systemctl show --value --property=MainPID nebula-worker.service")
    environ = owner.machine.run(f"tr '\\0' '\\n' </proc/{pid}/environ")
    for secret in SECRETS:
        assert owner.machine.run(f"cat /etc/nebula/secrets/{secret}") not in environ


@pytest.mark.long
def test_metrics_are_served_where_they_are_asked_for(owner: Owner) -> None:
    asked = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8420/metrics"
    bearer = '-H "Authorization: Bearer $(cat /etc/nebula/secrets/metrics_token)"'
    assert changed(owner.playbook("--tags", "api", "-e", '{"api_metrics": true}'))["laptop"] > 0
    assert owner.machine.run(f"{asked} {bearer}") == "200"
    assert changed(owner.playbook("--tags", "api"))["laptop"] > 0
    assert owner.machine.run(f"{asked} {bearer}") == "404"
