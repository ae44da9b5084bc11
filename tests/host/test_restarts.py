"""What stops comes back: the gateway under load, each service that is killed, each store that is away, the machine."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path

import pytest

from tests.host import site
from tests.host.crowd import VIEWERS, longest_s
from tests.host.site import Owner
from tests.stores import wait_until

SERVICES = ["nebula-api", "nebula-quick", "nebula-worker", "minio", "redis-server", "postgresql@{version}-main"]
STORES = {"database": "postgresql@{version}-main", "queue": "redis-server", "objects": "minio"}
NEEDED = {"database", "objects"}
POSTGRESQL = {"12": "15", "13": "17"}
BACK_S = 90
# It says when the network is there, which on a laptop without a cable, away from its Wi-Fi, takes two minutes.
NETWORK_WAIT = "systemd-networkd-wait-online.service"
NEVER = "[Service]\nExecStart=\nExecStart=sleep infinity\nTimeoutStartSec=infinity\n"
# What `tailscale status --json` says of a daemon that missed the network's coming up.
ASLEEP = """#!/bin/sh
echo '{ "BackendState": "NoState" }'
"""
AS_IF_ASLEEP = "[Service]\nEnvironment=PATH=/opt/asleep:/usr/bin:/bin\n"
# What the object store holds of uploads that are under way.
PARTS = "find /var/lib/minio/drive/.minio.sys/multipart -name 'part.*' | head -n 1"


@pytest.fixture(scope="module")
def archive(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes a while to read slowly, uploaded by the owner."""
    path = tmp_path_factory.mktemp("archives") / "archive.bin"
    path.write_bytes(random.Random(5).randbytes(24 << 20))
    owner.nebula("upload", str(path))
    return path


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
                wait_until(lambda: owner.is_ready(), BACK_S, "the gateway")
            assert upload.wait(300) == 0
            printed, _ = crowd.communicate("enough\n", timeout=300)
        finally:
            crowd.kill()
            upload.kill()
    seen = json.loads(printed.splitlines()[-1])
    assert (seen["refused"], seen["asked"] > 0) == ([], True)
    assert seen["longest_s"] <= longest_s()
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
    wait_until(lambda: owner.is_ready(), BACK_S, "readiness")
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
        wait_until(lambda: owner.services().get(store) == "down", BACK_S, f"{store} named")
        assert owner.is_ready() is (store not in NEEDED)
        assert owner.nebula("ping").startswith("Pong")
    finally:
        owner.machine.run(f"rm -r {dropin} && systemctl daemon-reload && systemctl start {unit}")
    wait_until(lambda: owner.services().get(store) == "up" and owner.is_ready(), BACK_S, f"{store} back")


def test_everything_is_there_after_a_reboot(owner: Owner, film: Path, tmp_path: Path) -> None:
    wait_until(lambda: owner.state(film.name) == "ready", 180, "the film")
    owner.machine.reboot()
    wait_until(owner.pongs, BACK_S, "the gateway in the tailnet")
    wait_until(lambda: owner.is_ready(), BACK_S, "readiness")
    assert owner.machine.run("systemctl --failed --no-legend --plain") == ""
    assert owner.state(film.name) == "ready"
    copy = tmp_path / "copy.mkv"
    owner.nebula("download", film.name, "--to", str(copy))
    assert copy.read_bytes() == film.read_bytes()
    again = tmp_path / "after.mkv"
    again.write_bytes(film.read_bytes() + b"\0" * 64)  # other bytes: a film to make
    owner.nebula("upload", str(again))
    wait_until(lambda: owner.state(again.name) == "ready", 180, "a film made after the reboot")


def test_boot_without_a_network_does_not_wait_for_one(owner: Owner) -> None:
    owner.machine.write(f"/etc/systemd/system/{NETWORK_WAIT}.d/never.conf", NEVER)
    owner.machine.reboot()
    wait_until(lambda: owner.is_ready(), BACK_S, "readiness")
    # Who does ask for the network waits for it still.
    owner.machine.run("systemctl start --no-block network-online.target")
    asked = f"systemctl show --value --property=ActiveState {NETWORK_WAIT}"
    wait_until(lambda: owner.machine.run(asked) == "activating", BACK_S, "a network that does not come")


def test_tailscaled_that_missed_the_network_is_started_again_once(owner: Owner) -> None:
    owner.machine.write("/opt/asleep/tailscale", ASLEEP, 0o755)
    owner.machine.write("/etc/systemd/system/nebula-tailnet.service.d/asleep.conf", AS_IF_ASLEEP)
    owner.machine.run("systemctl daemon-reload && systemctl restart tailscaled.service")
    first = _main_process(owner, "tailscaled")
    wait_until(lambda: _main_process(owner, "tailscaled") not in (first, "0"), BACK_S, "another tailscaled")
    second = _main_process(owner, "tailscaled")
    owner.machine.run("systemctl start nebula-tailnet.service")
    assert _main_process(owner, "tailscaled") == second
    wait_until(owner.pongs, BACK_S, "the gateway in the tailnet")


def _main_process(owner: Owner, unit: str) -> str:
    return owner.machine.run(f"systemctl show --value --property=MainPID {unit}")
