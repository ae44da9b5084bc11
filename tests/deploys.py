"""What the deployer's tests share: a machine in a folder, real git, and a stand-in for what only systemd can do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from nebula_deploy.deploying import Deploying
from nebula_deploy.places import Places, Stop
from nebula_deploy.releases import Releases
from nebula_deploy.repository import Repository
from nebula_deploy.revisions import FOLDER, head
from nebula_deploy.revisions import graph as graph_of
from nebula_deploy.revisions import parse as parse_revision
from tests.static.source import ROOT

HASH = f"--hash=sha256:{'ab' * 32}"
LOCK = f"alpha==1.2.0 {HASH}\nbeta==2.0 \\\n    {HASH} \\\n    {HASH}\n"
PROJECT = """
[build-system]
requires = ["setuptools"]
[project]
name = "nebula-cloud"
dependencies = ["alpha>=1.1,<2"]
[project.optional-dependencies]
server = ["beta[fast]==2.0"]
"""
UNIT = "# A unit.\n[Service]\nExecStart=/bin/true\n"
GOOD = {
    "pyproject.toml": PROJECT,
    "requirements.lock": LOCK,
    "src/nebula/__init__.py": "",
    "cli/nebula_cli/__init__.py": "",
    f"{FOLDER}0001_first.py": 'revision = "0001"\ndown_revision = None\n',
    "systemd/nebula-api.socket": UNIT,
    "systemd/nebula-api.service": UNIT,
    "systemd/nebula-quick.service": UNIT,
    "systemd/nebula-worker.service": UNIT,
}


def revision(name: str, down: str, *, contracts: bool = False) -> dict[str, str]:
    """Return a revision file."""
    text = f'revision = "{name}"\ndown_revision = "{down}"\n' + ("contracts = True\n" if contracts else "")
    return {f"{FOLDER}{name}.py": text}


class Checkout:
    """The owner's repository. `commit` writes files (None removes one) and returns the commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self._minutes = 0

    def commit(self, files: dict[str, str | bytes | None], subject: str = "A change") -> str:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.git("add", "--all")
        self._minutes += 1
        at = f"2026-01-01T10:{self._minutes:02}:00+00:00"
        self.git("commit", "--quiet", "--allow-empty", "-m", subject, GIT_COMMITTER_DATE=at, GIT_AUTHOR_DATE=at)
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str, check: bool = True, **environ: str) -> str:
        done = self.run(*words, **environ)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        own = {"HOME": str(self.folder.parent), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
        who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "protocol.file.allow=always"]
        return subprocess.run(
            ["git", *who, *words], cwd=self.folder, capture_output=True, text=True, env=os.environ | own | environ
        )


class Pretended:
    """Stands in for machine.Machine: packages, services and a database that a folder cannot have."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.at: str | None = "0001"  # the schema
        self.did: list[str] = []
        self.broken: dict[str, str] = {}  # a step, or a release that does not serve, and why
        self.nodes: list[str] = []

    def unpack(self, archive: bytes, source: Path) -> None:
        source.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "--extract", "--directory", str(source)], input=archive, check=True)

    def build(self, release: Path) -> None:
        self._step("build")
        (release / "venv/bin").mkdir(parents=True)
        (release / "venv/bin/python").touch()

    def schema(self) -> str | None:
        self._step("schema", quiet=True)
        return self.at

    def migrate(self, release: Path, *words: str) -> None:
        self._step(f"migrate {' '.join(words)}".strip())
        files = (release / "source" / FOLDER).glob("*.py")
        known = graph_of(parse_revision(file.name, file.read_text()) for file in files)
        self.at = head(known)
        while words and known[self.at].contracts:
            (self.at,) = known[self.at].down

    def dump(self, target: Path) -> None:
        self._step("dump")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(str(self.at))

    def restart(self) -> None:
        self._step("restart")

    def wait_until_ready(self) -> None:
        self._step("wait", quiet=True)
        release = self.running
        if release in self.broken:
            raise Stop(self.broken[release])

    def last_words(self, since: float) -> list[str]:
        return [f"the journal of {self.running}"]

    def other_nodes(self) -> list[str]:
        return self.nodes

    @property
    def running(self) -> str:
        return self.places.current.resolve().name

    def _step(self, name: str, *, quiet: bool = False) -> None:
        if name in self.broken:
            raise Stop(self.broken[name])
        if not quiet:
            self.did.append(name)


def make_places(folder: Path) -> Places:
    """Lay out a machine as role gitops does, with a bare repository and its real hooks."""
    places = Places(folder)
    for path in (places.releases, places.pushes, places.requests, places.logs, places.dumps, places.units):
        path.mkdir(parents=True)
    (places.units / "nebula-api.service").touch()
    places.repository.parent.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=none", places.repository], check=True)
    shipped = ROOT / "roles/gitops/files"
    (places.repository / "config").write_text((shipped / "repository.conf").read_text())
    return places


def repository_of(places: Places) -> Repository:
    return Repository(places.repository)


FIRST = "20260101000000-000000000000"


class Laptop:
    """A machine that site.yml provisioned, and its owner's checkout."""

    def __init__(self, folder: Path) -> None:
        self.places = make_places(folder / "machine")
        self.machine = Pretended(self.places)
        self.repository = repository_of(self.places)
        self.releases = Releases(self.places)
        self.checkout = Checkout(folder / "checkout")
        self.checkout.git("remote", "add", "nebula", str(self.places.repository))
        self.said: list[str] = []
        source = self.places.releases / FIRST / "source" / FOLDER
        source.mkdir(parents=True)
        (source / "0001_first.py").write_text(GOOD[f"{FOLDER}0001_first.py"])
        (self.places.releases / FIRST / "venv").mkdir()
        self.places.current.symlink_to(f"releases/{FIRST}")

    @property
    def deploying(self) -> Deploying:
        return Deploying(self.places, self.repository, self.machine, self.said.append)

    def push(self, files: dict[str, str | bytes | None] | None = None) -> str:
        commit = self.checkout.commit({**GOOD, **(files or {})})
        self.checkout.git("push", "nebula", "main")
        return commit

    def deploy(self, files: dict[str, str | bytes | None] | None = None) -> str:
        """Push and deploy a commit; return its release's name."""
        commit = self.push(files)
        self.deploying.deploy(commit)
        return self.repository.release_name(commit)

    def fails(self, files: dict[str, str | bytes | None] | None = None) -> str:
        """Push and deploy what has to fail; return why, as the pusher reads it."""
        commit = self.push(files)
        with pytest.raises(Stop) as stop:
            self.deploying.deploy(commit)
        self.checkout.git("fetch", "nebula")
        return str(stop.value)

    def releases_on_disk(self) -> list[Path]:
        return sorted(self.places.releases.iterdir())

    @property
    def running(self) -> str:
        return self.places.current.resolve().name


class Recorder(Pretended):
    """With nebula-server's rows."""

    def __init__(self, places: Places, kinds: dict[str, str]) -> None:
        super().__init__(places)
        self.kinds = kinds
        self.ended: list[tuple[str, ...]] = []
        self.tells = ""  # what the backup says at its end

    def server(self, *words: str, stdin: str = "") -> str:
        match words:
            case ("operation", "begin", commit):
                return f"row-of-{commit}\n"
            case ("operation", "take", row):
                return json.dumps({"kind": self.kinds[row]})
            case ("operation", "end", row, state, _release):
                self.ended.append((row, state, stdin))
        return ""

    def start(self, unit: str) -> None:
        if self.tells:
            self.places.backup_outcome.parent.mkdir(parents=True, exist_ok=True)
            self.places.backup_outcome.write_text(json.dumps({"sentence": self.tells}))
        self._step(f"start {unit}")
