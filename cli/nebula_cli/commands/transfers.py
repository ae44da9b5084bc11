"""The commands that upload files to the server and download them."""

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
    """Upload files to the server. Files that it already has are skipped.

    If an upload is interrupted, type the same command again: it continues where it stopped.
    The server checks the SHA-256 of the bytes that it received.

    --to FOLDER  put them into this folder: FOLDER/name
    --private  only this account and the owner see them; without it, the whole household does
    --json  print the API's objects, one per line
    """
    if not paths:
        raise UsageError("upload needs PATH...; see nebula upload --help.")
    sources = [Source(path) for path in paths]  # checks every path before the first byte is sent
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
    """Download the original of a file, into the current directory or to the path of --to.

    If a download is interrupted, the same command continues it (from NAME.part). It never overwrites a file.
    NAME is a file's name, a unique part of it, or its id.

    --to PATH  write to this path or into this directory; - is stdout
    --subtitles LANGUAGE  download these subtitles of the film instead (WebVTT), by language, title or id
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
