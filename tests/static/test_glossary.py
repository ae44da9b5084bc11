"""docs/glossary.md: each word once, and fewer and fewer identifiers with a word that it lists as not used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.static.source import ROOT, modules

GLOSSARY = ROOT / "docs" / "glossary.md"
PACKAGES = ("nebula", "nebula_cli", "nebula_deploy", "nebula_backup")
VALUE_NAMES = "## Names of values"
# Column names of tables, fields of the API and attributes of libraries are contracts, not names of ours to choose.
CONTRACTS = {"asked_by", "asked_at", "held_until"}


# Identifiers from before the glossary. Lower this number with each one that is renamed; never raise it.
REMAINING = 255


def test_identifiers_with_words_that_are_not_used_become_fewer() -> None:
    unused = words_not_used(GLOSSARY.read_text())
    hits = [hit for package in PACKAGES for hit in _hits(package, unused)]
    assert len(hits) == REMAINING, "\n".join(hits)


def test_glossary_lists_words_that_are_not_used() -> None:
    assert {"standing", "span", "held", "found"} <= words_not_used(GLOSSARY.read_text())


def test_each_word_has_one_row() -> None:
    rows = re.findall(r"^\| (.+?) \|", GLOSSARY.read_text(), re.MULTILINE)
    words = [word for row in rows for word in row.split(", ") if word not in {"word", "---"}]
    assert sorted(words) == sorted(set(words))


def words_not_used(glossary: str) -> set[str]:
    """Return the words in code type of the tables' last columns and of the list of value names."""
    tables, _, values = glossary.partition(VALUE_NAMES)
    cells = [line.rsplit("|", 2)[1] for line in tables.splitlines() if line.startswith("|")]
    return {word for text in (*cells, values) for word in re.findall(r"`(\w+)`", text)} - {"rendition", "answer"}


def _hits(package: str, unused: set[str]) -> Iterator[str]:
    for module in modules(package):
        for name, line in _identifiers(module.tree):
            if name not in CONTRACTS and unused & set(_words(name)):
                yield f"{module.shown}:{line} {name}"


def _words(identifier: str) -> list[str]:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().split("_")


def _identifiers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what a module defines: variables, parameters, functions, classes, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
