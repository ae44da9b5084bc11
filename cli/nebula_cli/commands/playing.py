"""The commands for watching: play a film in a player, and make links for other people."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from nebula_cli import formats, lookup, output, players, shapes
from nebula_cli import subtitles as captions
from nebula_cli.command_line import command
from nebula_cli.errors import UsageError
from nebula_cli.signed_in import SignedIn

# Long enough to watch half of a three-hour film one evening and the rest the next.
PLAY_LIFE_S = 24 * 3600
# Each subtitle needs a link of its own, and a film from a stream can have forty.
MOST_SUBTITLES = 12


@command
def play(
    name: str, *, player: str = "auto", quality: str = "auto", start: str = "", subtitles: str = "", why: bool = False
) -> None:
    """Play a film in VLC, or in mpv, or print its address if neither is installed.

    Plays the version that was made to play everywhere if it is ready, else the original.
    NAME is a file's name, a unique part of it, or its id.

    --player vlc|mpv|browser|none  use this player; none prints the address
    --quality auto|original|1080p|...  play this version
    --start 12:30  start at this time: 12:30, 1:02:03 or seconds
    --subtitles LANGUAGE|none  show these subtitles (by language, title or id), or none
    --why  say which version is played, and why
    """
    start_s = formats.start_s(start) if start else 0.0
    chosen_player = players.chosen(player)
    api = SignedIn()
    file = lookup.file(api, name)
    link = _made(api, file, quality, PLAY_LIFE_S)
    for reason in _reasons(file, link, quality) if why else _warnings(file, link, quality):
        output.say(reason)
    subtitle_links = _captions(api, file, link, subtitles, chosen_player)
    if chosen_player == "none":
        _print_address(link, wanted=player)
        for url in subtitle_links.urls:
            output.data(url)
        return
    players.play(chosen_player, link["url"], title=file["name"], start_s=start_s, captions=subtitle_links)


@command
def link(name: str = "", *, expires: str = "", quality: str = "auto", revoke: str = "", json: bool = False) -> None:
    """Make a link that any player or browser can open without signing in, or end one.

    It opens only this file. By default it ends after 6 hours or twice the film's length, whichever is longer.
    NAME is a file's name, a unique part of it, or its id.

    --expires 6h  end the link after this time: 90m, 6h, 7d, 2w
    --quality auto|original|1080p|...  link to this version
    --revoke ID  end this link (the beginning of its id is enough)
    --json  print the API's object
    """
    if bool(name) == bool(revoke):
        raise UsageError("link needs either NAME or --revoke ID; see nebula link --help.")
    life_s = formats.span_s(expires) if expires else None
    api = SignedIn()
    if revoke:
        matching_link = lookup.by_id(api.items("/links"), revoke, "link", "nebula links")
        api.send("DELETE", f"/links/{matching_link['id']}")
        output.say(f"The link {lookup.short_id(matching_link)} has ended.")
        return
    new_link = _made(api, lookup.file(api, name), quality, life_s)
    if json:
        output.print_json(new_link)
    else:
        output.data(new_link["url"])
    until = formats.local_time(new_link.get("expires_at"))
    output.say(f"It can be opened until {until}; to end it: nebula link --revoke {lookup.short_id(new_link)}")


@command
def links(*, json: bool = False) -> None:
    """List the links that can be opened now. A link's address is shown only when the link is made.

    --json  print the API's objects, one per line
    """
    open_links = list(SignedIn().items("/links"))
    if json:
        output.print_all(open_links)
        return
    rows = [
        (
            lookup.short_id(open_link),
            formats.age(open_link.get("created_at")),
            formats.local_time(open_link.get("expires_at")),
            str(open_link.get("quality") or ""),
            str(open_link.get("name") or open_link.get("file_id") or ""),
        )
        for open_link in open_links
    ]
    if rows:
        output.print_table(("ID", "AGE", "UNTIL", "QUALITY", "NAME"), rows)
    else:
        output.say("No links; make one: nebula link NAME")


def _made(api: SignedIn, file: dict[str, Any], quality: str, life_s: int | None) -> dict[str, Any]:
    body = {"quality": quality, **({} if life_s is None else {"expires_s": life_s})}
    new_link = api.send("POST", f"/files/{file['id']}/links", body)
    new_link["url"] = urljoin(f"{api.server.url}/", str(new_link["url"]))
    return new_link


def _captions(api: SignedIn, file: dict[str, Any], link: dict[str, Any], wanted: str, using: str) -> players.Captions:
    """Return links to the subtitles that a player gets with a rendition; an original contains its own."""
    if wanted == captions.NONE:
        return players.Captions()
    if not link.get("rendition_id"):
        if wanted:
            output.say("The original is played, with its own subtitles in it: choose them in the player.")
        return players.Captions()
    tracks, shows_first = captions.handed(file, wanted)
    if using == "browser" or (using == "none" and not wanted):
        return players.Captions()
    if using == "vlc" and tracks and not shows_first:
        output.say(f"There are subtitles ({captions.languages(file)}); to have them: --subtitles LANGUAGE")
        return players.Captions()
    most = 1 if using == "none" else MOST_SUBTITLES
    return players.Captions(tuple(_linked(api, file, track) for track in tracks[:most]), shows_first)


def _linked(api: SignedIn, file: dict[str, Any], found: dict[str, Any]) -> str:
    body = {"subtitles_id": found["id"], "expires_s": PLAY_LIFE_S}
    new_link = api.send("POST", f"/files/{file['id']}/links", body)
    return urljoin(f"{api.server.url}/", str(new_link["url"]))


def _print_address(link: dict[str, Any], *, wanted: str) -> None:
    output.data(link["url"])
    if wanted == "auto":
        output.say("There is no VLC and no mpv here; the address opens in any player.")


def _rendition(file: dict[str, Any], link: dict[str, Any]) -> dict[str, Any] | None:
    renditions: list[dict[str, Any]] = file.get("renditions") or []
    return next((rendition for rendition in renditions if rendition["id"] == link.get("rendition_id")), None)


def _warnings(file: dict[str, Any], link: dict[str, Any], quality: str) -> list[str]:
    """Return what the person should know even without --why."""
    is_makeshift = quality == "auto" and not link.get("rendition_id") and file.get("state") in {"processing", "failed"}
    return [_makeshift(file)] if is_makeshift else []


def _makeshift(file: dict[str, Any]) -> str:
    if file["state"] == "failed":
        return f"No film could be made of it; playing the original. See why: nebula info {file['id']}"
    return f"The film is not ready yet ({shapes.state(file)}); playing the original."


def _reasons(file: dict[str, Any], link: dict[str, Any], quality: str) -> list[str]:
    rendition = _rendition(file, link)
    if rendition is not None:
        description = f"{shapes.picture(rendition)}, {formats.size(rendition.get('size_bytes') or 0)}"
        first = f"Playing the rendition {rendition.get('rung')} ({description})"
    else:
        first = f"Playing the original ({formats.size(file.get('size_bytes') or 0)})"
    choice = f": --quality {quality}." if quality != "auto" else ": the best that plays everywhere."
    makeshift = _warnings(file, link, quality)
    reasons = dict.fromkeys(reason for job in file.get("jobs") or [] for reason in job.get("plan_reasons") or [])
    return [makeshift[0] if makeshift else first + choice, *(f"  {reason}" for reason in reasons)]
