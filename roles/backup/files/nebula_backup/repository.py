"""Runs restic and explains its messages; nothing else starts it. Password and keys are passed in its environment."""

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
LOOK_S = 60  # limit for commands that take a second if the target answers
NOT_THERE = ("no such file or directory", "specified key does not exist", "specified bucket does not exist")
NO_KEY = re.compile(r"wrong password|no key found", re.I)
KEYS = r"access denied|access key|request signature|forbidden|unauthorized"
HOPELESS = re.compile(rf"{KEYS}|specified bucket does not exist", re.I)
# Explanations of restic's messages. The original message is appended.
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
    """The size of a snapshot in bytes: in total, and how much of it was new to the repository."""

    size_bytes: int
    new_bytes: int


class Repository:
    """The restic repository. Call `open` first."""

    def __init__(self, settings: Settings, places: Places) -> None:
        self._settings = settings
        self._places = places

    def open(self) -> bool:
        """Open the repository; create it if there has never been one. Return whether it was created. Raises Stop."""
        known = self._known()
        completed = self._call(["cat", "config"], LOOK_S)
        if completed.returncode == 0:
            self._check_same(known, json.loads(completed.stdout)["id"])
            self._call(["unlock"], LOOK_S)  # removes stale locks of killed processes; a running one keeps its lock
            return False
        if not _is_not_there(completed.stderr):
            raise Stop(meaning(completed.stderr))
        if known is not None:
            raise Stop(
                f"The repository that was at {self._settings.repository} since {known['since']} is gone: mount the disk"
                f" that has it. To begin a new one: rm {self._places.known}, then nebula backup now."
            )
        self._run(["init"], LOOK_S)
        self._remember(json.loads(self._run(["cat", "config"], LOOK_S))["id"])
        return True

    def save(self, paths: Sequence[Path], excluded: Sequence[Path], say: Callable[[str], None]) -> Saved:
        """Save directories in one snapshot. Raises Stop; a file that was deleted in the meantime is not a failure."""
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
            output = Heard(say)
            for line in running.stdout or ():
                output.line(line)
            status = running.wait()
        finally:
            running.kill()
            running.wait()
        if status not in (0, 3) or output.summary is None:  # 3: saved, but some files could not be read
            raise Stop(meaning("\n".join(output.words)))
        if unread := output.unread():
            raise Stop(f"{len(unread)} files could not be read, the first of them {unread[0]}: look after the disk.")
        return Saved(output.summary["total_bytes_processed"], output.summary["data_added"])

    def forget(self) -> None:
        """Delete the snapshots that the settings do not keep, and free their space. Raises Stop."""
        options = [word for name, number in self._settings.keep.items() for word in (f"--keep-{name}", str(number))]
        snapshot_filter = ["--tag", TAG, "--host", self._settings.host, "--group-by", "host"]
        self._run(["forget", "--prune", "--quiet", *snapshot_filter, *options], None)

    def read(self, part: int) -> None:
        """Read one part of the repository's data, and all its metadata. Raises Stop if it is damaged."""
        completed = self._call(["check", f"--read-data-subset={part}/{self._settings.read_weeks}"], None)
        if completed.returncode != 0:
            raise Stop(meaning(completed.stderr))

    def add_key(self, password: Path) -> None:
        """Let another password open the repository, too. Idempotent. Raises Stop."""
        if self._call(["--password-file", str(password), "cat", "config"], LOOK_S).returncode != 0:
            self._run(["key", "add", "--new-password-file", str(password)], LOOK_S)

    def remove_key(self, password: Path) -> None:
        """Remove a password from the repository. Idempotent. Raises Stop."""
        keys = self._call(["--password-file", str(password), "key", "list", "--json"], LOOK_S)
        if keys.returncode == 0:
            self._run(["key", "remove", next(key["id"] for key in json.loads(keys.stdout) if key["current"])], LOOK_S)
        elif not NO_KEY.search(keys.stderr):
            raise Stop(meaning(keys.stderr))

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
        completed = self._call(words, seconds)
        if completed.returncode != 0:
            raise Stop(meaning(completed.stderr))
        return completed.stdout

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
                errors = self._hear(running, seconds)
            finally:
                running.kill()
                running.wait()
            out.seek(0)
            return subprocess.CompletedProcess(words, running.returncode, out.read(), errors)

    def _hear(self, running: subprocess.Popen[str], seconds: int | None) -> str:
        """Return restic's stderr until it ends. restic would retry a hopeless error for long; this ends it."""
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
        fixed_variables = {
            "RESTIC_REPOSITORY": self._settings.repository,
            "RESTIC_PASSWORD_FILE": str(self._places.secrets / "backup_password"),
            "RESTIC_CACHE_DIR": str(self._places.cache),
            "RESTIC_PROGRESS_FPS": "0.1",
            "HOME": str(self._places.state),
        }
        keys: dict[str, str] = json.loads((self._places.secrets / "backup_environment").read_text())
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"} | keys | fixed_variables


class Heard:
    """The output of `restic backup --json`. Each line is a JSON message or plain text."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.words: list[str] = []
        self.summary: dict[str, Any] | None = None
        self._items: list[str] = []
        self._say = say
        self._tenths = 0

    def line(self, line: str) -> None:
        """Process one line."""
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
        """Return the files that exist and could not be read. Deleted ones do not matter, because purges are held."""
        return [item for item in self._items if not item or os.path.lexists(item)]


def _is_not_there(said: str) -> bool:
    """Return whether restic says that a place which it can open has no repository."""
    _, refused, reason = said.lower().partition("unable to open config file")
    return bool(refused) and any(words in reason for words in NOT_THERE)


def meaning(said: str) -> str:
    """Return restic's message as one sentence, with what to do if that is known."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    chosen = [line for line in lines if line.startswith("Fatal:")] or lines[-1:] or ["It said nothing."]
    message = " ".join(chosen).removeprefix("Fatal: ")
    printable = "".join(character for character in message if character.isprintable())[:300]
    for pattern, words in MEANINGS.items():
        if re.search(pattern, said, re.I):
            return f"{words} (restic: {printable})"
    return f"restic could not go on: {printable}"


def write(path: Path, text: str) -> None:
    """Write a file atomically, with mode 0600."""
    fresh = path.with_name(f"{path.name}.new")
    with open(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
