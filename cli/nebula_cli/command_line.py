"""Turns the words of a command line into a plan. Fire binds the words, after they are protected from its conversions.

Fire 0.7.1 reads values as Python literals (`1e5` becomes a float, `x#y` loses its end), takes a leading dash for a flag
and `-` for a separator, lets a boolean flag swallow the next word, and runs a function before it rejects the arguments
that it could not consume. So every word gets a guard character in front, which the parse function removes again;
booleans are recognized by the signature; and the function that Fire calls only returns an inert Plan.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fire
from fire.decorators import SetParseFn

from nebula_cli.errors import UsageError

GUARD = "="
TRUE = "!"


@dataclass(frozen=True, repr=False)
class Plan:
    """A command with its arguments. Nothing has run yet, and it has no public members that Fire could descend into."""

    _run: Callable[[], int | None]


def run(plan: Plan) -> int:
    """Execute the plan; return its exit code."""
    return plan._run() or 0


def command(function: Callable[..., int | None]) -> Callable[..., Plan]:
    """Make `function` a command: calling it runs nothing, and returns a plan of the call."""

    @functools.wraps(function)
    def planned(*words: Any, **options: Any) -> Plan:
        return Plan(functools.partial(function, *words, **options))

    return SetParseFn(_unguarded)(planned)  # type: ignore[no-any-return]


def planned(name: str, function: Callable[..., Plan], words: Sequence[str]) -> Plan:
    """Bind `words` to the command's parameters. Raises UsageError, which says what is wrong with them."""
    guarded = [name, *_guarded(name, function, words)]
    try:
        # Fire's own message has several lines and shows the guards; _miscounted says the same in one line.
        with contextlib.redirect_stderr(io.StringIO()):
            bound = fire.Fire({name: function}, command=guarded, name="nebula", serialize=_nothing)
    except SystemExit:
        bound = None
    if not isinstance(bound, Plan):
        raise _miscounted(name, function, guarded[1:])
    return bound


def positionals(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the positional parameters, which take the words that are not options."""
    return [parameter for parameter in _parameters(function) if parameter.kind is not parameter.KEYWORD_ONLY]


def options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the option parameters, keyed by the form in which they are typed (`--to`)."""
    keywords = [parameter for parameter in _parameters(function) if parameter.kind is parameter.KEYWORD_ONLY]
    return {"--" + parameter.name.replace("_", "-"): parameter for parameter in keywords}


def is_switch(parameter: inspect.Parameter) -> bool:
    """Return whether the option takes no value."""
    return isinstance(parameter.default, bool)


def metavar(parameter: inspect.Parameter) -> str:
    """Return the name of a positional parameter in help: NAME, [PATTERN], PATH..."""
    label = "ID" if parameter.name.endswith("_id") else parameter.name.upper().replace("_", " ")
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"{label.removesuffix('S')}..."
    return label if parameter.default is parameter.empty else f"[{label}]"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def _guarded(name: str, function: Callable[..., Any], words: Sequence[str]) -> list[str]:
    known = options(function)
    remaining = list(words)
    guarded: list[str] = []
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            return guarded + [GUARD + rest for rest in remaining]
        if _is_option(word, known):
            guarded.append(_option(name, known, word, remaining))
        else:
            guarded.append(GUARD + word)
    return guarded


def _is_option(word: str, known: dict[str, inspect.Parameter]) -> bool:
    """Return whether a word is meant as an option: `--x`, `-x`, or an option's name after a single dash.

    `-weird.mp4` is a file's name. `-x` can only be a mistake, because options have no short forms.
    """
    if word.startswith("--") or re.fullmatch("-[A-Za-z]", word):
        return True
    return word.startswith("-") and f"-{word.partition('=')[0]}" in known


def _option(name: str, known: dict[str, inspect.Parameter], word: str, remaining: list[str]) -> str:
    typed, equals, value = word.partition("=")
    parameter = known.get(typed)
    if parameter is None:
        raise UsageError(_unknown(name, known, typed))
    if is_switch(parameter):
        if equals:
            raise UsageError(f"{typed} takes no value; see nebula {name} --help.")
        return f"--{parameter.name}={TRUE}"
    if not equals:
        if not remaining or remaining[0].startswith("--"):
            raise UsageError(f"{typed} needs a value: {typed}=VALUE; see nebula {name} --help.")
        value = remaining.pop(0)
    return f"--{parameter.name}={GUARD}{value}"


def _unknown(name: str, known: dict[str, inspect.Parameter], typed: str) -> str:
    import difflib  # slow to import, and needed only after a typing mistake

    near = difflib.get_close_matches(typed, known, 1)
    hint = f"did you mean {near[0]}?" if near else "a name that begins with a dash goes behind --."
    return f"{name} has no option {typed}: {hint} See nebula {name} --help."


def _miscounted(name: str, function: Callable[..., Any], guarded: list[str]) -> UsageError:
    words = [word[1:] for word in guarded if word.startswith(GUARD)]
    parameters = positionals(function)
    if len(words) > len(parameters):
        return UsageError(
            f"{name}: the word {words[len(parameters)]!r} is one too many (a name with spaces goes in quotes); "
            f"see nebula {name} --help."
        )
    missing = next((parameter for parameter in parameters[len(words) :] if parameter.default is parameter.empty), None)
    needed = metavar(missing) if missing is not None else "other words"
    return UsageError(f"{name} needs {needed}; see nebula {name} --help.")


def _unguarded(value: str) -> str | bool:
    return True if value == TRUE else value[1:]


def _nothing(_result: object) -> None:
    return None
