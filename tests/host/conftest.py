"""The bed of the provisioning tests: a network, machines on it, a tailnet. What this place lacks for it is said.

The network, the tailnet and the provisioned laptop are made once for a process's modules and one Debian release; each
module finds the laptop as it was provisioned. Tests marked `long` run where NEBULA_LONG is set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.host import base, films, lan, site, tailnet
from tests.host.machine import Machine
from tests.host.shell import CommandFailed
from tests.host.site import Owner, changed
from tests.stores import wait_until

# Debian releases to test on, as "12,13"; each takes its own time.
RELEASES = os.environ.get("NEBULA_HOST_SUITES", "12").split(",")
LONG = bool(os.environ.get("NEBULA_LONG"))

Boot = Callable[[str], Machine]
Administer = Callable[[Machine], Owner]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test of this folder as slow, with the time that a first run takes; deselect long ones unless wanted."""
    deselected = set() if LONG else {item for item in items if item.get_closest_marker("long")}
    config.hook.pytest_deselected(items=list(deselected))
    items[:] = [item for item in items if item not in deselected]
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session", params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """The Debian release that machines are of: "12" or "13"."""
    assert request.param in base.SUITES, f"NEBULA_HOST_SUITES: {request.param} is none of {', '.join(base.SUITES)}"
    return str(request.param)


@pytest.fixture(scope="package")
def household(release: str) -> Iterator[lan.Lan]:
    """The network that the machines of one release stand on."""
    if reason := lan.missing() or base.missing():
        pytest.skip(reason)
    with lan.Lan() as made:
        yield made


@pytest.fixture(scope="module")
def boot(household: lan.Lan, release: str) -> Iterator[Boot]:
    """Makes a bare machine and boots it: `boot("spare")`. It is gone after the module's last test."""
    with ExitStack() as ends:

        def boot_one(name: str) -> Machine:
            machine = Machine(household, name, release, tailnet.ENVIRONMENT)
            ends.callback(machine.discard)
            machine.start()
            return machine

        yield boot_one


@pytest.fixture(scope="package")
def mesh(household: lan.Lan) -> tailnet.Tailnet:
    """A tailnet without members."""
    try:
        programs = tailnet.build()
    except CommandFailed as failed:
        pytest.skip(f"no tailnet here: {failed}")
    return tailnet.Tailnet(household, programs)


@pytest.fixture(scope="package")
def visitor(household: lan.Lan, mesh: tailnet.Tailnet) -> tailnet.Member:
    """A person's computer in the tailnet: where the client, and playbooks, run."""
    return mesh.join(household.computer("visitor"))


@pytest.fixture(scope="package")
def stranger(household: lan.Lan) -> lan.Computer:
    """A computer on the same network that is in no tailnet."""
    return household.computer("stranger")


@pytest.fixture(scope="package")
def administer(visitor: tailnet.Member, mesh: tailnet.Tailnet, tmp_path_factory: pytest.TempPathFactory) -> Administer:
    """Makes the owner of a machine, with a home of their own: `administer(spare)`."""
    if reason := site.missing():
        pytest.skip(reason)
    return lambda machine: Owner(visitor, machine, mesh, tmp_path_factory.mktemp(f"owner-of-{machine.name}"))


@pytest.fixture(scope="package")
def laptop(household: lan.Lan, release: str) -> Iterator[Machine]:
    """The machine that becomes a cloud; to be provisioned, ask for `owner`."""
    machine = Machine(household, "laptop", release, tailnet.ENVIRONMENT)
    try:
        machine.start()
        yield machine
    finally:
        machine.discard()


@pytest.fixture(scope="package")
def provisioned(laptop: Machine, administer: Administer) -> Owner:
    """The owner, signed in at the laptop that site.yml has just provisioned, and that is shut down."""
    owner = administer(laptop)
    printed = owner.bootstrap()
    assert changed(printed)["laptop"] > 0
    assert f"nebula login --server {owner.server} --username owner" in printed
    password = owner.password_file.read_text()
    assert password.strip() not in printed
    owner.nebula("login", "--server", owner.server, "--username", "owner", "--password-stdin", stdin=password)
    owner.keep()
    return owner


@pytest.fixture(scope="module")
def owner(provisioned: Owner) -> Owner:
    """The owner, signed in at the laptop as it was provisioned."""
    provisioned.put_back()
    wait_until(provisioned.is_ready, site.BACK_S, "readiness")
    return provisioned


@pytest.fixture(scope="module")
def film(owner: Owner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that has to be encoded, uploaded by the owner."""
    path = tmp_path_factory.mktemp("films") / "holiday.mkv"
    films.make(path, seconds=8)
    owner.nebula("upload", str(path))
    return path
