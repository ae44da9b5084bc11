"""What the deployer decides without a machine: the schema's course, the lock, the order of releases."""

from __future__ import annotations

import tomllib

import pytest

from nebula_deploy import locked, revisions
from nebula_deploy.machine import connection, telling
from nebula_deploy.places import Stop
from nebula_deploy.revisions import Course, Revision
from tests.deploys import HASH, LOCK, PROJECT
from tests.static.source import ROOT

CHAIN = revisions.graph(
    [
        Revision("1", ()),
        Revision("2", ("1",)),
        Revision("3", ("2",), contracts=True),
        Revision("4", ("3",)),
        Revision("x", ("1",)),
    ]
)


@pytest.mark.parametrize(
    ("schema", "wanted", "course"),
    [
        (None, "2", Course.UPGRADE),
        ("1", "2", Course.UPGRADE),
        ("2", "2", Course.UPGRADE),
        ("2", "4", Course.UPGRADE),
        ("2", "1", Course.KEEP),
        ("4", "3", Course.KEEP),
    ],
)
def test_code_runs_on_its_own_schema_on_an_older_one_and_on_one_that_only_grew(
    schema: str | None, wanted: str, course: Course
) -> None:
    assert revisions.course(CHAIN, schema, wanted) is course


@pytest.mark.parametrize(("schema", "wanted"), [("3", "2"), ("4", "2"), ("4", "1")])
def test_code_from_before_a_contracting_revision_is_refused(schema: str, wanted: str) -> None:
    with pytest.raises(Stop, match="Revision 3 of the schema contracts"):
        revisions.course(CHAIN, schema, wanted)


@pytest.mark.parametrize("schema", ["x", "unknown"])
def test_schema_that_the_history_does_not_have_is_refused(schema: str) -> None:
    with pytest.raises(Stop, match=f"The schema is at revision {schema}, which"):
        revisions.course(CHAIN, schema, "4")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('revision = "2"\ndown_revision = "1"\n', Revision("2", ("1",))),
        ('revision: str = "1"\ndown_revision: str | None = None\n', Revision("1", ())),
        ('revision = "3"\ndown_revision = ("1", "2")\ncontracts = True\n', Revision("3", ("1", "2"), True)),
        ('revision = "2"\ndown_revision = "1"\ncontracts = False\n', Revision("2", ("1",))),
    ],
)
def test_revision_is_read_from_its_file(text: str, expected: Revision) -> None:
    assert revisions.parse("a.py", text) == expected


@pytest.mark.parametrize("text", ["", "revision = make()\n", 'revision = ""\n'])
def test_revision_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(Stop, match=r"a\.py does not say its revision"):
        revisions.parse("a.py", text)


def test_history_needs_one_head() -> None:
    first, second, other = Revision("1", ()), Revision("2", ("1",)), Revision("3", ("1",))
    assert revisions.head(revisions.graph([first, second])) == "2"
    with pytest.raises(Stop, match=r"2 heads \(2, 3\)"):
        revisions.head(revisions.graph([first, second, other]))
    with pytest.raises(Stop, match="no head"):
        revisions.head({})
    with pytest.raises(Stop, match="follows 1, which no file is"):
        revisions.head(revisions.graph([second]))
    with pytest.raises(Stop, match="Two files are revision 1"):
        revisions.graph([first, first])


def test_lock_that_covers_the_project_is_taken() -> None:
    locked.check(LOCK + f"# a comment\nGamma_X==1.0rc1; python_version < '3.12' {HASH}  # why\n\n", PROJECT)


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        (f"beta==2.0 {HASH}\n", "requirements.lock has no alpha"),
        (f"alpha==1.0 {HASH}\nbeta==2.0 {HASH}\n", "alpha 1.0, and pyproject.toml asks for alpha>=1.1,<2"),
        (f"alpha==2.0.0 {HASH}\nbeta==2.0 {HASH}\n", "alpha 2.0.0"),
        (f"alpha==1.1 {HASH}\nbeta==2.0.1 {HASH}\n", "beta 2.0.1"),
        (f"alpha>=1.1 {HASH}\nbeta==2.0 {HASH}\n", "Line 1 of requirements.lock is not NAME==VERSION"),
        (f"alpha==1.1 {HASH}\n<<<<<<< HEAD\nbeta==2.0\n", "Line 2"),
        ("--index-url https://example.org\n", "Line 1"),
        ("alpha==1.1\nbeta==2.0\n", "Line 1"),
        (f"alpha==1.1 \\\n    {HASH}\nbeta==2.0 \\\n    --hash=md5:ab\n", "Line 3"),
        (f"alpha==1.1 {HASH} --index-url https://example.org\n", "Line 1"),
    ],
)
def test_lock_that_does_not_is_refused(lock: str, said: str) -> None:
    with pytest.raises(Stop, match=said.replace(">", "[>]")):
        locked.check(lock, PROJECT)


@pytest.mark.parametrize(
    ("wanted", "name", "ranges"),
    [
        ("alpha", "alpha", ""),
        (" alpha >=1.1, <2 ", "alpha", ">=1.1, <2"),
        ("alpha[one, two]>=1.1; python_version < '4'", "alpha", ">=1.1"),
        ("al.pha_x-1 [one]\t==2\n", "al.pha_x-1", "==2"),
        ("alpha [one", "alpha", "[one"),
        ("alpha" + " " * 50_000 + "x;\n", "alpha", "x"),
    ],
)
def test_requirement_is_a_name_and_ranges(wanted: str, name: str, ranges: str) -> None:
    assert locked._requirement(wanted) == (name, ranges)


@pytest.mark.parametrize("wanted", ["", " ", "; x", "[one]", "-alpha", "\u00e4"])
def test_requirement_without_a_name_is_refused(wanted: str) -> None:
    with pytest.raises(Stop, match="is no requirement"):
        locked._requirement(wanted)


@pytest.mark.parametrize("project", ["[project", "[project]\n", "project = 1\n"])
def test_project_that_cannot_be_read_is_refused(project: str) -> None:
    with pytest.raises(Stop, match=r"pyproject\.toml"):
        locked.check(LOCK, project)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [("~=1.2", True), ("~=1.1.0", False), ("!=1.2", False), (">1.2", False), ("<=1.2.0", True), ("", True)],
)
def test_versions_are_compared_by_their_numbers(wanted: str, fits: bool) -> None:
    assert locked._fits("1.2.0", wanted) is fits


def test_own_lock_covers_the_own_project() -> None:
    locked.check((ROOT / "requirements.lock").read_text(), (ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_package_of_a_lock_has_its_hashes(name: str) -> None:
    packages = dict(locked._locked((ROOT / name).read_text()))
    assert len(packages) > 20


def test_what_builds_a_release_is_pinned_as_the_lock_has_it() -> None:
    packages = dict(locked._locked((ROOT / "requirements.lock").read_text()))
    assert {"pip", "setuptools", "wheel"} <= packages.keys()
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert asked == [f"setuptools=={packages['setuptools']}"]


def test_journal_is_cut_down_to_what_tells() -> None:
    journal = """Starting nebula-api.service - Nebula gateway...
[2026-01-01 10:00:00 +0000] [12] [INFO] Booting worker with pid: 12
Traceback (most recent call last):
  File "/opt/nebula/releases/x/venv/lib/python3.11/site-packages/gunicorn/arbiter.py", line 752, in spawn_worker
    worker.init_process()
  File "/opt/nebula/releases/x/venv/lib/python3.11/site-packages/nebula/api/app.py", line 35, in <module>
    raise RuntimeError("a slip")
RuntimeError: a slip
[2026-01-01 10:00:00 +0000] [12] [ERROR] Worker failed to boot.
nebula-api.service: Failed with result 'exit-code'."""
    assert telling((journal + "\n" + journal.replace("[12]", "[13]")).splitlines()) == [
        'File "/opt/nebula/releases/x/venv/lib/python3.11/site-packages/nebula/api/app.py", line 35, in <module>',
        "RuntimeError: a slip",
        "[2026-01-01 10:00:00 +0000] [13] [ERROR] Worker failed to boot.",
    ]


def test_databases_address_becomes_variables_and_no_word_of_a_command() -> None:
    assert connection("postgresql://ne%40b:p%2Fw@10.0.0.1:5433/films?sslmode=require") == {
        "PGHOST": "10.0.0.1",
        "PGPORT": "5433",
        "PGUSER": "ne@b",
        "PGPASSWORD": "p/w",
        "PGDATABASE": "films",
        "PGSSLMODE": "require",
    }
