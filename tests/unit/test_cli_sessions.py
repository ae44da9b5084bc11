"""Staying signed in: one file closed to others, tokens renewed once however many ask, nothing lost to a bad moment."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.recording import Asked, Recording, Said, problem
from tests.unit.cli import JOB_ID, OTHER_ID, V1, Cli, file, holds, job


def tokens(number: int) -> dict[str, object]:
    return {
        "access_token": f"access-{number}",
        "expires_in": 900,
        "refresh_token": f"refresh-{number}",
        "token_type": "Bearer",
        "session_id": OTHER_ID,
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class Family:
    """A token family at the server: a refresh token is good once."""

    def __init__(self, recording: Recording) -> None:
        self.number = 1
        self.refused = 0
        self._lock = threading.Lock()
        recording.answers[f"POST {V1}/auth/refresh"] = self.refresh
        recording.answers[f"GET {V1}/auth/whoami"] = self.whoami

    def refresh(self, asked: Asked) -> Said | dict[str, object]:
        with self._lock:
            if asked.json()["refresh_token"] != f"refresh-{self.number}":
                self.refused += 1
                return problem(401, "sign_in_required", "Sign in again.")
            self.number += 1
            return tokens(self.number)

    def whoami(self, asked: Asked) -> Said | dict[str, object]:
        if asked.headers["Authorization"] != f"Bearer access-{self.number}":
            return problem(401, "sign_in_required", "The access token has run out.")
        return {"name": "ana", "role": "owner"}


def run_cli(cli: Cli, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nebula_cli.main", *words],
        env=os.environ | {"XDG_STATE_HOME": str(cli.state.parent)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_login_keeps_the_tokens_closed_to_others(cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch):
    cli.credentials.unlink()
    cli.state.rmdir()
    recording.answers[f"POST {V1}/auth/login"] = tokens(1)
    ran = run_cli(
        cli, "login", "--server", recording.url, "--username", "ana", "--password-stdin", stdin="pass word \n"
    )
    assert (ran.returncode, ran.stdout) == (0, "")
    assert recording.asked[0].json() == {"username": "ana", "password": "pass word "}
    assert recording.asked[0].headers["User-Agent"].startswith("nebula/")
    assert mode(cli.state) == 0o700
    assert mode(cli.credentials) == 0o600
    assert cli.kept()[recording.url]["refresh_token"] == "refresh-1"
    assert "pass word" not in cli.credentials.read_text()
    recording.answers[f"GET {V1}/auth/whoami"] = {"name": "ana", "role": "owner"}
    assert cli("whoami").out == f"ana (owner) at {recording.url}\n"


def test_login_closes_a_directory_that_was_open(cli: Cli, recording: Recording):
    cli.state.chmod(0o755)
    holds(recording)
    assert cli("ls").code == 0
    assert mode(cli.state) == 0o700


def test_a_wrong_password_is_4_and_keeps_what_was(cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch):
    before = cli.credentials.read_bytes()
    recording.answers[f"POST {V1}/auth/login"] = problem(401, "wrong_credentials", "The name or the password is wrong.")
    monkeypatch.setattr("sys.stdin", _Lines("wrong\n"))
    ran = cli("login", "--username", "ana", "--password-stdin")
    assert ran.code == 4
    assert ran.err.count("\n") == 1
    assert cli.credentials.read_bytes() == before


def test_signing_in_again_ends_the_session_that_this_machine_had(
    cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch
):
    recording.answers[f"POST {V1}/auth/login"] = tokens(7) | {"session_id": "new"}
    recording.answers[f"DELETE {V1}/auth/sessions/{OTHER_ID}"] = Said(204)
    monkeypatch.setattr("sys.stdin", _Lines("secret\n"))
    assert cli("login", "--username", "ana", "--password-stdin").code == 0
    assert recording.changes == [f"POST {V1}/auth/login", f"DELETE {V1}/auth/sessions/{OTHER_ID}"]
    assert recording.asked[1].headers["Authorization"] == "Bearer access-7"


def test_without_a_terminal_nobody_is_asked(cli: Cli, recording: Recording):
    for words in (["login"], ["login", "--username", "ana"], ["passwd"]):
        ran = run_cli(cli, *words)
        assert ran.returncode == 2
        assert ran.stderr.count("\n") == 1
    assert recording.asked == []


def test_secrets_that_are_missing_on_stdin_change_nothing(cli: Cli, recording: Recording):
    ran = run_cli(cli, "passwd", "--password-stdin", stdin="only the old one\n")
    assert ran.returncode == 2
    assert recording.asked == []


def test_passwd_sends_the_two_lines_of_stdin(cli: Cli, recording: Recording):
    recording.answers[f"POST {V1}/auth/password"] = Said(204)
    assert run_cli(cli, "passwd", "--password-stdin", stdin="old one\nnew one\n").returncode == 0
    assert recording.asked[0].json() == {"old_password": "old one", "new_password": "new one"}


def test_the_environments_server_is_asked_with_its_own_session_alone(
    cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch
):
    cli.sign_in(url="http://elsewhere.invalid:8420")
    monkeypatch.setenv("NEBULA_SERVER", recording.url)
    ran = cli("ls")
    assert ran.code == 4
    assert recording.asked == []


@pytest.mark.parametrize("permissions", [0o640, 0o604, 0o666])
def test_credentials_that_others_may_read_are_not_used(cli: Cli, recording: Recording, permissions: int):
    cli.credentials.chmod(permissions)
    ran = cli("ls")
    assert ran.code == 1
    assert ran.err == f"nebula: Other users may read {cli.credentials}; close it to them: chmod 600 {cli.credentials}\n"
    assert recording.asked == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sessions": 3}', '{"sessions": {"x": {}}}', "\xff"])
def test_a_damaged_file_is_one_line_and_login_replaces_it(
    cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch, content: str
):
    cli.credentials.write_bytes(content.encode("latin-1"))
    monkeypatch.setenv("NEBULA_SERVER", recording.url)
    ran = cli("ls")
    assert ran.code == 4
    assert ran.err.count("\n") == 1
    recording.answers[f"POST {V1}/auth/login"] = tokens(1)
    monkeypatch.setattr("sys.stdin", _Lines("secret\n"))
    assert cli("login", "--username", "ana", "--password-stdin").code == 0
    holds(recording)
    assert cli("ls").code == 0


def test_an_access_token_that_ran_out_is_renewed_before_it_is_used(cli: Cli, recording: Recording):
    family = Family(recording)
    cli.sign_in(expires_in=5)
    assert cli("whoami").code == 0
    assert [asked.path for asked in recording.asked] == [f"{V1}/auth/refresh", f"{V1}/auth/whoami"]
    assert family.number == 2
    assert cli.kept()[recording.url]["refresh_token"] == "refresh-2"
    assert mode(cli.credentials) == 0o600


def test_a_refused_access_token_is_renewed_once(cli: Cli, recording: Recording):
    family = Family(recording)
    cli.sign_in(access="stale")
    assert cli("whoami").code == 0
    assert family.number == 2
    recording.answers[f"GET {V1}/auth/whoami"] = problem(401, "sign_in_required", "No.")
    recording.asked.clear()
    assert cli("whoami").code == 4
    assert [asked.path.rsplit("/", 1)[1] for asked in recording.asked] == ["whoami", "refresh", "whoami"]


def test_many_processes_spend_a_refresh_token_once(cli: Cli, recording: Recording):
    family = Family(recording)
    cli.sign_in(expires_in=0)
    processes = [
        subprocess.Popen([sys.executable, "-m", "nebula_cli.main", "whoami"], stdout=subprocess.DEVNULL)
        for _ in range(6)
    ]
    assert [process.wait(60) for process in processes] == [0] * 6
    assert (family.number, family.refused) == (2, 0)


def test_a_session_that_ended_is_forgotten_and_said(cli: Cli, recording: Recording):
    recording.answers[f"POST {V1}/auth/refresh"] = problem(401, "sign_in_required", "The session has ended.")
    cli.sign_in(expires_in=0)
    ran = cli("ls")
    assert ran.code == 4
    assert f"nebula login --server {recording.url}" in ran.err
    assert cli.kept() == {}


@pytest.mark.parametrize(
    "said",
    [
        problem(503, "store_unavailable", "The database does not answer."),
        problem(429, "too_many_attempts", "Wait."),
        problem(500, "internal", "A mistake."),
        Said(401, "<html>", {"Content-Type": "text/html"}),
        Said(200, "{}"),
        Said(200, "cut of"),
    ],
)
def test_a_refresh_that_goes_wrong_keeps_the_credentials(cli: Cli, recording: Recording, said: Said):
    recording.answers[f"POST {V1}/auth/refresh"] = said
    cli.sign_in(expires_in=0)
    before = cli.credentials.read_bytes()
    ran = cli("ls")
    assert ran.code in {1, 3}
    assert ran.err.count("\n") == 1
    assert cli.credentials.read_bytes() == before


def test_a_server_that_is_away_keeps_the_credentials(cli: Cli, recording: Recording):
    cli.sign_in(expires_in=0, url="http://127.0.0.1:1")
    before = cli.credentials.read_bytes()
    assert cli("ls").code == 3
    assert cli.credentials.read_bytes() == before


def test_logout_ends_the_session_and_removes_the_tokens(cli: Cli, recording: Recording):
    recording.answers[f"POST {V1}/auth/logout"] = Said(204)
    assert cli("logout").code == 0
    assert cli.kept() == {}
    assert recording.changes == [f"POST {V1}/auth/logout"]
    assert cli("logout").code == 0


def test_logout_without_the_server_removes_the_tokens_and_says_so(cli: Cli, recording: Recording):
    cli.sign_in(url="http://127.0.0.1:1")
    ran = cli("logout")
    assert ran.code == 3
    assert "Signed out here" in ran.err
    assert cli.kept() == {}


def test_the_state_directory_has_no_leftovers(cli: Cli, recording: Recording):
    Family(recording)
    cli.sign_in(expires_in=0)
    cli("whoami")
    assert sorted(path.name for path in cli.state.iterdir()) == ["credentials.json", "credentials.lock"]


def test_output_into_a_closed_pipe_is_quiet(cli: Cli, recording: Recording):
    holds(recording, *(file(f"{number} {'x' * 200}") for number in range(1000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "nebula_cli.main", "ls"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 0


def test_output_that_cannot_be_written_fails_in_one_line(cli: Cli, recording: Recording):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    holds(recording, file("a"))
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "nebula_cli.main", "ls"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr == "nebula: No space left on device.\n"


class _Lines:
    """A stdin that is no terminal."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines(keepends=True)

    def readline(self) -> str:
        return self._lines.pop(0) if self._lines else ""

    def isatty(self) -> bool:
        return False


def test_credentials_are_json_that_names_the_server(cli: Cli, recording: Recording):
    kept = json.loads(cli.credentials.read_text())
    assert kept["server"] == recording.url


# A process that takes its stdin for its terminal, as a shell's children have it.
ON_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "nebula_cli.main", *sys.argv[1:]])
"""


def on_terminal(cli: Cli, *words: str, typed: bytes = b"", after: bytes = b"", **environ: str) -> tuple[int, str]:
    """Run `nebula` on a terminal of its own; type when `after` was shown. Return its exit code and what it showed."""
    terminal, inner = pty.openpty()
    own = os.environ | {"XDG_STATE_HOME": str(cli.state.parent), "TERM": "xterm"} | environ
    command = [sys.executable, "-c", ON_TERMINAL, *words]
    with subprocess.Popen(command, env=own, stdin=inner, stdout=inner, stderr=inner) as process:
        os.close(inner)
        shown = b""
        while piece := _read(terminal):
            shown += piece
            if typed and after in shown:
                os.write(terminal, typed)
                typed = b""
        os.close(terminal)
    return process.returncode, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says EIO where the other end is closed
        return b""


def test_a_password_is_asked_for_and_not_shown(cli: Cli, recording: Recording):
    recording.answers[f"POST {V1}/auth/login"] = tokens(3)
    recording.answers[f"DELETE {V1}/auth/sessions/{OTHER_ID}"] = Said(204)
    code, shown = on_terminal(cli, "login", "--username", "ana", typed=b"very secret\n", after=b"Password of ana: ")
    assert code == 0, shown
    assert "secret" not in shown
    assert recording.asked[0].json() == {"username": "ana", "password": "very secret"}


def test_ctrl_c_at_a_prompt_is_130(cli: Cli, recording: Recording):
    code, shown = on_terminal(cli, "passwd", typed=b"\x03", after=b"Old password: ")
    assert code == 130, shown
    assert "Traceback" not in shown
    assert recording.asked == []


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_terminals_that_want_them(
    cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], coloured: bool
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    holds(recording, file("a\x1b[41mb"))
    code, shown = on_terminal(cli, "ls", **environ)
    assert code == 0
    assert ("\x1b[32mready\x1b[0m" in shown) == coloured
    assert "\x1b[41m" not in shown


def test_following_on_a_terminal_writes_over_its_table(cli: Cli, recording: Recording):
    holds(recording, file("film.mkv"))
    answers = iter([{"items": [job()]}, {"items": [job(progress=0.9)]}, {"items": []}])
    recording.answers[f"GET {V1}/jobs"] = lambda _asked: next(answers)
    recording.answers[f"GET {V1}/jobs/{JOB_ID}"] = job(state="done")
    code, shown = on_terminal(cli, "jobs", "--follow")
    assert code == 0, shown
    assert shown.count("\x1b[2A") == 2
    assert [word in shown for word in ("42 %", "90 %", "done")] == [True] * 3


def test_listing_loads_nothing_of_the_server_and_nothing_slow(cli: Cli, recording: Recording):
    """Starting is fast as long as only what a command needs is imported."""
    holds(recording, file("a"))
    script = "import sys; from nebula_cli import main; main.main(['ls']); print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stderr.split())
    assert {"nebula_cli.commands.files", "fire"} <= loaded
    ours = {name for name in loaded if name.startswith("nebula_cli.commands.")}
    assert ours == {"nebula_cli.commands.files"}
    slow = {"nebula", "falcon", "pony", "boto3", "celery", "difflib", "webbrowser", "getpass", "IPython"}
    assert loaded & slow == set()
