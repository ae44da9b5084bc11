"""The paths on the machine and the settings that the role backup wrote. Tests use another root."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from nebula_root.stop import Stop as Stop


@dataclass(frozen=True)
class Places:
    """All paths, each below `root`."""

    root: Path = Path("/")

    @property
    def settings(self) -> Path:
        """The file with the settings that the role backup wrote. Without it no backup is set up."""
        return self.root / "etc/nebula/backup.json"

    @property
    def secrets(self) -> Path:
        """The directory of the secrets: systemd's credentials, or their files if root runs this by hand."""
        return Path(os.environ.get("CREDENTIALS_DIRECTORY") or self.root / "etc/nebula/secrets")

    @property
    def state(self) -> Path:
        """Data that is kept between two backups."""
        return self.root / "var/lib/nebula-backup"

    @property
    def dump(self) -> Path:
        """The dump of the database and its manifest, which go into the backup."""
        return self.state / "dump"

    @property
    def known(self) -> Path:
        """The id of the known repository. If that repository is missing, it is never created again automatically."""
        return self.state / "repository.json"

    @property
    def part(self) -> Path:
        """The number of the part of the repository that is read next."""
        return self.state / "part"

    @property
    def outcome(self) -> Path:
        """How the last attempt to make a backup ended, for whoever waits for it."""
        return self.state / "outcome.json"

    @property
    def lock(self) -> Path:
        """The lock of the process that works with the repository."""
        return self.state / "lock"

    @property
    def cache(self) -> Path:
        """restic's cache of the repository."""
        return self.root / "var/cache/nebula-backup"

    @property
    def server(self) -> Path:
        """The nebula-server command for root."""
        return self.root / "usr/local/sbin/nebula-server"

    @property
    def release(self) -> Path:
        """The link to the release that runs."""
        return self.root / "opt/nebula/current"


@dataclass(frozen=True)
class Settings:
    """The settings that the role backup wrote."""

    repository: str  # a directory, or s3:ADDRESS/BUCKET/PATH
    mount: Path | None  # the mount point that the repository needs
    same_disk_accepted: bool
    objects: Path | None  # the object store's directory; None if the objects are elsewhere
    host: str  # the machine's name in the repository
    bucket: str
    keep: dict[str, int]  # daily, weekly, monthly
    read_weeks: int  # in how many weekly parts the whole repository is read

    @property
    def directory(self) -> Path | None:
        """The repository's directory; None for an S3."""
        return Path(self.repository) if self.repository.startswith("/") else None

    @property
    def kept(self) -> str:
        """For how long backups are kept, in words."""
        counts = [(self.keep["daily"], "day"), (self.keep["weekly"], "week"), (self.keep["monthly"], "month")]
        words = [f"{number} {unit}{'' if number == 1 else 's'}" for number, unit in counts if number]
        return f"the last one of each of {', '.join(words)}"


def read_settings(places: Places) -> Settings:
    """Return the settings that the role backup wrote. Raises Stop if no backup is set up."""
    try:
        fields = json.loads(places.settings.read_text())
    except FileNotFoundError:
        raise Stop("No backup is set up here: set backup_repository, and run site.yml --tags backup.") from None
    return Settings(
        repository=fields["repository"],
        mount=Path(fields["mount"]) if fields["mount"] else None,
        same_disk_accepted=fields["same_disk_accepted"],
        objects=Path(fields["objects"]) if fields["objects"] else None,
        host=fields["host"],
        bucket=fields["bucket"],
        keep=fields["keep"],
        read_weeks=fields["read_weeks"],
    )
