"""The paths on the machine. Tests use another root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nebula_root.stop import Stop as Stop


@dataclass(frozen=True)
class Places:
    """All paths, each below `root`."""

    root: Path = Path("/")

    @property
    def releases(self) -> Path:
        """One directory per release, with source/, venv/, and the file `deployed` once it has served."""
        return self.root / "opt/nebula/releases"

    @property
    def current(self) -> Path:
        """The link to the release that runs."""
        return self.root / "opt/nebula/current"

    @property
    def repository(self) -> Path:
        """The bare repository that people push to."""
        return self.root / "var/lib/nebula-git/nebula.git"

    @property
    def pushes(self) -> Path:
        """The spool directory of the hook. File names are commits."""
        return self.root / "var/spool/nebula/pushes"

    @property
    def requests(self) -> Path:
        """The spool directory of the gateway. File names are ids of rows."""
        return self.root / "var/spool/nebula/requests"

    @property
    def state(self) -> Path:
        """What root stores about deploys."""
        return self.root / "var/lib/nebula-deploy"

    @property
    def logs(self) -> Path:
        """The log of each push and request, for the people who follow it."""
        return self.state / "logs"

    @property
    def dumps(self) -> Path:
        """Dumps of the database from before each release, for a person to restore by hand."""
        return self.state / "dumps"

    @property
    def lock(self) -> Path:
        """The lock of the one deploy that runs."""
        return self.state / "lock"

    @property
    def begun(self) -> Path:
        """The note of the deploy or rollback in progress. It stays if the deployer is killed."""
        return self.state / "begun.json"

    @property
    def revisions(self) -> Path:
        """Every revision of the schema that was ever on this machine."""
        return self.state / "revisions.json"

    @property
    def backup_outcome(self) -> Path:
        """How the last backup ended; nebula_backup writes it."""
        return self.root / "var/lib/nebula-backup/outcome.json"

    @property
    def units(self) -> Path:
        """The units that site.yml installed."""
        return self.root / "etc/systemd/system"

    @property
    def serves(self) -> bool:
        """Whether this machine runs the gateway. If not, it is a node that only makes films."""
        return (self.units / "nebula-api.service").exists()
