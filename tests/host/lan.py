"""A household's network: a bridge, addresses 10.99.N.0/24, a way out to the package registries, computers on it.

Several can stand at once on one machine, each with a number of its own that a lock holds. What a run that was killed
left behind (processes in its control group, links, namespaces, rules, files) goes when its number is taken again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.host.shell import CommandFailed, run
from tests.stores import wait_until

ROOM = Path("/var/lib/nebula-test-lans")
NUMBERS = range(1, 100)
TOOLS = {"ip": "iproute2", "nft": "nftables", "unshare": "util-linux", "nsenter": "util-linux", "ssh": "openssh-client"}
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
RULES = """table ip {name} {{
    chain out {{
        type nat hook postrouting priority srcnat
        ip saddr {subnet} ip daddr != {subnet} masquerade
    }}
    # The machine's own way out may carry smaller packets than the bridge.
    chain forward {{
        type filter hook forward priority mangle
        tcp flags syn tcp option maxseg size set rt mtu
    }}
}}
"""


def missing() -> str:
    """Return what this machine lacks for a network of machines and how to get that; "" where it is all there."""
    if os.geteuid() != 0:
        return "provisioning is tested on booted machines, which takes root: run it as root"
    lacking = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if lacking:
        return f"not installed: apt-get install {' '.join(lacking)}"
    if not control_groups():
        return "this kernel shows no cgroup2 file system, which booting a machine takes"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun here, which a tailnet takes"
    try:
        run(["unshare", "--mount", "--net", "true"])
    except CommandFailed:
        return "root may make no namespaces here, in which machines are booted"
    return ""


def control_groups() -> Path | None:
    """Return where the unified hierarchy is mounted."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"), None)


class Lan:
    """Use as a context manager; everything in it ends with it."""

    def __init__(self) -> None:
        with _room():
            self.number, self._lock = _take_number()
            _start_forwarding()
        self.name = f"nebula{self.number}"
        self.subnet = f"10.99.{self.number}.0/24"
        self.gateway = f"10.99.{self.number}.1"
        self.folder = ROOM / str(self.number)
        self.key = self.folder / "key"
        self.known_hosts = self.folder / "known_hosts"
        self.daemons: list[subprocess.Popen[bytes]] = []
        self._addresses = iter(range(10, 250))
        groups = control_groups()
        assert groups is not None
        self.group = groups / self.name

    def __enter__(self) -> Lan:
        self._clear()
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()
        with _room():
            self._lock.close()
            _stop_forwarding()

    def next_address(self) -> str:
        return f"10.99.{self.number}.{next(self._addresses)}"

    def grouped(self, name: str, argv: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `argv` in a control group of this network."""
        group = self.group / name
        group.mkdir(parents=True, exist_ok=True)
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(group / "cgroup.procs"), *map(str, argv)]

    def end_group(self, name: str = "") -> None:
        """kill -9 of every process in a control group and those below it, waited for."""
        end_group(self.group / name)

    def computer(self, name: str) -> Computer:
        """Return another computer on this network: a network namespace of its own."""
        return Computer(self, name)

    def _make(self) -> None:
        for folder in (self.folder, self.group):
            folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", self.key])
        self.known_hosts.touch()
        run(["ip", "link", "add", self.name, "type", "bridge"])
        run(["ip", "address", "add", f"{self.gateway}/24", "dev", self.name])
        run(["ip", "link", "set", self.name, "up"])
        run(["nft", "-f", "-"], stdin=RULES.format(name=self.name, subnet=self.subnet))

    def _clear(self) -> None:
        self.end_group()
        while self.daemons:
            self.daemons.pop().wait(10)
        for namespace in _namespaces(f"{self.name}-"):
            run(["ip", "netns", "delete", namespace])
            shutil.rmtree(Path("/etc/netns") / namespace, ignore_errors=True)
        # A namespace goes when its last connection has ended, its end of a cable only with it: taken out from here.
        for card in Path("/sys/class/net").glob(f"nb{self.number}-*"):
            run(["ip", "link", "delete", card.name], check=False)  # it may go by itself just now
        bridge = Path("/sys/class/net", self.name)
        if bridge.exists():
            for link in [*(port.name for port in (bridge / "brif").iterdir()), self.name]:
                run(["ip", "link", "delete", link], check=False)  # it may be going just now
        run(["nft", "delete", "table", "ip", self.name], check=False)  # there may be none
        shutil.rmtree(self.folder, ignore_errors=True)


class Computer:
    """A computer without a system of its own: this machine's programs, in its own network and with its own names."""

    def __init__(self, lan: Lan, name: str) -> None:
        self.lan, self.name = lan, name
        self.address = lan.next_address()
        self.namespace = f"{lan.name}-{name}"
        self._files = Path("/etc/netns") / self.namespace
        self._plug_in()

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `argv` there, for a test's own subprocess."""
        return self.lan.grouped(self.name, ["ip", "netns", "exec", self.namespace, *argv])

    def run(self, argv: Sequence[str | Path], *, stdin: str = "", timeout: float = 60, check: bool = True) -> str:
        return run(self.argv(argv), stdin=stdin, timeout=timeout, check=check)

    def start(self, argv: Sequence[str | Path], log: Path, environ: dict[str, str] | None = None) -> None:
        """Start a daemon there; it ends with the network."""
        with log.open("ab") as out:
            daemon = subprocess.Popen(
                self.argv(argv),
                env=os.environ | (environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.lan.daemons.append(daemon)

    def knows(self, name: str, address: str) -> None:
        """Let `name` lead to `address` on this computer alone, as a line in its /etc/hosts; the last word counts."""
        hosts = self._files / "hosts"
        others = [line for line in hosts.read_text().splitlines() if line.split()[-1] != name]
        hosts.write_text("\n".join([*others, f"{address} {name}", ""]))  # in place: it is mounted where a program runs

    def _plug_in(self) -> None:
        self._files.mkdir(parents=True, exist_ok=True)
        (self._files / "hosts").write_text("127.0.0.1 localhost\n")
        run(["ip", "netns", "add", self.namespace])
        inside = ["ip", "-n", self.namespace]
        link = f"nb{self.lan.number}-{self.name}"[:15]
        run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.namespace])
        run(["ip", "link", "set", link, "master", self.lan.name, "up"])
        run([*inside, "address", "add", f"{self.address}/24", "dev", "eth0"])
        for device in ("lo", "eth0"):
            run([*inside, "link", "set", device, "up"])
        run([*inside, "route", "add", "default", "via", self.lan.gateway])


def end_group(group: Path) -> None:
    """kill -9 of every process in a control group and those below it, waited for; it is gone then."""
    if not group.exists():
        return
    (group / "cgroup.kill").write_text("1")
    wait_until(lambda: "populated 0" in (group / "cgroup.events").read_text(), 30, f"end of {group.name}")
    for below in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        below.rmdir()
    group.rmdir()


@contextmanager
def _room() -> Iterator[None]:
    """One run at a time comes or goes."""
    ROOM.mkdir(parents=True, exist_ok=True)
    with (ROOM / "room.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _take_number() -> tuple[int, IO[str]]:
    for number in NUMBERS:
        lock = (ROOM / f"{number}.lock").open("a")
        if _locks(lock):
            return number, lock
        lock.close()
    raise AssertionError(f"{len(NUMBERS)} networks of machines stand here already (the locks in {ROOM})")


def _locks(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _namespaces(prefix: str) -> list[str]:
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.glob(f"{prefix}*")) if folder.exists() else []


def _start_forwarding() -> None:
    """Let this machine forward packets, and remember that it did not."""
    if FORWARDING.read_text().strip() == "0":
        (ROOM / "forwarding-was-off").touch()
        FORWARDING.write_text("1")


def _stop_forwarding() -> None:
    """Put it back when no network stands."""
    mark = ROOM / "forwarding-was-off"
    if mark.exists() and not any(map(_is_taken, NUMBERS)):
        FORWARDING.write_text("0")
        mark.unlink()


def _is_taken(number: int) -> bool:
    path = ROOM / f"{number}.lock"
    if not path.exists():
        return False
    with path.open("a") as lock:
        return not _locks(lock)
