"""Deploys and ways back on a machine in a folder: real git and files; packages, services and database are pretended."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nebula_deploy import releases as releases_of
from nebula_deploy import spool as spool_of
from nebula_deploy.places import Stop
from nebula_deploy.repository import DEPLOYED, MAIN
from nebula_deploy.revisions import FOLDER
from nebula_deploy.spool import Spool
from tests.deploys import FIRST, Laptop, Recorder, revision


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


def test_deploy_builds_dumps_grows_the_schema_switches_and_only_then_takes_away(laptop: Laptop) -> None:
    name = laptop.deploy(revision("2", "0001") | revision("3", "2", contracts=True))
    assert laptop.machine.did == ["build", "dump", "migrate --expand", "restart", "migrate"]
    assert (laptop.running, laptop.machine.at) == (name, "3")
    assert (laptop.places.dumps / f"{name}.dump").read_text() == "0001"
    assert laptop.repository.named(DEPLOYED) == laptop.repository.named(MAIN)


def test_same_commit_again_changes_nothing(laptop: Laptop) -> None:
    name = laptop.deploy()
    laptop.machine.did.clear()
    commit = laptop.repository.named(MAIN)
    assert commit is not None
    assert laptop.deploying.deploy(commit) == f"{name} serves already."
    assert laptop.machine.did == []


@pytest.mark.parametrize("step", ["build", "dump", "migrate --expand"])
def test_failure_before_the_switch_leaves_everything_as_it_was(laptop: Laptop, step: str) -> None:
    laptop.machine.broken[step] = f"No {step}."
    assert laptop.fails(revision("2", "0001")) == f"No {step}."
    assert (laptop.running, laptop.machine.at) == (FIRST, "0001")
    assert "restart" not in laptop.machine.did
    assert [path.name for path in laptop.places.releases.iterdir()] == [FIRST]
    assert laptop.repository.named(MAIN) is None


def test_release_that_does_not_serve_goes_by_itself_and_the_pusher_reads_why(laptop: Laptop) -> None:
    old = laptop.deploy()
    commit = laptop.push()
    name = laptop.repository.release_name(commit)
    laptop.machine.broken[name] = "/readyz answers 503."
    with pytest.raises(Stop) as stop:
        laptop.deploying.deploy(commit)
    assert str(stop.value) == f"/readyz answers 503. {old} is back and serves."
    assert f"  the journal of {name}" in laptop.said
    assert laptop.running == old
    assert not (laptop.places.releases / name).exists()
    assert laptop.repository.release_name(MAIN) == old


def test_old_release_that_does_not_come_back_either_is_told(laptop: Laptop) -> None:
    laptop.machine.broken |= {FIRST: "Its database is away."}
    laptop.machine.broken["restart"] = "No restart."
    assert laptop.fails().endswith(f"{FIRST} is back, but does not serve either: No restart.")
    assert laptop.running == FIRST


def test_commit_whose_deploy_failed_can_be_pushed_again(laptop: Laptop) -> None:
    laptop.deploy()
    laptop.machine.broken["dump"] = "The database is away."
    laptop.fails()
    del laptop.machine.broken["dump"]
    laptop.checkout.git("push", "nebula", "main")
    commit = laptop.repository.named(MAIN)
    assert commit == laptop.checkout.git("rev-parse", "HEAD")
    laptop.deploying.deploy(commit)
    assert laptop.running == laptop.repository.release_name(commit)


def test_main_is_left_alone_where_a_second_push_has_moved_it_on(laptop: Laptop) -> None:
    first = laptop.push()
    second = laptop.push()
    laptop.machine.broken["build"] = "No."
    with pytest.raises(Stop):
        laptop.deploying.deploy(first)
    assert laptop.repository.named(MAIN) == second


def test_failed_contraction_is_told_and_the_new_release_stays(laptop: Laptop) -> None:
    laptop.machine.broken["migrate"] = "It is in use."
    name = laptop.deploy(revision("2", "0001", contracts=True))
    assert (laptop.running, laptop.machine.at) == (name, "0001")
    assert any("still there: It is in use." in line for line in laptop.said)


def test_commit_without_a_revision_that_only_added_runs_on_the_grown_schema(laptop: Laptop) -> None:
    laptop.deploy(revision("2", "0001"))
    laptop.machine.did.clear()
    laptop.deploy({f"{FOLDER}2.py": None})
    assert laptop.machine.did == ["build", "dump", "restart"]
    assert laptop.machine.at == "2"


def test_commit_of_another_history_of_the_schema_is_refused(laptop: Laptop) -> None:
    laptop.deploy(revision("2", "0001"))
    said = laptop.fails({f"{FOLDER}2.py": None} | revision("other", "0001"))
    assert "at revision 2, which this version's history (its head is other) does not have" in said
    assert laptop.machine.at == "2"


def test_five_releases_and_dumps_are_kept(laptop: Laptop) -> None:
    names = [laptop.deploy() for _ in range(7)]
    assert sorted(path.name for path in laptop.places.releases.iterdir()) == sorted(names[-5:])
    assert len(list(laptop.places.dumps.iterdir())) == 5
    assert [release.name for release in laptop.releases.kept()] == names[:-6:-1]


def test_rollback_goes_one_release_back_each_time_and_keeps_the_schema(laptop: Laptop) -> None:
    old = laptop.deploy()
    new = laptop.deploy(revision("2", "0001"))
    laptop.machine.did.clear()
    assert laptop.deploying.rollback() == f"{old} serves again."
    assert (laptop.running, laptop.machine.at, laptop.machine.did) == (old, "2", ["restart"])
    assert laptop.repository.release_name(MAIN) == old
    laptop.deploying.rollback()
    assert laptop.running == FIRST
    assert laptop.repository.named(MAIN) is None
    with pytest.raises(Stop, match="nothing to go back to"):
        laptop.deploying.rollback()
    assert (laptop.places.releases / new).exists()


def test_release_that_was_left_can_be_deployed_again_without_building_it(laptop: Laptop) -> None:
    laptop.deploy()
    new = laptop.deploy()
    laptop.deploying.rollback()
    laptop.machine.did.clear()
    laptop.checkout.git("push", "nebula", "main")
    laptop.deploying.deploy(laptop.checkout.git("rev-parse", "HEAD"))
    assert laptop.running == new
    assert "build" not in laptop.machine.did


def test_rollback_past_a_contracting_revision_is_refused_and_changes_nothing(laptop: Laptop) -> None:
    old = laptop.deploy()
    new = laptop.deploy(revision("2", "0001", contracts=True))
    laptop.machine.did.clear()
    with pytest.raises(Stop, match=f"There is no way back to {old}. Revision 2 of the schema contracts"):
        laptop.deploying.rollback()
    assert (laptop.running, laptop.machine.did) == (new, [])
    assert laptop.repository.release_name(MAIN) == new


def test_contraction_is_remembered_when_its_release_is_gone(laptop: Laptop) -> None:
    laptop.deploy()
    gone = laptop.deploy(revision("2", "0001", contracts=True))
    assert laptop.places.current.resolve().name == gone
    laptop.releases.switch(laptop.places.releases / FIRST)
    for path in laptop.places.releases.iterdir():
        if path.name == gone:
            path.rename(laptop.places.root / "gone")
    with pytest.raises(Stop, match="Revision 2 of the schema contracts"):
        laptop.deploying.deploy(laptop.push({f"{FOLDER}2.py": None}))


def test_rollback_that_does_not_serve_is_undone(laptop: Laptop) -> None:
    old, new = laptop.deploy(), laptop.deploy()
    laptop.machine.broken[old] = "It does not serve."
    with pytest.raises(Stop, match=f"It does not serve. {new} is back and serves."):
        laptop.deploying.rollback()
    assert laptop.running == new


def test_full_disk_is_told_before_anything_is_built(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases_of, "SPARE_BYTES", 1 << 60)
    assert "free some room" in laptop.fails()
    assert laptop.machine.did == []


def test_push_says_that_site_yml_and_worker_nodes_are_due(laptop: Laptop) -> None:
    laptop.machine.nodes = ["spare"]
    laptop.deploy()
    assert not any("site.yml" in line for line in laptop.said)
    laptop.deploy({"roles/base/tasks/main.yml": "---\n"})
    assert any("run ansible-playbook playbooks/site.yml" in line for line in laptop.said)
    assert any("Worker nodes run what they had: spare." in line for line in laptop.said)


def test_node_without_a_gateway_builds_and_switches_only(laptop: Laptop) -> None:
    (laptop.places.units / "nebula-api.service").unlink()
    laptop.machine.broken["schema"] = "It may not ask."
    name = laptop.deploy(revision("2", "0001"))
    assert (laptop.running, laptop.machine.did) == (name, ["build", "restart"])


ROW = "11111111-2222-4333-8444-555555555555"
OTHER_ROW = "66666666-7777-4888-8999-aaaaaaaaaaaa"


@pytest.fixture
def carry(laptop: Laptop) -> Callable[[dict[str, str]], Recorder]:
    """Carries out what waits; the rows of requests say these kinds."""

    def carry_out(kinds: dict[str, str]) -> Recorder:
        laptop.machine = machine = Recorder(laptop.places, kinds)
        Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
        assert list(laptop.places.pushes.iterdir()) == list(laptop.places.requests.iterdir()) == []
        return machine

    return carry_out


Carry = Callable[[dict[str, str]], Recorder]


def _log(laptop: Laptop, identifier: str) -> list[str]:
    return (laptop.places.logs / f"{identifier}.log").read_text().splitlines()


def test_pushes_are_carried_out_one_after_the_other_and_recorded(laptop: Laptop, carry: Carry) -> None:
    commits = [laptop.push(), laptop.push()]
    for second, commit in enumerate(commits):
        spool_of.put(laptop.places.pushes, commit)
        # A file's time goes on in steps of milliseconds: two that are put at once may have the same.
        os.utime(laptop.places.pushes / commit, (second, second))
    machine = carry({})
    names = [laptop.repository.release_name(commit) for commit in commits]
    assert machine.ended == [(f"row-of-{c}", "done", f"{name} serves.") for c, name in zip(commits, names, strict=True)]
    assert [_log(laptop, commit)[-1] for commit in commits] == [f"Done: {name} serves." for name in names]
    assert laptop.running == names[1]


def test_request_is_what_its_row_says(laptop: Laptop, carry: Carry) -> None:
    laptop.deploy()
    (laptop.places.units / "nebula-backup.service").touch()
    spool_of.put(laptop.places.requests, ROW)
    spool_of.put(laptop.places.requests, OTHER_ROW)
    machine = carry({ROW: "backup", OTHER_ROW: "rollback"})
    assert "start nebula-backup.service" in machine.did
    assert machine.ended == [(ROW, "done", "The backup is made."), (OTHER_ROW, "done", f"{FIRST} serves again.")]


@pytest.mark.parametrize("fails", [False, True])
def test_backup_that_was_asked_for_ends_with_its_own_sentence(laptop: Laptop, fails: bool) -> None:
    (laptop.places.units / "nebula-backup.service").touch()
    spool_of.put(laptop.places.requests, ROW)
    laptop.machine = machine = Recorder(laptop.places, {ROW: "backup"})
    machine.tells = "Nothing is mounted." if fails else "The backup is made: 2 GiB."
    if fails:
        machine.broken["start nebula-backup.service"] = "systemctl failed."
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert machine.ended == [(ROW, "failed" if fails else "done", machine.tells)]
    assert _log(laptop, ROW)[-1].endswith(machine.tells)


def test_backup_that_says_nothing_is_not_taken_for_an_earlier_one(laptop: Laptop) -> None:
    (laptop.places.units / "nebula-backup.service").touch()
    laptop.places.backup_outcome.parent.mkdir(parents=True)
    laptop.places.backup_outcome.write_text(json.dumps({"sentence": "The backup is made: yesterday."}))
    spool_of.put(laptop.places.requests, ROW)
    laptop.machine = machine = Recorder(laptop.places, {ROW: "backup"})
    machine.broken["start nebula-backup.service"] = "It was killed."
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert machine.ended == [(ROW, "failed", "It was killed.")]


@pytest.mark.parametrize(
    ("kinds", "said"),
    [({ROW: "backup"}, "No backup is set up"), ({ROW: "deploy"}, "does not know this kind")],
)
def test_request_that_cannot_be_carried_out_ends_in_a_sentence(
    laptop: Laptop, carry: Carry, kinds: dict[str, str], said: str
) -> None:
    spool_of.put(laptop.places.requests, ROW)
    ((row, state, message),) = carry(kinds).ended
    assert (row, state) == (ROW, "failed")
    assert said in message


def test_request_that_was_cut_off_is_not_repeated(laptop: Laptop, carry: Carry) -> None:
    laptop.deploy()
    (laptop.places.logs / f"{ROW}.log").touch()
    spool_of.put(laptop.places.requests, ROW)
    machine = carry({ROW: "rollback"})
    assert machine.ended == [(ROW, "failed", "It was cut off in the middle. See nebula deploy status, and ask again.")]
    assert machine.did == []


def test_gateway_cannot_deploy_and_a_pusher_cannot_ask(laptop: Laptop, carry: Carry) -> None:
    commit = laptop.push()
    spool_of.put(laptop.places.requests, commit)
    spool_of.put(laptop.places.pushes, ROW)
    machine = carry({ROW: "rollback"})
    assert (machine.did, machine.ended, laptop.running) == ([], [], FIRST)


def test_what_is_no_id_is_removed_and_keeps_nothing_from_its_turn(laptop: Laptop, carry: Carry, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    (aside / "kept").touch()
    (laptop.places.requests / "folder").mkdir()
    (laptop.places.requests / "folder/inside").touch()
    (laptop.places.requests / "$(reboot)").touch()
    (laptop.places.requests / ROW).symlink_to(aside)
    commit = laptop.push()
    spool_of.put(laptop.places.pushes, commit)
    carry({})  # the row is unknown: its take fails
    assert laptop.running == laptop.repository.release_name(commit)
    assert (aside / "kept").exists()


def test_commit_that_is_not_in_main_is_not_deployed(laptop: Laptop, carry: Carry) -> None:
    laptop.push()
    stray = laptop.checkout.commit({"README.md": "x"})
    spool_of.put(laptop.places.pushes, stray)
    machine = carry({})
    assert machine.did == []
    assert "is no commit of main" in _log(laptop, stray)[-1]


def test_mistake_of_the_deployer_is_an_outcome_too(laptop: Laptop, carry: Carry, capfd: pytest.CaptureFixture) -> None:
    commit = laptop.push()
    spool_of.put(laptop.places.pushes, commit)
    (laptop.places.state / "revisions.json").write_text("not json")
    ((_, state, message),) = carry({}).ended
    assert state == "failed"
    assert "The deployer made a mistake" in message
    assert "Traceback" in capfd.readouterr().err
    assert _log(laptop, commit)[-1].startswith("Not done: ")
