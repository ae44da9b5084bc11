"""Every command against a server that answers anything but what it should: one line, an exit code, no traceback."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nebula_cli.command_table import MODULES
from tests.recording import Recording, Responder, Said, problem
from tests.unit.cli import FILE_ID, JOB_ID, OTHER_ID, V1, Cli, Ran, file, job

FILE, SESSION = f"{V1}/files/{FILE_ID}", f"{V1}/auth/sessions/{OTHER_ID}"
OPERATION = {"id": JOB_ID, "kind": "backup", "state": "running", "commit": None, "message": ""}
PAGE = {"Content-Type": "text/html"}

# Each command line, and the request of it that changes something ("" for a command that only reads).
LINES: dict[str, str] = {
    "ping": "",
    "login --username ana --password-stdin": f"POST {V1}/auth/login",
    "logout": f"POST {V1}/auth/logout",
    "whoami": "",
    "passwd --password-stdin": f"POST {V1}/auth/password",
    "sessions": "",
    f"sessions --revoke {OTHER_ID}": f"DELETE {SESSION}",
    "upload local.bin": f"POST {V1}/uploads",
    "download film": "",
    f"download {FILE_ID}": "",
    "ls": "",
    "info film": "",
    f"info {FILE_ID}": "",
    "rename film other": f"PATCH {FILE}",
    "rm film": f"DELETE {FILE}",
    "rm film --now": f"DELETE {FILE}",
    "trash": "",
    "trash --empty": f"DELETE {FILE}",
    "restore film": f"POST {FILE}/restore",
    "play film --player none": f"POST {FILE}/links",
    "link film": f"POST {FILE}/links",
    "links": "",
    f"link --revoke {OTHER_ID}": f"DELETE {V1}/links/{OTHER_ID}",
    "jobs": "",
    "jobs --follow": "",
    f"job {JOB_ID}": "",
    f"retry {JOB_ID}": f"POST {V1}/jobs/{JOB_ID}/retry",
    f"cancel {JOB_ID}": f"POST {V1}/jobs/{JOB_ID}/cancel",
    f"pause {JOB_ID}": f"POST {V1}/jobs/{JOB_ID}/pause",
    f"resume {JOB_ID}": f"POST {V1}/jobs/{JOB_ID}/resume",
    "status": "",
    "power": "",
    "deploy status": "",
    "deploy rollback": f"POST {V1}/operations",
    "backup status": "",
    "backup now": f"POST {V1}/operations",
    "completion bash": "",
}
ASKING = [line for line in LINES if line != "completion bash"]

# Answers that no gateway gives, and the exit code that they mean.
ODD: dict[str, tuple[Responder, int]] = {
    "a page with status 200": (Said(200, "<html><body>Welcome</body></html>", PAGE), 3),
    "a page with status 502": (Said(502, "<html>Bad gateway</html>", PAGE), 3),
    "a page with status 404": (Said(404, "<html>Not found</html>", PAGE), 3),
    "a page with status 401": (Said(401, "<html>Sign in to the wifi</html>", PAGE), 3),
    "a redirect": (Said(302, "", PAGE | {"Location": "http://wifi.invalid/"}), 3),
    "a redirect without a place": (Said(300, ""), 3),
    "not modified": (Said(304), 3),
    "a teapot without a word": (Said(418, ""), 3),
    "a status beyond all": (Said(599, ""), 3),
    "a list": (Said(400, "[]", {"Content-Type": "application/problem+json"}), 3),
    "a problem that is text": (Said(500, "oops", {"Content-Type": "application/problem+json"}), 3),
    "a problem nested without end": (Said(500, "[" * 200_000, {"Content-Type": "application/problem+json"}), 3),
    "JSON nested without end": (Said(200, '{"items":' + "[" * 200_000), 3),
    "not UTF-8": (Said(200, b'{"items": "\xff\xfe'), 3),
    "a problem": (problem(409, "conflict", "It is in use."), 1),
    "a problem of several lines": (problem(400, "invalid", "First.\nSecond.\r\n\x1b[31mThird."), 1),
    "a problem without a detail": (Said(403, {"code": "forbidden"}, {"Content-Type": "application/problem+json"}), 1),
    "a problem whose detail is null": (
        Said(503, {"code": "busy", "detail": None}, {"Content-Type": "application/problem+json"}),
        1,
    ),
    "a problem with an odd Retry-After": (problem(429, "busy", "Wait.", **{"Retry-After": "soon"}), 1),
    "signed out": (problem(401, "session_ended", "This session has ended."), 4),
    "nothing there": (problem(404, "not_found", "There is no such thing."), 5),
}
# Bodies that some request may have, and most may not: they may mean success where nothing was to be read.
HOLLOW: dict[str, Responder] = {
    "no content": Said(204),
    "an empty body": Said(200, b""),
    "an empty object": Said(200, {}),
    "null": Said(200, "null"),
    "a list": Said(200, "[]"),
    "a word": Said(200, '"pong"'),
    "items that are a number": Said(200, {"items": 3}),
    "items that are no objects": Said(200, {"items": [3, None, "x"]}),
    "an item without members": Said(200, {"items": [{}]}),
}


@pytest.fixture(autouse=True)
def _at_hand(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """One try for each transfer, and a file to upload."""
    monkeypatch.setattr("nebula_cli.retrying.TRIES", 1)
    Path("local.bin").write_bytes(b"12345")


def good(recording: Recording) -> None:
    """Fill the server's table with a household in order."""
    film, listing = file("film"), {"items": [file("film")], "next_cursor": None}
    recording.answers |= {
        "GET /ping": {"ping": "pong", "version": "1"},
        f"GET {V1}/files": lambda asked: listing | {"items": []} if "sha256" in asked.query else listing,
        f"GET {FILE}": film,
        f"GET {V1}/auth/sessions": {"items": [{"id": OTHER_ID}]},
        f"GET {V1}/links": {"items": [{"id": OTHER_ID, "file_id": FILE_ID}]},
        f"GET {V1}/jobs/{JOB_ID}": job(),
        f"GET {V1}/operations": {"items": [OPERATION]},
    }


def test_every_command_is_in_the_table():
    assert {line.split()[0] for line in LINES} == set(MODULES)


def is_one_line(text: str) -> bool:
    return text.startswith("nebula: ") and text.count("\n") == 1 and len(text) > len("nebula: x.\n")


def ended(cli: Cli, recording: Recording, line: str, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Run a command line, signed in, and with passwords on stdin."""
    cli.sign_in()
    monkeypatch.setattr("sys.stdin", io.StringIO("old password\nnew password\n"))
    return cli(*line.split(), *(["--server", recording.url] if line.startswith("login") else []))


@pytest.mark.parametrize("line", ASKING)
def test_a_command_ends_in_one_line_when_every_answer_is_odd(
    cli: Cli, recording: Recording, line: str, monkeypatch: pytest.MonkeyPatch
):
    for odd, (answer, code) in ODD.items():
        recording.otherwise = answer
        ran = ended(cli, recording, line, monkeypatch)
        if line == "logout" and code == 4:
            assert ran.code == 0  # nothing is left to end
            continue
        assert (odd, ran.code, ran.out) == (odd, 3 if line == "ping" else code, "")
        assert is_one_line(ran.err), odd


@pytest.mark.parametrize("line", [line for line, change in LINES.items() if change and line != "logout"])
def test_a_command_does_not_claim_a_change_that_got_an_odd_answer(
    cli: Cli, recording: Recording, line: str, monkeypatch: pytest.MonkeyPatch
):
    good(recording)
    for odd, (answer, code) in ODD.items():
        recording.asked.clear()
        recording.otherwise = recording.answers[LINES[line]] = answer
        ran = ended(cli, recording, line, monkeypatch)
        assert LINES[line] in recording.changes
        stays = line == "trash --empty" and code == 1  # each file's refusal has a line of its own
        assert (odd, ran.code, ran.out) == (odd, code, "")
        assert stays or is_one_line(ran.err), odd


@pytest.mark.parametrize("line", ASKING)
def test_a_command_survives_an_answer_that_lacks_what_it_needs(
    cli: Cli, recording: Recording, line: str, monkeypatch: pytest.MonkeyPatch
):
    for hollow, answer in HOLLOW.items():
        recording.otherwise = answer
        ran = ended(cli, recording, line, monkeypatch)
        assert ran.code in {0, 1, 3, 5}, hollow
        # What was asked for has its line first: "Backing up; ...".
        assert ran.code == 0 or is_one_line(ran.err.splitlines(keepends=True)[-1]), hollow


@pytest.mark.parametrize("odd", [odd for odd, (_, code) in ODD.items() if code != 4])
def test_logout_forgets_the_credentials_and_says_what_goes_on_at_the_server(cli: Cli, recording: Recording, odd: str):
    recording.otherwise, code = ODD[odd]
    ran = cli("logout")
    assert ran.code == code
    assert cli.kept() == {}
    assert is_one_line(ran.err)
    assert "Signed out here" in ran.err
    assert OTHER_ID[:8] in ran.err  # what another device types to end it


def test_logout_forgets_the_credentials_when_the_token_cannot_be_renewed(cli: Cli, recording: Recording):
    cli.sign_in(expires_in=0)
    recording.otherwise = Said(500, "<html>", PAGE)
    ran = cli("logout")
    assert (ran.code, cli.kept()) == (3, {})
    assert "Signed out here" in ran.err
