"""How the client behaves: mistakes change nothing, endings have codes, errors are one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nebula
import nebula_cli
from tests.recording import Recording, Said, problem
from tests.stores import free_port
from tests.unit.cli import FILE_ID, JOB_ID, OTHER_ID, V1, Cli, file, holds, job
from tests.unit.test_cli_command_line import COMMANDS


@pytest.fixture
def library(recording: Recording) -> Recording:
    """A server with a file, one in the trash, a job and a link; whatever is asked for works."""
    holds(recording, file("a"), trashed=(file("old.mkv", OTHER_ID, deleted_at="2026-01-02T00:00:00Z"),))
    link = {"id": OTHER_ID, "url": "/s/token/a", "file_id": FILE_ID, "name": "a", "rendition_id": None}
    for method, path, said in [
        ("PATCH", f"files/{FILE_ID}", file("b")),
        ("DELETE", f"files/{FILE_ID}", Said(204)),
        ("DELETE", f"files/{OTHER_ID}", Said(204)),
        ("POST", f"files/{OTHER_ID}/restore", file("old.mkv", OTHER_ID)),
        ("POST", f"files/{FILE_ID}/links", link),
        ("GET", "links", {"items": [link], "next_cursor": None}),
        ("DELETE", f"links/{OTHER_ID}", Said(204)),
        ("GET", "jobs", {"items": [job()], "next_cursor": None}),
        ("GET", f"jobs/{JOB_ID}", job()),
        ("POST", f"jobs/{JOB_ID}/retry", job(state="queued")),
        ("POST", f"jobs/{JOB_ID}/cancel", job(state="cancelled")),
        ("POST", f"jobs/{JOB_ID}/pause", job(state="paused")),
        ("POST", f"jobs/{JOB_ID}/resume", job(state="queued")),
        ("DELETE", f"jobs/{JOB_ID}", {}),
        ("GET", "auth/whoami", {"name": "ana", "role": "owner", "account_id": FILE_ID, "session_id": OTHER_ID}),
        ("GET", "auth/sessions", {"items": [{"id": OTHER_ID, "current": True}], "next_cursor": None}),
        ("DELETE", f"auth/sessions/{OTHER_ID}", Said(204)),
        (
            "GET",
            "status",
            {"version": "9", "services": {"database": "up"}, "disk": {"total_bytes": 1, "free_bytes": 1}},
        ),
    ]:
        recording.answers[f"{method} {V1}/{path}"] = said
    return recording


@pytest.mark.parametrize("mistake", ["--dryrun", "-n", "stray"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_changes_nothing_and_is_told_in_one_line(cli: Cli, library: Recording, name: str, mistake: str):
    before = cli.credentials.read_bytes()
    optional = ["a"] if name in {"ls", "link"} else []
    ran = cli(name, *(COMMANDS[name] or optional), mistake)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("nebula: ")
    assert ran.err.count("\n") == 1
    assert library.asked == []
    assert cli.credentials.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["rm", "a", "--now", "--now=no"],
        ["rm"],
        ["link"],
        ["link", "a", "--revoke", "b"],
        ["link", "a", "--expires", "soon"],
        ["play", "a", "--start", "1:99"],
        ["play", "a", "--player", "winamp"],
        ["jobs", "--limit", "0"],
        ["upload"],
        ["upload", "/nonexistent"],
        ["upload", "/"],
        ["login", "--server", "ftp://x"],
        ["completion", "tcsh"],
        ["rm", "\udcff"],
        ["nothing"],
    ],
)
def test_a_line_that_cannot_be_meant_changes_nothing(cli: Cli, library: Recording, words: list[str]):
    ran = cli(*words)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert library.changes == []


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["rm", "a"], [f"DELETE {V1}/files/{FILE_ID}"]),
        (["rm", "a", "--now"], [f"DELETE {V1}/files/{FILE_ID}"] * 2),
        (["rm", "old", "--now"], [f"DELETE {V1}/files/{OTHER_ID}"]),
        (["trash", "--empty"], [f"DELETE {V1}/files/{OTHER_ID}"]),
        (["rename", "a", "b"], [f"PATCH {V1}/files/{FILE_ID}"]),
        (["restore", "old"], [f"POST {V1}/files/{OTHER_ID}/restore"]),
        (["link", "a", "--expires", "6h"], [f"POST {V1}/files/{FILE_ID}/links"]),
        (["link", "--revoke", OTHER_ID[:6]], [f"DELETE {V1}/links/{OTHER_ID}"]),
        (["play", "a", "--player", "none"], [f"POST {V1}/files/{FILE_ID}/links"]),
        (["retry", JOB_ID[:4]], [f"POST {V1}/jobs/{JOB_ID}/retry"]),
        (["cancel", JOB_ID], [f"POST {V1}/jobs/{JOB_ID}/cancel"]),
        (["cancel", JOB_ID, "--remove"], [f"DELETE {V1}/jobs/{JOB_ID}"]),
        (["pause", JOB_ID[:4]], [f"POST {V1}/jobs/{JOB_ID}/pause"]),
        (["resume", JOB_ID], [f"POST {V1}/jobs/{JOB_ID}/resume"]),
        (["sessions", "--revoke", OTHER_ID], [f"DELETE {V1}/auth/sessions/{OTHER_ID}"]),
    ],
)
def test_a_command_asks_for_its_change_and_no_other(cli: Cli, library: Recording, words: list[str], changes: list[str]):
    ran = cli(*words)
    assert (ran.code, library.changes) == (0, changes), ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_is_on_stdout(cli: Cli, name: str):
    ran = cli(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"usage: nebula {name}")
    assert cli.server.asked == []


def test_help_names_every_command(cli: Cli):
    ran = cli("--help")
    assert ran.code == 0
    assert all(f"  {name} " in ran.out for name in COMMANDS)
    assert cli().out == ran.out


def test_the_clients_version_is_the_distributions(cli: Cli):
    assert cli("--version").out == f"nebula {nebula.__version__}\n"
    assert nebula_cli.__version__ == nebula.__version__


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (problem(403, "forbidden", "Only its account may."), 1),
        (problem(507, "no_room", "The disk is full."), 1),
        (problem(404, "not_found", "There is no such file."), 5),
        (Said(502, "<html>", {"Content-Type": "text/html"}), 3),
        (Said(200, "<html>", {"Content-Type": "text/html"}), 3),
        (Said(200, "[]"), 3),
    ],
)
def test_a_servers_problem_has_its_exit_code_and_one_line(cli: Cli, recording: Recording, said: Said, code: int):
    recording.answers[f"GET {V1}/status"] = said
    ran = cli("status")
    assert ran.code == code
    assert ran.err.count("\n") == 1


def test_nobody_there_is_3(cli: Cli):
    cli.sign_in(url=f"http://127.0.0.1:{free_port()}")
    ran = cli("ls")
    assert ran.code == 3
    assert "connection refused" in ran.err
    assert "nebula ping" in ran.err


def test_not_signed_in_is_4_and_says_how(cli: Cli):
    cli.credentials.unlink()
    ran = cli("ls")
    assert ran.code == 4
    assert "nebula login" in ran.err


def test_a_file_that_is_not_there_is_5(cli: Cli, library: Recording):
    ran = cli("info", "zzz")
    assert ran.code == 5
    assert "nebula ls" in ran.err


def test_a_part_that_fits_several_lists_them_and_fails(cli: Cli, recording: Recording):
    holds(recording, file("summer 1.mkv"), file("Summer 2.mkv", OTHER_ID))
    ran = cli("rm", "summer")
    assert ran.code == 1
    assert FILE_ID in ran.err
    assert OTHER_ID in ran.err
    assert recording.changes == []


def test_an_exact_name_wins_over_names_that_contain_it(cli: Cli, recording: Recording):
    holds(recording, file("a.mkv.srt", OTHER_ID), file("a.mkv"))
    assert cli("info", "a.mkv", "--json").objects()[0]["id"] == FILE_ID


def test_the_same_name_twice_lists_both_ids(cli: Cli, recording: Recording):
    holds(recording, file("a"), file("a", OTHER_ID))
    ran = cli("rm", "a")
    assert ran.code == 1
    assert FILE_ID in ran.err
    assert OTHER_ID in ran.err
    assert cli("info", OTHER_ID).code == 0


def test_a_file_may_be_called_like_an_id(cli: Cli, recording: Recording):
    holds(recording, file(JOB_ID))
    assert cli("info", JOB_ID, "--json").objects()[0]["id"] == FILE_ID


def test_an_empty_name_fits_nothing(cli: Cli, library: Recording):
    assert cli("rm", "").code == 5
    assert library.changes == []


def test_names_are_printed_without_what_a_terminal_obeys(cli: Cli, recording: Recording):
    name = "a\x1b[31m\nb\u202egpj.mkv"
    holds(recording, file(name))
    for words in (["ls"], ["info", FILE_ID], ["play", FILE_ID, "--player", "none", "--why"], ["rm", FILE_ID]):
        ran = cli(*words)
        assert "\x1b" not in ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err
    assert cli("ls").out.splitlines()[1].endswith("a[31mbgpj.mkv")
    assert cli("ls", "--json").objects()[0]["name"] == name


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["ls"], 1),
        (["trash"], 1),
        (["links"], 1),
        (["jobs"], 1),
        (["sessions"], 1),
        (["info", "a"], 1),
        (["status"], 1),
        (["whoami"], 1),
        (["job", JOB_ID], 1),
        (["retry", JOB_ID], 1),
        (["cancel", JOB_ID], 1),
        (["pause", JOB_ID], 1),
        (["resume", JOB_ID], 1),
        (["rename", "a", "b"], 1),
        (["restore", "old"], 1),
        (["link", "a"], 1),
    ],
)
def test_json_is_an_object_a_line_and_nothing_else(cli: Cli, library: Recording, words: list[str], count: int):
    ran = cli(*words, "--json")
    assert ran.code == 0
    assert len(ran.objects()) == count
    assert all(isinstance(thing, dict) for thing in ran.objects())
    assert ran.out.isascii()


def test_a_listing_goes_through_all_pages(cli: Cli, recording: Recording):
    pages = {
        "": {"items": [file("one")], "next_cursor": "c1"},
        "c1": {"items": [file("two")], "next_cursor": "c2"},
        "c2": {"items": [file("three")], "next_cursor": None},
    }
    recording.answers[f"GET {V1}/files"] = lambda asked: pages[asked.query.get("cursor", "")]
    assert [thing["name"] for thing in cli("ls", "--json").objects()] == ["one", "two", "three"]
    recording.asked.clear()
    assert len(cli("ls", "--limit", "1").out.splitlines()) == 2
    assert [asked.query["limit"] for asked in recording.asked] == ["1"]


def test_ls_shows_state_length_and_picture(cli: Cli, recording: Recording):
    working = file("b.mkv", OTHER_ID, state="processing", jobs=[job(kind="probe", state="done", progress=1), job()])
    holds(recording, file("a.mp4"), working)
    lines = cli("ls").out.splitlines()
    assert lines[1].split() == ["2.0", "KiB", *lines[1].split()[2:4], "ready", "1:35", "1920x1080", "a.mp4"]
    assert "processing 42 %" in lines[2]


def test_ls_takes_a_part_or_a_pattern(cli: Cli, recording: Recording):
    holds(recording, file("a.mkv"), file("b.mkv.srt", OTHER_ID), file("[x] c?.mkv", JOB_ID))
    assert [thing["name"] for thing in cli("ls", "*.mkv", "--json").objects()] == ["a.mkv", "[x] c?.mkv"]
    assert [thing["name"] for thing in cli("ls", "[x] c?", "--json").objects()] == ["[x] c?.mkv"]
    assert len(cli("ls", ".mkv", "--json").objects()) == 3


def test_no_colours_where_stdout_is_no_terminal(cli: Cli, library: Recording):
    assert "\x1b" not in cli("ls").out + cli("jobs").out + cli("status").out


def test_emptying_the_trash_goes_on_past_what_is_refused(cli: Cli, recording: Recording):
    holds(recording, trashed=(file("theirs"), file("mine", OTHER_ID)))
    recording.answers[f"DELETE {V1}/files/{FILE_ID}"] = problem(403, "forbidden", "Only its account may.")
    recording.answers[f"DELETE {V1}/files/{OTHER_ID}"] = Said(204)
    ran = cli("trash", "--empty")
    assert ran.code == 1
    assert "1 file gone" in ran.err
    assert "theirs stays" in ran.err


def test_emptying_the_trash_leaves_what_other_accounts_put_there(cli: Cli, recording: Recording):
    holds(recording, trashed=(file("theirs", account="ben"),))
    ran = cli("trash", "--empty")
    assert (ran.code, recording.changes) == (0, [])
    assert "1 files of other accounts stay" in ran.err


def test_job_shows_the_command_and_why_it_failed(cli: Cli, recording: Recording):
    holds(recording, file("film.mkv"))
    failed = job(state="failed", error="The source breaks off.", log="line one\n\x1b[31mline two")
    recording.answers[f"GET {V1}/jobs/{JOB_ID}"] = failed
    out = cli("job", JOB_ID).out
    assert all(told in out for told in ("film.mkv", "ffmpeg -i in out.mp4", "The source breaks off.", "nebula retry"))
    assert cli("job", JOB_ID, "--log").out == f"{out}log:\n  line one\n  [31mline two\n"


def test_job_on_a_private_file_says_whose_it_is(cli: Cli, recording: Recording):
    recording.answers[f"GET {V1}/jobs/{JOB_ID}"] = job() | {"file_id": None, "account": "ana"}
    recording.answers[f"GET {V1}/jobs"] = {"items": [job() | {"file_id": None, "account": "ana"}], "next_cursor": None}
    assert "a private file of ana" in cli("jobs").out
    assert "a private file of ana" in cli("job", JOB_ID).out


def test_an_id_that_begins_several_things_lists_them(cli: Cli, recording: Recording):
    twin = JOB_ID[:-1] + "0"
    recording.answers[f"GET {V1}/jobs"] = {"items": [job(), job(twin)], "next_cursor": None}
    ran = cli("cancel", "bbbb")
    assert ran.code == 1
    assert JOB_ID in ran.err
    assert twin in ran.err
    assert cli("cancel", "ffff").code == 5


def test_following_ends_when_nothing_is_live_and_polls_with_the_etag(
    cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("nebula_cli.following.POLL_S", 0)
    holds(recording, file("film.mkv"))
    answers = [
        Said(200, {"items": [job()]}, {"ETag": '"1"'}),
        Said(304),
        Said(200, {"items": [job(progress=0.9)]}, {"ETag": '"2"'}),
        problem(503, "store_unavailable", "The database does not answer.", **{"Retry-After": "0"}),
        Said(200, {"items": []}, {"ETag": '"3"'}),
    ]
    asked = iter(answers)
    recording.answers[f"GET {V1}/jobs"] = lambda _asked: next(asked)
    recording.answers[f"GET {V1}/jobs/{JOB_ID}"] = job(state="done")
    ran = cli("jobs", "--follow")
    assert ran.code == 0
    polls = [one for one in recording.asked if one.path == f"{V1}/jobs"]
    assert [one.headers.get("If-None-Match") for one in polls] == [None, '"1"', '"1"', '"2"', '"2"']
    assert all(one.query["live"] == "true" for one in polls)
    assert [line.split()[1] for line in ran.out.splitlines()] == ["running", "running", "done"]


def test_play_says_that_the_film_is_not_ready(cli: Cli, recording: Recording):
    holds(recording, file("a.mkv", state="processing", jobs=[job()]))
    recording.answers[f"POST {V1}/files/{FILE_ID}/links"] = {
        "id": OTHER_ID,
        "url": "http://h/s/t",
        "rendition_id": None,
    }
    ran = cli("play", "a.mkv", "--player", "none")
    assert ran.out == "http://h/s/t\n"
    assert "not ready yet (processing 42 %); playing the original" in ran.err
    assert recording.asked[-1].json() == {"quality": "auto", "expires_s": 86400}


def test_play_says_why_it_plays_what_it_plays(cli: Cli, recording: Recording):
    made = {"id": OTHER_ID, "rung": "1080p", "width": 1920, "height": 1080, "size_bytes": 4096}
    holds(recording, file("a.mkv", renditions=[made], jobs=[job(state="done")]))
    link = {"id": JOB_ID, "url": "http://h/s/t", "rendition_id": OTHER_ID}
    recording.answers[f"POST {V1}/files/{FILE_ID}/links"] = link
    ran = cli("play", "a.mkv", "--player", "none", "--why")
    assert ran.out == "http://h/s/t\n"
    assert "Playing the rendition 1080p (1920x1080, 4.0 KiB)" in ran.err
    assert "its video is HEVC" in ran.err


def test_a_relative_link_is_one_at_this_server(cli: Cli, library: Recording):
    assert cli("link", "a").out == f"{library.url}/s/token/a\n"


PLAYER = """#!/bin/sh
printf '%s\\n' "$@" > "$0.args"
exit {code}
"""


def install(path: Path, code: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(PLAYER.format(code=code))
    path.chmod(0o755)
    return path.with_name(f"{path.name}.args")


def test_play_prefers_vlc_then_mpv_then_prints(
    cli: Cli, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    holds(recording, file("-a.mkv"))
    recording.answers[f"POST {V1}/files/{FILE_ID}/links"] = {
        "id": OTHER_ID,
        "url": "http://h/s/t",
        "rendition_id": None,
    }
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    monkeypatch.setattr("nebula_cli.players.BUNDLES", {"vlc": "", "mpv": ""})
    monkeypatch.setattr("shutil.which", _only_in(tmp_path / "bin"))
    assert cli("play", "-a.mkv").out == "http://h/s/t\n"
    mpv = install(tmp_path / "bin" / "mpv")
    ran = cli("play", "-a.mkv", "--start", "2:00")
    assert (ran.code, ran.out) == (0, "")
    assert mpv.read_text().splitlines() == ["--start=+120", "--force-media-title=-a.mkv", "--", "http://h/s/t"]
    vlc = install(tmp_path / "bin" / "vlc")
    assert cli("play", "-a.mkv", "--start", "95").code == 0
    assert vlc.read_text().splitlines() == [
        "--start-time=95",
        "--meta-title=-a.mkv",
        "--play-and-exit",
        "--",
        "http://h/s/t",
    ]


def test_a_player_that_fails_fails_the_command(
    cli: Cli, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    holds(recording, file("a"))
    recording.answers[f"POST {V1}/files/{FILE_ID}/links"] = {
        "id": OTHER_ID,
        "url": "http://h/s/t",
        "rendition_id": None,
    }
    monkeypatch.setattr("shutil.which", _only_in(tmp_path / "bin"))
    monkeypatch.setattr("nebula_cli.players.BUNDLES", {"vlc": "", "mpv": ""})
    ran = cli("play", "a", "--player", "mpv")
    assert (ran.code, recording.changes) == (1, [])
    install(tmp_path / "bin" / "mpv", code=3)
    ran = cli("play", "a", "--player", "mpv")
    assert ran.code == 1
    assert "mpv ended with code 3" in ran.err


def test_problems_detail_reaches_the_person_without_control_characters(cli: Cli, recording: Recording):
    recording.answers[f"GET {V1}/status"] = problem(403, "forbidden", "No \x1b[31mway\nat all")
    assert cli("status").err == "nebula: No [31mwayat all\n"


def test_ping_tells_version_and_round_trip(cli: Cli, recording: Recording):
    recording.answers["GET /ping"] = {"ping": "pong", "version": "1.2.3"}
    ran = cli("ping")
    assert ran.code == 0
    assert ran.out.startswith(f"Pong from {recording.url} in ")
    assert ran.out.endswith(" ms, version 1.2.3\n")
    assert cli("ping", "--json").objects()[0]["version"] == "1.2.3"


def test_ping_names_the_hop_that_fails(cli: Cli, recording: Recording, monkeypatch: pytest.MonkeyPatch):
    for url, hop in [
        ("http://no-such-host.invalid:1", "name: no-such-host.invalid"),
        (f"http://127.0.0.1:{free_port()}", "port: 127.0.0.1 is there"),
        (recording.url, "service: "),
    ]:
        monkeypatch.setenv("NEBULA_SERVER", url)
        ran = cli("ping")
        assert ran.code == 3
        assert ran.err.startswith(f"nebula: {hop}")
        assert ran.err.count("\n") == 1


def test_status_shows_services_and_room(cli: Cli, library: Recording):
    out = cli("status").out
    assert "database:" in out
    assert "version 9" in out


def _only_in(folder: Path):
    def which(name: str) -> str | None:
        return str(folder / name) if (folder / name).exists() else None

    return which


def test_json_of_a_name_in_any_script_is_ascii_and_exact(cli: Cli, recording: Recording):
    holds(recording, file("映画 é.mkv"))
    ran = cli("ls", "--json")
    assert ran.out.isascii()
    assert json.loads(ran.out)["name"] == "映画 é.mkv"
