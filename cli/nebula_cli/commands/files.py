"""The commands for files: list, show, rename, remove, restore."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from nebula_cli import formats, lookup, output, shapes, subtitles
from nebula_cli.command_line import command
from nebula_cli.errors import CliError, Refused
from nebula_cli.signed_in import PAGE, SignedIn

TITLES = ("SIZE", "AGE", "STATE", "LENGTH", "PICTURE", "NAME")


@command
def ls(pattern: str = "", *, limit: str = "", json: bool = False) -> None:
    """List the files, the newest first.

    PATTERN is a part of the name, or a pattern with * and ? that matches the whole name (put it in quotes).

    --limit N  show at most N files
    --json  print the API's objects, one per line
    """
    most = formats.count("--limit", limit) if limit else None
    api = SignedIn()
    files = islice(_matching(api, pattern, most), most)
    if json:
        output.print_all(files)
    elif not _print_files(files):
        hint = "see all: nebula ls" if pattern else "bring some: nebula upload PATH"
        output.say(f"No files{' like that' if pattern else ''}; {hint}")


@command
def info(name: str, *, json: bool = False) -> None:
    """Show everything about a file: its ids, its film, its renditions and subtitles, and its jobs.

    NAME is a file's name, a unique part of it, or its id.

    --json  print the API's object
    """
    api = SignedIn()
    file = lookup.file_anywhere(api, name)
    if json:
        output.print_json(file)
        return
    for title, value in _facts(file):
        output.data(f"{title + ':':<12} {output.clean(value)}")
    for line in [*_renditions(file), *_subtitles(file), *_jobs(file)]:
        output.data(line)


@command
def rename(name: str, new_name: str, *, json: bool = False) -> None:
    """Rename a file. A name may contain folders: Films/Summer.mkv.

    NAME is a file's name, a unique part of it, or its id.

    --json  print the API's object
    """
    api = SignedIn()
    file = lookup.file(api, name)
    renamed = api.send("PATCH", f"/files/{file['id']}", {"name": new_name})
    if json:
        output.print_json(renamed)
    output.say(f"{output.typed(file['name'])} is now {output.typed(renamed.get('name', new_name))}")


@command
def rm(name: str, *, now: bool = False) -> None:
    """Move a file to the trash, where it stays for 30 days.

    NAME is a file's name, a unique part of it, or its id.

    --now  delete it for good and free its space at once; it cannot be restored
    """
    api = SignedIn()
    file = lookup.file_anywhere(api, name) if now else lookup.file(api, name)
    quoted_name = output.typed(file["name"])
    if file.get("deleted_at") and not now:
        output.say(f"{quoted_name} is in the trash already; to free its room: nebula rm {file['id']} --now")
        return
    if not file.get("deleted_at"):
        api.send("DELETE", f"/files/{file['id']}")
    if now:
        api.send("DELETE", f"/files/{file['id']}")
        output.say(f"{quoted_name} is gone.")
    else:
        output.say(f"{quoted_name} is in the trash for 30 days; to have it back: nebula restore {quoted_name}")


@command
def trash(*, empty: bool = False, json: bool = False) -> None:
    """List the files in the trash, or empty it.

    --empty  delete this account's files in the trash for good and free their space; they cannot be restored
    --json  print the API's objects, one per line
    """
    api = SignedIn()
    trashed_files = api.items("/files", {"trashed": "true"})
    if empty:
        _empty(api, list(trashed_files))
    elif json:
        output.print_all(trashed_files)
    elif not _print_files(trashed_files):
        output.say("The trash is empty.")


@command
def restore(name: str, *, json: bool = False) -> None:
    """Take a file out of the trash.

    NAME is a file's name, a unique part of it, or its id.

    --json  print the API's object
    """
    api = SignedIn()
    file = lookup.file(api, name, trashed=True)
    restored = api.send("POST", f"/files/{file['id']}/restore")
    if json:
        output.print_json(restored)
    output.say(f"{output.typed(file['name'])} is back.")


def _matching(api: SignedIn, pattern: str, most: int | None) -> Iterator[dict[str, Any]]:
    literal = max(re.split(r"[*?]+", pattern), key=len)
    # Brackets are ordinary characters in names; only * and ? are special.
    glob = re.compile(fnmatch.translate(pattern.replace("[", "[[]")), re.IGNORECASE)
    is_glob = literal != pattern
    page = PAGE if is_glob or most is None else min(PAGE, most)
    for file in api.items("/files", {"q": literal} if literal else {}, page=page):
        if not is_glob or glob.match(file["name"]) or pattern in file["name"]:
            yield file


def _print_files(files: Iterable[dict[str, Any]]) -> bool:
    """Print a table page by page, so that a long listing starts at once; return whether there was any file."""
    remaining = iter(files)
    titles = True
    while page := list(islice(remaining, PAGE)):
        lines = output.table(TITLES, [_row(file) for file in page], shapes.STATE_COLOURS)
        for line in lines if titles else lines[1:]:
            output.data(line)
        titles = False
    return not titles


def _row(file: dict[str, Any]) -> tuple[str, ...]:
    return (
        formats.size(file.get("size_bytes") or 0),
        formats.age(file.get("created_at")),
        shapes.state(file),
        formats.duration(file.get("duration_s")),
        shapes.picture(file),
        str(file.get("name", "")),
    )


def _facts(file: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("name", str(file["name"])),
        ("id", str(file["id"])),
        ("size", f"{formats.size(file.get('size_bytes') or 0)} ({file.get('size_bytes')} bytes)"),
        ("sha256", str(file.get("sha256") or "")),
        ("type", str(file.get("media_type") or "")),
        ("state", shapes.state(file)),
        ("seen by", "the household" if file.get("visibility") == "household" else "its account and the owner"),
        ("account", str(file.get("account") or "")),
        ("stored", formats.local_time(file.get("created_at"))),
        ("in trash", formats.local_time(file.get("deleted_at"))),
        ("length", formats.duration(file.get("duration_s"))),
        ("picture", shapes.picture(file)),
    ]
    return [(title, value) for title, value in facts if value]


def _renditions(file: dict[str, Any]) -> list[str]:
    rows = [
        (
            str(rendition.get("rung", "")),
            shapes.picture(rendition),
            formats.size(rendition.get("size_bytes") or 0),
            str(rendition["id"]),
        )
        for rendition in file.get("renditions") or []
    ]
    return ["", *output.table(("RENDITION", "PICTURE", "SIZE", "ID"), rows)] if rows else []


def _subtitles(file: dict[str, Any]) -> list[str]:
    rows = subtitles.rows(file)
    return ["", *output.table(subtitles.TITLES, rows)] if rows else []


def _jobs(file: dict[str, Any]) -> list[str]:
    lines = []
    for job in file.get("jobs") or []:
        status = " ".join(part for part in (str(job.get("state", "")), shapes.job_progress(job)) if part)
        lines.append(f"job {lookup.short_id(job)} {shapes.what(job)}: {status}")
        lines += [f"  {reason}" for reason in job.get("plan_reasons") or []]
        if job.get("warning"):
            lines.append(f"  warning: {job['warning']}")
        if job.get("state") == "failed":
            lines.append(f"  {job.get('error') or 'no reason given'}; try again: nebula retry {lookup.short_id(job)}")
    return ["", *(output.clean(line) for line in lines)] if lines else []


def _empty(api: SignedIn, found: list[dict[str, Any]]) -> None:
    # The owner sees the trash of all accounts, but --empty deletes only files of the signed-in account.
    files = [file for file in found if file.get("account") == api.username]
    if len(files) < len(found):
        output.say(
            f"{len(found) - len(files)} files of other accounts stay; to free the room of one: nebula rm ID --now"
        )
    refused, freed = 0, 0
    for file in files:
        try:
            api.send("DELETE", f"/files/{file['id']}")
        except Refused as error:
            refused += 1
            output.say(f"{output.typed(file['name'])} stays: {error}")
        else:
            freed += 1
    output.say(f"{freed} file{'' if freed == 1 else 's'} gone from the trash.")
    if refused:
        raise CliError(f"{refused} of {len(files)} stay in the trash; see them: nebula trash")
