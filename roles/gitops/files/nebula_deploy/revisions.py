"""The schema's history as its files tell it, read and never run; and what a change of code means for the schema.

A revision file says `contracts = True` where code from before it cannot run on what it leaves.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from nebula_deploy.places import Stop

FOLDER = "src/nebula/db/migrations/versions/"


@dataclass(frozen=True)
class Revision:
    """One step of the schema."""

    revision: str
    down: tuple[str, ...]
    contracts: bool = False


Graph = dict[str, Revision]


class Course(Enum):
    """What a release has to do to the schema that it finds."""

    UPGRADE = "upgrade"  # its own revisions go on from the schema
    KEEP = "keep"  # a later version has been here and only added: it runs on that


def parse(name: str, text: str) -> Revision:
    """Read one revision file. Raises Stop."""
    found: dict[str, object] = {}
    for node in _statements(name, text):
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
            found[target.id] = node.value.value if isinstance(node.value, ast.Constant) else _words(node.value)
    revision, down = found.get("revision"), found.get("down_revision")
    if not isinstance(revision, str) or not revision:
        raise Stop(f'{name} does not say its revision: it needs a line revision = "...".')
    downs = down if isinstance(down, tuple) else (() if down is None else (str(down),))
    return Revision(revision, downs, found.get("contracts") is True)


def _statements(name: str, text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError as error:
        # Not the error's own words: they hold the line that it found.
        raise Stop(f"{name}, line {error.lineno or 1}, cannot be parsed: correct it.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Stop(f"{name} cannot be parsed ({type(error).__name__}): correct it.") from None


def graph(revisions: Iterable[Revision]) -> Graph:
    """Return the revisions by their names. Raises Stop where two files have the same."""
    made: Graph = {}
    for revision in revisions:
        if revision.revision in made:
            raise Stop(f"Two files are revision {revision.revision}: give one of them a name of its own.")
        made[revision.revision] = revision
    return made


def head(known: Graph) -> str:
    """Return the one revision that nothing follows. Raises Stop where there is not exactly one."""
    followed = {down for revision in known.values() for down in revision.down}
    missing = sorted(followed - set(known))
    if missing:
        raise Stop(f"A revision follows {missing[0]}, which no file is: bring its file back.")
    heads = sorted(set(known) - followed)
    if len(heads) > 1:
        raise Stop(
            f"The schema's history has {len(heads)} heads ({', '.join(heads)}): give one the other as its"
            " down_revision."
        )
    if not heads:
        raise Stop(f"The schema's history has no head: the files in {FOLDER} name each other in a circle, or are gone.")
    return heads[0]


def course(known: Graph, schema: str | None, wanted: str) -> Course:
    """Say what code whose head is `wanted` has to do on a schema at `schema`. Raises Stop where it cannot run on it."""
    if schema is None or schema == wanted or schema in _before(known, wanted):
        return Course.UPGRADE
    later = _before(known, schema)
    if wanted not in later:
        raise Stop(
            f"The schema is at revision {schema}, which this version's history (its head is {wanted}) does not have:"
            f" bring that revision's file back, or give it a place in the history."
        )
    passed = sorted(({schema} | later) - _before(known, wanted) - {wanted})
    contracting = [name for name in passed if known[name].contracts]
    if contracting:
        raise Stop(
            f"Revision {contracting[-1]} of the schema contracts: what it took away, this version still needs. Repair"
            f" what is wrong by a new commit, and push that."
        )
    return Course.KEEP


def remembered(path: Path) -> Graph:
    """Return every revision that was ever brought here."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text())
    return {row["revision"]: Revision(row["revision"], tuple(row["down"]), row["contracts"]) for row in rows}


def remember(path: Path, known: Graph) -> Graph:
    """Add revisions to those that were ever brought here; return them all."""
    every = remembered(path) | known
    written = path.with_suffix(".new")
    written.write_text(json.dumps([asdict(every[name]) for name in sorted(every)], indent=1))
    written.replace(path)
    return every


def _before(known: Graph, name: str) -> set[str]:
    """Return everything below a revision."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        here = known.get(waiting.pop())
        below = set(here.down) - found if here else set()
        found |= below
        waiting += below
    return found


def _words(value: ast.expr | None) -> object:
    if isinstance(value, ast.Tuple | ast.List):
        return tuple(str(one.value) for one in value.elts if isinstance(one, ast.Constant))
    return None
