"""Where everything lies on the machine; another root makes a machine of a test's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nebula_root.stop import Stop as Stop


@dataclass(frozen=True)
class Places:
    """Every path, below `root`."""

    root: Path = Path("/")

    @property
    def releases(self) -> Path:
        """One directory per release: source/, venv/, and `deployed` once it served."""
        return self.root / "opt/nebula/releases"

    @property
    def current(self) -> Path:
        """The link to the release that runs."""
        return self.root / "opt/nebula/current"

    @property
    def repository(self) -> Path:
        """What is pushed to."""
        return self.root / "var/lib/nebula-git/nebula.git"

    @property
    def pushes(self) -> Path:
        """The part of the spool that the hook writes: names are commits."""
        return self.root / "var/spool/nebula/pushes"

    @property
    def requests(self) -> Path:
        """The part of the spool that the gateway writes: names are ids of rows."""
        return self.root / "var/spool/nebula/requests"

    @property
    def state(self) -> Path:
        """What root keeps of deploys."""
        return self.root / "var/lib/nebula-deploy"

    @property
    def logs(self) -> Path:
        """What was said of each push and request, for who follows it."""
        return self.state / "logs"

    @property
    def dumps(self) -> Path:
        """The database as it was before each release, for a person."""
        return self.state / "dumps"

    @property
    def lock(self) -> Path:
        """Held by the one deploy that runs."""
        return self.state / "lock"

    @property
    def begun(self) -> Path:
        """What is being deployed or gone back from; it outlives a deployer that was killed."""
        return self.state / "begun.json"

    @property
    def revisions(self) -> Path:
        """Every revision of the schema that was ever brought here."""
        return self.state / "revisions.json"

    @property
    def backup_outcome(self) -> Path:
        """How the last backup ended, as nebula_backup says it."""
        return self.root / "var/lib/nebula-backup/outcome.json"

    @property
    def units(self) -> Path:
        """The units that site.yml installed."""
        return self.root / "etc/systemd/system"

    @property
    def serves(self) -> bool:
        """Whether the gateway is here; else this is a node that only makes films."""
        return (self.units / "nebula-api.service").exists()
