"""Bringing files to the server and fetching them."""

from __future__ import annotations

from typing import Any

from nebula_cli import downloading, lookup, output
from nebula_cli import subtitles as captions
from nebula_cli.command_line import command
from nebula_cli.downloading import Download
from nebula_cli.errors import CliError, Interrupted, SignInAgain, Unreachable, UsageError
from nebula_cli.local_files import Source
from nebula_cli.signed_in import SignedIn
from nebula_cli.uploading import Outcome, Upload


@command
def upload(*paths: str, to: str = "", private: bool = False, json: bool = False) -> int:
    """Bring files to the server; what it has already is skipped.

    An upload that was broken off, by whatever, goes on where it stopped when the same command is typed again.
    The server checks the SHA-256 of what arrived.

    --to FOLDER  put them into this folder: FOLDER/name
    --private  only this account and the owner see them, else the household does
    --json  print the API's objects, one a line
    """
    if not paths:
        raise UsageError("upload needs PATH...; see nebula upload --help.")
    sources = [Source(path) for path in paths]  # all of them are looked at before the first byte goes
    api = SignedIn()
    failures = 0
    for source in sources:
        try:
            outcome = _uploaded(api, source, to, private)
        except (SignInAgain, Unreachable, Interrupted):
            raise
        except CliError as error:
            if len(sources) == 1:
                raise
            failures += 1
            output.say(f"nebula: {error}")
        else:
            _tell(outcome, json)
    return 1 if failures else 0


@command
def download(name: str, *, to: str = "", subtitles: str = "") -> None:
    """Fetch a file as it was brought, into this directory or where --to says.

    A download that was broken off goes on where it stopped (in NAME.part). Nothing that is there is overwritten.
    NAME is a file's name, a unique part of it, or its id.

    --to PATH  write to this path or into this directory; - is stdout
    --subtitles LANGUAGE  fetch these subtitles of a film instead (WebVTT); a title or an id will do, too
    """
    api = SignedIn()
    file = lookup.file_anywhere(api, name)
    option = f" --subtitles {output.typed(subtitles)}" if subtitles else ""
    fetching = _subtitles(api, file, subtitles) if subtitles else Download(api, file)
    if to == "-":
        fetching.to_stdout()
        return
    target = downloading.target_path(fetching.name, to)
    try:
        fetched = fetching.to_path(target)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped; to go on, type it again: nebula download {output.typed(name)}{option}") from None
    output.say(f"{output.typed(str(target))} {'is here and checked.' if fetched else 'was here already.'}")


def _subtitles(api: SignedIn, file: dict[str, Any], wanted: str) -> Download:
    track = captions.one(file, wanted)
    path = f"/files/{file['id']}/subtitles/{track['id']}/content"
    return Download(api, track | {"name": captions.file_name(file, track)}, path)


def _uploaded(api: SignedIn, source: Source, folder: str, private: bool) -> Outcome:
    try:
        return Upload(api, source, source.name_in(folder), private=private).run()
    except KeyboardInterrupt:
        again = f"nebula upload {output.typed(source.typed)}"
        raise Interrupted(f"stopped; to go on where it stopped, type it again: {again}") from None


def _tell(outcome: Outcome, json: bool) -> None:
    file = outcome.file
    if json:
        output.print_json(file)
    label = f"{output.typed(file['name'])} ({file['id']})"
    if outcome.skipped:
        output.say(f"{label} was there already.")
    elif file.get("state") == "processing":
        output.say(f"{label} is stored, and being made playable: nebula jobs --follow")
    else:
        output.say(f"{label} is stored.")
