"""A note of the deploy or rollback in progress. If it is killed, the next start completes or undoes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from nebula_root import handles


@dataclass(frozen=True)
class Begun:
    """A deploy of `commit`, or a rollback if `commit` is None. `deployed` is the commit that served before."""

    commit: str | None
    deployed: str | None


def note(path: Path, begun: Begun) -> None:
    """Write the note of a deploy or rollback that begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handles.write_text(path.parent, path.name, json.dumps(asdict(begun)), 0o600)


def read(path: Path) -> Begun | None:
    """Return the deploy or rollback that has not ended, if there is one."""
    try:
        fields = json.loads(handles.read_text(path.parent, path.name))
        return Begun(fields["commit"], fields["deployed"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Begun(None, None)  # the note is damaged: it shows only that something had begun


def forget(path: Path) -> None:
    """Remove the note, because the deploy or rollback has ended."""
    path.unlink(missing_ok=True)
