"""The owner's computer: a checkout's playbooks and client, run where the owner would run them, in the tailnet."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.host.machine import Machine
from tests.host.shell import CommandFailed, run
from tests.host.tailnet import TAG, Member, Tailnet
from tests.static.source import ROOT
from tests.stores import wait_until

INVENTORY = """[nebula]
{name}

[workers]

[nebula:vars]
ansible_host={{{{ bootstrap_address | default(inventory_hostname) }}}}

[workers:vars]
ansible_host={{{{ worker_address | default(inventory_hostname) }}}}

[all:vars]
ansible_user=root
ansible_ssh_common_args={ssh_options}
"""
RECAP = re.compile(r"^(\S+)\s+: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.M)
BACK_S = 180
READY = "curl -s -m 10 --unix-socket /run/nebula/api.sock http://localhost/readyz"
LOOK_ROUND = (
    "uptime",
    "systemctl list-units --failed --plain --no-legend; systemctl list-jobs --no-pager",
    "ss -lnt",
    "ip -brief address",
    "tailscale status",
    "journalctl --no-pager -u tailscaled -u nebula-api.socket -u nebula-api -n 80",
)
AS_WORKER = "/usr/local/lib/nebula/as-worker"  # runs a command in the encode worker's sandbox
BIN = Path(sys.executable).parent


def missing() -> str:
    """Return what this machine lacks to run a playbook; "" where it is all there."""
    return "" if _playbook() else "ansible-playbook is not installed: script/bootstrap --test"


def _playbook() -> str | None:
    return shutil.which("ansible-playbook", path=f"{BIN}:{os.environ.get('PATH', '')}")


class Owner:
    """`home` is the owner's home directory; programs that take long to build come from this machine's cache."""

    def __init__(self, member: Member, machine: Machine, mesh: Tailnet, home: Path) -> None:
        self.member, self.machine, self.mesh, self.home = member, machine, mesh, home
        self.inventory = home / "inventory.ini"
        self.inventory.write_text(INVENTORY.format(name=machine.name, ssh_options=repr(self._ssh_options())))
        self.left_folder = home / ".local/state/nebula" / machine.name
        self.settings: dict[str, Any] = {
            "base_disk_minimum_gb": 5,
            "tailscale_source": "file",
            "tailscale_file_dir": str(mesh.programs),
            "tailscale_login_server": mesh.login_server,
            "tailscale_accept_dns": False,
            "gitops_public_key_files": [str(machine.lan.key.with_suffix(".pub"))],
        }

    @property
    def address(self) -> str:
        """The machine's, in the tailnet."""
        return self.mesh.address(self.machine.name)

    @property
    def server(self) -> str:
        return f"http://{self.machine.name}:8420"

    @property
    def password_file(self) -> Path:
        return self.left_folder / "owner-password"

    def bootstrap(self) -> str:
        """The first run: by the plain address, with a key to the tailnet, where the name leads from now on."""
        first = ["--limit", self.machine.name, "-e", f"bootstrap_address={self.machine.address}"]
        printed = self.playbook(*first, environ={"TAILSCALE_AUTH_KEY": self.mesh.key(TAG, reusable=False)})
        self.knows_address()
        return printed

    def keep(self) -> None:
        """Shut the machine down: `put_back` brings it and this home back to here, any number of times."""
        self.machine.keep()
        self._kept_settings = dict(self.settings)
        shutil.copytree(self.home, self._kept_home, ignore=shutil.ignore_patterns(".ansible"))

    def put_back(self) -> None:
        """Drop, at both ends, whatever happened since `keep`; boot."""
        self.machine.put_back()
        shutil.rmtree(self.home)
        shutil.copytree(self._kept_home, self.home)
        self.settings = dict(self._kept_settings)
        self.machine.start()
        self.is_back()

    def is_back(self) -> None:
        """Wait until the booted machine serves in the tailnet."""
        self.knows_address()
        try:
            wait_until(self.pongs, BACK_S, f"the gateway of {self.machine.name} in the tailnet")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self._seen()}") from None

    def _seen(self) -> str:
        """What both ends say of the way between them, for a failed test's message."""
        there = [f"$ {line}\n{self.machine.run(line, check=False)}" for line in LOOK_ROUND]
        return "\n".join([*there, "$ visitor: tailscale status", self.member.status()])

    @property
    def _kept_home(self) -> Path:
        return self.home.with_name(f"{self.home.name}-kept")

    def knows_address(self) -> None:
        """Let the machine's name lead to its tailnet address here, as the tailnet's names (MagicDNS) do."""
        self.member.computer.knows(self.machine.name, self.address)

    def playbook(self, *words: str, name: str = "site.yml", environ: dict[str, str] | None = None) -> str:
        """Run a playbook of this checkout; return what it printed. It fails where a task failed."""
        return self.run(self._playbook_command(name, words), timeout=1800, environ=environ)

    def stopped(self, *words: str, name: str = "site.yml", environ: dict[str, str] | None = None) -> str:
        """Run a playbook that has to fail; return what it printed, as one line."""
        try:
            printed = self.playbook(*words, name=name, environ=environ)
        except CommandFailed as stop:
            return " ".join(str(stop).split())
        raise AssertionError(f"nothing stopped it\n{printed[-3000:]}")

    def begin_playbook(
        self, *words: str, name: str = "site.yml", environ: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a playbook, for a test that will not let it end."""
        return self.start(self._playbook_command(name, words), environ)

    def cut_off(
        self, *words: str, name: str, when: Callable[[], object], environ: dict[str, str] | None = None
    ) -> None:
        """Run a playbook until `when`: then a power cut ends it and the machine, which boots again."""
        log = self.home / f"{name}.log"
        command = self._here(self._playbook_command(name, words), environ)
        with (
            log.open("w") as said,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as run,
        ):

            def is_time() -> bool:
                assert run.poll() is None, f"{name} ended before it could be cut off\n{log.read_text()[-3000:]}"
                return bool(when())

            try:
                wait_until(is_time, 1800, f"the moment to cut {name} off")
                self.machine.kill()
            finally:
                run.kill()
        shutil.rmtree(self.home / ".ansible/cp", ignore_errors=True)  # SSH's connections to what is no more
        self.machine.start()
        self.is_back()

    def _playbook_command(self, name: str, words: Sequence[str]) -> list[str]:
        book = _playbook()
        assert book, missing()
        settings = ["-e", json.dumps(self.settings)]
        inventory = [] if "-i" in words else ["-i", str(self.inventory)]
        return [book, *inventory, str(ROOT / "playbooks" / name), *settings, *words]

    def nebula(self, *words: str, stdin: str = "", timeout: float = 180) -> str:
        """Run the client."""
        return self.run([str(BIN / "nebula"), *words], stdin=stdin, timeout=timeout)

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a listing of the client with --json."""
        return [json.loads(line) for line in self.nebula(*words, "--json").splitlines() if line.startswith("{")]

    def state(self, name: str) -> str:
        """The state of the file of that name."""
        (row,) = self.rows("ls", name)
        return str(row["state"])

    def services(self) -> dict[str, str]:
        """How the gateway finds its stores, asked on the machine; nothing while it does not serve."""
        services: dict[str, str] = self._readiness().get("services", {})
        return services

    def pongs(self, seconds: int = 5) -> bool:
        """Whether the gateway itself answers: without the tailnet, a place's own way out may take any connection."""
        asks = ["curl", "-s", "-m", str(seconds), f"http://{self.address}:8420/ping"]
        return '"pong"' in self.member.computer.run(asks, check=False)

    def is_ready(self) -> bool:
        return bool(self._readiness().get("ready"))

    def _readiness(self) -> dict[str, Any]:
        answer = self.machine.run(READY, check=False)
        found: dict[str, Any] = json.loads(answer) if answer.startswith("{") else {}
        return found

    def run(
        self, argv: list[str], *, stdin: str = "", timeout: float = 60, environ: dict[str, str] | None = None
    ) -> str:
        return run(self._here(argv, environ), stdin=stdin, timeout=timeout)

    def start(self, argv: list[str], environ: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a program that talks by its standard input and output."""
        return subprocess.Popen(self._here(argv, environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ssh_options(self) -> str:
        """Return the owner's own habits: a key, and a memory of machines that begins empty."""
        key, memory = self.machine.lan.key, self.home / "known_hosts"
        return f"-F none -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={memory} -o BatchMode=yes"

    def _here(self, argv: list[str], environ: dict[str, str] | None) -> list[str]:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        settings = {
            "HOME": str(self.home),
            "XDG_CACHE_HOME": cache,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONUNBUFFERED": "1",  # what it prints is read while it runs
            "PYTHONPATH": str(ROOT),
        } | (environ or {})
        unset = ["-u", "XDG_STATE_HOME", "-u", "XDG_CONFIG_HOME"]
        return self.member.computer.argv(["env", *unset, *(f"{key}={value}" for key, value in settings.items()), *argv])


def changed(printed: str) -> dict[str, int]:
    """Return how many tasks of a run changed something, by machine; the run must have failed nowhere."""
    found = RECAP.findall(printed)
    assert found, printed[-3000:]
    assert all(unreachable == failed == "0" for _, _, unreachable, failed in found), printed[-3000:]
    return {name: int(count) for name, count, _, _ in found}
