"""Another password for the backup: both open it until the old one is dropped, and each step may run twice."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.backups import PASSWORD, Backed, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
NEW = "battery-staple"


@pytest.fixture
def backed(tmp_path: Path) -> Backed:
    """A machine with a repository, and the next password made."""
    made = Backed(tmp_path, "postgresql://nobody@127.0.0.1:1/none", None)
    made.run("open")
    made.secret("backup_password.next", NEW)
    return made


def test_both_passwords_open_the_backup_until_the_old_one_is_dropped(backed: Backed) -> None:
    assert "opens the backup too" in backed.run("add-key")
    backed.run("add-key")
    assert (_opens(backed, PASSWORD), _opens(backed, NEW)) == (True, True)
    assert _secret(backed, "backup_password") == PASSWORD
    backed.run("take-key")
    assert _secret(backed, "backup_password") == NEW
    assert (_opens(backed, PASSWORD), _opens(backed, NEW)) == (True, True)
    assert "does not open the backup any more" in backed.run("drop-key")
    assert (_opens(backed, PASSWORD), _opens(backed, NEW)) == (False, True)
    backed.secret("backup_password.old", PASSWORD)  # cut off between the two
    backed.run("drop-key")
    assert "no old password" in backed.run("drop-key")


def test_password_in_use_is_never_dropped_where_taking_was_cut_off(backed: Backed) -> None:
    backed.run("add-key")
    backed.secret("backup_password.old", PASSWORD)  # made, and then the power was gone
    backed.run("drop-key")
    assert _opens(backed, PASSWORD)
    backed.run("take-key")
    assert (_secret(backed, "backup_password"), _secret(backed, "backup_password.old")) == (NEW, PASSWORD)


def test_target_that_is_away_takes_no_password_and_says_so(backed: Backed) -> None:
    backed.target.rename(backed.target.with_name("away"))
    assert "mount its disk" in backed.run("add-key", fails=True)


def _secret(backed: Backed, name: str) -> str:
    return (backed.places.settings.parent / "secrets" / name).read_text()


def _opens(backed: Backed, password: str) -> bool:
    environ = os.environ | {"RESTIC_REPOSITORY": str(backed.target), "RESTIC_PASSWORD": password}
    return subprocess.run(["restic", "--no-cache", "cat", "config"], env=environ, capture_output=True).returncode == 0
