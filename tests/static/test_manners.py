"""Habits of the house that a machine can see."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

from nebula.config import Settings
from tests.static import settings_page
from tests.static.source import ROOT, Module, functions, modules

MOST_LINES = 400
MOST_FUNCTION_LINES = 60
SPARED_FUNCTIONS = {"define_entities", "create_app"}  # one page each: the schema, the composition
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30}|tskey-[a-z]+-\w{10}"
)
LOOKED_THROUGH = (
    "src",
    "cli",
    "script",
    "minio",
    ".ci",
    "docs",
    "playbooks",
    "roles",
    "systemd",
    "tests",
    "benchmarks",
)


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [module.shown for module in _own() if VAGUE_NAMES & set(module.name.split("."))] == []


def test_every_module_says_its_job_in_one_to_a_few_lines() -> None:
    assert [module.shown for module in _own() if module.text.strip() and not ast.get_docstring(module.tree)] == []


def test_files_and_functions_fit_on_a_few_screens() -> None:
    long_files = [module.shown for module in _own() if module.text.count("\n") > MOST_LINES]
    long_functions = [
        f"{module.shown}:{function.lineno} {function.name}"
        for module in _own()
        if ".migrations." not in module.name  # a revision is one list of what it makes
        for function in functions(module)
        if (function.end_lineno or 0) - function.lineno >= MOST_FUNCTION_LINES and function.name not in SPARED_FUNCTIONS
    ]
    assert long_files + long_functions == []


def test_nothing_is_left_to_do_without_an_issue() -> None:
    mark = re.compile("TO" + "DO(?!.*#\\d)|FIX" + "ME|XX" + "X")
    found = [
        f"{module.shown}:{number}"
        for module in (*_own(), *modules("tests"))
        for number, line in enumerate(module.text.splitlines(), 1)
        if mark.search(line)
    ]
    assert found == []


def test_no_key_lies_in_the_checkout() -> None:
    found = [
        str(path.relative_to(ROOT))
        for folder in LOOKED_THROUGH
        for path in (ROOT / folder).rglob("*")
        # What Python keeps comes and goes while other tests run.
        if path.parent.name != "__pycache__" and path.suffix != ".sum" and path.is_file()
        if SECRET.search(path.read_text(errors="replace"))
    ]
    assert found == []


def test_page_of_settings_is_that_of_the_table() -> None:
    """`python -m tests.static.settings_page` writes it anew."""
    assert settings_page.PAGE.read_text() == settings_page.render()


def test_secret_settings_are_kept_out_of_what_is_printed() -> None:
    secrets = {field.name: "swordfish" for field in fields(Settings) if field.metadata["setting"].secret}
    assert {"database_url", "redis_url", "s3_secret_key", "secret_keys", "metrics_token"} <= set(secrets)
    assert "swordfish" not in repr(Settings(**secrets))


def _own() -> tuple[Module, ...]:
    return (*modules("nebula"), *modules("nebula_cli"), *modules("nebula_deploy"))
