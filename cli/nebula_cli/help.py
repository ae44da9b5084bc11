"""Help: the table of commands, and a command's usage line. The text comes from the command functions' docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from nebula_cli import command_line
from nebula_cli.command_table import GROUPS, MODULES

INTRODUCTION = """\
usage: nebula COMMAND [WORD...] [--option...]

Your files and films on your own machine."""

CLOSING = """\
nebula COMMAND --help says more, nebula --version the version.
Exit codes: 0 done, 1 failed, 2 usage, 3 unreachable, 4 sign in again, 5 not found, 130 interrupted."""


def function_of(name: str) -> Callable[..., command_line.Plan]:
    """Import the module of a command and return its function."""
    function: Callable[..., command_line.Plan] = getattr(import_module(f"nebula_cli.commands.{MODULES[name]}"), name)
    return function


def overview() -> str:
    """Return the table of commands."""
    lines = [INTRODUCTION]
    for title, names in GROUPS.values():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<11} {summary(function_of(name))}" for name in names]
    return "\n".join([*lines, "", CLOSING])


def of_command(name: str) -> str:
    """Return a command's usage line and its docstring."""
    function = function_of(name)
    return f"usage: {usage(name, function)}\n\n{_docstring(function)}"


def usage(name: str, function: Callable[..., Any]) -> str:
    """Return the usage line of a command."""
    parts = [command_line.metavar(parameter) for parameter in command_line.positionals(function)]
    lines = option_lines(function)
    parts += [f"[{lines[option][0]}]" for option in command_line.options(function)]
    return " ".join(["nebula", name, *parts])


def option_lines(function: Callable[..., Any]) -> dict[str, tuple[str, str]]:
    """Return each option that the docstring describes: how it is typed, and what it does.

    A line has the form "--to FOLDER  put it there": two spaces separate the two.
    """
    lines = [line.strip() for line in _docstring(function).splitlines() if line.lstrip().startswith("--")]
    partitions = [line.partition("  ") for line in lines]
    return {typed.split(" ")[0]: (typed, description.strip()) for typed, _, description in partitions}


def summary(function: Callable[..., Any]) -> str:
    """Return the first line of a command's docstring."""
    return _docstring(function).splitlines()[0]


def _docstring(function: Callable[..., Any]) -> str:
    return inspect.getdoc(function) or ""
