"""Reads the schema's history from the revision files without running them; decides what a deploy does to the schema.

A revision file sets `contracts = True` if code from before it cannot run on the schema that it leaves.
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
    """What a release has to do to the schema of the database."""

    UPGRADE = "upgrade"  # the release's own revisions continue from this schema
    KEEP = "keep"  # a later version only added to the schema, so the release runs on it


def parse(name: str, text: str) -> Revision:
    """Read one revision file. Raises Stop."""
    values: dict[str, object] = {}
    for node in _statements(name, text):
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
            values[target.id] = node.value.value if isinstance(node.value, ast.Constant) else _words(node.value)
    revision, down = values.get("revision"), values.get("down_revision")
    if not isinstance(revision, str) or not revision:
        raise Stop(f'{name} does not say its revision: it needs a line revision = "...".')
    downs = down if isinstance(down, tuple) else (() if down is None else (str(down),))
    return Revision(revision, downs, values.get("contracts") is True)


def _statements(name: str, text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError as error:
        # The error's own text is left out: it quotes the line.
        raise Stop(f"{name}, line {error.lineno or 1}, cannot be parsed: correct it.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Stop(f"{name} cannot be parsed ({type(error).__name__}): correct it.") from None


def graph(revisions: Iterable[Revision]) -> Graph:
    """Return the revisions by name. Raises Stop if two files have the same name."""
    by_name: Graph = {}
    for revision in revisions:
        if revision.revision in by_name:
            raise Stop(f"Two files are revision {revision.revision}: give one of them a name of its own.")
        by_name[revision.revision] = revision
    return by_name


def head(known: Graph) -> str:
    """Return the one revision that no other follows. Raises Stop if there is not exactly one."""
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
    """Return what code with the head `wanted` does to a schema at `schema`. Raises Stop if it cannot run on it."""
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
    """Return every revision that was ever on this machine."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text())
    return {row["revision"]: Revision(row["revision"], tuple(row["down"]), row["contracts"]) for row in rows}


def remember(path: Path, known: Graph) -> Graph:
    """Add revisions to the remembered ones; return them all."""
    all_revisions = remembered(path) | known
    written = path.with_suffix(".new")
    written.write_text(json.dumps([asdict(all_revisions[name]) for name in sorted(all_revisions)], indent=1))
    written.replace(path)
    return all_revisions


def _before(known: Graph, name: str) -> set[str]:
    """Return the names of all revisions before this one."""
    earlier: set[str] = set()
    unvisited = [name]
    while unvisited:
        revision = known.get(unvisited.pop())
        below = set(revision.down) - earlier if revision else set()
        earlier |= below
        unvisited += below
    return earlier


def _words(value: ast.expr | None) -> object:
    if isinstance(value, ast.Tuple | ast.List):
        return tuple(str(element.value) for element in value.elts if isinstance(element, ast.Constant))
    return None
