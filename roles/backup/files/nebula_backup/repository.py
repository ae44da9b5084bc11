"""restic, and what its words mean. The only place that starts it; its password and keys go by its environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nebula_backup.places import Places, Settings, Stop

TAG = "nebula"
LOOK_S = 60  # for what is over in a second where the target answers
NOT_THERE = ("no such file or directory", "specified key does not exist", "specified bucket does not exist")
NO_KEY = re.compile(r"wrong password|no key found", re.I)
KEYS = r"access denied|access key|request signature|forbidden|unauthorized"
HOPELESS = re.compile(rf"{KEYS}|specified bucket does not exist", re.I)
# What restic says, as a person reads it. What it says beside that follows.
MEANINGS = {
    r"wrong password|no key found": "The repository was made with another password than"
    " /etc/nebula/secrets/backup_password: put that one there (the recovery file has it), or name another repository.",
    KEYS: "The S3 refuses the keys of backup_environment: correct them, and run site.yml --tags backup.",
    r"no space left|quota|insufficient storage|XMinioStorageFull": "The target is full: give it a larger disk, or keep"
    " fewer backups (backup_keep_monthly and its neighbours).",
    r"read-only file system": "The target is read-only: mount it for writing.",
    r"permission denied|operation not permitted": "root may not write to the target: give its directory to root.",
    r"already locked": "Another program works with the repository: wait for it, or run restic unlock there.",
}


@dataclass(frozen=True)
class Saved:
    """What a snapshot holds, in bytes: all of it, and how much of that was new to the repository."""

    size_bytes: int
    new_bytes: int


class Repository:
    """The restic repository that is set up. `open` first."""

    def __init__(self, settings: Settings, places: Places) -> None:
        self._settings = settings
        self._places = places

    def open(self) -> bool:
        """Find the repository, or make it where there never was one; return whether it was made. Raises Stop."""
        known = self._known()
        done = self._call(["cat", "config"], LOOK_S)
        if done.returncode == 0:
            self._check_same(known, json.loads(done.stdout)["id"])
            self._call(["unlock"], LOOK_S)  # of what was killed; a living one keeps its lock
            return False
        if not _is_not_there(done.stderr):
            raise Stop(meaning(done.stderr))
        if known is not None:
            raise Stop(
                f"The repository that was at {self._settings.repository} since {known['since']} is gone: mount the disk"
                f" that has it. To begin a new one: rm {self._places.known}, then nebula backup now."
            )
        self._run(["init"], LOOK_S)
        self._remember(json.loads(self._run(["cat", "config"], LOOK_S))["id"])
        return True

    def save(self, paths: Sequence[Path], excluded: Sequence[Path], say: Callable[[str], None]) -> Saved:
        """Make one snapshot of directories. Raises Stop; what was deleted while it was read is no failure."""
        words = ["backup", "--json", "--tag", TAG, "--host", self._settings.host]
        words += [word for path in excluded for word in ("--exclude", str(path))]
        running = subprocess.Popen(
            ["restic", *words, *map(str, paths)],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
        )
        try:
            heard = Heard(say)
            for line in running.stdout or ():
                heard.line(line)
            status = running.wait()
        finally:
            running.kill()
            running.wait()
        if status not in (0, 3) or heard.summary is None:  # 3: it is saved, and something could not be read
            raise Stop(meaning("\n".join(heard.words)))
        if unread := heard.unread():
            raise Stop(f"{len(unread)} files could not be read, the first of them {unread[0]}: look after the disk.")
        return Saved(heard.summary["total_bytes_processed"], heard.summary["data_added"])

    def forget(self) -> None:
        """Drop the snapshots beyond what is kept, and free their room. Raises Stop."""
        kept = [word for name, number in self._settings.keep.items() for word in (f"--keep-{name}", str(number))]
        mine = ["--tag", TAG, "--host", self._settings.host, "--group-by", "host"]
        self._run(["forget", "--prune", "--quiet", *mine, *kept], None)

    def read(self, part: int) -> None:
        """Read one part of the repository, and all that lists what is in it. Raises Stop where it is damaged."""
        done = self._call(["check", f"--read-data-subset={part}/{self._settings.read_weeks}"], None)
        if done.returncode != 0:
            raise Stop(meaning(done.stderr))

    def add_key(self, password: Path) -> None:
        """Let another password open the repository too; again changes nothing. Raises Stop."""
        if self._call(["--password-file", str(password), "cat", "config"], LOOK_S).returncode != 0:
            self._run(["key", "add", "--new-password-file", str(password)], LOOK_S)

    def remove_key(self, password: Path) -> None:
        """Let a password open the repository no more; again changes nothing. Raises Stop."""
        listed = self._call(["--password-file", str(password), "key", "list", "--json"], LOOK_S)
        if listed.returncode == 0:
            self._run(["key", "remove", next(key["id"] for key in json.loads(listed.stdout) if key["current"])], LOOK_S)
        elif not NO_KEY.search(listed.stderr):
            raise Stop(meaning(listed.stderr))

    def _known(self) -> dict[str, Any] | None:
        try:
            known: dict[str, Any] = json.loads(self._places.known.read_text())
        except FileNotFoundError:
            return None
        return known if known["repository"] == self._settings.repository else None

    def _check_same(self, known: dict[str, Any] | None, identity: str) -> None:
        if known is None:
            self._remember(identity)
        elif known["id"] != identity:
            raise Stop(
                f"{self._settings.repository} holds another repository than the one of {known['since']}: mount the"
                f" right disk. To go on with this one: rm {self._places.known}, then nebula backup now."
            )

    def _remember(self, identity: str) -> None:
        since = datetime.now(UTC).strftime("%Y-%m-%d")
        text = json.dumps({"repository": self._settings.repository, "id": identity, "since": since})
        write(self._places.known, text)

    def _run(self, words: Sequence[str], seconds: int | None) -> str:
        done = self._call(words, seconds)
        if done.returncode != 0:
            raise Stop(meaning(done.stderr))
        return done.stdout

    def _call(self, words: Sequence[str], seconds: int | None) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile("w+") as out:
            running = subprocess.Popen(
                ["restic", *words],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                cwd="/",
            )
            try:
                said = self._hear(running, seconds)
            finally:
                running.kill()
                running.wait()
            out.seek(0)
            return subprocess.CompletedProcess(words, running.returncode, out.read(), said)

    def _hear(self, running: subprocess.Popen[str], seconds: int | None) -> str:
        """Return what restic says on stderr until it ends. It tries again for long what cannot help: not here."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            running.kill()

        timer = threading.Timer(seconds or 0, give_up)
        if seconds is not None:
            timer.start()
        lines = []
        try:
            for line in running.stderr or ():
                lines.append(line)
                if "retrying" in line and HOPELESS.search(line):
                    running.terminate()
                    lines = [f"Fatal: unable to open config file: {line}"]
                    break
            running.wait()
        finally:
            timer.cancel()
        if late.is_set():
            raise Stop(f"{self._settings.repository} did not answer within {seconds} s; try again.")
        return "".join(lines)

    def _environment(self) -> dict[str, str]:
        own = {
            "RESTIC_REPOSITORY": self._settings.repository,
            "RESTIC_PASSWORD_FILE": str(self._places.secrets / "backup_password"),
            "RESTIC_CACHE_DIR": str(self._places.cache),
            "RESTIC_PROGRESS_FPS": "0.1",
            "HOME": str(self._places.state),
        }
        keys: dict[str, str] = json.loads((self._places.secrets / "backup_environment").read_text())
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"} | keys | own


class Heard:
    """What `restic backup --json` said: each line a message, or plain words."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.words: list[str] = []
        self.summary: dict[str, Any] | None = None
        self._items: list[str] = []
        self._say = say
        self._tenths = 0

    def line(self, line: str) -> None:
        """Take one line in."""
        try:
            message = json.loads(line)
            kind = message["message_type"]
        except (ValueError, KeyError, TypeError):
            self.words.append(line)
            return
        if kind == "summary":
            self.summary = message
        elif kind == "error":
            self._items.append(str(message.get("item") or ""))
        elif kind == "exit_error":
            self.words.append(str(message.get("message") or ""))
        elif kind == "status" and (tenths := int(10 * message.get("percent_done", 0))) > self._tenths:
            self._tenths = tenths
            self._say(f"{10 * tenths} %")

    def unread(self) -> list[str]:
        """Return what is there and could not be read. What has gone meanwhile is nobody's loss: purges are held."""
        return [item for item in self._items if not item or os.path.lexists(item)]


def _is_not_there(said: str) -> bool:
    """Return whether restic says that there is no repository, at a place that it can open."""
    _, refused, reason = said.lower().partition("unable to open config file")
    return bool(refused) and any(words in reason for words in NOT_THERE)


def meaning(said: str) -> str:
    """Return what restic said in one sentence that says what to do, where that is known."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("Fatal:")] or lines[-1:] or ["It said nothing."]
    own = " ".join(told).removeprefix("Fatal: ")
    shown = "".join(character for character in own if character.isprintable())[:300]
    for pattern, words in MEANINGS.items():
        if re.search(pattern, said, re.I):
            return f"{words} (restic: {shown})"
    return f"restic could not go on: {shown}"


def write(path: Path, text: str) -> None:
    """Write a file of the machine's own, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
