"""Roles and playbooks: defaults are the manual, tasks are named, no secret is written down, verify only looks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.static.source import ROOT

ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
OCTAL = re.compile(r"^\s*mode: *[\"']?0?[0-7]{3,4}[\"']?\s*$")
QUOTED = re.compile(r"^\s*mode: \"0[0-7]{3}\"\s*$")
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) or {}


def _task_files() -> list[Path]:
    files = (ROOT / "roles").glob("*/tasks/*.yml"), (ROOT / "roles").glob("*/handlers/*.yml")
    return sorted(path for group in files for path in group)


def _tasks(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from _tasks(task.get(part, []))


def _all_tasks() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in _task_files():
        yield from ((path, task) for task in _tasks(_yaml(path) or []))
    for path in PLAYBOOKS:
        for play in _yaml(path):
            parts = (play.get(part, []) for part in ("pre_tasks", "tasks", "post_tasks", "handlers"))
            yield from ((path, task) for part in parts for task in _tasks(part))


@each_role
def test_a_roles_defaults_and_argument_specs_have_the_same_keys(role):
    options = _yaml(role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options", {})
    defaults = _yaml(role / "defaults" / "main.yml")
    assert set(options) == set(defaults)
    for name, option in options.items():
        assert option["type"], name
        assert option["description"], name
        # A default that is worked out from facts cannot be repeated; the others are the same in both.
        if "default" in option:
            assert option["default"] == defaults[name], name


@each_role
def test_a_roles_defaults_begin_with_what_the_role_is_for_and_explain_their_keys(role):
    text = (role / "defaults" / "main.yml").read_text()
    assert text.startswith(f"---\n# {role.name}: ")
    lines = text.splitlines()
    for key in _yaml(role / "defaults" / "main.yml"):
        assert key.startswith(f"{role.name}_"), "a role's variables carry its name"
        at = next(number for number, line in enumerate(lines) if line.startswith(f"{key}:"))
        # Keys that stand together, without an empty line, share the prose above them.
        while lines[at] and not lines[at].startswith("#"):
            at -= 1
        assert lines[at], f"{key} has no prose above it"


@each_role
def test_a_roles_main_file_is_a_table_of_contents(role):
    for task in _yaml(role / "tasks" / "main.yml"):
        modules = set(task) - {"name", "when"}
        assert modules == {"ansible.builtin.import_tasks"}, task


def test_every_task_and_play_has_a_name_that_starts_with_a_capital():
    nameless = [f"{path.relative_to(ROOT)}: {task}" for path, task in _all_tasks() if not _is_named(task)]
    nameless += [str(path) for path in PLAYBOOKS for play in _yaml(path) if not _is_named(play)]
    assert nameless == []


def _is_named(task: dict[str, Any]) -> bool:
    return str(task.get("name", ""))[:1].isupper()


def test_tasks_use_the_builtin_modules_by_their_full_names():
    known = ("ansible.builtin.",)
    plain = {
        "name", "when", "register", "changed_when", "failed_when", "check_mode", "notify", "loop",
        "loop_control", "vars", "args", "become", "delegate_to", "run_once", "environment", "no_log", "diff",
        "until", "retries", "delay", "tags", "block", "rescue", "always", "listen", "become_user",
        "module_defaults", "any_errors_fatal", "async", "poll", "throttle", "connection",
    }  # fmt: skip
    unknown = [
        f"{path.relative_to(ROOT)}: {key}"
        for path, task in _all_tasks()
        for key in task
        if key not in plain and not key.startswith(known)
    ]
    assert unknown == []


def test_modes_are_quoted_octal_numbers():
    bad = []
    for path in _task_files():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if OCTAL.match(line) and not QUOTED.match(line):
                bad.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert bad == []


def test_commands_say_whether_they_change_something():
    silent = []
    for path, task in _all_tasks():
        module = next((key for key in ("ansible.builtin.command", "ansible.builtin.shell") if key in task), None)
        if module is None or "changed_when" in task:
            continue
        arguments = task.get("args", {}) | (task[module] if isinstance(task[module], dict) else {})
        if "creates" not in arguments:
            silent.append(f"{path.relative_to(ROOT)}: {task['name']}")
    assert silent == []


def test_errors_are_not_ignored():
    assert [str(path) for path, task in _all_tasks() if "ignore_errors" in task] == []


def test_the_inventory_has_its_groups_and_no_secret():
    text = (ROOT / "inventory.ini").read_text()
    assert "[nebula]" in text
    assert "[workers]" in text
    settings = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    assert not [line for line in settings if re.search(r"(?i)passw|secret|key|token", line)]


def test_no_secret_is_written_down_in_roles_or_playbooks():
    shapes = re.compile(r"tskey-[a-z]+-[A-Za-z0-9]{6,}|-----BEGIN|\bAKIA[A-Z0-9]{12,}|\$argon2id\$")
    for folder in ("roles", "playbooks", "systemd"):
        # What Python keeps comes and goes while other tests run.
        written = (path for path in (ROOT / folder).rglob("*") if path.parent.name != "__pycache__")
        for path in (path for path in written if path.is_file()):
            assert not shapes.search(path.read_text()), path


def test_secrets_stay_on_the_machine_but_for_the_recovery_file():
    """What slurp reads comes to the controller."""
    slurps = [(path.parents[1].name, task) for path, task in _all_tasks() if "ansible.builtin.slurp" in task]
    assert {role for role, _ in slurps} <= {"nebula", "backup"}
    assert all(task.get("no_log") for _, task in slurps)


def test_every_secret_that_a_role_makes_is_named_by_the_rotation():
    text = (ROOT / "playbooks" / "rotate-secrets.yml").read_text()
    made = {task["vars"]["base_secret_name"] for _, task in _all_tasks() if "base_secret_name" in task.get("vars", {})}
    assert len(made) > 5
    # A worker node's has the node's name in it.
    assert [name for name in sorted(made) if name.rpartition("}}")[2] not in text] == []


def test_every_role_of_site_stands_in_the_checkout_and_runs_alone_by_its_tag():
    for play in _yaml(ROOT / "playbooks" / "site.yml"):
        for role in play.get("roles", []):
            assert (ROOT / "roles" / role["role"]).is_dir()
            assert role["tags"] == [role["role"]]


def test_the_firewall_is_the_last_role_of_each_machine():
    plays = [play["roles"] for play in _yaml(ROOT / "playbooks" / "site.yml") if "roles" in play]
    assert [roles[-1]["role"] for roles in plays] == ["firewall"] * len(plays)
    assert plays


def test_verify_only_looks():
    for play in _yaml(ROOT / "playbooks" / "verify.yml"):
        for task in _tasks(play["tasks"]):
            if "ansible.builtin.shell" in task or "ansible.builtin.command" in task:
                assert task["changed_when"] is False
            else:
                assert {"ansible.builtin.assert", "ansible.builtin.import_role"} & set(task), task
