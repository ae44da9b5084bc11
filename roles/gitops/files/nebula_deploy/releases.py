"""The releases on disk: which one runs, which ran before it, which are kept, and if there is room for another."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from nebula_deploy.places import Places, Stop
from nebula_root import handles

KEPT = 5
SHORT = 12  # digits of a commit in a release's name
SPARE_BYTES = 256 << 20  # left free besides a new release, because the database and the services go on writing


@dataclass(frozen=True)
class Release:
    """A directory of releases/."""

    path: Path
    commit: str | None  # the commit's id, or the beginning of it
    deployed_at: float  # when it began to serve, as a Unix time; 0 for the first release

    @property
    def name(self) -> str:
        return self.path.name


class Releases:
    """The directories in /opt/nebula/releases."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def current(self) -> Release | None:
        """Return the release that the link points to; None if that is not a directory in releases/."""
        try:
            target = self._places.current.parent / os.readlink(self._places.current)
        except OSError:
            return None
        path = self._places.releases / target.name
        if target.parent != self._places.releases or not handles.is_directory(path):
            return None
        return self._read(path)

    def kept(self) -> list[Release]:
        """Return the releases that have served, the latest first."""
        paths = [path for path in self._places.releases.iterdir() if handles.is_directory(path, "venv")]
        served = [release for release in map(self._read, paths) if self.has_served(release.path)]
        return sorted(served, key=lambda release: (release.deployed_at, release.name), reverse=True)

    def before(self, release: Release) -> Release | None:
        """Return the latest release that began to serve before this one."""
        older = [each for each in self.kept() if (each.deployed_at, each.name) < (release.deployed_at, release.name)]
        return older[0] if older else None

    def of(self, commit: str) -> list[Path]:
        """Return the directories that deploys of this commit have created."""
        ids = {path: path.name.rpartition("-")[2] for path in self._places.releases.iterdir()}
        return [path for path, short in ids.items() if len(short) >= SHORT and commit.startswith(short)]

    def begin(self, path: Path) -> None:
        """Create the empty directory of a release that will be built. It belongs to root, now and later."""
        handles.remove(path)
        path.mkdir(mode=0o755)
        handles.write_text(path, "building", "")

    def finish(self, path: Path) -> None:
        """Mark a release as completely built."""
        with handles.directory(path) as handle:
            os.rename("building", "built", src_dir_fd=handle, dst_dir_fd=handle)

    def is_built(self, path: Path) -> bool:
        """Return whether a deploy built the release completely, so that it can be used again."""
        return handles.is_file(path, "built")

    def has_served(self, path: Path) -> bool:
        """Return whether the release serves or has served, or site.yml created it."""
        return self._read(path).deployed_at > 0 or self.is_first(path)

    def is_first(self, path: Path) -> bool:
        """Return whether site.yml created the release, rather than a deploy."""
        return handles.is_directory(path) and not any(handles.is_file(path, mark) for mark in ("building", "built"))

    def switch(self, path: Path) -> None:
        """Point the link to another release, atomically: at each moment it names the old or the new one."""
        link = self._places.current.with_name("current.new")
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases") / path.name)
        os.replace(link, self._places.current)

    def mark(self, path: Path, commit: str) -> None:
        """Record that a release has begun to serve."""
        handles.write_text(path, "deployed", json.dumps({"commit": commit, "at": time.time()}))

    def prune(self) -> list[str]:
        """Remove all releases but the last five that served and the one that runs; return the removed names."""
        current = self.current()
        kept_paths = {release.path for release in self.kept()[:KEPT]} | ({current.path} if current else set())
        removed = [path for path in sorted(self._places.releases.iterdir()) if path not in kept_paths]
        for path in removed:
            handles.remove(path)
        for dump in self._dumps()[KEPT:]:
            dump.unlink(missing_ok=True)
        return [path.name for path in removed]

    def check_room(self) -> None:
        """Raise Stop if the disk has no room for another release."""
        current = self.current()
        dump = next((path.stat().st_size for path in self._dumps()), 0)
        needed = (_size(current.path) if current else 0) + 2 * dump + SPARE_BYTES
        free = shutil.disk_usage(self._places.releases).free
        if free < needed:
            raise Stop(
                f"The disk has {free >> 20} MiB free, and a release takes {needed >> 20} MiB: free some room"
                f" (nebula trash --empty) and push again."
            )

    def _dumps(self) -> list[Path]:
        """Return the dumps, the latest first; an empty list if the caller may not read the directory."""
        try:
            dumps = list(self._places.dumps.glob("*.dump"))
        except OSError:
            return []
        return sorted(dumps, key=lambda path: path.stat().st_mtime, reverse=True)

    def _read(self, path: Path) -> Release:
        try:
            fields = json.loads(handles.read_text(path, "deployed"))
            return Release(path, str(fields["commit"]), float(fields["at"]))
        except (OSError, ValueError, KeyError, TypeError):
            match = re.search("-([0-9a-f]{12})$", path.name)
            return Release(path, match[1] if match else None, 0.0)


def _size(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(base, name)).st_blocks * 512
    return total
