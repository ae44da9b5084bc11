"""A bare Debian becomes a running cloud by the real playbook over SSH, and is then used from the tailnet.

One machine, provisioned once for the whole module; what a test breaks comes back by itself, which is what it tests.
"""

from __future__ import annotations

import hashlib
import json
import random
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import site
from tests.host.conftest import Boot
from tests.host.crowd import VIEWERS
from tests.host.lan import Computer
from tests.host.machine import Machine
from tests.host.shell import CommandFailed
from tests.host.site import Owner, changed
from tests.host.tailnet import Member, Tailnet
from tests.stores import wait_until

# The first run fetches packages and builds MinIO.
pytestmark = pytest.mark.timeout(3600)

SERVICES = ["nebula-api", "nebula-quick", "nebula-worker", "minio", "redis-server", "postgresql@{version}-main"]
STORES = {"database": "postgresql@{version}-main", "queue": "redis-server", "objects": "minio"}
NEEDED = {"database", "objects"}
POSTGRESQL = {"12": "15", "13": "17"}
BACK_S = 90


@pytest.fixture(scope="module")
def laptop(boot: Boot) -> Machine:
    return boot("laptop")


@pytest.fixture(scope="module")
def owner(laptop: Machine, visitor: Member, mesh: Tailnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """The owner, signed in at a machine that site.yml has just provisioned."""
    if reason := site.missing():
        pytest.skip(reason)
    owner = Owner(visitor, laptop, mesh, tmp_path_factory.mktemp("owner"))
    printed = owner.bootstrap()
    assert changed(printed)["laptop"] > 0
    assert f"nebula login --server {owner.server} --username owner" in printed
    password = owner.password_file.read_text()
    assert password.strip() not in printed
    owner.nebula("login", "--server", owner.server, "--username", "owner", "--password-stdin", stdin=password)
    return owner


@pytest.fixture(scope="module")
def film(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that has to be encoded, uploaded by the owner."""
    path = tmp_path_factory.mktemp("films") / "holiday.mkv"
    picture, sound = "testsrc2=size=320x180:rate=25:duration=8", "sine=duration=8"
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    subprocess.run([*make, "-c:v", "mpeg4", "-c:a", "ac3", str(path)], check=True, timeout=120)
    owner.nebula("upload", str(path))
    return path


@pytest.fixture(scope="module")
def archive(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes a while to read slowly, uploaded by the owner."""
    path = tmp_path_factory.mktemp("archives") / "archive.bin"
    path.write_bytes(random.Random(5).randbytes(24 << 20))
    owner.nebula("upload", str(path))
    return path


def test_second_run_changes_nothing(owner: Owner) -> None:
    assert changed(owner.playbook()) == {"laptop": 0, "localhost": 0}


def test_looking_ahead_finds_nothing_to_change(owner: Owner) -> None:
    assert changed(owner.playbook("--check", "--diff"))["laptop"] == 0


def test_verify_finds_the_machine_as_promised(owner: Owner) -> None:
    assert changed(owner.playbook(name="verify.yml")) == {"laptop": 0}


@pytest.mark.parametrize("role", ["nebula", "api", "worker"])
def test_role_runs_alone_by_its_tag(owner: Owner, role: str) -> None:
    assert changed(owner.playbook("--tags", role))["laptop"] == 0


def test_two_files_are_left_for_the_owner_and_for_nobody_else(owner: Owner) -> None:
    assert stat.S_IMODE(owner.state.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in owner.state.iterdir()}
    assert files == {"owner-password": 0o600, "recovery.yml": 0o600}
    key = owner.machine.run("cat /etc/nebula/secrets/secret_key")
    assert f"secret_key: {key}" in (owner.state / "recovery.yml").read_text()


def test_film_is_made_by_the_real_workers_and_plays_from_a_link(owner: Owner, film: Path) -> None:
    wait_until(lambda: _state(owner, film.name) in ("ready", "failed"), 180, f"film of {film.name}")
    assert _state(owner, film.name) == "ready", owner.machine.journal("-u nebula-quick -u nebula-worker")
    assert {(job["state"], job["node"]) for job in owner.rows("jobs")} == {("done", "laptop")}
    link = owner.nebula("play", film.name, "--player", "none").split()[-1]
    said = owner.run(["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", link])
    assert said.split() == ["h264", "aac"]


def test_encode_worker_leaves_the_machine_to_everything_else(owner: Owner, film: Path) -> None:
    show = "systemctl show --value --property=MainPID nebula-worker.service"
    assert owner.machine.run(f"ps -o ni= -p $({show})").strip() == "10"


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
    for secret in ("postgresql_password", "redis_password", "minio_secret_key", "secret_key"):
        assert owner.machine.run(f"cat /etc/nebula/secrets/{secret}") not in environ


def test_gateway_answers_in_the_tailnet_and_nowhere_else(
    owner: Owner, laptop: Machine, visitor: Member, stranger: Computer
) -> None:
    assert _answers(visitor.computer, owner.address)
    assert not _answers(visitor.computer, laptop.address)
    assert not _answers(stranger, laptop.address)


def test_restart_refuses_nobody_and_players_and_upload_go_on(owner: Owner, archive: Path, tmp_path: Path) -> None:
    link = owner.nebula("link", archive.name).split()[0]
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.writelines(random.Random(number).randbytes(1 << 20) for number in range(640))
    crowd = owner.start([sys.executable, "-m", "tests.host.crowd", owner.server, link])
    assert crowd.stdout is not None
    with crowd, owner.start([str(site.BIN / "nebula"), "upload", str(large)]) as upload:
        try:
            assert crowd.stdout.readline() == "ready\n"
            wait_until(lambda: owner.machine.run(PARTS), BACK_S, "parts of the upload")
            assert upload.poll() is None, "the upload was over before the restart: it must be larger"
            for _ in range(2):
                owner.machine.run("systemctl restart nebula-api.service")
                wait_until(lambda: _is_ready(owner), BACK_S, "the gateway")
            assert upload.wait(300) == 0
            printed, _ = crowd.communicate("enough\n", timeout=300)
        finally:
            crowd.kill()
            upload.kill()
    seen = json.loads(printed.splitlines()[-1])
    assert (seen["refused"], seen["asked"] > 0) == ([], True)
    assert seen["digests"] == [hashlib.sha256(archive.read_bytes()).hexdigest()] * VIEWERS
    assert seen["resumed"] > 0
    (row,) = owner.rows("ls", large.name)
    with large.open("rb") as file:
        assert row["sha256"] == hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("service", SERVICES)
def test_service_that_was_killed_comes_back(owner: Owner, film: Path, service: str) -> None:
    unit = service.format(version=POSTGRESQL[owner.machine.release])
    before = _main_process(owner, unit)
    owner.machine.run(f"systemctl kill --signal=KILL {unit}")
    wait_until(lambda: _main_process(owner, unit) not in (before, "0"), BACK_S, f"return of {unit}")
    wait_until(lambda: _is_ready(owner), BACK_S, "readiness")
    assert film.name in owner.nebula("ls")


@pytest.mark.parametrize("store", STORES)
def test_gateway_that_starts_without_a_store_says_so_and_goes_on_when_it_is_back(owner: Owner, store: str) -> None:
    unit = STORES[store].format(version=POSTGRESQL[owner.machine.release])
    # The gateway wants it, and would start it.
    dropin = f"/run/systemd/system/{unit}.service.d"
    owner.machine.write(f"{dropin}/away.conf", "[Unit]\nConditionPathExists=/nowhere\n")
    owner.machine.run(f"systemctl daemon-reload && systemctl stop {unit}")
    try:
        owner.machine.run("systemctl restart nebula-api.service")
        wait_until(lambda: _services(owner).get(store) == "down", BACK_S, f"{store} named")
        assert _is_ready(owner) is (store not in NEEDED)
        assert owner.nebula("ping").startswith("Pong")
    finally:
        owner.machine.run(f"rm -r {dropin} && systemctl daemon-reload && systemctl start {unit}")
    wait_until(lambda: _services(owner).get(store) == "up" and _is_ready(owner), BACK_S, f"{store} back")


def test_metrics_are_served_where_they_are_asked_for(owner: Owner) -> None:
    asked = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8420/metrics"
    bearer = '-H "Authorization: Bearer $(cat /etc/nebula/secrets/metrics_token)"'
    assert changed(owner.playbook("--tags", "api", "-e", '{"api_metrics": true}'))["laptop"] > 0
    assert owner.machine.run(f"{asked} {bearer}") == "200"
    assert changed(owner.playbook("--tags", "api"))["laptop"] > 0
    assert owner.machine.run(f"{asked} {bearer}") == "404"


def test_everything_is_there_after_a_reboot(owner: Owner, film: Path, tmp_path: Path) -> None:
    owner.machine.reboot()
    wait_until(lambda: _answers(owner.member.computer, owner.address), BACK_S, "the gateway in the tailnet")
    wait_until(lambda: _is_ready(owner), BACK_S, "readiness")
    assert owner.machine.run("systemctl --failed --no-legend --plain") == ""
    assert _state(owner, film.name) == "ready"
    copy = tmp_path / "copy.mkv"
    owner.nebula("download", film.name, "--to", str(copy))
    assert copy.read_bytes() == film.read_bytes()
    again = tmp_path / "after.mkv"
    again.write_bytes(film.read_bytes() + b"\0" * 64)  # other bytes: a film to make
    owner.nebula("upload", str(again))
    wait_until(lambda: _state(owner, again.name) == "ready", 180, "a film made after the reboot")


# What the object store holds of uploads that are under way.
PARTS = "find /var/lib/minio/drive/.minio.sys/multipart -name 'part.*' | head -n 1"
READY = "curl -s --unix-socket /run/nebula/api.sock http://localhost/readyz"


def _services(owner: Owner) -> dict[str, str]:
    answer = owner.machine.run(READY, check=False)
    services: dict[str, str] = json.loads(answer)["services"] if answer.startswith("{") else {}
    return services


def _is_ready(owner: Owner) -> bool:
    answer = owner.machine.run(READY, check=False)
    return answer.startswith("{") and bool(json.loads(answer)["ready"])


def _state(owner: Owner, name: str) -> str:
    (row,) = owner.rows("ls", name)
    return str(row["state"])


def _main_process(owner: Owner, unit: str) -> str:
    return owner.machine.run(f"systemctl show --value --property=MainPID {unit}")


def _answers(computer: Computer, address: str) -> bool:
    asks = ["curl", "-s", "-m", "5", f"http://{address}:8420/ping"]
    return '"pong"' in computer.run(asks, check=False)
