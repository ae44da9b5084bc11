"""The entry point: turns words into a plan and runs it.

Every outcome becomes an exit code and at most one line on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import nebula_cli
from nebula_cli import output
from nebula_cli.command_table import MODULES
from nebula_cli.errors import CliError, UsageError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    output.prepare()
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except CliError as error:
        return _ended(error)
    except KeyboardInterrupt:
        output.say("nebula: interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output closed it (`nebula ls | head`). This is not a failure; stop writing.
        _write_no_more()
        return 0
    except OSError as error:
        try:
            sys.stdout.flush()
        except OSError:
            _write_no_more()
        return _ended(CliError(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}."))


def _write_no_more() -> None:
    """Discard the rest of the output: Python would write it at exit, fail, and end with its own exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"--help", "-h", "help"}:
        return _help(arguments[1:])
    name, *words = arguments
    if name == "--version":
        output.data(f"nebula {nebula_cli.__version__}")
        return 0
    if name not in MODULES:
        raise UsageError(_no_command(name))
    if _asks_for_help(words):
        return _help([name])
    _check_text(arguments)
    return _planned_and_run(name, words)


def _planned_and_run(name: str, words: list[str]) -> int:
    # Fire is imported only here: --version, a mistyped command and importers of this module do not need it.
    from nebula_cli import command_line as bind
    from nebula_cli import help

    return bind.run(bind.planned(name, help.function_of(name), words))


def _help(names: list[str]) -> int:
    from nebula_cli import help

    if names and names[0] not in MODULES:
        raise UsageError(_no_command(names[0]))
    output.data(help.of_command(names[0]) if names else help.overview())
    return 0


def _asks_for_help(words: list[str]) -> bool:
    before = words[: words.index("--")] if "--" in words else words
    return "--help" in before or "-h" in before


def _check_text(arguments: list[str]) -> None:
    for word in arguments:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The word {output.clean(ascii(word))} is not UTF-8; names are.") from None


def _no_command(name: str) -> str:
    import difflib  # slow to import, and needed only after a typing mistake

    near = difflib.get_close_matches(name, MODULES, 1)
    hint = f"did you mean nebula {near[0]}?" if near else "see nebula --help."
    return f"There is no command {output.clean(name)!r}: {hint}"


def _ended(error: CliError) -> int:
    with suppress(OSError):
        sys.stdout.flush()
    output.say(f"nebula: {error}")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
