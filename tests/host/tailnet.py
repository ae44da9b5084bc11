"""A real tailnet on the machines' network: headscale as its coordination server and relay, Tailscale's own daemons.

Nothing of it leaves the network that it stands on: headscale knows no other relays, asks for no updates and is spoken
to by plain HTTP, for which daemons need `ENVIRONMENT`.
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.host.lan import Computer, Lan
from tests.host.shell import CommandFailed, run
from tests.static.source import ROOT
from tests.stores import wait_until

# Without the first, the first contact takes 10 s and more; the others keep a daemon from asking hosts outside.
ENVIRONMENT = {"TS_DEBUG_USE_DERP_HTTP": "1", "TS_NO_LOGS_NO_SUPPORT": "1", "TS_DISABLE_PORTMAPPER": "1"}
TAG = "tag:nebula"
OWNER = "owner"
PORT = 8080


def build() -> Path:
    """Return the directory of headscale, tailscale and tailscaled; takes minutes when they are not built yet."""
    return Path(run([ROOT / "script" / "build-tailnet"], timeout=1500).splitlines()[-1])


class Tailnet:
    """Ready when made; it ends with its network. People join with `key()`, machines with `key(TAG)`."""

    def __init__(self, lan: Lan, programs: Path) -> None:
        self.lan, self.programs = lan, programs
        self.folder = lan.folder / "tailnet"
        self.folder.mkdir()
        self._computer = lan.computer("headscale")
        self.login_server = f"http://{self._computer.address}:{PORT}"
        self._config = self.folder / "config.json"
        self._write_config()
        log = self.folder / "headscale.log"
        self._computer.start([programs / "headscale", "serve", "--config", self._config], log)
        wait_until(self._is_healthy, 60, f"headscale ({log})")
        self._headscale("users", "create", OWNER)

    def key(self, tag: str = "", *, minutes: int = 60, reusable: bool = True) -> str:
        """Return a new key that joins."""
        tags = ["--tags", tag] if tag else []
        often = ["--reusable"] if reusable else []
        made = self._headscale("preauthkeys", "create", "--user", "1", "--expiration", f"{minutes}m", *tags, *often)
        return made.splitlines()[-1].strip()

    def join(self, computer: Computer) -> Member:
        """Let a computer join as a person's."""
        return Member(self, computer)

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return what headscale knows of each node, by name."""
        found = json.loads(self._headscale("nodes", "list", "--output", "json")) or []
        return {node["given_name"]: node for node in found}

    def address(self, name: str) -> str:
        """Return a node's address 100.64.x.y."""
        return next(str(address) for address in self.nodes()[name]["ip_addresses"] if "." in address)

    def _is_healthy(self) -> bool:
        with urllib.request.urlopen(f"{self.login_server}/health", timeout=2) as answer:
            return bool(answer.status == 200)

    def _headscale(self, *words: str) -> str:
        return run([self.programs / "headscale", "--config", self._config, *words], timeout=30)

    def _write_config(self) -> None:
        policy = self.folder / "policy.json"
        everyone = {"action": "accept", "src": ["*"], "dst": ["*:*"]}
        policy.write_text(json.dumps({"tagOwners": {TAG: [f"{OWNER}@"]}, "acls": [everyone]}))
        self._config.write_text(json.dumps(_config(self.folder, self.login_server, policy)))


class Member:
    """A computer's place in a tailnet: its own tailscaled, whose network card is tailscale0 there."""

    def __init__(self, tailnet: Tailnet, computer: Computer) -> None:
        self.tailnet, self.computer = tailnet, computer
        self._socket = tailnet.folder / f"{computer.name}.sock"
        self._log = tailnet.folder / f"{computer.name}.log"
        state = tailnet.folder / computer.name
        state.mkdir()
        places: list[str | Path] = [
            "--statedir",
            state,
            "--socket",
            self._socket,
            "--tun",
            "tailscale0",
            "--port",
            "41641",
        ]
        computer.start([tailnet.programs / "tailscaled", "--no-logs-no-support", *places], self._log, ENVIRONMENT)
        wait_until(self._socket.exists, 30, f"tailscaled of {computer.name} ({self._log})")
        self.join()

    @property
    def address(self) -> str:
        return self.tailscale("ip", "-4")

    def join(self) -> None:
        """Join, or join again after `leave`."""
        settings = [f"--login-server={self.tailnet.login_server}", f"--hostname={self.computer.name}"]
        up = ["up", *settings, "--auth-key=file:/dev/stdin", "--accept-dns=false", "--timeout=60s"]
        self.tailscale(*up, stdin=self.tailnet.key(), timeout=90)

    def leave(self) -> None:
        self.tailscale("logout")

    def reaches(self, node: str) -> bool:
        """Whether a ping through the tailnet comes back, straight or by the relay."""
        try:
            return "pong" in self.tailscale("ping", "--c=1", "--timeout=5s", "--until-direct=false", node)
        except CommandFailed:
            return False

    def status(self) -> str:
        """Return what it knows of the others, and the end of its log, for a failed test's message."""
        return f"{self.tailscale('status')}\n{self._log.read_text(errors='replace')[-8000:]}"

    def tailscale(self, *words: str, stdin: str = "", timeout: float = 60) -> str:
        """Run the command `tailscale` on that computer."""
        command: list[str | Path] = [self.tailnet.programs / "tailscale", "--socket", self._socket, *words]
        return self.computer.run(command, stdin=stdin, timeout=timeout)


def _config(folder: Path, server_url: str, policy: Path) -> dict[str, Any]:
    relay = {
        "enabled": True,
        "region_id": 999,
        "region_code": "test",
        "region_name": "test",
        "stun_listen_addr": "0.0.0.0:3478",
        "private_key_path": str(folder / "derp.key"),
        "automatically_add_embedded_derp_region": True,
    }
    return {
        "server_url": server_url,
        "listen_addr": f"0.0.0.0:{PORT}",
        "metrics_listen_addr": "127.0.0.1:9090",
        "grpc_listen_addr": "127.0.0.1:50443",
        "noise": {"private_key_path": str(folder / "noise.key")},
        "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
        "derp": {"server": relay, "urls": [], "paths": [], "auto_update_enabled": False},
        "disable_check_updates": True,
        "database": {"type": "sqlite", "sqlite": {"path": str(folder / "headscale.sqlite")}},
        "policy": {"mode": "file", "path": str(policy)},
        "dns": {"magic_dns": True, "base_domain": "tailnet.test", "override_local_dns": False},
        "unix_socket": str(folder / "headscale.sock"),
        "log": {"level": "info"},
    }
