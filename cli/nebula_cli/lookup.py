"""Finds what a person named: a file by its name, a unique part of it, or its id; other things by their id's start."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from nebula_cli import formats, output
from nebula_cli.errors import CliError, NotFound
from nebula_cli.signed_in import SignedIn

SHOWN = 10
# An exact name may be listed after many names that contain it. Beyond this number the text is too short to name one.
LOOKED_AT = 20_000
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
SHORT_ID = 8


def file(api: SignedIn, text: str, *, trashed: bool = False) -> dict[str, Any]:
    """Return the file that `text` names, with its details. Raises NotFound, or CliError that lists several."""
    match = _by_id(api, text) or _by_name(api, text, trashed)
    return api.get(f"/files/{match['id']}")


def file_anywhere(api: SignedIn, text: str) -> dict[str, Any]:
    """Return the file that `text` names; looks in the trash only if no other file matches."""
    try:
        return file(api, text)
    except NotFound as nowhere:
        try:
            return file(api, text, trashed=True)
        except NotFound:
            raise nowhere from None


def by_id(things: Iterable[dict[str, Any]], text: str, what: str, listing: str) -> dict[str, Any]:
    """Return the only thing whose id is `text` or begins with it. Raises NotFound, or CliError if several match."""
    prefix = text.lower()
    matches = [thing for thing in things if prefix and str(thing["id"]).startswith(prefix)]
    if not matches:
        raise NotFound(f"There is no {what} {output.clean(text)!r}; see them: {listing}")
    if len(matches) > 1:
        ids = ", ".join(str(thing["id"]) for thing in matches[:SHOWN])
        raise CliError(f"{len(matches)} {what}s begin with {output.clean(text)!r}; type more of the id: {ids}")
    return matches[0]


def job(api: SignedIn, text: str) -> dict[str, Any]:
    """Return the job whose id is `text` or begins with it."""
    if UUID.fullmatch(text.lower()):
        return api.get(f"/jobs/{text.lower()}")
    match = by_id(islice(api.items("/jobs"), LOOKED_AT), text, "job", "nebula jobs")
    return api.get(f"/jobs/{match['id']}")


def short_id(thing: dict[str, Any]) -> str:
    """Return the start of an id, which is all that people need to type."""
    return str(thing.get("id", ""))[:SHORT_ID]


def _by_id(api: SignedIn, text: str) -> dict[str, Any] | None:
    if not UUID.fullmatch(text.lower()):
        return None
    try:
        return api.get(f"/files/{text.lower()}")
    except NotFound:
        return None  # a file's name may look like an id


def _by_name(api: SignedIn, text: str, trashed: bool) -> dict[str, Any]:
    filters = {"trashed": "true"} if trashed else {}
    candidates = list(islice(api.items("/files", {"q": text, **filters}), LOOKED_AT)) if text else []
    exact = [candidate for candidate in candidates if candidate["name"] == text]
    matching = exact or candidates
    if not matching:
        raise NotFound(_nothing(text, trashed))
    if len(matching) > 1:
        raise CliError(_several(text, matching, same_name=bool(exact)))
    return matching[0]


def _nothing(text: str, trashed: bool) -> str:
    place, listing = ("in the trash", "nebula trash") if trashed else ("stored", "nebula ls")
    return f"No file {place} is called {output.clean(text)!r} or has it in its name; see what there is: {listing}"


def _several(text: str, matching: list[dict[str, Any]], *, same_name: bool) -> str:
    choices = [
        f"{candidate['id']} {output.clean(candidate['name'])} ({formats.size(candidate.get('size_bytes') or 0)})"
        for candidate in matching[:SHOWN]
    ]
    more = f"; and {len(matching) - SHOWN} more" if len(matching) > SHOWN else ""
    why = "files are called" if same_name else "files have in their names"
    return f"{len(matching)} {why} {output.clean(text)!r}; name one by its id: {'; '.join(choices)}{more}"
