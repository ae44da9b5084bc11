"""The laptop died: an empty machine takes its place, from the recovery file and the backup alone.

The backup lies on a disk that is taken out of the one machine and put into the other; here it is copied.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.host import page
from tests.host.conftest import Administer, Boot
from tests.host.machine import Machine
from tests.host.shell import CommandFailed
from tests.host.site import BACK_S, BIN, Owner
from tests.host.tailnet import TAG
from tests.stores import wait_until

DISK = "/mnt/backup"
TARGET = f"{DISK}/nebula"
PARTS = "find /var/lib/minio/drive/.minio.sys/multipart -name 'part.*' | head -n 1"
SETTINGS = {"backup_repository": TARGET, "backup_same_disk_accepted": True}


@dataclass(frozen=True)
class Was:
    """The laptop at its last backup: what its people had, and the owner's home with the session of that moment."""

    owner: Owner
    home: Path
    files: dict[str, str]
    accounts: str
    link: str
    unfinished: Path

    @property
    def recovery_file(self) -> Path:
        return self.home / self.owner.left_folder.relative_to(self.owner.home) / "recovery.yml"


@pytest.fixture(scope="module")
def was(owner: Owner, film: Path, tmp_path_factory: pytest.TempPathFactory) -> Was:
    """The laptop with a film, a second person, a link, half an upload, and a backup of all that."""
    folder = tmp_path_factory.mktemp("was")
    owner.settings |= SETTINGS
    owner.playbook("--tags", "backup")
    wait_until(lambda: owner.state(film.name) == "ready", 300, "the film")
    owner.machine.run("nebula-server create-account anna --password-stdin", stdin="a long summer day\n")
    _leave_half_an_upload(owner, folder / "large.bin")
    link = owner.nebula("link", film.name, "--quality", "original").split()[0]
    owner.machine.run("systemctl start nebula-backup.service", timeout=900)
    shutil.copytree(owner.home, folder / "home", symlinks=True, ignore=shutil.ignore_patterns(".ansible"))
    return Was(
        owner,
        folder / "home",
        {row["name"]: row["sha256"] for row in owner.rows("ls")},
        owner.machine.run("nebula-server accounts"),
        link,
        folder / "large.bin",
    )


@pytest.fixture(scope="module")
def heir(was: Was, boot: Boot) -> Machine:
    """The bare machine that has the laptop's backup disk now."""
    machine = boot("heir")
    source, target = (Path(f"/proc/{one.init}/root{DISK}") for one in (was.owner.machine, machine))
    shutil.copytree(source, target)
    return machine


@pytest.fixture(scope="module")
def successor(heir: Machine, administer: Administer) -> Owner:
    """The owner at a computer that has never seen the laptop."""
    owner = administer(heir)
    owner.settings |= SETTINGS
    return owner


@pytest.fixture(scope="module")
def restored(successor: Owner, was: Was) -> str:
    """The heir after a restore that a power cut ended while it brought the data, and that was run again: its words."""
    key = {"TAILSCALE_AUTH_KEY": successor.mesh.key(TAG, reusable=False)}
    heir, words = successor.machine, _words(successor, was.recovery_file, at_first=True)
    brings = "ls /var/lib/minio/restoring"
    successor.cut_off(
        *words, name="restore.yml", when=lambda: heir.run(brings, check=False).startswith("snap"), environ=key
    )
    assert "It is restored half way" in successor.stopped(name="verify.yml")
    words = _words(successor, was.recovery_file, at_first=False)
    return " ".join(successor.playbook(*words, name="restore.yml").split())


def test_wrong_recovery_file_is_refused_and_nothing_is_changed(
    successor: Owner, was: Was, heir: Machine, tmp_path: Path
) -> None:
    wrong = tmp_path / "recovery.yml"
    before = heir.written()
    assert "There is no file" in _refused(successor, wrong)
    wrong.write_text("{ half a file")
    assert "is no recovery file of a machine with a backup" in _refused(successor, wrong)
    read: dict[str, Any] = yaml.safe_load(was.recovery_file.read_text())
    wrong.write_text(yaml.safe_dump(read | {"backup_password": ""}))
    assert "(it has no backup_password)" in _refused(successor, wrong)
    wrong.write_text(yaml.safe_dump(read | {"backup_repository": "/mnt/elsewhere"}))
    assert "There is no backup in /mnt/elsewhere of heir: mount the backup's disk" in _refused(successor, wrong)
    wrong.write_text(yaml.safe_dump(read | {"backup_password": "another"}))
    assert "does not open the backup: give the recovery file that belongs to it" in _refused(successor, wrong)
    kept = ("etc/nebula", "opt", "srv", "var/lib/nebula")
    assert [path for path in heir.written() if path not in before and path.startswith(kept)] == []


@pytest.mark.long
def test_backup_of_a_newer_version_is_refused(successor: Owner, was: Was, heir: Machine) -> None:
    """Its manifest says which schema it has."""
    restic = f"RESTIC_REPOSITORY={TARGET} RESTIC_PASSWORD={_password(was)} restic --no-cache"
    folder = "/var/lib/nebula-backup/dump"
    heir.run(f"{restic} restore latest --target / --include {folder}", timeout=120)
    heir.run(f'sed -i \'s/"schema": .*/"schema": "9999",/\' {folder}/manifest.json')
    heir.run(f"{restic} backup --tag nebula {folder} && rm -r /var/lib/nebula-backup", timeout=120)
    assert "The backup is of a newer version" in _refused(successor, was.recovery_file)
    heir.run(f"{restic} forget latest", timeout=120)


def test_every_file_account_session_and_link_is_there(successor: Owner, was: Was, restored: str) -> None:
    assert "heir has the content of laptop as it was at " in restored
    assert "2 accounts, " in restored
    assert " 0 of them missing" in restored
    assert successor.machine.run("nebula-server accounts") == was.accounts
    assert not successor.password_file.exists()
    with _in_place_of_the_laptop(successor, was):
        assert _nebula(was, "whoami").startswith("owner")
        for name, sha256 in was.files.items():
            copy = was.home / "copy"
            _nebula(was, "download", name, "--to", str(copy))
            assert hashlib.sha256(copy.read_bytes()).hexdigest() == sha256
            copy.unlink()
        linked = was.home / "linked"
        was.owner.run(["curl", "-s", "--fail", "-o", str(linked), was.link], timeout=120)
        assert hashlib.sha256(linked.read_bytes()).hexdigest() in was.files.values()


def test_unfinished_upload_begins_again(successor: Owner, was: Was, restored: str) -> None:
    with _in_place_of_the_laptop(successor, was):
        _nebula(was, "upload", str(was.unfinished), timeout=600)
        shown = _nebula(was, "ls", was.unfinished.name, "--json")
    assert hashlib.sha256(was.unfinished.read_bytes()).hexdigest() in shown


def test_restored_machine_is_as_promised_and_backs_itself_up_beside_the_old_backups(
    successor: Owner, was: Was, restored: str
) -> None:
    successor.machine.run("systemctl start nebula-backup.service", timeout=900)
    said = successor.machine.run(f"RESTIC_PASSWORD={_password(was)} restic -r {TARGET} --no-cache snapshots")
    assert (" laptop " in said, " heir " in said) == (True, True)
    successor.playbook("-e", "recovery_file_is_kept_elsewhere=true", name="backup.yml")
    assert "heir is as promised" in successor.playbook(name="verify.yml")


@pytest.mark.long
def test_bigger_disk_takes_over_as_the_page_says(successor: Owner, was: Was, restored: str) -> None:
    _, _, stop, copy, start = page.commands("I move to a bigger machine")
    machine = successor.machine
    machine.run("mount -t tmpfs -o size=4g disk /mnt")
    page.carry_out(successor, stop)
    page.carry_out(successor, copy)
    machine.run("mount --bind /mnt /var/lib/minio && umount /mnt")
    page.carry_out(successor, start)
    wait_until(successor.is_ready, BACK_S, "readiness")
    assert " 0 of them missing" in machine.run("nebula-server check")


def test_machine_with_data_is_refused_and_goes_on(successor: Owner, was: Was, restored: str) -> None:
    assert "heir has data of Nebula." in _refused(successor, was.recovery_file)
    assert successor.is_ready()


@contextmanager
def _in_place_of_the_laptop(successor: Owner, was: Was) -> Iterator[None]:
    """Let the laptop's name lead to the heir, as when the heir is given that name."""
    was.owner.member.computer.knows(was.owner.machine.name, successor.address)
    try:
        yield
    finally:
        was.owner.knows_address()


def _words(successor: Owner, recovery_file: Path, *, at_first: bool) -> list[str]:
    """What docs/laptop.md says to type."""
    command, *_ = page.commands("The laptop died")
    typed = command.partition(" playbooks/restore.yml ")[2]
    machine = successor.machine
    told = {" laptop ": f" {machine.name} ", "192.168.1.50": machine.address, "=FILE": f"={recovery_file}"}
    for said, meant in told.items():
        assert said in f" {typed}", command
        typed = typed.replace(said, meant)
    return (typed if at_first else typed.replace(f"-e bootstrap_address={machine.address} ", "")).split()


def _refused(successor: Owner, recovery_file: Path) -> str:
    at_first = successor.machine.name not in successor.mesh.nodes()
    return successor.stopped(*_words(successor, recovery_file, at_first=at_first), name="restore.yml")


def _password(was: Was) -> str:
    return str(yaml.safe_load(was.recovery_file.read_text())["backup_password"])


def _nebula(was: Was, *words: str, timeout: float = 180) -> str:
    """Run the client with the session as it was at the backup: what it renews is the heir's, and not the laptop's."""
    return was.owner.run([str(BIN / "nebula"), *words], timeout=timeout, environ={"HOME": str(was.home)})


def _leave_half_an_upload(owner: Owner, large: Path) -> None:
    with large.open("wb") as file:
        file.writelines(random.Random(number).randbytes(1 << 20) for number in range(256))
    with owner.start([str(BIN / "nebula"), "upload", str(large)]) as upload:
        wait_until(lambda: owner.machine.run(PARTS), 120, "parts of the upload")
        upload.kill()
    assert upload.returncode != 0, "the upload was over before it was cut: it must be larger"
    with pytest.raises((CommandFailed, ValueError)):
        owner.state(large.name)
