"""A store that the inventory names elsewhere is used, and the one on the laptop is neither needed nor looked after."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.host import films
from tests.host.lan import Computer, Lan
from tests.host.site import Owner, changed
from tests.stores import wait_until


@dataclass
class Attic:
    """Another computer of the household, with a Redis."""

    computer: Computer
    password: str

    def asks(self, *words: str) -> str:
        return self.computer.run(["redis-cli", "-a", self.password, "--no-auth-warning", *words], check=False)

    @property
    def inventory(self) -> str:
        """What the inventory says of it, as variables for Ansible."""
        url = f"redis://:{self.password}@{self.computer.address}:6379/0"
        return json.dumps({"nebula_redis_url": url, "nebula_store_addresses": [self.computer.address]})


@pytest.fixture
def attic(owner: Owner, household: Lan, tmp_path: Path) -> Attic:
    attic = Attic(household.computer("attic"), secrets.token_hex(16))
    settings = ["--bind", "0.0.0.0", "--dir", str(tmp_path), "--save", "", "--requirepass", attic.password]
    attic.computer.start(["redis-server", *settings], tmp_path / "redis.log")
    wait_until(lambda: attic.asks("PING") == "PONG", 30, "the Redis in the attic")
    return attic


@pytest.mark.long
def test_queue_elsewhere_is_used_and_the_laptops_own_is_left_alone(owner: Owner, attic: Attic, tmp_path: Path) -> None:
    owner.machine.run("systemctl mask --quiet --runtime --now redis-server.service")  # the gateway would start it
    assert changed(owner.playbook("--tags", "redis,nebula", "-e", attic.inventory))["laptop"] > 0
    assert owner.machine.run("systemctl is-active redis-server.service", check=False) == "inactive"
    wait_until(lambda: owner.services().get("queue"), 120, "the queue in the attic")
    assert attic.password not in owner.machine.run("cat /etc/nebula/nebula.env")
    film = tmp_path / "attic.mkv"
    films.make(film, seconds=3)
    owner.nebula("upload", str(film))
    wait_until(lambda: owner.state(film.name) == "ready", 300, "the film")
    callers = {line.partition("addr=")[2].partition(":")[0] for line in attic.asks("CLIENT", "LIST").splitlines()}
    assert owner.machine.address in callers
    assert changed(owner.playbook("--tags", "redis,nebula", "-e", attic.inventory))["laptop"] == 0
    assert changed(owner.playbook("-e", attic.inventory, name="verify.yml")) == {"laptop": 0}
    owner.machine.run("systemctl unmask --quiet --runtime redis-server.service")
    assert changed(owner.playbook("--tags", "redis,nebula"))["laptop"] > 0
    wait_until(owner.is_ready, 120, "the gateway with the laptop's own queue")
