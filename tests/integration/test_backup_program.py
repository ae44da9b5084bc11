"""The machine's backup program: real restic, real PostgreSQL, a real MinIO's drive; systemd is its tests' own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from nebula import config
from nebula.config import Settings
from nebula.db import files, migrate
from nebula.db.database import Tx
from nebula.domain.states import BackupState
from nebula.errors import ObjectNotFound
from nebula.services.library import Library
from nebula.services.machine.backups import Backups
from nebula.storage.choose import open_storage
from nebula.storage.contract import ObjectReader
from nebula_backup import machine as machine_of
from nebula_backup import repository as repository_of
from nebula_backup import targets
from nebula_backup.making import size
from nebula_backup.places import Stop
from tests.backups import PASSWORD, Backed, end_group, missing
from tests.films import Woken
from tests.shelf import Shelf
from tests.stores import MinIO, free_port, wait_until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
BODY = b"a holiday " * 40_000


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinIO]:
    """An object store of this module's own: its drive is what is backed up."""
    store = MinIO(tmp_path_factory.mktemp("minio") / "data")
    if reason := store.missing():
        pytest.skip(reason)
    store.start()
    yield store
    store.stop()


@pytest.fixture
def backed(tmp_path: Path, shared_postgresql_url: str, minio: MinIO) -> Backed:
    return Backed(tmp_path, shared_postgresql_url, minio.folder)


@pytest.fixture
def environ(postgresql_url: str, minio: MinIO, tmp_path: Path) -> dict[str, str]:
    return {
        "NEBULA_DATA_DIR": str(tmp_path / "data"),
        "NEBULA_NODE": "laptop",
        "DATABASE_URL": postgresql_url,
        "S3_ENDPOINT": minio.endpoint,
        "S3_ACCESS_KEY": minio.access_key,
        "S3_SECRET_KEY": minio.secret_key,
        "S3_BUCKET": f"bucket-{free_port()}",
        "SECRET_KEY": "k" * 40,
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return config.load(environ)


@pytest.fixture
def serving(tmp_path: Path, environ: dict[str, str], minio: MinIO) -> Backed:
    """A machine with the real nebula-server and what `shelf` puts into its stores."""
    made = Backed(tmp_path, environ["DATABASE_URL"], minio.folder)
    made.serve_really(environ)
    return made


@pytest.fixture
def account(shelf: Shelf) -> str:
    def work(tx: Tx) -> str:
        tx.e.Account(id="ana", name="ana", role="owner", password_hash="x", created_at=tx.now)
        return "ana"

    return shelf.database.write(work)


def test_backup_holds_every_object_that_its_dump_names_and_shows_none_of_them(
    serving: Backed, settings: Settings, shelf: Shelf, account: str, tmp_path: Path
) -> None:
    file = shelf.put(account, "holiday in Ghent.mkv", BODY)
    said = serving.run("make")
    assert "The backup is made: " in said
    assert serving.outcome == {"state": "made", "sentence": said.splitlines()[-1]}
    overview = Backups(shelf.database).overview()
    assert (overview.state, overview.is_running) == (BackupState.OK, False)
    assert overview.backup is not None
    assert overview.backup.said == serving.outcome["sentence"]
    _shows_nothing(serving)
    restored = tmp_path / "restored"
    serving.restic("restore", "latest", "--target", str(restored))
    (snapshot,) = serving.snapshots()
    assert (snapshot["tags"], snapshot["hostname"]) == (["nebula"], "laptop")
    dump = restored / str(serving.places.dump).lstrip("/")
    assert {path.name for path in dump.iterdir()} == {"nebula.dump", "manifest.json"}
    manifest = json.loads((dump / "manifest.json").read_text())
    assert (manifest["bucket"], manifest["machine"]) == ("nebula-uploads", "laptop")
    assert manifest["schema"] == migrate.status(settings.database_url).current
    listed = subprocess.run(["pg_restore", "--data-only", "-f", "-", dump / "nebula.dump"], capture_output=True)
    assert file.content.object_key.encode() in listed.stdout
    _serves_again(restored / str(serving.settings["objects"]).lstrip("/"), settings, file.content.object_key)


def _shows_nothing(backed: Backed) -> None:
    """Whether the repository has neither a name nor a byte of what is in it."""
    stored = [path.read_bytes() for path in backed.target.rglob("*") if path.is_file()]
    plain = (b"Ghent", b"holiday", b"nebula.dump", b"originals", PASSWORD.encode())
    assert len(stored) > 5
    assert [word for word in plain for content in stored if word in content] == []


def _serves_again(drive: Path, settings: Settings, object_key: str) -> None:
    """Whether a MinIO on the restored drive has the object's bytes."""
    assert not (drive / ".minio.sys/tmp").exists()
    assert not (drive / ".minio.sys/multipart").exists()
    again = MinIO(drive)
    again.start()
    try:
        elsewhere = open_storage(replace(settings, s3_endpoint=again.endpoint))
        with closing(elsewhere.open(object_key, 0, len(BODY))) as reader:
            assert _read(reader) == BODY
    finally:
        again.stop()


def test_object_that_is_purged_meanwhile_stays_until_the_backup_has_ended(
    serving: Backed, settings: Settings, shelf: Shelf, account: str
) -> None:
    file = shelf.put(account, "a", BODY)
    library, backups = Library(shelf.database, shelf.storage, Woken()), Backups(shelf.database)  # type: ignore[arg-type]
    # A database that takes its time to be dumped: the backup waits for this lock.
    with closing(psycopg2.connect(settings.database_url)) as blocking:
        blocking.cursor().execute("LOCK TABLE operations")
        with serving.begin("make") as running:
            try:
                wait_until(lambda: backups.overview().is_running, 60, "the hold")
                shelf.trash(file)
                shelf.database.write(lambda tx: files.purge(tx, file.id))
                library.sweep()
                assert shelf.storage.stat(file.content.object_key).size_bytes == len(BODY)
                blocking.rollback()
                running.communicate(timeout=120)
            finally:
                running.kill()
    assert not backups.overview().is_running
    library.sweep()
    with pytest.raises(ObjectNotFound):
        shelf.storage.stat(file.content.object_key)


def test_what_was_deleted_while_it_was_read_is_no_failure(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    gone = {"message_type": "error", "error": {"message": "no such file"}, "item": str(tmp_path / "gone")}
    heard = repository_of.Heard(print)
    heard.line(json.dumps(gone))
    assert heard.unread() == []
    heard.line(json.dumps(gone | {"item": str(there)}))
    assert heard.unread() == [str(there)]


def test_backup_that_is_ended_in_the_middle_lets_go_and_the_next_one_works(backed: Backed) -> None:
    with closing(psycopg2.connect(backed.database_url)) as blocking:
        blocking.cursor().execute("LOCK TABLE operations")
        with backed.begin("make") as running:
            wait_until(lambda: backed.is_held, 60, "the hold")
            end_group(running, signal.SIGTERM)
            assert running.wait(60) == 1
    assert not backed.is_held
    assert "ended in the middle" in str(backed.noted("failed"))
    assert backed.outcome["state"] == "failed"
    backed.run("make")


def test_backup_that_is_killed_leaves_a_lock_that_the_next_one_removes(backed: Backed) -> None:
    backed.run("open")
    with backed.begin("make") as running:
        wait_until(lambda: any((backed.target / "locks").iterdir()), 60, "restic's lock")
        end_group(running, signal.SIGKILL)
    backed.run("make")
    assert list((backed.target / "locks").iterdir()) == []


def test_hold_that_ran_out_makes_the_backup_a_failure(backed: Backed) -> None:
    backed.serve('[ "$2" != release ] || { echo "Nothing is held any more." && exit 5; }')
    assert "make another backup" in backed.run("make", fails=True)


def test_target_that_is_gone_is_told_and_never_made_anew(backed: Backed) -> None:
    backed.run("open")
    aside = backed.target.rename(backed.folder / "aside")
    assert f"{backed.target} is not there: mount its disk" in backed.run("make", fails=True)
    backed.target.mkdir()  # where the disk would be mounted
    assert "is gone: mount the disk that has it" in backed.run("make", fails=True)
    assert list(backed.target.iterdir()) == []
    assert "is gone" in str(backed.noted("failed"))
    assert (backed.outcome["state"], backed.is_held) == ("failed", False)
    backed.restic("init")  # another disk, with a repository of its own
    assert "holds another repository" in backed.run("make", fails=True)
    assert backed.snapshots() == []
    shutil.rmtree(backed.target)
    aside.rename(backed.target)
    assert "The repository answers." in backed.run("open")


def test_mount_point_that_nothing_is_mounted_at_is_told(backed: Backed) -> None:
    backed.set_up(mount=str(backed.target))
    assert f"Nothing is mounted at {backed.target}" in backed.run("make", fails=True)
    assert list(backed.target.iterdir()) == []


def test_repository_of_another_password_is_told_and_left_alone(backed: Backed) -> None:
    backed.run("open")
    backed.secret("backup_password", "another")
    assert "was made with another password" in backed.run("open", fails=True)


def test_s3_that_does_not_answer_is_told_at_once(backed: Backed) -> None:
    port = free_port()
    backed.set_up(repository=f"s3:http://127.0.0.1:{port}/backups")
    assert f"127.0.0.1 does not answer on port {port}" in backed.run("make", fails=True)


def test_s3_that_refuses_the_keys_is_told(backed: Backed, minio: MinIO) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": minio.secret_key}
    backed.set_up(repository=f"s3:{minio.endpoint}/backups-{free_port()}/laptop")
    backed.secret("backup_environment", json.dumps(keys))
    assert "The S3 refuses the keys" in backed.run("open", fails=True)


def test_s3_takes_the_database_alone_where_the_objects_are_elsewhere(backed: Backed, minio: MinIO) -> None:
    keys = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key}
    backed.set_up(repository=f"s3:{minio.endpoint}/backups-{free_port()}/laptop", objects="")
    backed.secret("backup_environment", json.dumps(keys))
    said = backed.run("make")
    assert "Made a new repository" in said
    assert "It holds the database alone" in said


def test_objects_that_are_not_there_stop_the_backup(backed: Backed) -> None:
    backed.set_up(objects=str(backed.folder / "unmounted"))
    assert "is their disk mounted?" in backed.run("make", fails=True)
    assert not (backed.target / "config").exists()


def test_database_that_is_away_leaves_an_outcome_all_the_same(backed: Backed) -> None:
    backed.serve("echo nebula-server: The database store does not answer. >&2; exit 3")
    assert "Not recorded" in backed.run("make", fails=True)
    assert "The database store does not answer" in backed.outcome["sentence"]


def test_full_disk_is_told_before_the_database_is_dumped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_of, "SPARE_BYTES", 1 << 60)
    with pytest.raises(Stop, match="nebula trash --empty"):
        machine_of.check_room(tmp_path)


def test_target_on_the_datas_own_file_system_is_complained_about(backed: Backed) -> None:
    assert "on the data's own file system" in backed.run("where", fails=True)
    backed.run("open")
    assert "on the data's own file system" in json.loads(str(backed.noted("set-up")))["warning"]
    backed.set_up(same_disk_accepted=True)
    backed.run("where")
    backed.run("open")
    assert json.loads(str(backed.noted("set-up")))["warning"] is None


def test_each_week_another_part_is_read_until_all_was_and_damage_is_found(backed: Backed) -> None:
    backed.run("make")
    assert "Part 1 of 2 was read, and is whole." in backed.run("read")
    assert "Part 2 of 2" in backed.run("read")
    assert backed.noted("read") == "Part 2 of 2 was read, and is whole."
    for pack in (path for path in (backed.target / "data").rglob("*") if path.is_file()):
        pack.chmod(0o600)
        pack.write_bytes(b"x" * pack.stat().st_size)
    assert "Part 1 of 2 of the backup is damaged" in backed.run("read", fails=True)
    assert "is damaged" in str(backed.noted("unreadable"))
    assert backed.noted("failed") is None


def test_target_that_is_gone_is_no_damage(backed: Backed) -> None:
    backed.set_up(mount=str(backed.target))
    backed.run("read", fails=True)
    assert backed.noted("unreadable") is None
    assert "Nothing is mounted" in str(backed.noted("failed"))


def test_what_is_older_than_is_kept_is_forgotten(backed: Backed) -> None:
    backed.set_up(keep={"daily": 1, "weekly": 0, "monthly": 0})
    backed.run("make")
    backed.run("make")
    assert len(backed.snapshots()) == 1
    assert json.loads(str(backed.noted("set-up")))["kept"] == "the last one of each of 1 day"


def test_machine_without_a_backup_says_how_to_set_one_up(backed: Backed) -> None:
    backed.places.settings.unlink()
    assert "No backup is set up here: set backup_repository" in backed.run("make", fails=True)


def test_addresses_and_sizes_are_read_and_written_as_people_do() -> None:
    assert targets.address("s3:http://127.0.0.1:9000/bucket") == ("127.0.0.1", 9000)
    assert targets.address("s3:https://s3.example.com/bucket/path") == ("s3.example.com", 443)
    assert targets.address("s3:s3.example.com/bucket") == ("s3.example.com", 443)
    assert [size(n) for n in (0, 999, 1536 << 20, 5 << 40)] == ["0 B", "999 B", "1.5 GiB", "5.0 TiB"]


def _read(reader: ObjectReader) -> bytes:
    body = bytearray(len(BODY) + 1)
    at = 0
    while count := reader.readinto(memoryview(body)[at:]):
        at += count
    return bytes(body[:at])
