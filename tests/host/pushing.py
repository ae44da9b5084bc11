"""The owner's own clone of the product, from which versions are pushed to the laptop."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.host import site
from tests.host.shell import CommandFailed
from tests.host.site import Owner
from tests.static.source import ROOT

VERSION = "src/nebula/__init__.py"
REVISIONS = "src/nebula/db/migrations/versions"
REVISION = '''"""{name}."""

from alembic import op

revision = "{name}"
down_revision = "{down}"
contracts = {contracts}


def upgrade() -> None:
    {body}
'''


class Clone:
    """`release()` makes a commit that can be told from the others by its version."""

    def __init__(self, owner: Owner, folder: Path) -> None:
        self.owner, self.folder = owner, folder
        self._number = 0
        self._copy_checkout()
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in {"user.name": "Ana", "user.email": "ana@example.org"}.items():
            self.git("config", name, value)
        self.git("remote", "add", "nebula", f"git@{owner.machine.name}:nebula.git")
        self.commit("The product")
        self.head = next(path.stem for path in sorted((folder / REVISIONS).glob("[0-9]*.py"), reverse=True))[:4]

    def release(self) -> str:
        """Commit a new version; return it."""
        self._number += 1
        version = f"0.1.{self._number}"
        path = self.folder / VERSION
        lines = [line for line in path.read_text().splitlines() if not line.startswith("__version__")]
        path.write_text("\n".join([*lines, f'__version__ = "{version}"', ""]))
        self.commit(f"Version {version}")
        return version

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{name} has no {old!r} any more"
        path.write_text(text.replace(old, new, 1))

    def revision(self, name: str, body: str, *, contracts: bool = False) -> None:
        """Add a revision of the schema on top of the last one."""
        text = REVISION.format(name=name, down=self.head, contracts=contracts, body=body)
        (self.folder / REVISIONS / f"{name}.py").write_text(text)
        self.head = name

    def undo(self, commits: int = 1) -> None:
        """Drop the last commits, which were not taken, here."""
        self.git("reset", "--quiet", "--hard", f"HEAD~{commits}")

    def commit(self, subject: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def push(self, *words: str) -> str:
        """Push; return what the pusher read. It fails where the push is refused."""
        return self.git("push", *(words or ("nebula", "main")), timeout=900)

    def refused(self, *words: str) -> str:
        """Push what has to be refused; return what the pusher read."""
        try:
            printed = self.push(*words)
        except CommandFailed as refusal:
            return str(refusal)
        raise AssertionError(f"nothing refused it\n{printed}")

    def begin_push(self) -> subprocess.Popen[str]:
        """Start a push, for a test that does something meanwhile."""
        return self.owner.start(
            ["env", f"GIT_SSH_COMMAND={self._ssh}", "git", "-C", str(self.folder), "push", "nebula", "main"]
        )

    def git(self, *words: str, timeout: float = 60) -> str:
        command = ["git", "-C", str(self.folder), *words]
        return self.owner.run(command, timeout=timeout, environ={"GIT_SSH_COMMAND": self._ssh})

    def playbook(self, name: str, *words: str) -> str:
        """Run a playbook of this clone; return what it printed."""
        book = shutil.which("ansible-playbook", path=f"{site.BIN}:/usr/bin:/usr/local/bin") or "ansible-playbook"
        command = [book, "-i", str(self.owner.inventory), str(self.folder / "playbooks" / name), *words]
        return self.owner.run(command, timeout=1800, environ={"ANSIBLE_CONFIG": str(self.folder / "ansible.cfg")})

    @property
    def _ssh(self) -> str:
        key, memory = self.owner.machine.lan.key, self.owner.home / "known_hosts"
        return (
            f"ssh -F none -i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={memory} -o BatchMode=yes"
            " -o StrictHostKeyChecking=accept-new"
        )

    def _copy_checkout(self) -> None:
        listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
        for name in names:
            source, target = ROOT / name, self.folder / name
            if name and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
