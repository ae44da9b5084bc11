"""Watching: players on links, and links for others."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from nebula_cli import formats, lookup, output, players, shapes
from nebula_cli import subtitles as captions
from nebula_cli.command_line import command
from nebula_cli.errors import UsageError
from nebula_cli.signed_in import SignedIn

# A film of three hours, with a night in between.
PLAY_LIFE_S = 24 * 3600
# Each is a link to be made: a film from a stream has forty.
MOST_SUBTITLES = 12


@command
def play(
    name: str, *, player: str = "auto", quality: str = "auto", start: str = "", subtitles: str = "", why: bool = False
) -> None:
    """Play a film: VLC, else mpv, else print its address.

    Plays what was made for playing everywhere where it is ready, else the original.
    NAME is a file's name, a unique part of it, or its id.

    --player vlc|mpv|browser|none  use this player; none prints the address
    --quality auto|original|1080p|...  play this representation
    --start 12:30  begin there: 12:30, 1:02:03 or seconds
    --subtitles LANGUAGE|none  show these subtitles (a title or an id will do, too), or none
    --why  say which representation is played, and why
    """
    start_s = formats.start_s(start) if start else 0.0
    using = players.chosen(player)
    api = SignedIn()
    file = lookup.file(api, name)
    link = _made(api, file, quality, PLAY_LIFE_S)
    for reason in _reasons(file, link, quality) if why else _warnings(file, link, quality):
        output.say(reason)
    found = _captions(api, file, link, subtitles, using)
    if using == "none":
        _print_address(link, wanted=player)
        for url in found.urls:
            output.data(url)
        return
    players.play(using, link["url"], title=file["name"], start_s=start_s, captions=found)


@command
def link(name: str = "", *, expires: str = "", quality: str = "auto", revoke: str = "", json: bool = False) -> None:
    """Make an address that any player or browser can open without signing in, or end one.

    It is for what it names alone, and stands for 6 hours or twice the film's length where nothing else is said.
    NAME is a file's name, a unique part of it, or its id.

    --expires 6h  let it end after this time: 90m, 6h, 7d, 2w
    --quality auto|original|1080p|...  link this representation
    --revoke ID  end this link (the beginning of its id will do)
    --json  print the API's object
    """
    if bool(name) == bool(revoke):
        raise UsageError("link needs either NAME or --revoke ID; see nebula link --help.")
    life_s = formats.span_s(expires) if expires else None
    api = SignedIn()
    if revoke:
        found = lookup.by_id(api.items("/links"), revoke, "link", "nebula links")
        api.send("DELETE", f"/links/{found['id']}")
        output.say(f"The link {lookup.short_id(found)} has ended.")
        return
    made = _made(api, lookup.file(api, name), quality, life_s)
    if json:
        output.print_json(made)
    else:
        output.data(made["url"])
    until = formats.local_time(made.get("expires_at"))
    output.say(f"It can be opened until {until}; to end it: nebula link --revoke {lookup.short_id(made)}")


@command
def links(*, json: bool = False) -> None:
    """List the links that can be opened now. Their addresses were shown when they were made, and never again.

    --json  print the API's objects, one a line
    """
    found = list(SignedIn().items("/links"))
    if json:
        output.print_all(found)
        return
    rows = [
        (
            lookup.short_id(one),
            formats.age(one.get("created_at")),
            formats.local_time(one.get("expires_at")),
            str(one.get("quality") or ""),
            str(one.get("name") or one.get("file_id") or ""),
        )
        for one in found
    ]
    if rows:
        output.print_table(("ID", "AGE", "UNTIL", "QUALITY", "NAME"), rows)
    else:
        output.say("No links; make one: nebula link NAME")


def _made(api: SignedIn, file: dict[str, Any], quality: str, life_s: int | None) -> dict[str, Any]:
    wanted = {"quality": quality, **({} if life_s is None else {"expires_s": life_s})}
    made = api.send("POST", f"/files/{file['id']}/links", wanted)
    made["url"] = urljoin(f"{api.server.url}/", str(made["url"]))
    return made


def _captions(api: SignedIn, file: dict[str, Any], link: dict[str, Any], wanted: str, using: str) -> players.Captions:
    """Return links to the subtitles that a player gets beside a made film; an original has its own in it."""
    if wanted == captions.NONE:
        return players.Captions()
    if not link.get("rendition_id"):
        if wanted:
            output.say("The original is played, with its own subtitles in it: choose them in the player.")
        return players.Captions()
    found, shows_first = captions.handed(file, wanted)
    if using == "browser" or (using == "none" and not wanted):
        return players.Captions()
    if using == "vlc" and found and not shows_first:
        output.say(f"There are subtitles ({captions.languages(file)}); to have them: --subtitles LANGUAGE")
        return players.Captions()
    most = 1 if using == "none" else MOST_SUBTITLES
    return players.Captions(tuple(_linked(api, file, one) for one in found[:most]), shows_first)


def _linked(api: SignedIn, file: dict[str, Any], found: dict[str, Any]) -> str:
    wanted = {"subtitles_id": found["id"], "expires_s": PLAY_LIFE_S}
    made = api.send("POST", f"/files/{file['id']}/links", wanted)
    return urljoin(f"{api.server.url}/", str(made["url"]))


def _print_address(link: dict[str, Any], *, wanted: str) -> None:
    output.data(link["url"])
    if wanted == "auto":
        output.say("There is no VLC and no mpv here; the address opens in any player.")


def _rendition(file: dict[str, Any], link: dict[str, Any]) -> dict[str, Any] | None:
    made: list[dict[str, Any]] = file.get("renditions") or []
    return next((one for one in made if one["id"] == link.get("rendition_id")), None)


def _warnings(file: dict[str, Any], link: dict[str, Any], quality: str) -> list[str]:
    """Return what a person should know even if nobody asked why."""
    is_makeshift = quality == "auto" and not link.get("rendition_id") and file.get("state") in {"processing", "failed"}
    return [_makeshift(file)] if is_makeshift else []


def _makeshift(file: dict[str, Any]) -> str:
    if file["state"] == "failed":
        return f"No film could be made of it; playing the original. See why: nebula info {file['id']}"
    return f"The film is not ready yet ({shapes.state(file)}); playing the original."


def _reasons(file: dict[str, Any], link: dict[str, Any], quality: str) -> list[str]:
    made = _rendition(file, link)
    if made is not None:
        shown = f"{shapes.picture(made)}, {formats.size(made.get('size_bytes') or 0)}"
        first = f"Playing the rendition {made.get('rung')} ({shown})"
    else:
        first = f"Playing the original ({formats.size(file.get('size_bytes') or 0)})"
    asked = f": --quality {quality}." if quality != "auto" else ": the best that plays everywhere."
    makeshift = _warnings(file, link, quality)
    reasons = dict.fromkeys(reason for job in file.get("jobs") or [] for reason in job.get("plan_reasons") or [])
    return [makeshift[0] if makeshift else first + asked, *(f"  {reason}" for reason in reasons)]
