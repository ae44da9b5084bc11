"""The bed of the provisioning tests: a network, machines on it, a tailnet. What this place lacks for it is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.host import base, lan, tailnet
from tests.host.machine import Machine
from tests.host.shell import CommandFailed

# Debian releases to test on, as "12,13"; each takes its own time.
RELEASES = os.environ.get("NEBULA_HOST_SUITES", "12").split(",")

Boot = Callable[[str], Machine]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test here the time to make the bare system and to build the tailnet's programs, as a first run does."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session", params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """The Debian release that machines are of: "12" or "13"."""
    assert request.param in base.SUITES, f"NEBULA_HOST_SUITES: {request.param} is none of {', '.join(base.SUITES)}"
    return str(request.param)


@pytest.fixture(scope="module")
def household(release: str) -> Iterator[lan.Lan]:
    """The network that a module's machines of one release stand on."""
    if reason := lan.missing() or base.missing():
        pytest.skip(reason)
    with lan.Lan() as made:
        yield made


@pytest.fixture(scope="module")
def boot(household: lan.Lan, release: str) -> Iterator[Boot]:
    """Makes a bare machine and boots it: `boot("laptop")`. It is gone after the module's last test."""
    with ExitStack() as ends:

        def boot_one(name: str) -> Machine:
            machine = Machine(household, name, release, tailnet.ENVIRONMENT)
            ends.callback(machine.discard)
            machine.start()
            return machine

        yield boot_one


@pytest.fixture(scope="module")
def mesh(household: lan.Lan) -> tailnet.Tailnet:
    """A tailnet without members."""
    try:
        programs = tailnet.build()
    except CommandFailed as failed:
        pytest.skip(f"no tailnet here: {failed}")
    return tailnet.Tailnet(household, programs)


@pytest.fixture(scope="module")
def visitor(household: lan.Lan, mesh: tailnet.Tailnet) -> tailnet.Member:
    """A person's computer in the tailnet: where the client, and playbooks, run."""
    return mesh.join(household.computer("visitor"))


@pytest.fixture(scope="module")
def stranger(household: lan.Lan) -> lan.Computer:
    """A computer on the same network that is in no tailnet."""
    return household.computer("stranger")
