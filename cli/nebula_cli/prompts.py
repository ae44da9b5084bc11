"""Asks for names and passwords. Secrets come from a terminal's hidden prompt or from stdin, never from arguments."""

from __future__ import annotations

import getpass
import sys

from nebula_cli.errors import UsageError


def username() -> str:
    """Ask for the account's name. Raises UsageError if stdin is not a terminal."""
    _check_terminal("--username NAME")
    print("Name: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def password(prompt: str) -> str:
    """Ask for a password without showing it. Raises UsageError if stdin is not a terminal."""
    _check_terminal("--password-stdin")
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise UsageError("No password was typed.") from None


def new_password() -> str:
    """Ask for a new password twice. Raises UsageError if the two differ."""
    first = password("New password: ")
    if password("The new password again: ") != first:
        raise UsageError("The two new passwords differ; nothing was changed.")
    return first


def from_stdin(count: int) -> list[str]:
    """Read `count` lines with one secret each. Raises UsageError if one is missing or empty."""
    try:
        lines = [sys.stdin.readline() for _ in range(count)]
    except UnicodeDecodeError:
        raise UsageError("--password-stdin takes UTF-8 text.") from None
    secrets = [line.removesuffix("\n").removesuffix("\r") for line in lines]
    if not all(secrets):
        what = "the password in one line" if count == 1 else "the old and the new password, a line each"
        raise UsageError(f"--password-stdin takes {what} on stdin.")
    return secrets


def _check_terminal(instead: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"There is no terminal to ask at; use {instead}.")
