"""Video players: finds an installed one, starts it with its arguments, and reports how it ended."""

from __future__ import annotations

import shutil
import subprocess
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from nebula_cli import output
from nebula_cli.errors import CliError, UsageError

KNOWN = ("auto", "vlc", "mpv", "browser", "none")
# Where macOS installs a player that is not on the PATH.
BUNDLES = {
    "vlc": "/Applications/VLC.app/Contents/MacOS/VLC",
    "mpv": "/Applications/mpv.app/Contents/MacOS/mpv",
}


def chosen(wanted: str) -> str:
    """Return which player to use; "none" if "auto" finds none.

    Raises UsageError if the player is unknown, CliError if it is not installed.
    """
    if wanted not in KNOWN:
        raise UsageError(f"--player {wanted!r} is not known; it takes {', '.join(KNOWN)}.")
    if wanted == "auto":
        return next((name for name in ("vlc", "mpv") if _program(name)), "none")
    if wanted in BUNDLES and _program(wanted) is None:
        raise CliError(f"{wanted} is not installed here; install it, or print the address: --player none")
    return wanted


@dataclass(frozen=True)
class Captions:
    """The addresses of subtitles, and whether the player shows the first of them from the start."""

    urls: tuple[str, ...] = ()
    shows_first: bool = False


def play(player: str, url: str, *, title: str, start_s: float, captions: Captions) -> None:
    """Open `url` in a player and wait until it ends (not for a browser). Raises CliError on failure."""
    if player == "browser":
        if not webbrowser.open(url):
            raise CliError("No browser could be opened; print the address: --player none")
        return
    program = _program(player) or player
    command = arguments(player, program, url, title=title, start_s=start_s, captions=captions)
    # The player's own output goes to stderr, because stdout is for data.
    code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode
    if code:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise CliError(f"{player} {ended}; try another player: --player mpv, vlc or browser")


def arguments(
    player: str, program: str, url: str, *, title: str, start_s: float, captions: Captions = Captions()
) -> list[str]:
    """Return the command that starts a player. The URL is a link, so it needs no header (VLC cannot send one)."""
    clean_title = output.clean(title)
    if player == "vlc":
        start = [f"--start-time={start_s:g}"] if start_s else []
        # Without --play-and-exit VLC's window stays open after the film, and the command would not end.
        # VLC always shows the first of the subtitles that it gets, whatever other options say.
        texts = [f"--input-slave={'#'.join(captions.urls)}"] if captions.urls and captions.shows_first else []
        return [program, *start, *texts, f"--meta-title={clean_title}", "--play-and-exit", "--", url]
    start = [f"--start=+{start_s:g}"] if start_s else []
    texts = [f"--sub-file={address}" for address in captions.urls]
    # Without --sid, mpv shows the last subtitles that it gets.
    texts += [f"--sid={1 if captions.shows_first else 'no'}"] if captions.urls else []
    return [program, *start, *texts, f"--force-media-title={clean_title}", "--", url]


def _program(name: str) -> str | None:
    bundle = BUNDLES.get(name, "")
    return shutil.which(name) or (bundle if Path(bundle).is_file() else None)
