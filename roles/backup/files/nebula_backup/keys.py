"""Changes the password of the repository. Both passwords open it until the new recovery file is stored elsewhere.

The new password is added while it is still backup_password.next. The previous one stays in backup_password.old until it
is dropped. Each step may run twice.
"""

from __future__ import annotations

import os
from pathlib import Path

from nebula_backup.places import Places, Stop
from nebula_backup.repository import Repository


def add(repository: Repository, places: Places) -> str:
    """Let the next password open the repository, too. Raises Stop."""
    following = _place(places, ".next")
    if not following.exists():
        raise Stop(f"There is no {following}: playbooks/rotate-secrets.yml makes it.")
    repository.add_key(following)
    return "The next password opens the backup too."


def take(places: Places) -> str:
    """Use the next password from now on; keep the current one as the old password."""
    current, following, old = (_place(places, suffix) for suffix in ("", ".next", ".old"))
    if not following.exists():
        return "There is no next password."
    if not old.exists():
        os.link(current, old)
    following.replace(current)
    return "Backups are made with the next password."


def drop(repository: Repository, places: Places) -> str:
    """Remove the old password from the repository. Raises Stop."""
    current, old = _place(places, ""), _place(places, ".old")
    if not old.exists():
        return "There is no old password."
    if old.read_text() != current.read_text():
        repository.remove_key(old)
    old.unlink()
    return "The old password does not open the backup any more."


def _place(places: Places, suffix: str) -> Path:
    return places.secrets / f"backup_password{suffix}"
