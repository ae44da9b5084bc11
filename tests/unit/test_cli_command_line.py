"""From words to plans: names stay the text they are, mistakes are told before anything happens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula_cli import command_line, help
from nebula_cli.command_table import MODULES
from nebula_cli.errors import UsageError

NASTY = [
    "plain.mp4",
    "with space.mp4",
    "x#y.mp4",
    "1e5",
    "0x10",
    "1_000",
    "None",
    "True",
    '"123"',
    "'quoted'",
    "(x)",
    "{a}",
    "[1, 2]",
    "-weird.mp4",
    "-",
    "-1",
    "=",
    "=x",
    "!",
    "a=b",
    "ÄÖ ß.mp4",
    "e\u0301.mp4",
    "映画.mkv",
    "🎬.mp4",
    "back\\slash",
    "new\nline",
    "\x1b[31mred",
    "$HOME `id`",
    "name",
    "_run",
    "__class__",
    " ",
    "",
]
ONLY_BEHIND_DASHES = ["--now", "--weird.mp4", "-n", "--", "-h", "--help", "-now"]

# The words that each command can be given, apart from nasty ones.
COMMANDS: dict[str, list[str]] = {
    "ping": [],
    "login": [],
    "logout": [],
    "whoami": [],
    "passwd": [],
    "sessions": [],
    "upload": ["a"],
    "download": ["a"],
    "ls": ["a"],
    "info": ["a"],
    "rename": ["a", "b"],
    "rm": ["a"],
    "trash": [],
    "restore": ["a"],
    "play": ["a"],
    "link": ["a"],
    "links": [],
    "jobs": [],
    "job": ["a"],
    "retry": ["a"],
    "cancel": ["a"],
    "pause": ["a"],
    "resume": ["a"],
    "status": [],
    "power": [],
    "deploy": ["status"],
    "backup": ["status"],
    "completion": ["bash"],
}
NAMING = [name for name, given_words in COMMANDS.items() if given_words]


def bound(name: str, *typed: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what the command's function would be called with."""
    plan = command_line.planned(name, help.function_of(name), typed)
    return plan._run.args, plan._run.keywords  # type: ignore[attr-defined]


def test_every_command_is_in_the_tables_of_these_tests():
    assert set(COMMANDS) == set(MODULES)


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("name", NAMING)
def test_nasty_names_stay_the_text_they_are(name: str, nasty: str):
    given_words = [nasty] * len(COMMANDS[name])
    args, _ = bound(name, *given_words)
    assert args == tuple(given_words)
    args, _ = bound(name, "--", *given_words)
    assert args == tuple(given_words)


@pytest.mark.parametrize("dashed", ONLY_BEHIND_DASHES)
@pytest.mark.parametrize("name", NAMING)
def test_what_looks_like_an_option_is_a_name_behind_two_dashes(name: str, dashed: str):
    given_words = [dashed] * len(COMMANDS[name])
    assert bound(name, "--", *given_words)[0] == tuple(given_words)


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_words_behind_two_dashes_are_paths(paths: list[str]):
    assert bound("upload", "--", *paths)[0] == tuple(paths)


@given(st.text())
def test_any_text_is_an_options_value_behind_an_equals_sign(value: str):
    assert bound("upload", "a", f"--to={value}") == (("a",), {"to": value})


@pytest.mark.parametrize("value", [value for value in NASTY if not value.startswith("--")])
def test_an_options_value_stays_the_text_it_is(value: str):
    assert bound("download", "--to", value, "a")[1] == {"to": value}


def test_a_switch_does_not_swallow_the_word_behind_it():
    assert bound("rm", "--now", "film.mp4") == (("film.mp4",), {"now": True})
    assert bound("upload", "--private", "a", "b") == (("a", "b"), {"private": True})


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--dryrun", "--dryrun=1", "-n", "--_run", "--name=x", "--now=yes"])
def test_a_misspelt_flag_makes_no_plan(name: str, flag: str):
    with pytest.raises(UsageError):
        bound(name, *COMMANDS[name], flag)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "upload"])
@pytest.mark.parametrize("stray", ["stray", "-stray", "-", "_run", "__init__", "0"])
def test_a_stray_word_makes_no_plan(name: str, stray: str):
    given_words = COMMANDS[name] or []
    optional = ["a"] if name in {"ls", "link"} and not given_words else []
    with pytest.raises(UsageError, match="one too many"):
        bound(name, *given_words, *optional, stray)


@pytest.mark.parametrize("name", [name for name in NAMING if name not in {"ls", "link", "upload"}])
def test_a_missing_word_makes_no_plan(name: str):
    with pytest.raises(UsageError, match="needs"):
        bound(name, *COMMANDS[name][:-1])


def test_a_value_that_is_missing_makes_no_plan():
    with pytest.raises(UsageError, match="--limit needs a value"):
        bound("ls", "--limit")
    with pytest.raises(UsageError, match="--limit needs a value"):
        bound("ls", "--limit", "--json")


def test_an_option_that_is_nearly_right_is_named():
    with pytest.raises(UsageError, match="did you mean --now"):
        bound("rm", "a", "--nwo")
    with pytest.raises(UsageError, match="--now"):
        bound("rm", "a", "-now")


def test_making_a_plan_runs_nothing():
    ran = []

    @command_line.command
    def touch(name: str) -> None:
        """Note that it ran."""
        ran.append(name)

    plan = command_line.planned("touch", touch, ["x"])
    assert ran == []
    command_line.run(plan)
    assert ran == ["x"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_every_option_and_no_other(name: str):
    function = help.function_of(name)
    assert set(help.option_lines(function)) == set(command_line.options(function))
    assert all(told for _, told in help.option_lines(function).values())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_whether_an_option_takes_a_value(name: str):
    function = help.function_of(name)
    for option, parameter in command_line.options(function).items():
        typed = help.option_lines(function)[option][0]
        assert (typed == option) == command_line.is_switch(parameter)
