"""The client against the real gateway: what people do, and what goes wrong while they do it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens
from nebula.db.database import Database
from nebula.domain.states import Role
from nebula.services.accounts import Accounts
from nebula_cli import main
from tests.cutting import CuttingProxy
from tests.gateway import RunningGateway
from tests.stores import wait_until

PASSWORD = "a pass phrase of the house"
MIB = 1 << 20


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class House:
    """A running gateway, with an account for each test."""

    def __init__(self, running: RunningGateway) -> None:
        self.running = running
        settings = running.settings
        self._database = Database(settings.database_url, threads=1)
        tokens = AccessTokens(settings.secret_keys, minutes=settings.access_token_minutes)
        self._accounts = Accounts(self._database, Passwords(), tokens, refresh_token_days=30)

    def account(self) -> str:
        name = f"ana-{secrets.token_hex(4)}"
        self._accounts.create_account(name, PASSWORD, Role.MEMBER)
        return name

    def clear(self) -> None:
        """Put every file out of sight."""
        self._database.write(lambda tx: tx.execute("UPDATE files SET visibility = 'private'"))

    def close(self) -> None:
        self._database.close()
        self.running.close()


class Person:
    """Somebody at a machine: a state directory and a working directory.

    Called, it runs `nebula` in this process, which takes a tenth of the time; `start` runs a process.
    """

    def __init__(self, house: House, folder: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        self.house, self.name, self._capfd = house, name, capfd
        self.here = folder / "here"
        self.state = folder / "state"
        self.here.mkdir(parents=True)
        self.state.mkdir()
        self.environ = {"XDG_STATE_HOME": str(self.state), "NEBULA_SERVER": house.running.base_url}

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nebula_cli.main", *words],
            env=os.environ | self.environ,
            cwd=self.here,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def __call__(self, *words: str, stdin: str = "") -> Ran:
        self._capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ.items():
                patch.setenv(name, value)
            patch.chdir(self.here)
            patch.setattr("sys.stdin", io.StringIO(stdin))
            code = main.main(list(words))
        return Ran(code, *self._capfd.readouterr())

    def sign_in(self, password: str = PASSWORD) -> Ran:
        return self("login", "--username", self.name, "--password-stdin", stdin=f"{password}\n")

    def acknowledged(self) -> int:
        """How many bytes the gateway has of the upload that this person's notes tell of."""
        (note,) = (self.state / "nebula" / "uploads").glob("*.json")
        sessions = json.loads((self.state / "nebula" / "credentials.json").read_text())["sessions"]
        session = sessions[self.environ["NEBULA_SERVER"]]
        headers = {"Authorization": f"Bearer {session['access_token']}", "Tus-Resumable": "1.0.0"}
        answer = self.house.running.request("HEAD", json.loads(note.read_text())["upload"], headers)
        return int(answer.headers["Upload-Offset"])

    def write(self, name: str, content: bytes) -> Path:
        path = self.here / name
        path.write_bytes(content)
        return path


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "data").mkdir()
    (folder / "data" / "nebula.sqlite").write_bytes(sqlite_template.read_bytes())
    environ = {
        "NEBULA_DATA_DIR": str(folder / "data"),
        "NEBULA_NODE": "test-node",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "NEBULA_RESERVE_BYTES": str(MIB),
    }
    running = RunningGateway(environ, folder / "gateway.log")
    running.start()
    running_house = House(running)
    yield running_house
    running_house.close()


@pytest.fixture
def ana(house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Person]:
    """Somebody who is signed in; what she leaves, the household does not see in the next test."""
    person = Person(house, tmp_path / "ana", house.account(), capfd)
    assert person.sign_in().code == 0
    yield person
    house.clear()


@pytest.fixture
def proxy(house: House) -> Iterator[CuttingProxy]:
    running_house = CuttingProxy(house.running.port)
    yield running_house
    running_house.close()


@pytest.fixture
def behind(ana: Person, proxy: CuttingProxy) -> Person:
    """Ana, who reaches the gateway over a connection that breaks."""
    ana.environ["NEBULA_SERVER"] = proxy.url
    assert ana.sign_in().code == 0
    return ana


def test_a_file_goes_up_and_comes_down(ana: Person):
    content = secrets.token_bytes(3 * MIB + 17)
    ana.write("notes #1.txt", content)
    ran = ana("upload", "notes #1.txt", "--to", "Papers", "--json")
    assert ran.code == 0, ran.err
    (stored,) = ran.objects()
    assert stored["name"] == "Papers/notes #1.txt"
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    assert [one["id"] for one in ana("ls", "--json").objects()] == [stored["id"]]
    (ana.here / "notes #1.txt").unlink()
    assert ana("download", "notes").code == 0
    assert (ana.here / "notes #1.txt").read_bytes() == content
    assert [path.name for path in ana.here.iterdir()] == ["notes #1.txt"]


NASTY = [
    "-weird.mp4",
    "x#y?.mp4",
    "1e5",
    "None",
    "Ünï 映画 🎬.mkv",
    "'q\" $HOME",
    "new\nline",
    "back\\slash",
    "a=b",
    "É",
]


@pytest.mark.parametrize("name", NASTY)
def test_nasty_names_are_the_same_everywhere(ana: Person, name: str):
    ana.write(name, name.encode())
    ran = ana("upload", "--json", name)
    assert ran.code == 0, ran.err
    assert ran.objects()[0]["name"] == name
    (ana.here / name).unlink()
    assert ana("download", name).code == 0
    assert (ana.here / name).read_bytes() == name.encode()
    assert ana("rename", name, f"{name} 2").code == 0
    assert ana("rm", f"{name} 2").code == 0
    assert ana("ls", "--json").objects() == []
    assert [one["name"] for one in ana("trash", "--json").objects()] == [f"{name} 2"]
    assert ana("restore", f"{name} 2").code == 0
    assert ana("rm", "--now", f"{name} 2").code == 0
    assert ana("trash", "--json").objects() == []


def test_what_is_there_is_skipped_and_comes_out_of_the_trash(ana: Person):
    ana.write("a.txt", b"the same bytes")
    first = ana("upload", "a.txt", "--json").objects()[0]
    again = ana("upload", "a.txt", "--private", "--json")
    assert "was there already" in again.err
    assert again.objects()[0] | {"visibility": "household"} == first
    assert again.objects()[0]["visibility"] == "private"
    assert ana("rm", "a.txt").code == 0
    back = ana("upload", "a.txt", "--json").objects()[0]
    assert (back["id"], back["deleted_at"]) == (first["id"], None)


def test_another_name_and_other_bytes_are_other_files(ana: Person):
    ana.write("a.txt", b"one")
    ana("upload", "a.txt")
    ana.write("b.txt", b"one")
    ana("upload", "b.txt")
    ana.write("a.txt", b"two")
    ana("upload", "a.txt")
    listed = ana("ls", "--json").objects()
    assert sorted((one["name"], one["size_bytes"]) for one in listed) == [("a.txt", 3), ("a.txt", 3), ("b.txt", 3)]
    ran = ana("info", "a.txt")
    assert ran.code == 1
    assert all(one["id"] in ran.err for one in listed if one["name"] == "a.txt")


def test_an_empty_file_is_a_file(ana: Person):
    ana.write("empty", b"")
    assert ana("upload", "empty").code == 0
    assert ana("download", "empty", "--to", "copy").code == 0
    assert (ana.here / "copy").read_bytes() == b""


def test_several_paths_are_looked_at_before_the_first_byte_goes(ana: Person):
    ana.write("a", b"a")
    ran = ana("upload", "a", "missing")
    assert ran.code == 2
    assert ana("ls", "--json").objects() == []
    ana.write("b", b"b")
    assert ana("upload", "a", "b").code == 0
    assert len(ana("ls", "--json").objects()) == 2


def test_an_upload_goes_on_over_cut_connections(behind: Person, proxy: CuttingProxy):
    content = secrets.token_bytes(6 * MIB)
    behind.write("film.bin", content)
    proxy.cut_after_up, proxy.cuts = 2 * MIB, 2
    ran = behind("upload", "film.bin", "--json")
    assert ran.code == 0, ran.err
    assert ran.objects()[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert proxy.cuts == 0
    assert "trying again" in ran.err
    # What was acknowledged before a cut was not sent again.
    assert proxy.up_bytes < 2 * len(content)


def test_a_second_run_goes_on_where_a_killed_one_stopped(behind: Person, proxy: CuttingProxy):
    content = secrets.token_bytes(6 * MIB)
    behind.write("film.bin", content)
    proxy.stall_after_up = 4 * MIB
    with behind.start("upload", "film.bin") as process:
        assert proxy.stalled.wait(60)
        process.kill()
    proxy.stall_after_up = None
    # The gateway acknowledges what came when it notices that the sender is gone.
    wait_until(lambda: behind.acknowledged() > 3 * MIB, 60, "the broken upload's offset")
    before = proxy.up_bytes
    ran = behind("upload", "film.bin", "--json")
    assert ran.code == 0, ran.err
    assert ran.objects()[0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert proxy.up_bytes - before < 4 * MIB
    assert list((behind.state / "nebula" / "uploads").glob("*.json")) == []


def test_ctrl_c_is_130_and_says_how_to_go_on(behind: Person, proxy: CuttingProxy):
    behind.write("film.bin", secrets.token_bytes(6 * MIB))
    proxy.stall_after_up = MIB
    with behind.start("upload", "film.bin") as process:
        assert proxy.stalled.wait(60)
        busy = behind("upload", "film.bin")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "nebula: stopped; to go on where it stopped, type it again: nebula upload film.bin\n"
    assert busy.code == 1
    assert "Another nebula" in busy.err


def test_a_file_that_changes_meanwhile_is_not_stored(behind: Person, proxy: CuttingProxy):
    path = behind.write("growing.bin", secrets.token_bytes(6 * MIB))
    proxy.stall_after_up = MIB
    with behind.start("upload", "growing.bin") as process:
        assert proxy.stalled.wait(60)
        path.write_bytes(b"another")
        proxy.stall_after_up = None
        proxy.break_all()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "growing.bin changed while it was being uploaded" in err
    assert behind("ls", "--json").objects() == []


def test_a_download_goes_on_over_cut_connections(behind: Person, proxy: CuttingProxy):
    content = secrets.token_bytes(6 * MIB)
    behind.write("film.bin", content)
    behind("upload", "film.bin")
    proxy.cut_after_down, proxy.cuts = 2 * MIB, 2
    ran = behind("download", "film.bin", "--to", "copy.bin")
    assert ran.code == 0, ran.err
    assert (behind.here / "copy.bin").read_bytes() == content
    assert proxy.cuts == 0


def test_a_download_goes_on_from_the_part_that_is_there(behind: Person, proxy: CuttingProxy):
    content = secrets.token_bytes(6 * MIB)
    behind.write("film.bin", content)
    behind("upload", "film.bin")
    behind.write("copy.bin.part", content[: 5 * MIB])
    before = proxy.down_bytes
    assert behind("download", "film.bin", "--to", "copy.bin").code == 0
    assert (behind.here / "copy.bin").read_bytes() == content
    assert proxy.down_bytes - before < 2 * MIB


def test_a_part_of_other_bytes_is_thrown_away(ana: Person):
    ana.write("a", b"the right bytes")
    ana("upload", "a")
    ana.write("copy.part", b"wrong")
    ran = ana("download", "a", "--to", "copy")
    assert ran.code == 0
    assert (ana.here / "copy").read_bytes() == b"the right bytes"
    assert not (ana.here / "copy.part").exists()


def test_a_download_overwrites_nothing(ana: Person):
    ana.write("a", b"stored")
    ana("upload", "a")
    assert "was here already" in ana("download", "a").err
    ana.write("a", b"edited")
    ran = ana("download", "a")
    assert ran.code == 1
    assert "--to PATH" in ran.err
    assert (ana.here / "a").read_bytes() == b"edited"
    (ana.here / "folder").mkdir()
    assert ana("download", "a", "--to", "folder").code == 0
    assert (ana.here / "folder" / "a").read_bytes() == b"stored"
    assert ana("download", "a", "--to", "missing/x").code == 1


def test_a_download_to_stdout_is_the_bytes_alone(ana: Person):
    content = bytes(range(256)) * 100
    ana.write("a", content)
    ana("upload", "a")
    with ana.start("download", "a", "--to", "-") as process:
        assert process.stdout is not None
        assert process.stdout.buffer.read() == content
        assert process.wait(60) == 0


def test_a_link_opens_without_signing_in_until_it_is_revoked(ana: Person):
    ana.write("a.txt", b"shared")
    ana("upload", "a.txt")
    made = ana("link", "a.txt", "--expires", "1h", "--json").objects()[0]
    path = made["url"].removeprefix(ana.house.running.base_url)
    assert ana.house.running.get(path).read() == b"shared"
    assert [one["id"] for one in ana("links", "--json").objects()] == [made["id"]]
    assert made["id"][:8] in ana("links").out
    assert ana("link", "--revoke", made["id"][:8]).code == 0
    assert ana.house.running.get(path).status == 404
    assert ana("links", "--json").objects() == []


def test_sessions_are_listed_and_ended(ana: Person, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    other = Person(ana.house, tmp_path / "other", ana.name, capfd)
    assert other.sign_in().code == 0
    listed = ana("sessions", "--json").objects()
    assert len(listed) == 2
    theirs = next(one["id"] for one in listed if not one["current"])
    assert "(this one)" in ana("sessions").out
    assert ana("sessions", "--revoke", theirs[:8]).code == 0
    wait_until(lambda: other("whoami").code == 4, 30, "end of the session")
    assert "nebula login" in other("whoami").err
    assert ana.sign_in().code == 0
    assert len(ana("sessions", "--json").objects()) == 1


def test_a_new_password_replaces_the_old(ana: Person):
    assert ana("passwd", "--password-stdin", stdin="wrong one\nanother phrase\n").code in {1, 4}
    assert ana("passwd", "--password-stdin", stdin=f"{PASSWORD}\nanother phrase\n").code == 0
    assert ana("whoami").code == 0
    assert ana.sign_in("another phrase").code == 0
    assert ana.sign_in().code == 4


def test_logout_ends_the_session(ana: Person):
    assert ana("logout").code == 0
    assert ana("ls").code == 4


def test_jobs_are_shown_cancelled_and_retried(ana: Person):
    ana.write("a.mkv", b"no film at all")
    ran = ana("upload", "a.mkv")
    assert "nebula jobs --follow" in ran.err
    (job,) = ana("jobs", "--json").objects()
    assert "a.mkv" in ana("jobs").out
    assert ana("cancel", job["id"][:8]).code == 0
    assert ana("job", job["id"], "--json").objects()[0]["state"] == "cancelled"
    assert "nebula retry" in ana("job", job["id"][:8]).out
    assert ana("retry", job["id"][:8], "--json").objects()[0]["state"] == "queued"
    assert ana("cancel", job["id"]).code == 0
    assert ana("jobs", "--follow").code == 0


def test_status_and_ping_answer(ana: Person):
    assert "database:" in ana("status").out
    assert ana("ping").out.startswith("Pong")


@pytest.mark.players
@pytest.mark.parametrize("player", ["mpv", "vlc"])
def test_a_player_plays_from_the_middle(ana: Person, tmp_path: Path, player: str):
    if shutil.which("ffmpeg") is None or shutil.which(player) is None:
        pytest.skip(f"ffmpeg or {player} is not installed here")
    source = ["-f", "lavfi", "-i", "testsrc=duration=4:size=160x120:rate=10"]
    film = ana.here / "-film.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", *source, "-pix_fmt", "yuv420p", "-movflags", "+faststart", f"file:{film}"], check=True
    )
    assert ana("upload", "--", "-film.mp4").code == 0
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "arguments"
    wrapper = folder / player
    wrapper.write_text(_headless(player, log))
    wrapper.chmod(0o755)
    ana.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
    ran = ana("play", "-film.mp4", "--player", player, "--start", "0:03")
    assert ran.code == 0, ran.err
    assert "not ready yet" in ran.err
    assert "/s/" in log.read_text().splitlines()[-1]


def _headless(player: str, log: Path) -> str:
    """Return a script that runs the player without a screen; VLC refuses to be root."""
    real = shutil.which(player)
    quiet = "--no-config --vo=null --ao=null" if player == "mpv" else "-I dummy --no-dbus --vout dummy --aout dummy"
    drop = "setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/nonexistent " if os.geteuid() == 0 else ""
    last = "vlc://quit" if player == "vlc" else ""
    return f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{log}'\nexec {drop}{real} {quiet} \"$@\" {last}\n"
