"""Nobody locks himself out: join, arm, confirm, write, in this order, on a machine that has no firewall yet.

The tests stand in the order of a first run that goes wrong again and again, and is run again each time.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.host.conftest import Administer, Boot
from tests.host.lan import Computer
from tests.host.machine import Machine
from tests.host.site import Owner, changed
from tests.host.tailnet import TAG
from tests.stores import wait_until

ROLES = ("--tags", "base,tailscale,firewall")
# An address of the tailnet that nobody has: a fresh ssh there hangs, and is tried three times of ten seconds.
NOBODY = "firewall_confirm_address=100.127.255.254"
SHORTEST_S = 20  # the least that firewall_confirm_within_s takes
# Ansible prints a task when it is done.
ARMED = "TASK [firewall : Put it on, with a timer that takes it off]"


@pytest.fixture(scope="module")
def spare(boot: Boot) -> Machine:
    return boot("spare")


@pytest.fixture(scope="module")
def owner(spare: Machine, administer: Administer) -> Owner:
    """The owner of a bare machine."""
    return administer(spare)


@pytest.fixture(scope="module")
def joined(owner: Owner, spare: Machine) -> Owner:
    """The same, whose machine has joined the tailnet and has no firewall."""
    key = owner.mesh.key(TAG, reusable=False)
    owner.playbook(*_first(owner), "--tags", "base,tailscale", environ={"TAILSCALE_AUTH_KEY": key})
    owner.knows_address()
    assert owner.mesh.nodes()["spare"]["tags"] == [TAG]
    assert key not in spare.run(f"journalctl --no-pager; grep -rs {key[:20]} /etc /var/lib /run /tmp || true")
    return owner


def test_key_that_the_tailnet_refuses_stops_the_run_before_the_other_roles(owner: Owner, spare: Machine) -> None:
    wrong = "hskey-auth-000000000000-" + "0" * 64
    said = owner.stopped(*_first(owner), "-e", "tailscale_join_timeout_s=20", environ={"TAILSCALE_AUTH_KEY": wrong})
    assert "spare could not join the tailnet within 20 s: if the key is refused" in said
    assert "make a new one and run this again" in said
    assert wrong not in said
    units = spare.run("systemctl list-unit-files --no-legend 'nebula-*' 'minio*' 'postgresql*' 'redis*' 'upower*' || :")
    assert [line.split()[0] for line in units.splitlines()] == ["nebula-tailnet.service"]


def test_controller_that_dies_after_arming_leaves_the_machine_reachable(
    joined: Owner, spare: Machine, stranger: Computer
) -> None:
    with _armed(joined, f"firewall_confirm_within_s={SHORTEST_S}") as playbook:
        assert not _answers(stranger, spare.address), "the firewall is on"
        assert _answers(joined.member.computer, joined.address), "the tailnet goes on"
        playbook.kill()
    wait_until(lambda: _answers(stranger, spare.address), 3 * SHORTEST_S, "the firewall to take itself off")
    assert _answers(joined.member.computer, joined.address)
    _nothing_is_kept(spare)


def test_reboot_between_arming_and_confirming_leaves_the_machine_reachable(
    joined: Owner, spare: Machine, stranger: Computer
) -> None:
    with _armed(joined, "firewall_confirm_within_s=600"):
        assert not _answers(stranger, spare.address)
        spare.reboot()
    assert _answers(stranger, spare.address)
    wait_until(lambda: _answers(joined.member.computer, joined.address), 60, "the tailnet")
    _nothing_is_kept(spare)


@pytest.mark.long
def test_controller_that_cannot_come_in_over_the_tailnet_takes_the_firewall_off(
    joined: Owner, spare: Machine, stranger: Computer
) -> None:
    said = joined.stopped(*_first(joined), *ROLES, "-e", "firewall_confirm_address=127.0.0.1")
    assert "this controller could not come in over the tailnet (ssh to 127.0.0.1)" in said
    assert "Join this controller to the same tailnet, then run this again." in said
    assert _answers(stranger, spare.address)
    _nothing_is_kept(spare)


def test_run_that_comes_in_over_the_tailnet_keeps_the_firewall(
    joined: Owner, spare: Machine, stranger: Computer
) -> None:
    assert changed(joined.playbook(*_first(joined), *ROLES))["spare"] > 0
    assert not _answers(stranger, spare.address)
    assert _answers(joined.member.computer, joined.address)
    assert changed(joined.playbook(*ROLES))["spare"] == 0, "by its name, and so by the tailnet"
    spare.reboot()
    assert not _answers(stranger, spare.address)


@pytest.mark.long
def test_change_that_nobody_confirms_goes_back_to_what_was_confirmed(
    joined: Owner, spare: Machine, stranger: Computer
) -> None:
    with _armed(joined, f"firewall_ssh_open=true firewall_confirm_within_s={SHORTEST_S}", first=False) as playbook:
        assert _answers(stranger, spare.address)
        playbook.kill()
    wait_until(lambda: not _answers(stranger, spare.address), 3 * SHORTEST_S, "the confirmed firewall")
    assert _answers(joined.member.computer, joined.address)


@pytest.mark.long
def test_ssh_is_open_to_the_local_network_where_the_inventory_says_so(
    joined: Owner, spare: Machine, stranger: Computer
) -> None:
    assert changed(joined.playbook(*ROLES, "-e", "firewall_ssh_open=true"))["spare"] > 0
    assert _answers(stranger, spare.address)


def _first(owner: Owner) -> list[str]:
    return ["--limit", "spare", "-e", f"bootstrap_address={owner.machine.address}"]


@contextmanager
def _armed(owner: Owner, settings: str, *, first: bool = True) -> Iterator[subprocess.Popen[str]]:
    """A run that is between arming and confirming; it is ended without a word, as a controller that loses its power."""
    words = [*(_first(owner) if first else []), *ROLES, "-e", f"{NOBODY} {settings}"]
    with owner.begin_playbook(*words) as playbook:
        try:
            _read_until(playbook, ARMED)
            yield playbook
        finally:
            playbook.kill()


def _read_until(playbook: subprocess.Popen[str], line: str) -> None:
    seen = []
    for printed in playbook.stdout or ():
        seen.append(printed)
        if line in printed:
            return
    raise AssertionError(f"it ended before {line!r}\n{''.join(seen[-60:])}")


def _nothing_is_kept(machine: Machine) -> None:
    kept = machine.run(
        "ls /etc/nebula/firewall.nft; nft list tables inet; systemctl is-enabled nebula-firewall.service", check=False
    )
    assert "table inet nebula" not in kept
    assert "No such file" in kept
    assert kept.splitlines()[-1] == "disabled"


def _answers(computer: Computer, address: str) -> bool:
    """Whether the machine's ssh says who it is."""
    asks = f"import socket; print(socket.create_connection(('{address}', 22), 3).recv(4))"
    return "SSH-" in computer.run(["/usr/bin/python3", "-c", asks], check=False)
