"""What is wrong is found before anything is changed, and said in one sentence with what to do about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.host.conftest import Administer, Boot
from tests.host.machine import Machine
from tests.host.site import Owner, changed
from tests.stores import wait_until

NOTHING_CHANGED = "Nothing was changed."
LINUX = "7f454c46"


@pytest.fixture(scope="module")
def bare(boot: Boot) -> Machine:
    return boot("bare")


@pytest.fixture(scope="module")
def owner_of_bare(bare: Machine, administer: Administer) -> Owner:
    """Its owner, who has not run anything yet."""
    return administer(bare)


@pytest.fixture(scope="module")
def standard(bare: Machine, owner_of_bare: Owner) -> Owner:
    """The same with Python's part of apt, which a standard installation has and site.yml installs otherwise."""
    bare.run("apt-get -qq update && apt-get -qq install -y --no-install-recommends python3-apt", timeout=300)
    return owner_of_bare


def test_looking_ahead_at_a_bare_machine_does_not_fail_and_changes_nothing(owner_of_bare: Owner) -> None:
    with _changes_nothing(owner_of_bare):
        printed = owner_of_bare.playbook("--check", "--diff", *_first(owner_of_bare))
    assert changed(printed)["bare"] > 0


def test_system_that_is_not_debian_is_named(standard: Owner) -> None:
    told = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
    with _in_place_of(standard.machine, "/etc/os-release", told):
        said = _stopped(standard)
    assert "bare runs Ubuntu 24.04.1 LTS: install Debian 12 or 13 on it." in said


def test_older_debian_is_named(standard: Owner) -> None:
    told = 'PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\nID=debian\nVERSION_ID="11"\n'
    with _in_place_of(standard.machine, "/etc/os-release", told):
        said = _stopped(standard)
    assert "bare runs Debian GNU/Linux 11 (bullseye): install Debian 12 or 13 on it." in said


def test_disk_that_is_too_small_is_measured(standard: Owner) -> None:
    said = _stopped(standard, "-e", "base_disk_minimum_gb=900000")
    assert "base_disk_minimum_gb asks for 900000: give it a larger disk, or set a smaller number" in said


def test_mirror_that_does_not_answer_is_quoted(standard: Owner) -> None:
    standard.machine.run("rm -f /run/nebula-setup/lists-are-fresh")
    with _in_place_of(standard.machine, "/etc/apt/sources.list", "deb http://127.0.0.1:9/debian bookworm main\n"):
        said = _stopped(standard)
    assert "bare cannot fetch Debian's package lists: check its network and /etc/apt/sources.list*" in said
    assert "127.0.0.1" in said


def test_machine_that_has_joined_nothing_needs_a_key(standard: Owner) -> None:
    said = _stopped(standard, environ={})
    assert "bare is not on the tailnet yet and there is no key: make one in your tailnet's settings" in said


def test_word_that_is_no_key_is_refused_and_not_repeated(standard: Owner) -> None:
    said = _stopped(standard, "-e", "tailscale_login_server=", environ={"TAILSCALE_AUTH_KEY": "correct horse"})
    assert "The Tailscale key does not look like one: it starts with tskey-auth-" in said
    assert "correct horse" not in said


def test_download_with_another_checksum_is_refused(standard: Owner, tmp_path: Path) -> None:
    program = tmp_path / "minio"
    program.write_bytes(bytes.fromhex(LINUX) + b" of somebody else")
    right = hashlib.sha256(program.read_bytes()).hexdigest()
    with _web_server(standard, tmp_path) as url:
        said = _stopped(
            standard,
            *("-e", f"minio_source=url minio_client_url={url}/minio minio_client_sha256={right}"),
            *("-e", f"minio_server_url={url}/minio minio_server_sha256={'0' * 64}"),
            *("--tags", "minio"),
        )
    assert "MinIO could not be fetched to this controller: check minio_*_url and minio_*_sha256" in said
    assert right in said, "what it found instead"


def test_programs_that_are_not_there_are_asked_for(standard: Owner, tmp_path: Path) -> None:
    said = _stopped(standard, "-e", f"tailscale_file_dir={tmp_path}")
    assert "must be a directory of this controller that holds the programs tailscale and tailscaled" in said


def test_setting_that_cannot_be_is_named_with_its_value(standard: Owner) -> None:
    assert "api_port is 70000: set it to a number from 1 to 65535" in _stopped(standard, "-e", '{"api_port": 70000}')


def test_address_of_one_machine_is_not_taken_for_two(standard: Owner) -> None:
    inventory = standard.home / "two.ini"
    inventory.write_text(standard.inventory.read_text().replace("bare\n", "bare\nother\n"))
    said = _stopped(standard, "-i", str(inventory), limit="all")
    assert "bootstrap_address is the address of one machine, but this run is for bare, other: add --limit NAME." in said


def test_inventory_without_a_machine_is_named(standard: Owner) -> None:
    empty = standard.home / "empty.ini"
    empty.write_text("[nebula]\n\n[workers]\n")
    said = standard.stopped("-i", str(empty))
    assert "The inventory names no machine: write the laptop's tailnet name on a line of its own below [nebula]" in said
    assert NOTHING_CHANGED in said


def _first(owner: Owner, limit: str = "bare") -> list[str]:
    return ["--limit", limit, "-e", f"bootstrap_address={owner.machine.address}"]


def _stopped(owner: Owner, *words: str, environ: dict[str, str] | None = None, limit: str = "bare") -> str:
    """Run site.yml as for the first time; return what it said when it stopped, before it changed anything."""
    environ = {"TAILSCALE_AUTH_KEY": "hskey-never-used"} if environ is None else environ
    with _changes_nothing(owner):
        said = owner.stopped(*_first(owner, limit), *words, environ=environ)
    assert NOTHING_CHANGED in said
    return said


@contextmanager
def _changes_nothing(owner: Owner) -> Iterator[None]:
    before = owner.machine.written()
    yield
    after = owner.machine.written()
    assert {path for path in after if before.get(path) != after[path]} == set()


@contextmanager
def _in_place_of(machine: Machine, path: str, text: str) -> Iterator[None]:
    """Another text in a file of the machine, for as long as it takes."""
    before = machine.run(f"cat {path}")
    machine.write(path, text)
    try:
        yield
    finally:
        machine.write(path, f"{before}\n")


@contextmanager
def _web_server(owner: Owner, folder: Path) -> Iterator[str]:
    """Serve a folder on loopback of the owner's computer."""
    ask = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8099/"]
    with owner.start(["/usr/bin/python3", "-m", "http.server", "-b", "127.0.0.1", "-d", str(folder), "8099"]) as server:
        try:
            wait_until(lambda: owner.member.computer.run(ask, check=False) == "200", 30, "the web server")
            yield "http://127.0.0.1:8099"
        finally:
            server.kill()
