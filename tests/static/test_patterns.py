"""Every regular expression is linear in the length of its text: text from outside can keep nobody busy."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from nebula_backup import repository
from tests.static.ambiguity import fault
from tests.static.source import Module, modules

PACKAGES = ("nebula", "nebula_cli", "nebula_deploy", "nebula_backup")
# Where each function of `re` takes its flags.
FLAGS_AT = {"compile": 1, "match": 2, "fullmatch": 2, "search": 2, "findall": 2, "finditer": 2, "split": 3, "sub": 4}
# What is made while the program runs: its patterns, or the reason why it has none that a stranger's text meets.
MADE_LATER: dict[str, list[str] | str] = {
    "nebula_backup.repository: re.search(pattern, said, re.I)": list(repository.MEANINGS),
    "nebula_cli.commands.files: re.compile(fnmatch.translate(pattern.replace('[', '[[]')), re.IGNORECASE)": (
        "a person's own words, and fnmatch makes each star an atomic group"
    ),
}


@dataclass(frozen=True)
class Use:
    """A call of `re`, and the name that its pattern gets, if any."""

    module: Module
    call: ast.Call
    function: str
    name: str | None

    @property
    def shown(self) -> str:
        return f"{self.module.name}: {ast.unparse(self.call)}"

    def how(self) -> str:
        if self.function in {"match", "fullmatch"}:
            return self.function
        methods = _methods().get(self.name or "", {"search"}) if self.function == "compile" else {"search"}
        if methods <= {"fullmatch"}:
            return "fullmatch"
        return "match" if methods <= {"match", "fullmatch"} else "search"

    def evaluated(self) -> tuple[str | bytes, int]:
        """Return the pattern and its flags, from the names that the module has."""
        names = vars(importlib.import_module(self.module.name))
        more = {word.arg: word.value for word in self.call.keywords}
        at = FLAGS_AT[self.function]
        flags = self.call.args[at] if len(self.call.args) > at else more.get("flags")
        return _value(self.call.args[0], names), int(_value(flags, names)) if flags is not None else 0


def _value(node: ast.expr, names: dict[str, object]) -> object:
    return eval(compile(ast.Expression(node), "pattern", "eval"), dict(names))


@cache
def _uses() -> tuple[Use, ...]:
    return tuple(use for package in PACKAGES for module in modules(package) for use in _in(module))


def _in(module: Module) -> Iterator[Use]:
    names = {
        id(node.value): node.targets[0].id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("re"), attr=function)) if function != "escape":
                yield Use(module, node, function, names.get(id(node)))


@cache
def _methods() -> dict[str, set[str]]:
    """Return by which methods each named pattern is applied, wherever that is."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for module in modules(package):
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
                    name = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                    if node.attr in FLAGS_AT:
                        found.setdefault(name, set()).add(node.attr)
    return found


@pytest.mark.parametrize("use", _uses(), ids=lambda use: use.shown)
def test_pattern_is_linear(use: Use) -> None:
    later = MADE_LATER.get(use.shown)
    if isinstance(later, str):
        return
    patterns = [use.evaluated()] if later is None else [(pattern, re.IGNORECASE) for pattern in later]
    for pattern, flags in patterns:
        assert fault(pattern, flags, use.how()) is None, pattern


def test_every_use_of_patterns_is_seen() -> None:
    assert set(MADE_LATER) <= {use.shown for use in _uses()}
    for package in PACKAGES:
        for module in modules(package):
            imported = {name for name, _, _ in module.imports() if name == "re" or name.startswith("re.")}
            renamed = [node for node in ast.walk(module.tree) if isinstance(node, ast.alias) and node.asname]
            assert imported <= {"re"}, f"{module.shown}: import re, so that this test sees its patterns"
            assert not [alias for alias in renamed if alias.name == "re"], module.shown


_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'


@pytest.mark.parametrize(
    ("pattern", "how", "expected"),
    [
        # What a request of 242 bytes stopped the gateway with.
        (rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t]*(?:{_TAG})?)*[ \t]*", "fullmatch", "exponential"),
        (r"(a+)+b", "match", "exponential"),
        (r"(a*)*b", "match", "exponential"),
        (r"(a|ab|b)*c", "match", "exponential"),
        (r"(?:ab|[a-z]b)+!", "match", "exponential"),
        (r"(a?b?)*c", "match", "exponential"),
        (r"(x(?:a?|b?)y)*z", "match", "exponential"),
        (r"(?i)(?:xa|X[A-Z])+c", "match", "exponential"),
        (r"\s+$", "search", "polynomial"),
        (r"\s*\s*([^;]*)(;.*)?", "fullmatch", "polynomial"),
        (r"\d+\w*$", "match", "polynomial"),
        (r"open.*(no|none)", "search", "polynomial"),
        (r"a*a{0,90}b", "match", "polynomial"),
        (r"(?=.*x)y", "search", "polynomial"),
        (r"\s+$", "match", None),
        (r"^\s+$", "search", None),
        (r"[\s,]+", "search", None),
        (r"(a+b)+c", "match", None),
        (r"(?:[ \t]*,[ \t]*x)*", "fullmatch", None),
        (r"volume: (-?[\d.]+) dB", "search", None),
        (r"[a-z]{1,30}\d", "search", "polynomial"),
        (rb"<Code>(\w+)</Code>", "search", None),
    ],
)
def test_what_is_not_linear_is_noticed(pattern: str | bytes, how: str, expected: str | None) -> None:
    assert fault(pattern, how=how) == expected
