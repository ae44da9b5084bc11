"""The repository's hooks: refuse a push that cannot be deployed, spool the commit, show the pusher its log."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nebula_deploy import checks, logs, spool
from nebula_deploy.places import Places, Stop
from nebula_deploy.releases import Releases
from nebula_deploy.repository import MAIN, Repository

FOLLOWED_S = 45 * 60
WAITS = "It waits for the deploy before it."


def pre_receive(lines: Iterable[str], places: Places, repository: Repository) -> None:
    """Raise Stop if the push must be refused. No pushed code is run."""
    for line in lines:
        old, new, ref = line.split()
        if ref != MAIN:
            branch = ref.removeprefix("refs/heads/")
            raise Stop(f"Only main is deployed from here: git push nebula {branch}:main, or merge it first.")
        if not int(new, 16):
            raise Stop("main cannot be deleted: it is what runs here. To go back: nebula deploy rollback.")
        if int(old, 16) and not repository.is_ancestor(old, new):
            raise Stop(
                "What runs here is not in what you push: git fetch nebula, rebase or merge nebula/main, and push"
                " without --force."
            )
        checks.check(repository, new)
        Releases(places).check_room()


def post_receive(lines: Iterable[str], places: Places, show: Callable[[str], None]) -> None:
    """Put the commit into the spool and show the log of its deploy until that has ended."""
    for line in lines:
        _, new, _ = line.split()
        log = places.logs / f"{new}.log"
        before = logs.mark(log)
        spool.put(places.pushes, new)
        succeeded = logs.follow(log, before, show, FOLLOWED_S, WAITS)
        if succeeded is None:
            show("It goes on without you watching: nebula deploy status tells how it ended.")
