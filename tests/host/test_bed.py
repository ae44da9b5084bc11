"""The bed itself: what the tests of roles rely on when they say that a machine did something."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.conftest import Boot
from tests.host.lan import Computer, Lan
from tests.host.machine import Machine
from tests.host.shell import CommandFailed, run
from tests.host.tailnet import TAG, Member, Tailnet
from tests.static.source import ROOT
from tests.stores import wait_until


@pytest.fixture(scope="module")
def laptop(boot: Boot) -> Machine:
    return boot("desk")


@pytest.fixture(scope="module")
def spare(boot: Boot) -> Machine:
    return boot("spare")


@pytest.fixture(scope="module")
def joined(laptop: Machine, mesh: Tailnet) -> str:
    """The laptop's address in the tailnet; its programs are put there as a role would."""
    for name in ("tailscale", "tailscaled"):
        laptop.write(f"/usr/local/bin/{name}", (mesh.programs / name).read_bytes(), 0o755)
    laptop.run("systemd-run --quiet --unit=tailscaled --property=StateDirectory=tailscale tailscaled")
    up = f"tailscale up --login-server={mesh.login_server} --auth-key=file:/dev/stdin --timeout=60s --accept-dns=false"
    wait_until(lambda: laptop.run("test -S /run/tailscale/tailscaled.sock && echo yes", check=False), 30)
    laptop.run(up, stdin=mesh.key(TAG, reusable=False), timeout=90)
    return laptop.run("tailscale ip -4")


def test_machine_is_the_debian_that_was_asked_for_and_nothing_failed(laptop: Machine, release: str) -> None:
    assert run(laptop.ssh("cat /etc/debian_version")).startswith(f"{release}.")
    assert run(laptop.ssh("hostname; whoami")).split() == ["desk", "root"]
    wait_until(lambda: laptop.run("systemctl is-system-running", check=False) == "running", 60, "end of the boot")


def test_machine_reaches_debians_packages(laptop: Machine) -> None:
    """Two of them: what a virtual environment takes, and the firewall, which works inside."""
    said = run(laptop.ssh("apt-get -q update"), timeout=180)
    assert not [line for line in said.splitlines() if line.startswith(("W:", "E:"))]
    install = "DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends python3-venv nftables"
    run(laptop.ssh(install), timeout=300)
    run(laptop.ssh("nft add table inet own && nft list table inet own && nft delete table inet own"))


def test_machine_reaches_pythons_packages(laptop: Machine) -> None:
    run(laptop.ssh("python3 -m venv /tmp/venv && /tmp/venv/bin/pip -q install --no-deps six==1.17.0"), timeout=240)
    assert run(laptop.ssh("/tmp/venv/bin/python -c 'import six; print(six.__version__)'")) == "1.17.0"


def test_units_are_held_to_the_addresses_that_they_may_speak_to(laptop: Machine, household: Lan) -> None:
    """A kernel that lets systemd do nothing about them would pass every unit."""
    asks = f"python3 -c 'import socket; socket.create_connection((\"{household.gateway}\", 9), 3)'"
    allowed = laptop.run(f"systemd-run --quiet --pipe --wait {asks}", check=False)
    denied = laptop.run(f"systemd-run --quiet --pipe --wait --property=IPAddressDeny=any {asks}", check=False)
    assert "ConnectionRefused" in allowed
    assert "ConnectionRefused" not in denied


def test_reboot_keeps_files_and_is_another_boot(laptop: Machine) -> None:
    before = laptop.boot()
    laptop.write("/root/kept", "so far")
    laptop.reboot()
    assert run(laptop.ssh("cat /root/kept")) == "so far"
    assert laptop.boot() != before


def test_machine_starts_again_after_kill_of_its_first_process(laptop: Machine) -> None:
    laptop.write("/root/written", "before the cut")
    laptop.kill()
    assert not laptop.is_up
    laptop.start()
    assert run(laptop.ssh("cat /root/written")) == "before the cut"


def test_two_machines_see_each_other_and_differ(laptop: Machine, spare: Machine) -> None:
    for one, other in ((laptop, spare), (spare, laptop)):
        assert "Debian" in one.run(f"python3 -c '{_greet(other.address)}'")
    assert laptop.run("cat /etc/machine-id") != spare.run("cat /etc/machine-id")
    assert laptop.run("cat /etc/ssh/ssh_host_ed25519_key.pub") != spare.run("cat /etc/ssh/ssh_host_ed25519_key.pub")


def test_machine_is_put_back_to_what_it_was_when_kept(spare: Machine) -> None:
    spare.write("/root/kept", "yes")
    spare.keep()
    for _ in range(2):
        spare.start()
        assert spare.run("ls /root") == "kept"
        spare.run("touch /root/later && rm /root/kept && ls /root")
        spare.put_back()
    spare.start()


def test_machine_and_person_join_the_tailnet(laptop: Machine, joined: str, mesh: Tailnet, visitor: Member) -> None:
    nodes = mesh.nodes()
    assert {"desk", "visitor"} <= set(nodes)
    assert nodes["desk"]["tags"] == [TAG]
    assert mesh.address("desk") == joined
    wait_until(lambda: visitor.reaches("desk"), 60, "first contact")
    assert "pong" in visitor.tailscale("ping", "--icmp", "--c=1", joined)


@pytest.fixture
def site(laptop: Machine) -> Iterator[int]:
    """The port of a web server on the laptop that listens on every address."""
    laptop.run("systemd-run --quiet --unit=site --working-directory=/etc python3 -m http.server 8000")
    yield 8000
    laptop.run("systemctl stop site; nft delete table inet door", check=False)


def test_tailnet_reaches_what_a_rule_closes_to_everyone_else(
    laptop: Machine, joined: str, site: int, visitor: Member, stranger: Computer
) -> None:
    everywhere = [(visitor.computer, laptop.address), (stranger, laptop.address), (visitor.computer, joined)]
    for computer, address in everywhere:
        wait_until(lambda: _opens(computer, address, site), 30, f"{computer.name} to {address}")  # noqa: B023
    rule = 'iifname != { "lo", "tailscale0" } tcp dport 8000 drop'
    chain = f"chain input {{\n type filter hook input priority 0\n {rule}\n }}"
    laptop.run("nft -f -", stdin=f"table inet door {{\n {chain}\n}}\n")
    assert [_opens(computer, address, site) for computer, address in everywhere] == [False, False, True]
    assert not _opens(stranger, joined, site)


def test_tailnet_closes_to_who_leaves_it_and_opens_to_who_joins_again(joined: str, site: int, visitor: Member) -> None:
    wait_until(lambda: _opens(visitor.computer, joined, site), 30)
    visitor.leave()
    wait_until(lambda: not _opens(visitor.computer, joined, site), 30)
    visitor.join()
    wait_until(lambda: _opens(visitor.computer, joined, site), 60)


def test_names_of_a_computer_are_its_own(stranger: Computer, laptop: Machine, household: Lan) -> None:
    stranger.knows("laptop.test", laptop.address)
    assert laptop.address in stranger.run(["getent", "hosts", "laptop.test"])
    assert "laptop.test" not in run(["getent", "hosts", "laptop.test"], check=False)


CRASHES = """
import sys, time
from tests.host.lan import Lan
from tests.host.machine import Machine
with Lan() as lan:
    lan.computer("visitor")
    machine = Machine(lan, "desk", sys.argv[1])
    machine.start()
    print(lan.number, machine.init, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_left_goes_when_its_number_is_taken_again(household: Lan, release: str) -> None:
    with subprocess.Popen([sys.executable, "-c", CRASHES, release], cwd=ROOT, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        number, init = map(int, killed.stdout.readline().split())
        killed.kill()
    assert number != household.number
    assert Path(f"/proc/{init}").exists()
    with Lan() as lan:  # the number, unless another run took it meanwhile, which does the same
        wait_until(lambda: not Path(f"/proc/{init}").exists(), 30, "end of the machine")
        assert [path.name for path in lan.folder.iterdir() if path.is_dir()] == []
        lan.computer("visitor")


def test_command_that_fails_says_what_it_printed(laptop: Machine) -> None:
    with pytest.raises(CommandFailed, match="no such thing"):
        laptop.run("echo no such thing >&2; false")


def _opens(computer: Computer, address: str, port: int) -> bool:
    asks = (
        f"import urllib.request as r; print(r.urlopen('http://{address}:{port}/hostname', timeout=3).read().decode())"
    )
    return computer.run(["/usr/bin/python3", "-c", asks], check=False) == "desk"


def _greet(address: str) -> str:
    return f'import socket; print(socket.create_connection(("{address}", 22), 5).recv(99))'
