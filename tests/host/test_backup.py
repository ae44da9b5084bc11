"""The backup of the provisioned laptop: each night and when asked; what it holds; what is said when it fails."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.host.shell import CommandFailed
from tests.host.site import Owner, changed
from tests.stores import wait_until

DISK = "/mnt/backup"
TARGET = f"{DISK}/nebula"
PLUG_IN = f"mount --bind /run/disk {DISK}"
RESTIC = f"RESTIC_REPOSITORY={TARGET} RESTIC_PASSWORD_FILE=/etc/nebula/secrets/backup_password restic --no-cache"
CONFIRM = ("-e", "recovery_file_is_kept_elsewhere=true")


@pytest.fixture(scope="module")
def backed(owner: Owner) -> Owner:
    """The laptop with another disk, and a backup that is set up on it."""
    owner.machine.run(f"mkdir -p {DISK} /run/disk && mount -t tmpfs -o size=512m disk /run/disk && {PLUG_IN}")
    owner.settings |= {"backup_repository": TARGET, "backup_repository_mount": DISK, "backup_read_weeks": 1}
    printed = owner.playbook("--tags", "backup")
    assert changed(printed)["laptop"] > 0
    return owner


@pytest.fixture(scope="module")
def archive(backed: Owner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the owner's that is in the backup."""
    path = tmp_path_factory.mktemp("archive") / "diary of a summer.bin"
    path.write_bytes(random.Random(3).randbytes(3 << 20))
    backed.nebula("upload", str(path))
    return path


@pytest.mark.long
def test_second_run_changes_nothing_and_looking_ahead_finds_nothing(backed: Owner) -> None:
    assert changed(backed.playbook("--tags", "backup"))["laptop"] == 0
    assert changed(backed.playbook("--tags", "backup", "--check", "--diff"))["laptop"] == 0


def test_nightly_unit_makes_a_backup_in_its_sandbox(backed: Owner, archive: Path) -> None:
    assert backed.machine.run("systemctl is-active nebula-backup.timer nebula-scrub.timer").split() == ["active"] * 2
    backed.machine.run("systemctl start nebula-backup.service", timeout=600)
    found = _status(backed)
    assert (found["state"], found["target"], found["warning"]) == ("ok", TARGET, None)
    assert found["said"].startswith("The backup is made: ")
    (snapshot,) = json.loads(backed.machine.run(f"{RESTIC} snapshots --json"))
    assert snapshot["paths"] == ["/var/lib/minio/drive", "/var/lib/nebula-backup/dump"]
    listed = backed.machine.run(f"{RESTIC} ls latest").splitlines()
    assert {f"/var/lib/nebula-backup/dump/{name}" for name in ("nebula.dump", "manifest.json")} <= set(listed)
    assert [line for line in listed if line.startswith("/var/lib/minio/drive/.minio.sys/tmp/")] == []
    manifest = json.loads(backed.machine.run(f"{RESTIC} dump latest /var/lib/nebula-backup/dump/manifest.json"))
    assert manifest["release"] == backed.machine.run("basename $(readlink -f /opt/nebula/current)")
    backed.machine.run(
        f"{RESTIC} dump latest /var/lib/nebula-backup/dump/nebula.dump | pg_restore --list | grep 'TABLE DATA .* files'"
    )


def test_owner_makes_one_now_and_reads_how_it_went(backed: Owner) -> None:
    said = backed.nebula("backup", "now", timeout=600)
    assert "The backup is made: " in said
    shown = backed.nebula("backup", "status")
    assert f"target:      {TARGET}" in shown
    assert "kept:        the last one of each of 7 days, 5 weeks, 12 months" in shown
    assert "backup:      ok, last now" in backed.nebula("status")
    assert "The backup is made: " in backed.playbook(name="backup.yml")


def test_repository_shows_no_plain_name(backed: Owner, archive: Path) -> None:
    for plain in (archive.name, "nebula.dump", "nebula-uploads", "xl.meta"):
        found = backed.machine.run(f"grep -rlaF '{plain}' {TARGET}", check=False)
        assert found == "", plain
    assert backed.machine.run(f"stat -c %a {TARGET}") == "700"


@pytest.mark.long
def test_object_that_is_purged_meanwhile_stays_until_the_backup_has_ended(backed: Owner, tmp_path: Path) -> None:
    path = tmp_path / "gone.bin"
    path.write_bytes(random.Random(5).randbytes(1 << 20))
    backed.nebula("upload", str(path))
    objects = _objects(backed)
    # The dump waits for this lock, as it takes its time with a large database.
    locking = "SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE operations;"
    asks = f"(echo '{locking}'; exec sleep 900) | runuser -u postgres -- psql -Xqd nebula"
    backed.machine.run(f'systemd-run -q --unit=lock --working-directory=/ sh -c "{asks}"')
    try:
        backed.machine.run("systemctl start --no-block nebula-backup.service")
        wait_until(lambda: _status(backed)["running"], 120, "the hold")
        backed.nebula("rm", path.name, "--now")
        backed.machine.run("nebula-server sweep")
        assert objects - _objects(backed) == set()
    finally:
        backed.machine.run("systemctl stop lock.service", check=False)
    wait_until(lambda: not _status(backed)["running"], 300, "the end of the backup")
    wait_until(lambda: _unit(backed) != "activating", 300, "the end of the backup")
    backed.machine.run("nebula-server sweep")
    assert len(objects - _objects(backed)) == 1
    assert _status(backed)["state"] == "ok"


def test_part_of_it_is_read_again_each_week(backed: Owner) -> None:
    backed.machine.run("systemctl start nebula-scrub.service", timeout=600)
    found = _status(backed)
    assert found["read_said"] == "Part 1 of 1 was read, and is whole."
    assert "read again:  " in backed.nebula("backup", "status")


def test_target_that_is_gone_is_told_everywhere_and_everything_else_goes_on(backed: Owner) -> None:
    backed.machine.run(f"umount {DISK}")
    try:
        with pytest.raises(CommandFailed, match=f"Nothing is mounted at {DISK}: plug the disk in"):
            backed.nebula("backup", "now", timeout=600)
        assert backed.is_ready()
        assert backed.machine.run(f"ls -A {DISK}") == ""
        assert "backup:      failing, last " in backed.nebula("status")
        assert f"failed:      Nothing is mounted at {DISK}" in backed.nebula("backup", "status")
        assert "The backup fails, is damaged or is overdue" in backed.stopped(name="verify.yml")
        assert f"Nothing is mounted at {DISK}" in backed.stopped(name="backup.yml")
        assert "makes no backup like this. Nothing is mounted" in " ".join(backed.playbook("--tags", "backup").split())
    finally:
        backed.machine.run(PLUG_IN)
    assert "The backup is made: " in backed.nebula("backup", "now", timeout=600)
    assert _status(backed)["state"] == "ok"


@pytest.mark.long
def test_verify_asks_until_the_recovery_file_is_kept_elsewhere_and_again_when_it_changed(backed: Owner) -> None:
    path = backed.left_folder / "recovery.yml"
    text = path.read_text()
    password = backed.machine.run("cat /etc/nebula/secrets/backup_password")
    assert f"backup_password: {password}\n" in text
    assert f"backup_repository: {TARGET}\n" in text
    assert "Nobody has confirmed" in backed.stopped(name="verify.yml")
    assert changed(backed.playbook(*CONFIRM, name="backup.yml"))["laptop"] == 1
    assert changed(backed.playbook(*CONFIRM, name="backup.yml"))["laptop"] == 0
    assert changed(backed.playbook(name="verify.yml"))["laptop"] == 0
    path.write_text(text + "# another\n")
    assert "Nobody has confirmed" in backed.stopped(name="verify.yml")
    path.write_text(text)


@pytest.mark.long
def test_target_on_the_datas_own_file_system_is_complained_about(backed: Owner) -> None:
    same = {"backup_repository": "/var/backups/nebula", "backup_repository_mount": ""}
    try:
        backed.playbook("--tags", "backup", "-e", json.dumps(same))
        backed.machine.run("systemctl start nebula-backup.service", timeout=600)
        assert "but:         /var/backups/nebula is on the data's own file system" in backed.nebula("backup", "status")
        assert "The backup is on the data's own file system" in backed.stopped(name="verify.yml")
        backed.playbook("--tags", "backup", "-e", json.dumps(same | {"backup_same_disk_accepted": True}))
        assert _status(backed)["warning"] is None
    finally:
        backed.playbook("--tags", "backup")
        backed.machine.run("rm -rf /var/backups/nebula")


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backup_repository": "sftp:host:/x", "backup_repository_mount": ""}, "name a directory"),
        (
            {"backup_repository": "/home/ana/x", "backup_repository_mount": ""},
            "where the backup's service does not look",
        ),
        ({"backup_repository": "/srv/x"}, "has to be the mount point"),
        ({"backup_repository": "s3:https://s3.example.com/b", "backup_repository_mount": ""}, "AWS_ACCESS_KEY_ID"),
        ({"backup_keep_daily": 0, "backup_keep_weekly": 0, "backup_keep_monthly": 0}, "one is above 0"),
    ],
)
def test_settings_that_cannot_be_meant_change_nothing(backed: Owner, settings: dict[str, Any], said: str) -> None:
    before = backed.machine.written()
    assert said in backed.stopped("--tags", "backup", "-e", json.dumps(settings))
    assert backed.machine.written() == before


@pytest.mark.long
def test_backup_that_is_wanted_no_more_is_taken_off(backed: Owner) -> None:
    for setting in ("backup_repository", "backup_repository_mount"):
        backed.settings.pop(setting)
    assert changed(backed.playbook("--tags", "backup"))["laptop"] > 0
    assert "none set up" in backed.nebula("backup", "status")
    assert backed.machine.run("ls /etc/systemd/system | grep -c -e ^nebula-backup -e ^nebula-scrub", check=False) == "0"


def _status(owner: Owner) -> dict[str, Any]:
    (found,) = owner.rows("backup", "status")
    return found


def _unit(owner: Owner) -> str:
    return owner.machine.run("systemctl is-active nebula-backup.service", check=False)


def _objects(owner: Owner) -> set[str]:
    """The object store's files on the disk, one directory each."""
    return set(owner.machine.run("find /var/lib/minio/drive/nebula-uploads -name xl.meta").split())
