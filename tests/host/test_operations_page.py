"""What docs/laptop.md answers, carried out as it stands there on the provisioned laptop."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host import films, page
from tests.host.shell import CommandFailed
from tests.host.site import Owner
from tests.stores import wait_until

SERVICES = "nebula-api.service nebula-quick.service nebula-worker.service minio.service"
# Where films are made and objects lie: one disk, as on a laptop.
DATA = {"films": "/var/lib/nebula", "objects": "/var/lib/minio/drive"}
SMALL = "/run/small-disk"
RESERVE_MIB, ROOM_MIB = 1024, 160
FILES_MIB = {"old": 50, "older": 50, "new": 90}
WAITED_S = 180
# The object store looks through its trash for the first time five minutes after its start.
ROOM_COMES_S = 400


@pytest.fixture
def small_disk(owner: Owner) -> Iterator[None]:
    """The laptop's data on a disk with room for little more than the reserve."""
    machine = owner.machine
    used_kib = sum(int(machine.run(f"du -sk {path}").split()[0]) for path in DATA.values())
    machine.run(f"systemctl stop {SERVICES}")
    try:
        size_mib = used_kib // 1024 + RESERVE_MIB + ROOM_MIB
        machine.run(f"mkdir -p {SMALL} && mount -t tmpfs -o size={size_mib}m tmpfs {SMALL}")
        for name, path in DATA.items():
            machine.run(f"cp -a {path} {SMALL}/{name} && mount --bind {SMALL}/{name} {path}", timeout=300)
        machine.run(f"systemctl start {SERVICES}")
        wait_until(owner.is_ready, WAITED_S, "the gateway on the small disk")
        yield
    finally:
        machine.run(f"systemctl stop {SERVICES}; umount {' '.join(DATA.values())} {SMALL}; systemctl start {SERVICES}")
        wait_until(owner.is_ready, WAITED_S, "the gateway on its own disk")


@pytest.mark.long
def test_full_disk_is_given_room_again(owner: Owner, small_disk: None, tmp_path: Path) -> None:
    look, list_files, remove, empty = page.commands("The disk is full")
    old, older, new = (_noise(tmp_path / f"{name}.bin", mib) for name, mib in FILES_MIB.items())
    for path in (old, older):
        owner.nebula("upload", str(path))
    assert "disk is full" in _refusal(owner, "upload", str(new))
    assert "free" in page.carry_out(owner, look)
    assert old.name in page.carry_out(owner, list_files)
    page.carry_out(owner, remove, NAME=old.name)
    owner.nebula("rm", older.name)
    page.carry_out(owner, empty)
    wait_until(lambda: not _refusal(owner, "upload", str(new)), ROOM_COMES_S, "room for the refused upload")


def test_film_that_was_stuck_is_made_when_the_workers_are_started(owner: Owner, tmp_path: Path) -> None:
    look, start, retry = page.commands("A film is stuck")
    path = tmp_path / "stuck.mkv"
    films.make(path, seconds=7)
    owner.machine.run("systemctl stop nebula-quick.service nebula-worker.service")
    owner.nebula("upload", str(path))
    assert "queued" in page.carry_out(owner, look)
    job, *_ = owner.rows("jobs")
    owner.nebula("cancel", job["id"])
    page.carry_out(owner, retry, ID=job["id"])
    page.carry_out(owner, start)
    wait_until(lambda: owner.state(path.name) == "ready", WAITED_S, "the film")


def test_forgotten_password_is_replaced_and_every_session_ends(owner: Owner) -> None:
    reset, login = page.commands("I forgot the password")
    forgotten = owner.password_file.read_text()
    page.carry_out(owner, f"{reset} --password-stdin", stdin="another long password\n")
    try:
        wait_until(lambda: "nebula login" in _refusal(owner, "ls"), WAITED_S, "the end of the session")
        page.carry_out(owner, f"{login} --password-stdin", stdin="another long password\n")
        owner.nebula("ls")
    finally:
        page.carry_out(owner, f"{reset} --password-stdin", stdin=forgotten)
        page.carry_out(owner, f"{login} --password-stdin", stdin=forgotten)


def _noise(path: Path, mib: int) -> Path:
    path.write_bytes(random.Random(path.name).randbytes(mib << 20))
    return path


def _refusal(owner: Owner, *words: str) -> str:
    """Run the client; return what it said when it failed, "" where it did not."""
    try:
        owner.nebula(*words)
    except CommandFailed as refusal:
        return str(refusal)
    return ""
