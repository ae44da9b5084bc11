"""A push meets the real hooks in a real bare repository: what cannot deploy is refused in one sentence."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nebula_deploy import hooks, logs, spool
from nebula_deploy.logs import Log
from nebula_deploy.places import Places
from nebula_deploy.revisions import FOLDER
from tests.deploys import GOOD, HASH, Checkout, make_places, revision
from tests.static.source import ROOT
from tests.stores import wait_until

# The shipped hooks, on a machine in a folder.
HOOK = """#!/bin/sh
exec env PYTHONPATH={shipped} PYTHONDONTWRITEBYTECODE=1 python3 -P -c '
import sys
from pathlib import Path
from nebula_deploy import hooks
from nebula_deploy.places import Places, Stop
from nebula_deploy.repository import Repository
places = Places(Path("{root}"))
try:
    hooks.pre_receive(sys.stdin, places, Repository(places.repository))
except Stop as stop:
    sys.exit(f"nebula-deploy: {{stop}}")
'
"""
# What is wrong with a commit, and what the pusher reads.
WRONG: dict[str, tuple[dict[str, str | bytes | None], str]] = {
    "syntax of the server": ({"src/nebula/a.py": "def f(:\n"}, "src/nebula/a.py, line 1: invalid syntax. Correct it"),
    "syntax of the client": ({"cli/nebula_cli/a.py": "return 1\n"}, "cli/nebula_cli/a.py, line 1: 'return' outside"),
    "null bytes": ({"src/nebula/a.py": b"a = 1\0\n"}, "source code string cannot contain null bytes"),
    "not UTF-8": ({"src/nebula/a.py": b"a = '\xff'\n"}, "src/nebula/a.py is not UTF-8"),
    "nested without end": ({"src/nebula/a.py": "(" * 5000}, "src/nebula/a.py"),
    "no lock": ({"requirements.lock": None}, "The commit has no requirements.lock"),
    "half of a lock": ({"requirements.lock": f"alpha==1.2.0 {HASH}\n"}, "requirements.lock has no beta"),
    "a lock without hashes": (
        {"requirements.lock": "alpha==1.2.0\nbeta==2.0\n"},
        "is not NAME==VERSION --hash=",
    ),
    "no unit": ({"systemd/nebula-api.socket": None}, "The commit has no systemd/nebula-api.socket"),
    "empty unit": ({"systemd/nebula-api.service": "[Service]\n"}, "nebula-api.service starts nothing"),
    "two heads": (revision("2", "0001") | revision("3", "0001"), "2 heads (2, 3)"),
    "no head": ({f"{FOLDER}0001_first.py": None}, "no head"),
    "a lost revision": (revision("3", "2"), "follows 2, which no file is"),
}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = make_places(tmp_path / "machine")
    hook = made.repository / "hooks/pre-receive"
    hook.write_text(HOOK.format(shipped=f"{ROOT}/roles/base/files:{ROOT}/roles/gitops/files", root=made.root))
    hook.chmod(0o755)
    return made


@pytest.fixture
def checkout(tmp_path: Path, places: Places) -> Checkout:
    made = Checkout(tmp_path / "checkout")
    made.git("remote", "add", "nebula", str(places.repository))
    made.commit(GOOD)
    return made


def refusal(checkout: Checkout, *words: str) -> str:
    """Push what has to be refused; return what the hook said."""
    done = checkout.run("push", *(words or ("nebula", "main")))
    assert done.returncode != 0, done.stderr
    assert "Traceback" not in done.stderr
    said = [line.removeprefix("remote: ").strip() for line in done.stderr.splitlines() if "nebula-deploy: " in line]
    assert len(said) == 1, done.stderr
    return said[0].removeprefix("nebula-deploy: ")


def main_of(checkout: Checkout) -> str:
    return checkout.git("ls-remote", "nebula", "refs/heads/main").split("\t")[0]


def test_good_commit_is_taken(checkout: Checkout) -> None:
    checkout.git("push", "nebula", "main")
    assert main_of(checkout) == checkout.git("rev-parse", "HEAD")


def test_this_very_checkout_could_be_pushed(tmp_path: Path, places: Places) -> None:
    """What is tested here as the product is what the hook has to take."""
    made = Checkout(tmp_path / "product")
    kept = ("src", "cli", "systemd", "pyproject.toml", "requirements.lock")
    found = [path for name in kept for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"))]
    # What Python and mypy keep comes and goes while other tests run.
    kept_beside = {".mypy_cache", "__pycache__"}
    files = [path for path in found if kept_beside.isdisjoint(path.parts) and path.is_file()]
    made.commit({str(path.relative_to(ROOT)): path.read_bytes() for path in files})
    made.git("push", str(places.repository), "main")


@pytest.mark.parametrize("wrong", WRONG)
def test_commit_that_cannot_deploy_is_refused_and_main_stays(checkout: Checkout, wrong: str) -> None:
    checkout.git("push", "nebula", "main")
    before = main_of(checkout)
    files, said = WRONG[wrong]
    checkout.commit(files)
    assert said in refusal(checkout)
    assert main_of(checkout) == before


def test_nothing_that_is_pushed_is_run_by_looking_at_it(checkout: Checkout, tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')\n"
    checkout.commit({"src/nebula/__init__.py": trap, "src/nebula/conftest.py": trap, "nebula_deploy/__init__.py": trap})
    checkout.commit({f"{FOLDER}0002.py": f'{trap}revision = "0002"\ndown_revision = "0001"\n'})
    checkout.git("push", "nebula", "main")
    assert not (tmp_path / "sprung").exists()


def test_other_branches_and_tags_are_refused(checkout: Checkout) -> None:
    checkout.git("push", "nebula", "main")
    assert refusal(checkout, "nebula", "main:feature") == (
        "Only main is deployed from here: git push nebula feature:main, or merge it first."
    )
    checkout.git("tag", "v1")
    assert "Only main" in refusal(checkout, "nebula", "v1")
    assert "Only main" in refusal(checkout, "nebula", "main:refs/nebula/deployed")


def test_main_cannot_be_deleted(checkout: Checkout) -> None:
    checkout.git("push", "nebula", "main")
    assert "nebula deploy rollback" in refusal(checkout, "nebula", ":main")
    assert main_of(checkout)


def test_force_push_is_refused(checkout: Checkout) -> None:
    checkout.git("push", "nebula", "main")
    before = main_of(checkout)
    checkout.git("commit", "--quiet", "--amend", "-m", "Another history")
    assert "without --force" in refusal(checkout, "--force", "nebula", "main")
    assert main_of(checkout) == before


def test_full_disk_is_refused_before_main_moves(
    checkout: Checkout, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = places.repository / "hooks/pre-receive"
    full = "import nebula_deploy.releases\nnebula_deploy.releases.SPARE_BYTES = 1 << 60\ntry:"
    hook.write_text(hook.read_text().replace("try:", full))
    assert "nebula trash --empty" in refusal(checkout)
    assert main_of(checkout) == ""


def test_pusher_reads_along_until_the_deploy_has_ended(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "WAITS", "")  # it is shown where the deploy takes a while to begin, as it may here
    commit, shown = "ab" * 20, []
    with Log(places.logs, commit) as stale:
        stale.failed("An old deploy of the same commit.")
    push = threading.Thread(
        target=hooks.post_receive, args=([f"{'0' * 40} {commit} refs/heads/main"], places, shown.append)
    )
    push.start()
    wait_until(lambda: (places.pushes / commit).exists(), what="the id in the spool")
    assert (places.pushes / commit).stat().st_size == 0
    with Log(places.logs, commit) as log:
        log.say("Building.")
        wait_until(lambda: shown[-1:] == ["Building."], what="the line")
        log.done("It serves.")
    push.join(30)
    assert not push.is_alive()
    assert shown == ["Building.", "Done: It serves."]


def test_pusher_is_not_kept_forever(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "FOLLOWED_S", 0.5)
    shown: list[str] = []
    hooks.post_receive([f"{'0' * 40} {'ab' * 20} refs/heads/main"], places, shown.append)
    assert shown == ["It goes on without you watching: nebula deploy status tells how it ended."]


def test_id_that_waits_already_is_put_once(places: Places) -> None:
    for _ in range(2):
        spool.put(places.pushes, "ab" * 20)
    assert len(list(places.pushes.iterdir())) == 1


def test_log_that_breaks_off_has_no_outcome(places: Places) -> None:
    with Log(places.logs, "x") as log:
        log.say("Building.")
    assert logs.follow(places.logs / "x.log", (0, 0), print, 0.5, "") is None
