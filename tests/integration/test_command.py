"""`nebula-server`'s commands for the machine that it runs on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nebula import command, config
from nebula.db import migrate
from nebula.db.database import Database
from nebula.storage.choose import open_storage
from tests.people import PASSWORD, People
from tests.stores import free_port

# What a URL, a connection string, a configuration file or a shell would take for something else.
NAMES_OF_FOLDERS = ["a#b", "a?mode=memory", "100%20 %(here)s", "a b'c\"d", ":memory:", "file:ä漢😀;&=@:\\"]


@pytest.fixture
def machine(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A server's machine: the environment of this process is the server's."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    open_storage(config.load(environ)).prepare()
    return environ


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a machine on which nothing was ever started."""
    monkeypatch.setenv("NEBULA_DATA_DIR", str(tmp_path / "data"))
    for name in ("DATABASE_URL", "REDIS_URL", "S3_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "data"


def give_stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_account_that_was_made_here_signs_in(
    machine: dict[str, str], people: People, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_stdin(monkeypatch, "a password from stdin\n")
    assert command.main(["create-account", "nadia", "--role", "owner", "--password-stdin"]) == 0
    assert capsys.readouterr().out == "The account nadia (owner) is there.\n"
    assert _sign_in(people, "nadia", "a password from stdin") == 200


def test_accounts_are_listed_with_the_closed_ones(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["accounts"]) == 0
    assert capsys.readouterr().out == ""
    for name, role in (("nadia", "owner"), ("emil", "member")):
        give_stdin(monkeypatch, "a password from stdin\n")
        assert command.main(["create-account", name, "--role", role, "--password-stdin"]) == 0
    assert command.main(["disable-account", "emil"]) == 0
    capsys.readouterr()
    assert command.main(["accounts"]) == 0
    assert capsys.readouterr().out == "nadia (owner)\nemil (member, closed)\n"


def test_account_is_made_once(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for expected in (0, 1):
        give_stdin(monkeypatch, "a password from stdin\n")
        assert command.main(["create-account", "nadia", "--password-stdin"]) == expected
    assert capsys.readouterr().err.startswith("nebula-server: ")


def test_reset_password_ends_sessions_and_lets_the_new_one_in(
    machine: dict[str, str], people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert people.member.get("/api/v1/auth/whoami").status_code == 200
    name = str(people.member.name)
    give_stdin(monkeypatch, "another password\n")
    assert command.main(["reset-password", name, "--password-stdin"]) == 0
    assert _sign_in(people, name, PASSWORD) == 401
    assert _sign_in(people, name, "another password") == 200


def test_disabled_account_cannot_sign_in_until_it_is_enabled(machine: dict[str, str], people: People) -> None:
    name = str(people.member.name)
    assert command.main(["disable-account", name]) == 0
    assert _sign_in(people, name, PASSWORD) == 401
    assert command.main(["enable-account", name]) == 0
    assert _sign_in(people, name, PASSWORD) == 200


@pytest.mark.parametrize(
    "words",
    [["disable-account", "nobody"], ["enable-account", "nobody"], ["reset-password", "nobody", "--password-stdin"]],
)
def test_account_that_is_not_there_is_exit_status_5(
    machine: dict[str, str], words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_stdin(monkeypatch, "another password\n")
    assert command.main(words) == 5
    assert "nobody" in capsys.readouterr().err


def test_password_is_not_asked_for_where_nobody_can_answer(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_stdin(monkeypatch, "")
    assert command.main(["create-account", "nadia"]) == 1
    assert "--password-stdin" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["uppp"], ["create-account"], ["up", "--frce"], ["migrate", "--stat"]])
def test_words_that_are_no_command_are_exit_status_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        command.main(words)
    assert raised.value.code == 2


def test_check_is_content_with_a_new_server(machine: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", subject] for subject in ("settings", "database", "schema", "objects", "queue", "ffmpeg", "rows", "store")
    ]


def test_check_reports_objects_that_are_unknown_and_rows_whose_object_is_missing(
    machine: dict[str, str], tmp_path: Path, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config.load(machine)
    stray = tmp_path / "stray"
    stray.write_bytes(b"nobody knows me")
    open_storage(settings).put_file("originals/stray", stray, "text/plain")
    database = Database(settings.database_url, threads=1)
    database.write(
        lambda tx: (
            tx.e.Content(
                id="lost",
                account=people.owner.account_id,
                sha256="0" * 64,
                size_bytes=1,
                object_key="originals/lost",
                media_type="text/plain",
                state="stored",
                web_ready=False,
                created_at=tx.now,
            )
            and None
        )
    )
    database.close()
    assert command.main(["check"]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["FAIL", "missing", "originals/lost"] in lines
    assert ["ok", "unknown", "originals/stray"] in lines
    assert open_storage(settings).stat("originals/stray").size_bytes == 15  # removing it is a person's to do


def test_check_names_the_store_that_does_not_answer(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("S3_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("S3_ACCESS_KEY", "key")
    monkeypatch.setenv("S3_SECRET_KEY", "secret")
    assert command.main(["check"]) == 1
    assert "FAIL  objects" in capsys.readouterr().out


def test_sweep_runs_once(machine: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["sweep"]) == 0
    assert capsys.readouterr().out == "Swept.\n"


def test_settle_ends_what_was_under_way_before_a_restore_and_counts_what_is_there(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["operation", "begin", "0" * 40]) == 0
    running = capsys.readouterr().out.strip()
    assert command.main(["settle"]) == 0
    assert capsys.readouterr().out == "0 accounts, 0 files, 0 bytes, 0 unfinished uploads.\n"
    give_stdin(monkeypatch, "It is done.")
    assert command.main(["operation", "end", running, "done"]) == 5  # it has ended


def test_migrate_makes_the_schema_and_status_tells_where_it_stands(
    bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["migrate"]) == 0
    assert command.main(["migrate", "--status"]) == 0
    head = migrate.status(f"sqlite:///{bare / 'nebula.sqlite'}").head
    assert f"The schema is at revision {head}, as this version needs it." in capsys.readouterr().out


@pytest.mark.parametrize("given", ["NEBULA_DATA_DIR", "DATABASE_URL"])
@pytest.mark.parametrize("name", NAMES_OF_FOLDERS)
def test_database_is_in_the_directory_that_was_named_and_nowhere_else(
    bare: Path, name: str, given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bare / name
    value = str(folder) if given == "NEBULA_DATA_DIR" else f"sqlite:///{folder / 'nebula.sqlite'}"
    monkeypatch.setenv(given, value)
    assert command.main(["migrate"]) == 0
    assert command.main(["accounts"]) == 0
    assert capsys.readouterr().err == ""
    files = {path.relative_to(bare).as_posix() for path in bare.rglob("*") if path.is_file()}
    assert files - {f"{name}/nebula.sqlite-wal", f"{name}/nebula.sqlite-shm"} == {f"{name}/nebula.sqlite"}


@pytest.mark.parametrize("words", [["migrate", "--status"], ["check"], ["sweep"], ["create-account", "nadia"]])
def test_command_on_the_wrong_directory_makes_no_database_there(
    bare: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(words) == 1
    assert f"There is no database at {bare / 'nebula.sqlite'}" in capsys.readouterr().err
    assert not bare.exists()


def test_command_of_a_checkout_means_the_data_of_that_checkout(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NEBULA_DATA_DIR")
    monkeypatch.setattr("sys.prefix", str(bare / ".venv"))
    assert command.main(["check"]) == 1
    assert f"There is no database at {bare / '.nebula' / 'nebula.sqlite'}" in capsys.readouterr().err


def test_database_that_does_not_answer_is_exit_status_3(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    assert command.main(["migrate", "--status"]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_setting_that_cannot_be_meant_is_named(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEBULA_BIND", "nowhere")
    assert command.main(["check"]) == 1
    assert "NEBULA_BIND: 'nowhere' is not usable: takes ADDRESS:PORT" in capsys.readouterr().err


def _sign_in(people: People, name: str, password: str) -> int:
    answer = people.anonymous.post("/api/v1/auth/login", json={"username": name, "password": password})
    return int(answer.status_code)


def test_grants_for_worker_nodes_wait_for_their_role(
    machine: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["grant-workers"]) == command.NOT_FOUND
    assert "CREATE ROLE nebula_workers NOLOGIN" in capsys.readouterr().err
