"""Where everything lies on the machine, and what role backup set; another root makes a machine of a test's own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from nebula_root.stop import Stop as Stop


@dataclass(frozen=True)
class Places:
    """Every path, below `root`."""

    root: Path = Path("/")

    @property
    def settings(self) -> Path:
        """What role backup set; without it no backup is set up."""
        return self.root / "etc/nebula/backup.json"

    @property
    def secrets(self) -> Path:
        """The secrets: what systemd hands over, else their files, for root at the machine."""
        return Path(os.environ.get("CREDENTIALS_DIRECTORY") or self.root / "etc/nebula/secrets")

    @property
    def state(self) -> Path:
        """What is kept between two backups."""
        return self.root / "var/lib/nebula-backup"

    @property
    def dump(self) -> Path:
        """The database and its manifest, as they go into the backup."""
        return self.state / "dump"

    @property
    def known(self) -> Path:
        """Which repository is meant: one that was there once is never made anew by itself."""
        return self.state / "repository.json"

    @property
    def part(self) -> Path:
        """Which part of the repository is read next."""
        return self.state / "part"

    @property
    def outcome(self) -> Path:
        """How the last try to make a backup ended, for who waits for it."""
        return self.state / "outcome.json"

    @property
    def lock(self) -> Path:
        """Held by whoever works with the repository."""
        return self.state / "lock"

    @property
    def cache(self) -> Path:
        """What restic keeps of the repository, to be quick."""
        return self.root / "var/cache/nebula-backup"

    @property
    def server(self) -> Path:
        """nebula-server, for root."""
        return self.root / "usr/local/sbin/nebula-server"

    @property
    def release(self) -> Path:
        """The link to the release that runs."""
        return self.root / "opt/nebula/current"


@dataclass(frozen=True)
class Settings:
    """What role backup wrote down."""

    repository: str  # a directory, or s3:ADDRESS/BUCKET/PATH
    mount: Path | None  # that has to be mounted for it
    same_disk_accepted: bool
    objects: Path | None  # the object store's drive; None: the objects are elsewhere
    host: str  # the machine's name in the repository
    bucket: str
    keep: dict[str, int]  # daily, weekly, monthly
    read_weeks: int  # in so many weekly parts the whole repository is read

    @property
    def directory(self) -> Path | None:
        """The repository's directory; None for an S3."""
        return Path(self.repository) if self.repository.startswith("/") else None

    @property
    def kept(self) -> str:
        """For how long backups are kept, in words."""
        spans = [(self.keep["daily"], "day"), (self.keep["weekly"], "week"), (self.keep["monthly"], "month")]
        words = [f"{number} {span}{'' if number == 1 else 's'}" for number, span in spans if number]
        return f"the last one of each of {', '.join(words)}"


def read_settings(places: Places) -> Settings:
    """Return what role backup set. Raises Stop where no backup is set up."""
    try:
        read = json.loads(places.settings.read_text())
    except FileNotFoundError:
        raise Stop("No backup is set up here: set backup_repository, and run site.yml --tags backup.") from None
    return Settings(
        repository=read["repository"],
        mount=Path(read["mount"]) if read["mount"] else None,
        same_disk_accepted=read["same_disk_accepted"],
        objects=Path(read["objects"]) if read["objects"] else None,
        host=read["host"],
        bucket=read["bucket"],
        keep=read["keep"],
        read_weeks=read["read_weeks"],
    )
