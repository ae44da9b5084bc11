"""Access to the bare repository through git. Its content is read and never run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from nebula_deploy.places import Stop

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
MAIN, DEPLOYED = "refs/heads/main", "refs/nebula/deployed"
COMMAND_S = 300.0
# To delete a ref, git takes a lock in the repository's own directory, which belongs to root. So this script removes the
# ref's file instead. That is enough, because no ref of this repository is packed. The script takes the same lock on the
# ref as git does: FILE.lock, created by whoever comes first.
DELETE = """
set -euC
cd "$1"
: >"$2.lock"
trap 'rm -f "$2.lock"' EXIT
[ -z "$3" ] || [ "$(cat "$2")" = "$3" ]
rm -f "$2"
"""
MOST_BYTES = 4 << 20  # limit for one file; no file of Nebula comes near it


class Repository:
    """The bare repository at `path`. If root calls, git runs as `user`.

    In a hook, the environment that git sets also makes the pushed objects visible.
    """

    def __init__(self, path: Path, user: str = "") -> None:
        self._path = path
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs"]
        self._as_user = as_user if user else []

    def files(self, commit: str) -> dict[str, str]:
        """Return the path of each file of a commit, with the id of its blob."""
        tree = self._git("ls-tree", "-r", "-z", "--full-tree", commit)
        lines = (line.partition("\t") for line in tree.split("\0") if line)
        return {path: words.split()[2] for words, _, path in lines if words.split()[1] == "blob"}

    def texts(self, blobs: dict[str, str]) -> Iterator[tuple[str, str]]:
        """Yield (path, text) of files. Raises Stop for a file that is not UTF-8 or larger than MOST_BYTES."""
        blob_ids = "".join(f"{blob}\n" for blob in blobs.values())
        answer = memoryview(self._bytes("cat-file", "--batch", stdin=blob_ids.encode()))
        for path in blobs:
            end = bytes(answer[:200]).index(b"\n")
            size = int(bytes(answer[:end]).split()[2])
            if size > MOST_BYTES:
                raise Stop(f"{path} is larger than a program's file can be: take it out of the commit.")
            try:
                yield path, bytes(answer[end + 1 : end + 1 + size]).decode()
            except UnicodeDecodeError:
                raise Stop(f"{path} is not UTF-8: save it as that.") from None
            answer = answer[end + 2 + size :]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Return whether `older` is an ancestor of `newer`."""
        return self._run("merge-base", "--is-ancestor", older, newer).returncode == 0

    def named(self, name: str) -> str | None:
        """Return the commit that a ref or an abbreviated id names; None if there is none."""
        completed = self._run("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")
        return completed.stdout.decode().strip() or None

    def subject(self, commit: str) -> str:
        """Return the first line of a commit's message: printable characters only, at most 100."""
        first_line = self._git("log", "-1", "--format=%s", commit).strip()
        return "".join(character for character in first_line if character.isprintable())[:100]

    def release_name(self, commit: str) -> str:
        """Return the name of a commit's release. The role nebula gives it the same name."""
        words = ["log", "-1", "--format=%cd-%h", "--abbrev=12", "--date=format-local:%Y%m%d%H%M%S", commit]
        return self._bytes(*words, environ={"TZ": "UTC"}).decode().strip()

    def changed(self, older: str, newer: str, *folders: str) -> bool:
        """Return whether anything below these folders differs between two commits."""
        return bool(self._git("diff", "--name-only", older, newer, "--", *folders).strip())

    def archive(self, commit: str) -> bytes:
        """Return the files of a commit as a tar archive."""
        return self._bytes("archive", "--format=tar", commit)

    def fetch(self, bundle: Path, commit: str) -> None:
        """Fetch a commit from a bundle."""
        fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"]
        self._git(*fetch, str(bundle), f"+{commit}:refs/nebula/brought")

    def move(self, ref: str, to: str | None, *, only_from: str | None = None) -> bool:
        """Set a ref, or delete it; with `only_from`, only if the ref is there now. Return whether it was done.

        Runs as the user that owns the refs, because a pusher could have replaced them by links. Without `only_from`,
        raises Stop if the ref does not move.
        """
        if to is not None:
            completed = self._run("update-ref", ref, to, *([only_from] if only_from else []))
        elif self.named(ref) is None:
            return True
        else:
            completed = self._call(["sh", "-c", DELETE, "sh", str(self._path), ref, only_from or ""], f"deleting {ref}")
        if completed.returncode != 0 and only_from is None:
            raise Stop(f"{ref} could not be moved: {completed.stderr.decode(errors='replace').strip()[-300:]}")
        return completed.returncode == 0

    def _git(self, *words: str) -> str:
        return self._bytes(*words).decode(errors="replace")

    def _bytes(self, *words: str, stdin: bytes = b"", environ: dict[str, str] | None = None) -> bytes:
        completed = self._run(*words, stdin=stdin, environ=environ)
        if completed.returncode != 0:
            raise Stop(f"git {words[0]} failed: {completed.stderr.decode(errors='replace').strip()[-300:]}")
        return completed.stdout

    def _run(
        self, *words: str, stdin: bytes = b"", environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        # The directory belongs to root and the objects to the pushers; safe.directory tells git that this is intended.
        set_up = [f"--git-dir={self._path}", "-c", f"safe.directory={self._path}", "-c", "core.quotePath=false"]
        return self._call(["git", *set_up, *words], f"git {words[0]}", stdin, environ or {})

    def _call(
        self, argv: list[str], shown: str, stdin: bytes = b"", environ: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[bytes]:
        settings = {"HOME": str(self._path.parent), "LC_ALL": "C.UTF-8", **environ}
        command = ["env", *(f"{name}={value}" for name, value in settings.items()), *self._as_user, *argv]
        try:
            return subprocess.run(command, input=stdin, capture_output=True, cwd="/", timeout=COMMAND_S)
        except subprocess.TimeoutExpired:
            raise Stop(f"{shown} did not end within {COMMAND_S:g} s.") from None
