"""The units of systemd/: what they may do, and that they run what the code says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import pytest

from nebula.api import gateway
from nebula.config import Settings
from nebula.domain.states import Queue
from nebula.worker import app as worker

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").iterdir())
# systemd-analyze's exposure, 0 (none) to 10: at most so much. What sets up the network itself (firewall, tailscaled) is
# root and has none.
BUDGETS = {
    "nebula-api": 1.2,
    "nebula-quick": 1.6,
    "nebula-worker": 1.6,
    "minio": 3.0,
    "nebula-operations": 3.3,
    "nebula-store@": 1.2,
    "nebula-backup": 2.3,
    "nebula-scrub": 2.1,
    "nebula-tailnet": 1.9,
}
NEBULA = ["nebula-api", "nebula-quick", "nebula-worker"]
STORES = ["postgresql.service", "redis-server.service", "minio.service"]
WORKER_SECRETS = {"DATABASE_URL", "REDIS_URL", "S3_SECRET_KEY"}
NOT_SECRET_HERE = {"S3_ACCESS_KEY"}  # a name; it stands beside the endpoint in nebula.env
BY_DROP_IN = {"METRICS_TOKEN"}

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed (apt-get install --no-install-recommends systemd)",
)


def directives(unit: Path) -> dict[str, list[str]]:
    """Return every directive of the unit with its values in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in unit.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


def service(name: str) -> dict[str, list[str]]:
    return directives(ROOT / "systemd" / f"{name}.service")


@needs_analyze
@pytest.mark.parametrize("name", BUDGETS)
def test_exposure_of_each_service_is_within_its_budget(name: str) -> None:
    threshold = round(BUDGETS[name] * 10)
    unit = ROOT / "systemd" / f"{name}.service"
    checked = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={threshold}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path, tmp_path: Path) -> None:
    # Programs that only a provisioned machine has are stood in for: their absence is not the unit's mistake.
    for each in UNITS:
        text = re.sub(r"^(ExecStart=)/usr/local/\S+", r"\1/bin/true", each.read_text(), flags=re.MULTILINE)
        (tmp_path / each.name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_block_of_a_unit_begins_with_what_it_is_for(unit: Path) -> None:
    blocks = unit.read_text().strip().split("\n\n")
    sections = ("[Unit]", "[Install]", "[Service]", "[Socket]", "[Path]", "[Timer]")
    unsaid = [block for block in blocks if not block.startswith(("#", *sections))]
    assert unsaid == []


def test_gateway_runs_as_the_code_says() -> None:
    (start,) = service("nebula-api")["ExecStart"]
    _, *module, _bind, _address = gateway.argv(Settings())
    assert start.split() == ["/usr/bin/env", "venv/bin/python", *module]


@pytest.mark.parametrize(("name", "queue"), [("nebula-quick", Queue.QUICK), ("nebula-worker", Queue.ENCODE)])
def test_workers_run_as_the_code_says(name: str, queue: Queue) -> None:
    (start,) = service(name)["ExecStart"]
    assert start.split() == ["/usr/bin/env", "venv/bin/python", *worker.argv(queue)[1:]]


@pytest.mark.parametrize("name", NEBULA)
def test_every_secret_is_a_credential_whose_file_is_roots(name: str) -> None:
    unit = service(name)
    loaded = dict(value.split(":", 1) for value in unit["LoadCredential"])
    named = dict(value.split("=", 1) for value in unit["Environment"])
    passed = {key.removesuffix("_FILE"): value for key, value in named.items() if key.endswith("_FILE")}
    assert passed == {key.upper(): f"%d/{key}" for key in loaded}
    assert loaded == {key: f"/etc/nebula/secrets/{key}" for key in loaded}
    assert not secret_settings() & named.keys()


def test_gateway_is_given_every_secret_setting() -> None:
    given = {value.split(":", 1)[0].upper() for value in service("nebula-api")["LoadCredential"]}
    assert given == secret_settings() - NOT_SECRET_HERE - BY_DROP_IN


@pytest.mark.parametrize("name", ["nebula-quick", "nebula-worker"])
def test_worker_has_no_key_to_sign_with(name: str) -> None:
    assert {value.split(":", 1)[0].upper() for value in service(name)["LoadCredential"]} == WORKER_SECRETS


@pytest.mark.parametrize("name", NEBULA)
def test_stores_are_waited_for_and_not_required(name: str) -> None:
    unit = service(name)
    after, wanted, required = (" ".join(unit[key]).split() for key in ("After", "Wants", "Requires"))
    assert set(STORES) <= set(after)
    assert set(STORES) <= set(wanted)
    assert not set(STORES) & set(required)


@pytest.mark.parametrize("name", [*NEBULA, "minio"])
def test_service_does_not_wait_for_a_network(name: str) -> None:
    unit = service(name)
    assert "network-online.target" not in " ".join([*unit["After"], *unit["Wants"], *unit["Requires"]]).split()


@pytest.mark.parametrize("name", [*NEBULA, "minio"])
def test_service_is_started_again_however_often_it_dies(name: str) -> None:
    found = service(name)
    assert (found["Restart"], found["StartLimitIntervalSec"]) == (["always"], ["0"])


def test_spool_is_watched_and_one_run_of_it_is_as_good_as_the_next() -> None:
    watched = directives(ROOT / "systemd" / "nebula-operations.path")
    assert watched["DirectoryNotEmpty"] == ["/var/spool/nebula/pushes", "/var/spool/nebula/requests"]
    carried = service("nebula-operations")
    assert (carried["Type"], carried["StartLimitIntervalSec"], carried["TimeoutStartSec"]) == (
        ["oneshot"],
        ["0"],
        ["infinity"],
    )


def test_gateway_is_never_reloaded() -> None:
    assert "ExecReload" not in service("nebula-api")


def test_worker_keeps_the_system_call_that_lets_ffmpeg_die_with_it() -> None:
    # setpriv fails without it: every film would be "no media".
    for name in ("nebula-quick", "nebula-worker"):
        assert service(name)["SystemCallFilter"][-1] == "capset"


def test_who_may_call_the_gateway_is_said_of_its_sockets_too() -> None:
    sockets = directives(ROOT / "systemd" / "nebula-api.socket")
    for name in ("IPAddressDeny", "IPAddressAllow"):
        assert sockets[name] == service("nebula-api")[name] != []


def secret_settings() -> set[str]:
    rows = [field.metadata["setting"] for field in fields(Settings)]
    return {row.name for row in rows if row.secret}
