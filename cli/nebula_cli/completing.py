"""Makes the shells' completion scripts from the table of commands and their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from nebula_cli import command_line, help
from nebula_cli.command_table import MODULES

TAKES_PATHS = frozenset({"upload"})
PATH_OPTIONS = frozenset({("download", "--to")})
OWN_WORDS = {"completion": ("bash", "zsh", "fish"), "deploy": ("status", "rollback"), "backup": ("status", "now")}


@dataclass(frozen=True)
class Option:
    """One option as a shell completes it."""

    typed: str
    told: str
    values: tuple[str, ...] | None  # None if the option is a switch
    is_path: bool


@dataclass(frozen=True)
class Entry:
    """One command as a shell completes it."""

    name: str
    summary: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    takes_paths: bool


def vocabulary() -> list[Entry]:
    """Return every command with its options."""
    return [_entry(name) for name in MODULES]


def bash(entries: list[Entry]) -> str:
    """Return the script for bash."""
    cases = [f"    {entry.name}) candidates={shlex.quote(' '.join(_candidates(entry)))} ;;" for entry in entries]
    values = [
        f"    {entry.name}:{option.typed}) candidates={shlex.quote(' '.join(option.values))} ;;"
        for entry in entries
        for option in entry.options
        if option.values is not None
    ]
    paths = [f"{name}:*" for name in sorted(TAKES_PATHS)] + [":".join(option) for option in sorted(PATH_OPTIONS)]
    return "\n".join(
        [
            "_nebula() {",
            '  local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" candidates=""',
            '  case "$COMP_CWORD:${COMP_WORDS[1]}" in',
            f"    1:*) candidates={shlex.quote(' '.join([*MODULES, '--help', '--version']))} ;;",
            '    *) case "${COMP_WORDS[1]}" in',
            *cases,
            "    esac ;;",
            "  esac",
            '  case "${COMP_WORDS[1]}:$before" in',
            *values,
            "  esac",
            '  COMPREPLY=($(compgen -W "$candidates" -- "$current"))',
            f'  case "${{COMP_WORDS[1]}}:$before" in {"|".join(paths)}) compopt -o default 2>/dev/null ;; esac',
            "}",
            "complete -F _nebula nebula",
        ]
    )


def zsh(entries: list[Entry]) -> str:
    """Return the script for zsh. It works both in a directory of $fpath and when it is sourced."""
    commands = [f"    {shlex.quote(f'{entry.name}:{_escaped(entry.summary)}')}" for entry in entries]
    cases = []
    for entry in entries:
        specs = [shlex.quote(_zsh_option(option)) for option in entry.options]
        rest = "'*:file:_files'" if entry.takes_paths else shlex.quote(f"*:word:({' '.join(entry.words)})")
        cases.append(f"    {entry.name}) _arguments {' '.join([*specs, rest])} ;;")
    return "\n".join(
        [
            "#compdef nebula",
            "_nebula() {",
            "  local -a commands=(",
            *commands,
            "  )",
            "  if (( CURRENT == 2 )); then _describe command commands; return; fi",
            "  local name=$words[2]",
            "  shift words; (( CURRENT-- ))",
            "  case $name in",
            *cases,
            "  esac",
            "}",
            'if [[ $funcstack[1] = _nebula ]]; then _nebula "$@"; else compdef _nebula nebula; fi',
        ]
    )


def fish(entries: list[Entry]) -> str:
    """Return the script for fish."""
    lines = ["complete -c nebula -f"]
    for entry in entries:
        lines.append(f"complete -c nebula -n __fish_use_subcommand -a {entry.name} -d {_fish_quoted(entry.summary)}")
        seen = f"complete -c nebula -n '__fish_seen_subcommand_from {entry.name}'"
        lines += [f"{seen} {_fish_option(option)}" for option in entry.options]
        if entry.words:
            lines.append(f"{seen} -a {_fish_quoted(' '.join(entry.words))}")
        if entry.takes_paths:
            lines.append(f"{seen} -F")
    return "\n".join(lines)


SCRIPTS: dict[str, Callable[[list[Entry]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _entry(name: str) -> Entry:
    function = help.function_of(name)
    lines = help.option_lines(function)
    options = tuple(
        Option(
            typed=option,
            told=lines[option][1],
            values=None if command_line.is_switch(parameter) else _values(lines[option][0]),
            is_path=(name, option) in PATH_OPTIONS,
        )
        for option, parameter in command_line.options(function).items()
    )
    return Entry(name, help.summary(function), options, OWN_WORDS.get(name, ()), name in TAKES_PATHS)


def _values(typed: str) -> tuple[str, ...]:
    """Return the values that the help lists for an option: "--player vlc|mpv" has two, "--to FOLDER" has none."""
    value = typed.partition(" ")[2]
    return tuple(choice for choice in value.split("|") if choice != "...") if "|" in value else ()


def _candidates(entry: Entry) -> list[str]:
    return [*entry.words, *(option.typed for option in entry.options), "--help"]


def _zsh_option(option: Option) -> str:
    described = f"{option.typed}[{_escaped(option.told)}]"
    if option.values is None:
        return described
    return f"{described}:value:{'_files' if option.is_path else '(' + ' '.join(option.values) + ')'}"


def _fish_option(option: Option) -> str:
    described = f"-l {option.typed[2:]} -d {_fish_quoted(option.told)}"
    if option.values is None:
        return described
    return f"{described} -r -F" if option.is_path else f"{described} -x -a {_fish_quoted(' '.join(option.values))}"


def _escaped(text: str) -> str:
    """Escape text for zsh's completion functions, in which colons and brackets separate fields."""
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _fish_quoted(text: str) -> str:
    """Quote text as one word of fish. Inside its single quotes, only backslashes and quotes are escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
