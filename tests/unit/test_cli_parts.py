"""The client's small parts: what people read and type, waiting, notes of files, completion scripts."""

from __future__ import annotations

import doctest
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nebula_cli import completing, downloading, formats, help, local_files, output, progress, retrying, shapes, state
from nebula_cli.client import server_url
from nebula_cli.command_table import MODULES
from nebula_cli.errors import CliError, NotFound, Refused, Unreachable, UsageError
from nebula_cli.local_files import Changed, Source
from nebula_cli.retrying import Patience


@pytest.mark.parametrize("module", [formats, output])
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (10 * 1024, "10.0 KiB"),
        (150 * 1024, "150 KiB"),
        (1023 * 1024 * 1024, "1.0 GiB"),
        (5 << 40, "5.0 TiB"),
        (5000 << 40, "5000 TiB"),
    ],
)
def test_sizes(size_bytes, text):
    assert formats.size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0, "0:00"), (95.4, "1:35"), (3599.6, "1:00:00"), (37230, "10:20:30")]
)
def test_durations(seconds, text):
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("then", "text"),
    [
        ("2026-01-31T11:59:30Z", "now"),
        ("2026-01-31T12:00:30Z", "now"),
        ("2026-01-31T11:48:00.000Z", "12 min"),
        ("2026-01-31T09:00:00Z", "3 h"),
        ("2026-01-26T12:00:00Z", "5 d"),
        ("2023-12-31T12:00:00Z", "2 y"),
        (None, ""),
        ("yesterday", ""),
    ],
)
def test_ages(then, text):
    assert formats.age(then, datetime(2026, 1, 31, 12, tzinfo=UTC)) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("95", 95), ("12:30", 750), ("1:02:03", 3723), ("0:00", 0), ("1.5", 1.5), ("90:00", 5400)]
)
def test_start_times(text, seconds):
    assert formats.start_s(text) == seconds


@pytest.mark.parametrize("text", ["", "1:60", "1:60:00", "-5", "1e3", "a", "1:2:3:4", "١٢", "12:30 "])
def test_what_is_no_start_time_is_refused(text):
    with pytest.raises(UsageError):
        formats.start_s(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("6h", 21600), ("7d", 604800), ("30s", 30), ("2w", 1209600)]
)
def test_spans(text, seconds):
    assert formats.span_s(text) == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "0h", "-1h", "6 h", "1.5h"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(UsageError):
        formats.span_s(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("laptop", "http://laptop:8420"),
        ("laptop:9000", "http://laptop:9000"),
        ("Laptop", "http://laptop:8420"),
        ("http://laptop:8420/", "http://laptop:8420"),
        ("https://laptop.tail1234.ts.net", "https://laptop.tail1234.ts.net"),
        ("[fd7a::1]", "http://[fd7a::1]:8420"),
        ("http://[fd7a::1]:1", "http://[fd7a::1]:1"),
    ],
)
def test_addresses_are_what_people_mean(text, url):
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://x",
        "http://",
        "http://a/path",
        "http://u:p@a",
        "http://a?x",
        "http://a#x",
        "a b",
        "http://a:x",
        "é://",
        "http://[x",
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError):
        server_url(text)


def test_a_table_is_aligned_by_what_the_eye_sees():
    lines = output.table(["NAME", "END"], [["映画", "x"], ["e\u0301", "x"], ["plain", "x"]])
    assert lines == ["NAME   END", "映画   x", "e\u0301      x", "plain  x"]


def test_a_line_is_cut_by_what_the_eye_sees():
    assert output.cut("映画映画", 5) == "映画"
    assert output.cut("plain", 9) == "plain"


def test_what_one_types_for_a_name_is_that_name():
    for name in ("a", "a b", "-x", "it's", "$HOME", "a\\b"):
        shown = output.typed(name)
        script = f'set -- x {shown}; shift; [ "$1" = -- ] && shift; printf %s "$1"'
        assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == name


def test_progress_is_silent_where_stderr_is_no_terminal(capfd, monkeypatch):
    monkeypatch.delenv("NEBULA_PROGRESS", raising=False)
    with progress.Bar("film", 100) as bar:
        bar.start(0)
        bar.at(100)
    assert capfd.readouterr().err == ""


def test_progress_is_one_line_that_is_written_over(capfd, monkeypatch):
    monkeypatch.setenv("NEBULA_PROGRESS", "1")
    with progress.Bar("film\n\x1b[31m", 2048) as bar:
        bar.start(0)
        bar.add(1024)
        bar.at(2048)
    written = capfd.readouterr().err
    assert "\n" not in written
    assert "100 %  2.0 KiB of 2.0 KiB" in written
    assert "\x1b[31m" not in written
    assert written.endswith("\r\x1b[K")


def test_progress_of_nothing_is_complete(capfd, monkeypatch):
    monkeypatch.setenv("NEBULA_PROGRESS", "1")
    with progress.Bar("empty", 0) as bar:
        bar.start(0)
    assert "100 %" in capfd.readouterr().err


class Waits:
    """Takes the place of sleeping."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.said: list[str] = []
        self.patience = Patience(self.said.append, self.slept.append)


def test_waits_grow_and_end():
    waits = Waits()
    away = Unreachable("No answer")
    for _ in range(retrying.TRIES - 1):
        waits.patience.wait(away)
    with pytest.raises(Unreachable):
        waits.patience.wait(away)
    assert waits.slept == [1, 2, 4, 8, 16, 30, 30]
    assert waits.said[0] == "No answer; trying again in 1 s (1 of 7)"


def test_getting_on_begins_to_count_anew():
    waits = Waits()
    for _ in range(3 * retrying.TRIES):
        waits.patience.wait(Unreachable("No answer"))
        waits.patience.got_on()
    assert set(waits.slept) == {1}


def test_a_server_that_says_when_is_believed_within_bounds():
    waits = Waits()
    for asked in (5, 0, 86400):
        waits.patience.wait(Refused("Busy.", code="busy", status=503, retry_after_s=asked))
    assert waits.slept == [5, 60]


@pytest.mark.parametrize(
    "error",
    [
        NotFound("x"),
        CliError("x"),
        Refused("x", code="forbidden", status=403),
        Refused("x", code="no_room", status=507),
    ],
)
def test_what_waiting_cannot_help_is_not_waited_for(error):
    waits = Waits()
    with pytest.raises(CliError):
        waits.patience.wait(error)
    assert waits.slept == []


def test_a_source_that_changes_is_noticed(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    source = Source(str(path))
    assert list(source.pieces(1, 3, lambda _: None)) == [b"234"]
    path.write_bytes(b"123")
    with pytest.raises(Changed):
        source.check_unchanged()
    with pytest.raises(Changed):
        list(source.pieces(0, 5, lambda _: None))
    path.unlink()
    with pytest.raises(CliError, match="Cannot read") as gone:
        source.check_unchanged()
    assert not isinstance(gone.value, Changed), "what was begun is kept until the file is there again"


@pytest.mark.parametrize(
    ("typed", "folder", "name"),
    [("a", "", "a"), ("x/a", "Films", "Films/a"), ("./a", "Films/", "Films/a"), ("x/../a", "", "a")],
)
def test_a_source_is_called_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, folder: str, name: str
):
    (tmp_path / "x").mkdir()
    for path in ("a", "x/a"):
        (tmp_path / path).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert Source(typed).name_in(folder) == name


def test_reading_errors_are_the_files_not_the_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    source = Source(str(path))

    class Broken:
        def read(self, _most: int) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(CliError, match=r"Cannot read .*: Input/output error"):
        source._read(Broken(), 5)  # type: ignore[arg-type]
    assert local_files.SEND_READ < local_files.DIGEST_READ


def test_a_part_has_a_name_that_the_file_system_takes(tmp_path: Path):
    assert downloading.part_path(tmp_path / "a.mkv", "ab" * 32).name == "a.mkv.part"
    longest = tmp_path / ("é" * 127)
    assert downloading.part_path(longest, "ab" * 32).name == "abababababababab.part"


def test_state_files_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "kept.json"
    state.write_json(path, {"a": 1})
    monkeypatch.setattr("os.fsync", _fail)
    with pytest.raises(OSError, match="disk"):
        state.write_json(path, {"a": 2})
    assert state.read_json(path) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["kept.json"]


def _fail(_descriptor: int) -> None:
    raise OSError("the disk is full")


def test_a_lock_that_is_held_is_told(tmp_path: Path):
    with (
        state.locked(tmp_path / "lock", busy="held"),
        pytest.raises(CliError, match="held"),
        state.locked(tmp_path / "lock", busy="held", wait_s=0.1),
    ):
        pass
    with state.locked(tmp_path / "lock", busy="held", wait_s=0):
        pass


def test_a_film_is_never_said_to_be_done_before_it_is():
    assert shapes.percent(0.9999) == "99 %"
    assert shapes.percent(None) == "0 %"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_command_and_option(shell: str):
    script = completing.SCRIPTS[shell](completing.vocabulary())
    for name in MODULES:
        assert name in script
        for option in help.option_lines(help.function_of(name)):
            assert option.lstrip("-") in script
    assert "[0m" not in script


def test_bash_completes_commands_options_and_values(tmp_path: Path):
    script = tmp_path / "completion"
    script.write_text(completing.bash(completing.vocabulary()))
    ask = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _nebula; echo "${COMPREPLY[*]}"'

    def completed(*typed: str) -> list[str]:
        ran = subprocess.run(
            ["bash", "-c", ask, str(script), "nebula", *typed], capture_output=True, text=True, check=True
        )
        assert ran.stderr == ""
        return ran.stdout.split()

    assert completed("lo") == ["login", "logout"]
    assert completed("rm", "--") == ["--now", "--help"]
    assert completed("play", "x", "--player", "") == ["vlc", "mpv", "browser", "none"]
    assert completed("completion", "") == ["bash", "zsh", "fish", "--help"]
    assert completed("ls", "--limit", "") == []
