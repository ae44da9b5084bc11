"""Players: which is here, what it is started with, and how it ended."""

from __future__ import annotations

import shutil
import subprocess
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from nebula_cli import output
from nebula_cli.errors import CliError, UsageError

KNOWN = ("auto", "vlc", "mpv", "browser", "none")
# Where a player is when it is installed, but not on the PATH (macOS).
BUNDLES = {
    "vlc": "/Applications/VLC.app/Contents/MacOS/VLC",
    "mpv": "/Applications/mpv.app/Contents/MacOS/mpv",
}


def chosen(wanted: str) -> str:
    """Return which player to use: "none" where "auto" finds none. Raises UsageError or CliError."""
    if wanted not in KNOWN:
        raise UsageError(f"--player {wanted!r} is not known; it takes {', '.join(KNOWN)}.")
    if wanted == "auto":
        return next((name for name in ("vlc", "mpv") if _program(name)), "none")
    if wanted in BUNDLES and _program(wanted) is None:
        raise CliError(f"{wanted} is not installed here; install it, or print the address: --player none")
    return wanted


@dataclass(frozen=True)
class Captions:
    """Addresses of subtitles; whether the first is shown at once."""

    urls: tuple[str, ...] = ()
    shows_first: bool = False


def play(player: str, url: str, *, title: str, start_s: float, captions: Captions) -> None:
    """Show `url` in a player and wait until it ends. Raises CliError where it failed."""
    if player == "browser":
        if not webbrowser.open(url):
            raise CliError("No browser could be opened; print the address: --player none")
        return
    program = _program(player) or player
    command = arguments(player, program, url, title=title, start_s=start_s, captions=captions)
    # Its own words go to stderr: stdout is for data.
    code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode
    if code:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise CliError(f"{player} {ended}; try another player: --player mpv, vlc or browser")


def arguments(
    player: str, program: str, url: str, *, title: str, start_s: float, captions: Captions = Captions()
) -> list[str]:
    """Return what a player is started with. The URL is a link: it needs no header, which VLC could not send."""
    clean_title = output.clean(title)
    if player == "vlc":
        start = [f"--start-time={start_s:g}"] if start_s else []
        # Without --play-and-exit VLC's window stays after the film, and so would the command.
        # It shows the first of them, whatever else is said.
        texts = [f"--input-slave={'#'.join(captions.urls)}"] if captions.urls and captions.shows_first else []
        return [program, *start, *texts, f"--meta-title={clean_title}", "--play-and-exit", "--", url]
    start = [f"--start=+{start_s:g}"] if start_s else []
    texts = [f"--sub-file={address}" for address in captions.urls]
    # Else it shows what comes last.
    texts += [f"--sid={1 if captions.shows_first else 'no'}"] if captions.urls else []
    return [program, *start, *texts, f"--force-media-title={clean_title}", "--", url]


def _program(name: str) -> str | None:
    bundle = BUNDLES.get(name, "")
    return shutil.which(name) or (bundle if Path(bundle).is_file() else None)
