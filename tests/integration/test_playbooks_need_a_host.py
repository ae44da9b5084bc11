"""A playbook that finds no machine fails with one sentence, however it came to find none; real ansible-playbook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.static.source import ROOT

PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
BOOK = Path(sys.executable).with_name("ansible-playbook")
NOBODY_NAMED = "The inventory names no machine: write the laptop's tailnet name on a line of its own below [nebula] in "
LAPTOP_ALONE = "[nebula]\nlaptop\n[workers]\n"
# An inventory, and the words beside the playbook's name.
NOBODY: dict[str, tuple[str, list[str]]] = {
    "an empty inventory": ("[nebula]\n\n[workers]\n", []),
    "an empty inventory and a limit": ("[nebula]\n\n[workers]\n", ["--limit", "laptop"]),
    "a misspelt group": ("[nebulas]\nlaptop\n", []),
    "a misspelt group and a limit that matches": ("[nebulas]\nlaptop\n", ["--limit", "laptop"]),
    "no inventory": ("", []),
}

pytestmark = pytest.mark.skipif(not BOOK.exists(), reason="ansible-playbook is not installed: script/bootstrap --test")


def run(folder: Path, playbook: str, inventory: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    (folder / "inventory.ini").write_text(inventory)
    # From elsewhere, as cron does: without the checkout's ansible.cfg.
    environ = os.environ | {"ANSIBLE_HOME": str(folder / "ansible"), "ANSIBLE_ROLES_PATH": str(ROOT / "roles")}
    return subprocess.run(
        [BOOK, "-i", folder / "inventory.ini", ROOT / "playbooks" / playbook, *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(ended: subprocess.CompletedProcess[str], playbook: str, why: str) -> None:
    assert ended.returncode != 0
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("ERROR: ")]
    assert line.startswith(f"ERROR: {why}")
    assert line.endswith(f"then run {playbook} again. Nothing was changed.")
    assert "PLAY [" not in ended.stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_without_a_machine_fails_in_one_sentence(playbook: str, tmp_path: Path) -> None:
    inventory, words = NOBODY["an empty inventory and a limit"]
    assert_refused(run(tmp_path, playbook, inventory, words), playbook, NOBODY_NAMED)


@pytest.mark.parametrize("why", NOBODY)
def test_verify_is_not_content_without_a_machine(why: str, tmp_path: Path) -> None:
    inventory, words = NOBODY[why]
    assert_refused(run(tmp_path, "verify.yml", inventory, words), "verify.yml", NOBODY_NAMED)


def test_a_limit_that_matches_nothing_fails(tmp_path: Path) -> None:
    assert run(tmp_path, "verify.yml", LAPTOP_ALONE, ["--limit", "labtop"]).returncode != 0


def test_the_laptop_s_playbooks_fail_when_only_a_worker_is_left(tmp_path: Path) -> None:
    inventory = "[nebula]\nlaptop\n[workers]\nspare\n"
    ended = run(tmp_path, "rotate-secrets.yml", inventory, ["--limit", "spare"])
    assert_refused(ended, "rotate-secrets.yml", "--limit spare leaves no machine below [nebula] in ")


def test_a_playbook_with_a_machine_begins(tmp_path: Path) -> None:
    inventory = "[workers]\nspare ansible_connection=local ansible_become=false\n"
    ended = run(tmp_path, "verify.yml", inventory, ["--check"])
    assert "Nothing was changed" not in ended.stderr
    assert "PLAY [Verify the machines]" in ended.stdout
