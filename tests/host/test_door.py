"""Nothing but the tailnet reaches the provisioned laptop, and of the tailnet nobody who has left it."""

from __future__ import annotations

import json

from tests.host.lan import Computer
from tests.host.machine import Machine
from tests.host.site import Owner
from tests.host.tailnet import Member
from tests.stores import wait_until

GATEWAY, SSH = 8420, 22
STORES = (5432, 6379, 9000, 9001)
# Asks many at once, because a port behind the firewall answers nothing: each takes the whole time.
SCAN = """
import asyncio, json, sys
async def opens(address, port):
    try:
        await asyncio.wait_for(asyncio.open_connection(address, port), 4)
    except (OSError, TimeoutError, asyncio.TimeoutError):
        return False
    return True
async def main(address, ports):
    found = await asyncio.gather(*(opens(address, port) for port in ports))
    print(json.dumps([port for port, is_open in zip(ports, found) if is_open]))
asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""


def test_stranger_on_the_same_network_reaches_nothing(owner: Owner, laptop: Machine, stranger: Computer) -> None:
    ports = sorted({*range(1, 1025), *_listening(laptop), *STORES, GATEWAY})
    assert _open(stranger, laptop.address, ports) == []
    local = laptop.run("ip -6 -o address show dev host0 scope link | awk '{ print $4 }'").partition("/")[0]
    assert local.startswith("fe80:")
    assert _open(stranger, f"{local}%eth0", [*_listening(laptop), GATEWAY, *STORES]) == []


def test_plain_address_is_closed_to_the_owner_too(owner: Owner, laptop: Machine) -> None:
    assert _open(owner.member.computer, laptop.address, [SSH, GATEWAY, *STORES]) == []


def test_tailnet_reaches_the_gateway_and_ssh_and_no_store(owner: Owner) -> None:
    assert _open(owner.member.computer, owner.address, [SSH, GATEWAY, *STORES]) == [SSH, GATEWAY]


def test_gateway_answers_on_both_addresses_of_the_tailnet(owner: Owner, laptop: Machine) -> None:
    addresses = laptop.run("tailscale ip").split()
    assert len(addresses) == 2
    for address in addresses:
        assert _open(owner.member.computer, address, [GATEWAY]) == [GATEWAY]


def test_stores_listen_on_loopback_alone(owner: Owner, laptop: Machine) -> None:
    found = laptop.run("ss -Hltn | awk '{ print $4 }'").split()
    stores = {address for address in found if int(address.rpartition(":")[2]) in STORES}
    assert {address.rpartition(":")[0] for address in stores} <= {"127.0.0.1", "[::1]"}
    assert {int(address.rpartition(":")[2]) for address in stores} == {5432, 6379, 9000}, "the console is off"


def test_door_closes_to_who_leaves_the_tailnet_and_opens_again(owner: Owner, visitor: Member) -> None:
    assert owner.nebula("ping").startswith("Pong")
    visitor.leave()
    try:
        wait_until(lambda: not owner.pongs(), 30, "the door to close")
        assert not owner.pongs(seconds=10), "nor a moment later"
    finally:
        visitor.join()
    wait_until(owner.pongs, 60, "the door to open")
    assert owner.nebula("ping").startswith("Pong")


def _listening(machine: Machine) -> list[int]:
    return sorted({int(line.rpartition(":")[2]) for line in machine.run("ss -Hltn | awk '{ print $4 }'").split()})


def _open(computer: Computer, address: str, ports: list[int]) -> list[int]:
    """Return which of these take a connection from there."""
    found: list[int] = json.loads(computer.run(["/usr/bin/python3", "-c", SCAN, address, json.dumps(ports)]))
    return found
