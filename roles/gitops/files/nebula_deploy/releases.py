"""The releases on the disk: which runs, which ran before it, which are kept, and whether there is room for one more."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from nebula_deploy.places import Places, Stop

KEPT = 5
SPARE_BYTES = 256 << 20  # beyond what the last release took: the database and the services go on writing


@dataclass(frozen=True)
class Release:
    """A directory of releases/."""

    path: Path
    commit: str | None  # the beginning of its id, or all of it
    deployed_at: float  # when it came to serve; 0 for the one that was there first

    @property
    def name(self) -> str:
        return self.path.name


class Releases:
    """What stands in /opt/nebula/releases."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def current(self) -> Release | None:
        """Return the release that the link names."""
        try:
            return self._read(self._places.current.resolve(strict=True))
        except OSError:
            return None

    def kept(self) -> list[Release]:
        """Return the releases that served once, the latest first."""
        found = [self._read(path) for path in self._places.releases.iterdir() if (path / "venv").is_dir()]
        served = [one for one in found if one.deployed_at or _is_first(one)]
        return sorted(served, key=lambda one: (one.deployed_at, one.name), reverse=True)

    def before(self, release: Release) -> Release | None:
        """Return the release that came to serve before this one did."""
        older = [one for one in self.kept() if (one.deployed_at, one.name) < (release.deployed_at, release.name)]
        return older[0] if older else None

    def begin(self, path: Path) -> None:
        """Make an empty directory for a release that is going to be built."""
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o755)
        (path / "building").touch()

    def finish(self, path: Path) -> None:
        """Note that a release is whole."""
        (path / "building").replace(path / "built")

    def is_built(self, path: Path) -> bool:
        """Whether a deploy made all of it, so that it can be taken as it is."""
        return (path / "built").exists()

    def has_served(self, path: Path) -> bool:
        """Whether a deploy brought it to serve, now or once."""
        return (path / "deployed").exists()

    def is_first(self, path: Path) -> bool:
        """Whether site.yml made it, and no deploy."""
        return path.is_dir() and _is_first(self._read(path))

    def switch(self, path: Path) -> None:
        """Let the link name another release: who looks sees the one or the other."""
        link = self._places.current.with_name("current.new")
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases") / path.name)
        os.replace(link, self._places.current)

    def mark(self, path: Path, commit: str) -> None:
        """Note that a release has come to serve."""
        written = path / "deployed.new"
        written.write_text(json.dumps({"commit": commit, "at": time.time()}))
        written.replace(path / "deployed")

    def prune(self) -> list[str]:
        """Remove all but the five that served last (and the one that runs); return their names."""
        current = self.current()
        kept = {one.path for one in self.kept()[:KEPT]} | ({current.path} if current else set())
        gone = [path for path in sorted(self._places.releases.iterdir()) if path not in kept]
        for path in gone:
            shutil.rmtree(path, ignore_errors=True)
        for dump in self._dumps()[KEPT:]:
            dump.unlink(missing_ok=True)
        return [path.name for path in gone]

    def check_room(self) -> None:
        """Raise Stop where the disk has no room for one more release."""
        current = self.current()
        dump = next((one.stat().st_size for one in self._dumps()), 0)
        needed = (_size(current.path) if current else 0) + 2 * dump + SPARE_BYTES
        free = shutil.disk_usage(self._places.releases).free
        if free < needed:
            raise Stop(
                f"The disk has {free >> 20} MiB free, and a release takes {needed >> 20} MiB: free some room"
                f" (nebula trash --empty) and push again."
            )

    def _dumps(self) -> list[Path]:
        """Return the dumps, the latest first; none to who may not see them."""
        try:
            found = list(self._places.dumps.glob("*.dump"))
        except OSError:
            return []
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def _read(self, path: Path) -> Release:
        try:
            said = json.loads((path / "deployed").read_text())
            return Release(path, str(said["commit"]), float(said["at"]))
        except (OSError, ValueError, KeyError):
            match = re.search("-([0-9a-f]{12})$", path.name)
            return Release(path, match[1] if match else None, 0.0)


def _is_first(release: Release) -> bool:
    return not any((release.path / mark).exists() for mark in ("building", "built"))


def _size(folder: Path) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(base, name)).st_blocks * 512
    return total
