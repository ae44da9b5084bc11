"""A build that was pushed fills its release with links and special files: root's deployer follows and opens none."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nebula_deploy import spool as spool_of
from nebula_deploy.places import Stop
from nebula_deploy.revisions import FOLDER
from nebula_deploy.spool import Spool
from nebula_root import handles
from nebula_root.handles import Unsafe
from tests.deploys import Laptop, Recorder

SECRET = "root:$6$hash: the secret of root\n"
FIRST_REVISION = f"source/{FOLDER}0001_first.py"


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder of root's: a file with a secret, and what a revision's file could be called."""
    folder = tmp_path / "root"
    folder.mkdir()
    for name in ("shadow", "0001_first.py", "deployed", "deployed.new"):
        (folder / name).write_text(SECRET)
    return folder


def _file_link(release: Path, secret: Path) -> None:
    (release / FIRST_REVISION).unlink()
    (release / FIRST_REVISION).symlink_to(secret / "shadow")


def _parent_link(release: Path, secret: Path) -> None:
    folder = (release / FIRST_REVISION).parent
    folder.rename(folder.with_name("aside"))
    folder.symlink_to(secret)


def _far_parent_link(release: Path, secret: Path) -> None:
    (secret / FOLDER).mkdir(parents=True)
    (secret / FOLDER / "0001_first.py").write_text(SECRET)
    (release / "source").rename(release / "aside")
    (release / "source").symlink_to(secret)


def _dangling_link(release: Path, secret: Path) -> None:
    (release / FIRST_REVISION).unlink()
    (release / FIRST_REVISION).symlink_to(secret / "nothing")


def _fifo(release: Path, secret: Path) -> None:
    (release / FIRST_REVISION).unlink()
    os.mkfifo(release / FIRST_REVISION)


def _socket(release: Path, secret: Path) -> None:
    (release / FIRST_REVISION).unlink()
    here = os.open((release / FIRST_REVISION).parent, os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/0001_first.py")
    os.close(here)


def _device(release: Path, secret: Path) -> None:
    (release / FIRST_REVISION).unlink()
    try:
        os.mknod(release / FIRST_REVISION, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes device nodes")


def _hard_link(release: Path, secret: Path) -> None:
    (release / FIRST_REVISION).unlink()
    os.link(secret / "shadow", release / FIRST_REVISION)


PLANTED: list[Callable[[Path, Path], None]] = [
    _file_link, _parent_link, _far_parent_link, _dangling_link, _fifo, _socket, _device, _hard_link,
]  # fmt: skip
planted = pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__.strip("_"))


def _build_that_plants(laptop: Laptop, plant: Callable[[Path, Path], None], secret: Path) -> None:
    build = laptop.machine.build

    def build_and_plant(release: Path) -> None:
        build(release)
        plant(release, secret)

    laptop.machine.build = build_and_plant  # type: ignore[method-assign]


@planted
def test_secret_of_root_does_not_come_back_to_the_pusher(
    laptop: Laptop, secret: Path, plant: Callable[[Path, Path], None], capfd: pytest.CaptureFixture
) -> None:
    laptop.machine = Recorder(laptop.places, {})
    _build_that_plants(laptop, plant, secret)
    commit = laptop.push()
    spool_of.put(laptop.places.pushes, commit)
    spool = Spool(laptop.places, laptop.repository, laptop.machine)  # type: ignore[arg-type]
    carried = threading.Thread(target=spool.carry_out, daemon=True)
    carried.start()
    carried.join(60)
    assert not carried.is_alive(), "it waits for a FIFO or reads a device without end"
    shown = (laptop.places.logs / f"{commit}.log").read_text()
    assert "hash" not in shown + capfd.readouterr().err
    assert {path.read_text() for path in secret.iterdir() if path.is_file()} == {SECRET}


@pytest.mark.parametrize("name", ["deployed", "deployed.new", "built", "building", ".deployed"])
def test_record_of_root_in_a_release_overwrites_no_other_file(laptop: Laptop, secret: Path, name: str) -> None:
    def plant(release: Path, _: Path) -> None:
        (release / name).unlink(missing_ok=True)
        (release / name).symlink_to(secret / "shadow")

    _build_that_plants(laptop, plant, secret)
    laptop.deploy()
    assert (secret / "shadow").read_text() == SECRET


def test_release_that_is_a_link_is_not_taken_for_one_that_runs(laptop: Laptop, secret: Path) -> None:
    (laptop.places.releases / "20270101000000-abcdefabcdef").symlink_to(secret)
    laptop.releases.switch(laptop.places.releases / "20270101000000-abcdefabcdef")
    assert laptop.releases.current() is None
    laptop.places.current.unlink()
    laptop.places.current.symlink_to(secret)
    assert laptop.releases.current() is None


def test_link_among_the_releases_is_removed_and_not_followed(laptop: Laptop, secret: Path) -> None:
    (laptop.places.releases / "link").symlink_to(secret)
    laptop.deploy()
    assert not (laptop.places.releases / "link").is_symlink()
    assert (secret / "shadow").read_text() == SECRET


def test_tree_of_any_depth_is_removed(laptop: Laptop) -> None:
    deep = laptop.places.requests / "deep"
    deep.mkdir()
    deepen = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
    subprocess.run([sys.executable, "-c", deepen], cwd=deep, check=True)
    commit = laptop.push()
    spool_of.put(laptop.places.pushes, commit)
    laptop.machine = machine = Recorder(laptop.places, {})
    Spool(laptop.places, laptop.repository, machine).carry_out()  # type: ignore[arg-type]
    assert list(laptop.places.requests.iterdir()) == []
    assert laptop.running == laptop.repository.release_name(commit)


def test_refs_that_are_links_lead_nowhere_when_main_is_taken_back(laptop: Laptop, secret: Path) -> None:
    """Only as user git, whose files they are: as root it would write wherever they lead."""
    commit = laptop.push()
    asked: list[list[str]] = []
    laptop.repository._as_user = ["env"]
    call = laptop.repository._call

    def note(argv: list[str], *words: object) -> object:
        asked.append(argv)
        return call(argv, *words)  # type: ignore[arg-type]

    laptop.repository._call = note  # type: ignore[method-assign,assignment]
    laptop.machine.broken["build"] = "No."
    with pytest.raises(Stop):
        laptop.deploying.deploy(commit)
    assert [argv[0] for argv in asked if argv[0] != "git"] == ["sh"]


# --- handles


@pytest.fixture
def base(tmp_path: Path) -> Path:
    made = tmp_path / "base"
    (made / "below/deeper").mkdir(parents=True)
    (made / "below/file").write_text("plain\n")
    return made


def test_plain_file_is_read_and_written_below_its_base(base: Path) -> None:
    assert handles.read_text(base, "below/file") == "plain\n"
    handles.write_text(base, "below/deeper/new", "text", 0o600)
    assert (base / "below/deeper/new").read_text() == "text"
    assert stat.S_IMODE((base / "below/deeper/new").stat().st_mode) == 0o600
    assert handles.names(base, "below") == ["deeper", "file"]
    assert [handles.is_file(base, path) for path in ("below/file", "below", "none")] == [True, False, False]
    assert [handles.is_directory(base, path) for path in ("", "below", "below/file")] == [True, True, False]


@pytest.mark.parametrize("path", ["../outside", "below/../../outside", "/etc/passwd", "below/link/file", "link"])
def test_path_that_leads_out_of_its_base_is_refused(base: Path, path: str) -> None:
    (base.parent / "outside").write_text(SECRET)
    (base / "link").symlink_to(base.parent / "outside")
    (base / "below/link").symlink_to(base / "below")
    with pytest.raises(OSError):  # noqa: PT011 - ELOOP, ENOTDIR or EPERM, as the kernel has it
        handles.read_text(base, path)


def test_written_file_takes_the_place_of_a_link_and_leaves_its_target_alone(base: Path) -> None:
    (base.parent / "outside").write_text(SECRET)
    (base / "link").symlink_to(base.parent / "outside")
    handles.write_text(base, "link", "text")
    assert (base.parent / "outside").read_text() == SECRET
    assert (base / "link").read_text() == "text"
    assert sorted(os.listdir(base)) == ["below", "link"]


@pytest.mark.parametrize("what", ["file", "parent"])
def test_name_that_is_swapped_between_look_and_use_never_leads_to_the_secret(base: Path, what: str) -> None:
    """Someone renames a link into its place and back, as fast as they can."""
    outside = base.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text(SECRET)
    swapped = base / ("below/file" if what == "file" else "below")
    trap = base / "trap"
    trap.symlink_to(outside / "file" if what == "file" else outside)
    swap = (
        "import ctypes, os, sys\nlibc = ctypes.CDLL(None)\n"
        "print(os.getpid(), flush=True)\n"
        "while os.getppid() > 1: libc.renameat2(-100, sys.argv[1].encode(), -100, sys.argv[2].encode(), 2)"
    )
    with subprocess.Popen([sys.executable, "-c", swap, str(swapped), str(trap)], stdout=subprocess.PIPE) as swapping:
        assert swapping.stdout is not None
        swapping.stdout.readline()
        outcomes = set()
        try:
            for _ in range(5000):
                try:
                    outcomes.add(handles.read_text(base, "below/file"))
                except OSError:
                    outcomes.add("refused")
        finally:
            swapping.kill()
    assert "refused" in outcomes, "nothing was swapped"
    assert outcomes <= {"plain\n", "refused"}


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")


@pytest.mark.usefixtures("as_root")
def test_finished_release_is_roots_and_nobody_elses_to_write(base: Path) -> None:
    (base / "below/file").chmod(0o6777)
    (base / "below").chmod(0o777)
    (base / "link").symlink_to("/etc/passwd")
    for path in (base, base / "below", base / "below/file", base / "link"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    before = os.stat("/etc/passwd")
    handles.hand_over(base, 0, 0)
    found = {path.name: path.lstat() for path in (base, base / "below", base / "below/file", base / "link")}
    assert {(each.st_uid, each.st_gid) for each in found.values()} == {(0, 0)}
    assert [oct(stat.S_IMODE(found[name].st_mode)) for name in ("base", "below", "file")] == ["0o755", "0o755", "0o755"]
    assert os.stat("/etc/passwd") == before


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("what", ["fifo", "device", "socket", "hard link", "too deep"])
def test_release_with_what_no_release_has_is_refused(base: Path, tmp_path: Path, what: str) -> None:
    target = tmp_path / "target"
    target.write_text(SECRET)
    target.chmod(0o600)
    os.chown(target, 65534, 65534)
    match what:
        case "fifo":
            os.mkfifo(base / "below/x")
        case "device":
            os.mknod(base / "below/x", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(base / "below/x"))
        case "hard link":
            os.link(target, base / "below/x")
        case "too deep":
            (base / "/".join("d" * 150)).mkdir(parents=True)
    with pytest.raises(Unsafe):
        handles.hand_over(base, 0, 0)
    assert (target.stat().st_uid, stat.S_IMODE(target.stat().st_mode)) == (65534, 0o600)
