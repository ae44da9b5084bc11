"""The entry point: `python3 -m nebula_deploy COMMAND`. The hooks, systemd and root use it."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from pathlib import Path

from nebula_deploy import checks, hooks
from nebula_deploy.machine import Machine
from nebula_deploy.places import Places, Stop
from nebula_deploy.releases import Releases
from nebula_deploy.repository import Repository
from nebula_deploy.spool import Spool

PROBE_S = 30


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = _parser().parse_args(argv)
    os.umask(0o022)
    try:
        return _run(arguments, Places())
    except Stop as stop:
        print(f"nebula-deploy: {stop}", file=sys.stderr, flush=True)
        return 1


def _run(arguments: argparse.Namespace, places: Places) -> int:
    if arguments.command == "pre-receive":
        hooks.pre_receive(sys.stdin, places, Repository(places.repository))
        return 0
    if arguments.command == "post-receive":
        hooks.post_receive(sys.stdin, places, lambda line: print(line, flush=True))
        return 0
    if os.geteuid() != 0:
        raise Stop("Only root deploys: sudo nebula-deploy, or nebula deploy from any machine of the tailnet.")
    repository = Repository(places.repository, user="git")
    machine = Machine(places, int(os.environ.get("NEBULA_PROBE_SECONDS", PROBE_S)))
    return _as_root(arguments, places, repository, Spool(places, repository, machine))


def _as_root(arguments: argparse.Namespace, places: Places, repository: Repository, spool: Spool) -> int:
    if arguments.command == "operations":
        spool.carry_out()
        return 0
    if arguments.command == "status":
        return _status(places)
    with spool.turn():
        if arguments.command == "rollback":
            return 0 if spool.rollback(str(uuid.uuid4()), None) else 1
        return 0 if _bring(arguments, repository, spool) else 1


def _bring(arguments: argparse.Namespace, repository: Repository, spool: Spool) -> bool:
    """Deploy a commit that was not pushed (playbooks/deploy.yml)."""
    if arguments.bundle:
        repository.fetch(arguments.bundle, arguments.commit)
    commit = repository.named(arguments.commit)
    if commit is None:
        raise Stop(f"There is no commit {arguments.commit} here.")
    checks.check(repository, commit)
    return spool.deploy(commit, is_brought=True)


def _status(places: Places) -> int:
    current = Releases(places).current()
    for release in Releases(places).kept():
        print(f"{'runs' if current and release.path == current.path else 'kept'}  {release.name}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nebula-deploy", description="Deploys on this machine.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("status", help="which release runs, and which are kept")
    commands.add_parser("rollback", help="go back to the release before")
    deploy = commands.add_parser("deploy", help="deploy a commit of the repository")
    deploy.add_argument("commit", metavar="COMMIT")
    deploy.add_argument("--bundle", type=Path, help="a git bundle that holds it")
    commands.add_parser("operations", help="carry out what waits in the spool")
    for hook in ("pre-receive", "post-receive"):
        commands.add_parser(hook, help="the repository's hook")
    return parser


if __name__ == "__main__":
    sys.exit(main())
