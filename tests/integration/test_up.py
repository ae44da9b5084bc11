"""`nebula-server up`, as people and machines run it: real parts, real signals, in both worlds."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from nebula import config
from nebula import up as up_module
from tests.clips import Clips
from tests.running import Up, has_gone
from tests.stores import free_port, wait_until

PARTS = {"gateway": "gunicorn", "quick worker": "quick", "encode worker": "encode"}


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has nothing yet, on a port of its own."""
    return {"NEBULA_DATA_DIR": str(tmp_path / "data"), "NEBULA_BIND": "127.0.0.1:0", "NEBULA_RESERVE_BYTES": "1"}


def test_first_account_is_shown_once_and_survives_a_restart_and_signals_end_every_process(
    environ: dict[str, str], tmp_path: Path
) -> None:
    environ |= {"NEBULA_BIND": "127.0.0.1:0"}
    with Up(environ, tmp_path / "first") as up:
        up.ready()
        assert up.pings()
        wait_until(lambda: up.get("/readyz"), 60, "every dependency answers")
        password = up.password
        assert up.sign_in("owner", password)["access_token"]
        family = up.family()
        assert up.end(signal.SIGTERM) == 0
        assert all(map(has_gone, family))
    with Up(environ, tmp_path / "second") as up:
        up.ready()
        assert "password" not in up.said
        assert up.sign_in("owner", password)["access_token"]
        family = up.family()
        assert up.end(signal.SIGINT) == 130  # Ctrl-C
        assert all(map(has_gone, family))
        assert "everything has stopped" in up.complaints


def test_part_that_is_killed_comes_back_and_no_caller_is_refused_meanwhile(
    fresh: dict[str, str], tmp_path: Path
) -> None:
    with Up(fresh, tmp_path) as up:
        up.ready()
        for name, word in PARTS.items():
            wait_until(lambda word=word: up.part(word), 60, f"{name} runs")
            before = up.part(word)
            assert before is not None
            os.kill(before, signal.SIGKILL)
            told = f"{name} was killed by SIGKILL; starting it again"
            # Until it is said, children of the killed one, which look like it, may be `up`'s.
            wait_until(lambda told=told: told in up.complaints, 60, f"{name} is missed")
            wait_until(lambda word=word, before=before: up.part(word) not in {None, before}, 60, f"{name} is back")
        # The socket is `up`'s: who calls while the gateway restarts waits, and is not refused.
        gateway = up.part(PARTS["gateway"])
        assert gateway is not None
        with_it = psutil.Process(gateway).children(recursive=True)
        os.kill(gateway, signal.SIGKILL)
        wait_until(lambda: up.part(PARTS["gateway"]) != gateway, 30, "the gateway is gone")
        # What one of its workers still accepted dies with that worker.
        wait_until(lambda: all(map(has_gone, with_it)), 30, "its workers are gone")
        host, port = up.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 60) as caller:
            caller.sendall(b"GET /ping HTTP/1.1\r\nHost: nebula\r\nConnection: close\r\n\r\n")
            assert caller.recv(100).startswith(b"HTTP/1.1 200 ")


def test_kill_of_up_takes_every_process_along_and_the_next_up_goes_on(fresh: dict[str, str], tmp_path: Path) -> None:
    del fresh["NEBULA_BIND"]
    # One of its own: between the two, another Nebula of this machine could take the first port that is free.
    memory = Path(fresh["NEBULA_DATA_DIR"], "bind")
    memory.parent.mkdir()
    memory.write_text(f"127.0.0.1:{free_port()}\n")
    with Up(fresh, tmp_path / "first") as up:
        up.ready()
        password, url, family = up.password, up.url, up.family()
        assert len(family) >= 4  # the three parts, and the gateway's worker
        up.kill()
        # At once, as a service manager does: it waits for the last of the killed processes.
        with Up(fresh, tmp_path / "second") as following:
            following.ready()
            assert all(map(has_gone, family))
            assert following.url == url
            assert following.sign_in("owner", password)["access_token"]


def test_second_up_on_the_same_directory_is_refused(fresh: dict[str, str], tmp_path: Path) -> None:
    with Up(fresh, tmp_path / "first") as up:
        up.ready()
        with Up(fresh, tmp_path / "second") as second:
            assert second.process.wait(60) == 1
            told = f"Nebula already runs on {fresh['NEBULA_DATA_DIR']} (process {up.process.pid})"
            assert told in second.complaints
        assert up.pings()


def test_two_checkouts_run_at_once_on_different_ports(fresh: dict[str, str], tmp_path: Path) -> None:
    del fresh["NEBULA_BIND"]
    other = fresh | {"NEBULA_DATA_DIR": str(tmp_path / "other")}
    with Up(fresh, tmp_path / "first") as first, Up(other, tmp_path / "second") as second:
        first.ready()
        second.ready()
        assert first.url != second.url
        assert Path(fresh["NEBULA_DATA_DIR"]).stat().st_mode & 0o777 == 0o700
        assert first.pings()
        assert second.pings()
        assert second.sign_in("owner", second.password)["access_token"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            first.sign_in("owner", second.password)


def test_port_that_is_taken_gives_way_to_the_next_free_one_which_is_remembered(
    fresh: dict[str, str], tmp_path: Path
) -> None:
    del fresh["NEBULA_BIND"]
    memory = Path(fresh["NEBULA_DATA_DIR"], "bind")
    memory.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        memory.write_text(f"127.0.0.1:{port}\n")
        with Up(fresh, tmp_path / "first") as up:
            url = up.ready().url
            assert not url.endswith(f":{port}")
            assert f"port {port} is taken" in up.complaints
    with Up(fresh, tmp_path / "second") as up:
        assert up.ready().url == url
        assert "taken" not in up.complaints


def test_address_that_was_set_and_is_taken_is_refused_by_name(fresh: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        bind = f"127.0.0.1:{stranger.getsockname()[1]}"
        with Up(fresh | {"NEBULA_BIND": bind}, tmp_path) as up:
            assert up.process.wait(60) == 1
            assert f"NEBULA_BIND is {bind}, and that address cannot be had: Address already in use" in up.complaints


def test_first_account_takes_the_name_and_password_that_were_set(fresh: dict[str, str], tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text("an unattended password\n")
    fresh |= {"NEBULA_OWNER": "maria", "NEBULA_OWNER_PASSWORD_FILE": str(password_file)}
    with Up(fresh, tmp_path / "first") as up:
        assert up.ready().sign_in("maria", "an unattended password")["access_token"]
        assert "an unattended password" not in up.said + up.complaints
    password_file.unlink()  # it is needed once
    with Up(fresh, tmp_path / "second") as up:
        up.ready()


def test_password_file_that_cannot_be_read_stops_the_start(fresh: dict[str, str], tmp_path: Path) -> None:
    with Up(fresh | {"NEBULA_OWNER_PASSWORD_FILE": str(tmp_path / "none")}, tmp_path) as up:
        assert up.process.wait(60) == 1
        assert "NEBULA_OWNER_PASSWORD_FILE cannot be read" in up.complaints


def test_everything_works_in_a_directory_whose_name_means_something_elsewhere(
    fresh: dict[str, str], clips: Clips, tmp_path: Path
) -> None:
    """Database, queue, store, scratch and the files that ffmpeg is told of: no part of the path is taken for syntax."""
    folder = tmp_path / """a #1 ?x=y 100% %20 %(b)s 'c' "d" ä漢;&@:"""
    film = clips.path("long_mpeg2")
    with Up(fresh | {"NEBULA_DATA_DIR": str(folder), "NEBULA_CHUNK_SECONDS": "2"}, tmp_path / "out") as up:
        token = up.ready().sign_in("owner", up.password)["access_token"]
        place = f"/api/v1/files/{_asked(up, token, 'PUT', '/api/v1/files/by-name/film.mkv', film.read_bytes())['id']}"
        wait_until(lambda: _asked(up, token, "GET", place)["state"] != "processing", 200, "the film is made")
        assert _asked(up, token, "GET", place)["state"] == "ready"
        assert up.end(signal.SIGTERM) == 0
    assert (folder / "nebula.sqlite").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {folder.name, "out"}


def _asked(up: Up, token: str, method: str, path: str, body: bytes | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(up.url + path, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_signing_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    made = up_module.with_signing_key({}, tmp_path)
    key = Path(made["SECRET_KEY_FILE"])
    before = key.read_text()
    assert key.parent == tmp_path
    assert key.stat().st_mode & 0o777 == 0o600
    assert config.load(made).secret_keys
    assert up_module.with_signing_key({}, tmp_path) == made
    assert key.read_text() == before


def test_signing_key_that_was_set_is_the_one_used(tmp_path: Path) -> None:
    given = {"SECRET_KEY": "k" * 32}
    assert up_module.with_signing_key(given, tmp_path) == given
    assert list(tmp_path.iterdir()) == []


def test_database_of_a_newer_version_is_named_and_left_alone(
    fresh: dict[str, str], sqlite_url: str, tmp_path: Path
) -> None:
    database = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    with Up(fresh | {"DATABASE_URL": sqlite_url}, tmp_path) as up:
        assert up.process.wait(60) == 1
        assert "revision 9999, which this version of Nebula does not know" in up.complaints


def test_store_that_does_not_answer_stops_the_start_with_a_sentence(fresh: dict[str, str], tmp_path: Path) -> None:
    with Up(fresh | {"DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/none"}, tmp_path) as up:
        assert up.process.wait(60) == 3
        assert "The database does not answer" in up.complaints
        assert "Traceback" not in up.complaints
