"""A booted Debian that a playbook reaches by SSH: systemd-nspawn on a bare system, with the changes kept to the side.

The machine sees a disk, a network card and systemd as its first process, as a laptop would. It has this machine's
kernel and clock: sysctls outside net/ are read-only, and resource limits of units are not enforced. What units say of
addresses (IPAddressDeny) is.

Its files are layers: the bare system, what earlier `keep()`s froze, and what has changed since. The mounts are in a
namespace of the machine's own, so that they go when its last process does. They are volatile: nothing in it waits for
the disk, because what ends here is the machine and never the one that it stands on.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.host import base, surroundings
from tests.host.lan import Lan
from tests.host.shell import CommandFailed, run
from tests.stores import wait_until

# In sh, in the machine's mount namespace: its mounts, then systemd-nspawn again for as long as the machine reboots.
LAUNCH = """
mkdir -p /run/systemd && mount -t tmpfs -o mode=755 tmpfs /run/systemd || exit 1
rm -rf "$3/work" # what an earlier start left; it would refuse to be volatile once more
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3,volatile" "$4" || exit 1
link=$5
shift 5
while :; do
    # That of an earlier boot goes a moment after its last process, or later where something looked in from outside.
    ip link delete "$link" 2>/dev/null
    "$@" </dev/null
    code=$?
    [ "$code" = 133 ] || exit "$code"
done
"""
POWER_OFF, REBOOT = signal.SIGRTMIN + 4, signal.SIGRTMIN + 5  # systemd(1), "Signals"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CARD = "[Match]\nName=host0\n[Network]\nAddress={address}/24\nGateway={gateway}\n"


class Machine:
    """Made bare and not started. `environment` is that of its services, as a place sets it for all of them."""

    def __init__(self, lan: Lan, name: str, release: str, environment: dict[str, str] | None = None) -> None:
        self.lan, self.name, self.release = lan, name, release
        self.address = lan.next_address()
        self.folder = lan.folder / name
        # Its name for systemd-nspawn, which names a link after it: unique on this machine, and short.
        self._unit = f"{self.lan.name}-{self.address.rpartition('.')[2]}"
        self.console = self.folder / "console.log"
        self._launcher: subprocess.Popen[bytes] | None = None
        self.folder.mkdir()
        self._layers = [self._furnish(environment or {}), base.system(release)]  # the uppermost first
        self._changes = self._new_layer()

    @property
    def ssh_options(self) -> list[str]:
        """Options of ssh for whatever address it is reached by; also for Ansible's ansible_ssh_common_args."""
        settings = {
            "IdentityFile": self.lan.key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.lan.known_hosts,
            "HostKeyAlias": self.name,
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": 5,
        }
        return ["-F", "none", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]

    def ssh(self, *command: str, address: str = "") -> list[str]:
        """Return the command line of ssh to root on the machine."""
        return ["ssh", *self.ssh_options, f"root@{address or self.address}", *command]

    def run(self, command: str, *, stdin: str = "", timeout: float = 60, check: bool = True) -> str:
        """Run a line of sh as root inside, whatever its network is like; return what it printed."""
        enter = ["nsenter", "--target", str(self.init), "--all", "--wd", "--", "env", "-i"]
        clean = [f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]
        return run([*enter, *clean, "sh", "-c", command], stdin=stdin, timeout=timeout, check=check)

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file of the running machine."""
        target = Path(f"/proc/{self.init}/root") / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    @property
    def init(self) -> int:
        """The process id, as seen from here, of its first process; CommandFailed where it does not run."""
        found = next((pid for pid in self._processes() if _is_first(pid)), None)
        if found is None:
            raise CommandFailed(f"{self.name} does not run; its console said\n{self._said()}")
        return found

    @property
    def is_up(self) -> bool:
        return self._launcher is not None and self._launcher.poll() is None

    def start(self) -> None:
        """Boot, and wait until ssh answers."""
        assert not self.is_up, f"{self.name} runs already"
        self.lan.end_group(self.name)
        with self.console.open("ab") as console:
            self._launcher = subprocess.Popen(
                self.lan.grouped(self.name, self._command()),
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        wait_until(self._answers, 120, f"ssh to {self.name}")

    def reboot(self) -> None:
        """Let it shut down and boot again, as its owner would; wait until ssh answers."""
        before = self._ask(REBOOT)
        wait_until(lambda: not Path(f"/proc/{before}").exists(), 120, f"shutdown of {self.name}")
        wait_until(self._answers, 120, f"ssh to {self.name}")

    def kill(self) -> None:
        """kill -9 of its first process, and with it of all others: the nearest to a power cut."""
        os.kill(self.init, signal.SIGKILL)
        self._wait_for_end()

    def stop(self) -> None:
        """Shut down as its owner does."""
        if self.is_up:
            self._ask(POWER_OFF)
            self._wait_for_end()

    def keep(self) -> None:
        """Freeze what it is like now, shut down: `put_back` brings it back to here, any number of times."""
        self.stop()
        self._layers.insert(0, self._changes)
        self._changes = self._new_layer()

    def put_back(self) -> None:
        """Drop, at once, whatever happened since `keep` (or since it was bare), running or not."""
        self.lan.end_group(self.name)
        self._wait_for_end()
        shutil.rmtree(self._changes)
        self._changes = self._new_layer()

    def discard(self) -> None:
        """End it without a word, and delete it; the packages that it fetched are kept for the next one."""
        self.lan.end_group(self.name)
        self._wait_for_end()
        for layer in (self._changes, *self._layers[:-1]):
            base.keep_packages(self.release, layer)
        shutil.rmtree(self.folder)

    def written(self) -> dict[str, int]:
        """Return what has been written below /etc, /usr, /opt, /srv and dpkg's since it was bare, with its times."""
        below = (self._changes / folder for folder in ("etc", "usr", "opt", "srv", "var/lib/dpkg", "var/lib/nebula"))
        files = (path for folder in below if folder.exists() for path in folder.rglob("*") if not path.is_dir())
        return {str(path.relative_to(self._changes)): path.lstat().st_mtime_ns for path in files}

    def boot(self) -> str:
        """Return what no two boots share; "" between two."""
        try:
            return self.run("cat /proc/sys/kernel/random/boot_id")
        except CommandFailed:
            return ""

    def journal(self, *arguments: str) -> str:
        """Return the end of its journal, for a failed test's message."""
        return self.run(f"journalctl --no-pager -n 200 {' '.join(arguments)}", check=False)

    def _answers(self) -> bool:
        """Whether ssh answers at its address, asked from within its own network: no firewall hides that."""
        if not self.is_up:
            raise CommandFailed(f"{self.name} ended while it started; its console said\n{self._said()}")
        try:
            run(["nsenter", "--target", str(self.init), "--net", *self.ssh("true")], timeout=20)
        except CommandFailed:
            return False
        return True

    def _ask(self, number: int) -> int:
        """Send a signal to its systemd; return the process id that it had.

        A command entered from here would do as well, but systemd waits at the end for processes that are not its own.
        """
        pid = self.init
        os.kill(pid, number)
        return pid

    def _wait_for_end(self) -> None:
        if self._launcher is None:
            return
        try:
            self._launcher.wait(120)
        except subprocess.TimeoutExpired:
            self.lan.end_group(self.name)
            raise CommandFailed(f"{self.name} did not end within 120 s\n{self._said()}") from None
        finally:
            self._launcher = None
        self.lan.end_group(self.name)

    def _command(self) -> list[str]:
        root, work = self.folder / "root", self.folder / "work"
        for folder in (root, work):
            folder.mkdir(exist_ok=True)
        lower = ":".join(map(str, self._layers))
        launch = ["sh", "-c", LAUNCH, "machine", lower, str(self._changes), str(work), str(root), f"vb-{self._unit}"]
        return ["unshare", "--mount", "--propagation", "private", *launch, *self._boots(root)]

    def _boots(self, root: Path) -> list[str]:
        return [
            "systemd-nspawn",
            *("--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"),
            *(f"--directory={root}", f"--machine={self._unit}", f"--hostname={self.name}"),
            *(f"--network-bridge={self.lan.name}", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            "--bind=/dev/net/tun",
            # systemd enforces IPAddressDeny= with these, and silently does not without.
            *("--capability=CAP_BPF,CAP_PERFMON", "--system-call-filter=bpf"),
        ]

    def _new_layer(self) -> Path:
        layer = self.folder / uuid.uuid4().hex
        layer.mkdir(mode=0o755)
        return layer

    def _furnish(self, environment: dict[str, str]) -> Path:
        """Return a layer with what an installer asks for (name, address, root's key), and the way to the registries."""
        files = surroundings.files() | {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n",
            "etc/machine-id": f"{uuid.uuid4().hex}\n",
            "etc/systemd/network/10-host0.network": CARD.format(address=self.address, gateway=self.lan.gateway),
            "root/.ssh/authorized_keys": self.lan.key.with_suffix(".pub").read_text(),
        }
        if environment:
            words = " ".join(f"{name}={value}" for name, value in environment.items())
            files["etc/systemd/system.conf.d/environment.conf"] = f"[Manager]\nDefaultEnvironment={words}\n"
        layer = self._new_layer()
        for path, text in files.items():
            (layer / path).parent.mkdir(parents=True, exist_ok=True)
            (layer / path).write_text(text)
        for folder in ("root", "root/.ssh"):
            (layer / folder).chmod(0o700)
        self._make_host_keys(layer)
        base.lend_packages(self.release, layer)
        return layer

    def _make_host_keys(self, layer: Path) -> None:
        (layer / "etc/ssh").mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-A", "-f", layer])
        keys = [path.read_text().split()[:2] for path in (layer / "etc/ssh").glob("*.pub")]
        with self.lan.known_hosts.open("a") as known:
            known.writelines(f"{self.name} {kind} {key}\n" for kind, key in keys)

    def _processes(self) -> Iterator[int]:
        try:
            for listed in (self.lan.group / self.name).rglob("cgroup.procs"):
                yield from map(int, _text(listed).split())
        except FileNotFoundError:  # a group that went while it was looked through
            return

    def _said(self) -> str:
        return self.console.read_text(errors="replace")[-3000:]


def _is_first(pid: int) -> bool:
    """Whether it is process 1 of a process namespace below this one."""
    numbers: Sequence[str] = next(
        (line.split()[1:] for line in _text(Path(f"/proc/{pid}/status")).splitlines() if line.startswith("NSpid:")), ()
    )
    return len(numbers) > 1 and numbers[-1] == "1"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""
