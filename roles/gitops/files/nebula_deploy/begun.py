"""A note of what is being deployed or gone back from, so that the next start can complete what was killed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from nebula_root import handles


@dataclass(frozen=True)
class Begun:
    """A deploy of a commit, or a rollback if there is no commit; `deployed` is the commit that served before."""

    commit: str | None
    deployed: str | None


def note(path: Path, begun: Begun) -> None:
    """Write down what begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handles.write_text(path.parent, path.name, json.dumps(asdict(begun)), 0o600)


def read(path: Path) -> Begun | None:
    """Return what was begun and has not ended."""
    try:
        noted = json.loads(handles.read_text(path.parent, path.name))
        return Begun(noted["commit"], noted["deployed"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Begun(None, None)  # damaged: that something was begun is all that is known


def forget(path: Path) -> None:
    """Remove the note: what was begun has ended."""
    path.unlink(missing_ok=True)
