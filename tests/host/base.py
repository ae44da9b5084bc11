"""Bare Debian systems as debootstrap makes them, kept under ~/.cache/nebula/machines, and the packages they fetched."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.host import surroundings
from tests.host.shell import run

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nebula" / "machines"
SUITES = {"12": "bookworm", "13": "trixie"}
# What a minimal installation with an SSH server has; everything else is for the roles to install.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "openssh-server", "sudo", "iproute2")
TOOLS = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container"}
FORM = "1"  # counts the changes of what this module makes of a system
ARCHIVES = Path("var/cache/apt/archives")


def missing() -> str:
    """Return what this machine lacks and how to get that; "" where it is all there."""
    lacking = sorted(package for tool, package in TOOLS.items() if not shutil.which(tool))
    return f"not installed: apt-get install {' '.join(lacking)}" if lacking else ""


def system(release: str) -> Path:
    """Return the root directory of a bare Debian 12 or 13, to be read only; made when it is not there yet."""
    suite = SUITES[release]
    key = hashlib.sha256(" ".join((FORM, suite, *PACKAGES)).encode()).hexdigest()[:12]
    made = CACHE / f"{suite}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the second of two runs waits, and finds it made
        if not made.exists():
            part = CACHE / f"{suite}.part"
            shutil.rmtree(part, ignore_errors=True)
            _make(suite, part).rename(made)
        os.utime(made)
        _forget_old(CACHE.glob(f"{suite}-*"))
    return made


def lend_packages(release: str, tree: Path) -> None:
    """Lay the packages that earlier machines fetched into `tree`: apt checks them, and fetches what is not there."""
    archives = tree / ARCHIVES
    archives.mkdir(parents=True, exist_ok=True)
    for package in _packages(release).glob("*.deb"):
        _link(package, archives / package.name)


def keep_packages(release: str, tree: Path) -> None:
    """Keep what a machine fetched for the next one."""
    kept = _packages(release)
    for package in (tree / ARCHIVES).glob("*.deb"):
        if not (kept / package.name).exists():
            _link(package, kept / package.name)


def _forget_old(systems: Iterable[Path]) -> None:
    """Delete those that no run has used for a month (another checkout may want another one)."""
    for path in systems:
        if path.stat().st_mtime < time.time() - 30 * 86400:
            shutil.rmtree(path)


def _packages(release: str) -> Path:
    folder = CACHE / f"packages-{release}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _make(suite: str, tree: Path) -> Path:
    archive, security = surroundings.mirrors()
    log = CACHE / f"{suite}.log"
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(tree)]
    with log.open("wb") as out:
        status = subprocess.run(
            [*command, *filter(None, [archive])], stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=1200
        ).returncode
    assert status == 0, f"debootstrap: status {status}\n{log.read_text(errors='replace')[-4000:]}"
    _write_sources(suite, tree, archive, security)
    _forget_itself(tree)
    return tree


def _write_sources(suite: str, tree: Path, archive: str, security: str) -> None:
    components = "main non-free-firmware"  # as the installer writes them
    lines = [f"deb {archive} {suite} {components}", f"deb {archive} {suite}-updates {components}"] if archive else []
    lines += [f"deb {security} {suite}-security {components}"] if security else []
    if lines:
        (tree / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in lines))


def _forget_itself(tree: Path) -> None:
    """Take out what each machine has of its own, and what was fetched for the making."""
    own = [*tree.glob("etc/ssh/ssh_host_*"), *(tree / ARCHIVES).glob("*.deb"), tree / "etc/hostname"]
    for path in [*own, tree / "etc/resolv.conf"]:
        path.unlink(missing_ok=True)
    (tree / "etc/machine-id").write_text("")
    run(["chroot", tree, "systemctl", "enable", "-q", "systemd-networkd"])
