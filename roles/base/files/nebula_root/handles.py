"""Reads and writes below a directory that others could have filled, by handles that follow no link.

Every function takes a base directory, whose own path only root can change, and a relative path below it. Each
component is opened by the handle of the one before it with O_NOFOLLOW, so that nothing that is renamed meanwhile leads
elsewhere. A file is read only if it is a regular file with one name: no link, no FIFO, no device, no hard link to a
file of another user. Everything that is refused raises an OSError.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOST_BYTES = 4 << 20  # of a file that is read
MOST_LEVELS = 100  # of directories in a tree that is handed over
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Unsafe(OSError):
    """This is not what it should be: a link, a special file, or a file with a second name."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(errno.EPERM, what, path)


@contextmanager
def directory(base: Path, relative: str = "") -> Iterator[int]:
    """Open a directory; yield its handle."""
    handle = os.open(base, DIRECTORY)
    try:
        for part in _parts(relative):
            below = os.open(part, DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def names(base: Path, relative: str = "") -> list[str]:
    """Return the names in a directory, sorted."""
    with directory(base, relative) as handle:
        return sorted(os.listdir(handle))


def is_file(base: Path, relative: str) -> bool:
    """Return whether a regular file is there."""
    return stat.S_ISREG(_mode(base, relative))


def is_directory(base: Path, relative: str = "") -> bool:
    """Return whether a directory is there, and no link to one."""
    return stat.S_ISDIR(_mode(base, relative))


def read_text(base: Path, relative: str) -> str:
    """Return what a file says. Raises OSError, and UnicodeDecodeError for what is not UTF-8."""
    parent, name = os.path.split(relative)
    with directory(base, parent) as handle:
        # O_PATH opens nothing: a FIFO does not wait for its writer, and a device does not notice.
        seen = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
    try:
        _require_plain(os.fstat(seen), relative)
        with open(os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
            content = file.read(MOST_BYTES + 1)
    finally:
        os.close(seen)
    if len(content) > MOST_BYTES:
        raise Unsafe(relative, f"It is larger than {MOST_BYTES >> 20} MiB")
    return content.decode()


def write_text(base: Path, relative: str, text: str, mode: int = 0o644) -> None:
    """Write a file, whole or not at all. What lies there is replaced, and never written to."""
    parent, name = os.path.split(relative)
    fresh = f".{name}.{secrets.token_hex(8)}"
    with directory(base, parent) as handle:
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(fresh, flags, mode, dir_fd=handle), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), mode)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.rename(fresh, name, src_dir_fd=handle, dst_dir_fd=handle)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=handle)
            raise


def remove(path: Path) -> None:
    """Remove a file, a link or a whole tree, however deep; it may be gone already. A link is not followed."""
    # shutil.rmtree calls itself for each level, and ends in a RecursionError on a tree that somebody made deep.
    subprocess.run(["rm", "--recursive", "--force", "--", str(path)], stderr=subprocess.DEVNULL, cwd="/", timeout=600)


def hand_over(base: Path, uid: int, gid: int) -> None:
    """Give a tree to a user, and let nobody else write to it. Nothing of it may be written to by others afterwards.

    From the top down: nobody can change a directory any more when its entries are looked at. Raises Unsafe for what
    does not belong into a release; then part of the tree has been handed over.
    """
    with directory(base) as handle:
        _hand_over(handle, str(base), uid, gid, 0)


def _hand_over(handle: int, shown: str, uid: int, gid: int, level: int) -> None:
    if level > MOST_LEVELS:
        raise Unsafe(shown, f"It lies more than {MOST_LEVELS} directories deep")
    _give(handle, uid, gid)
    for name in os.listdir(handle):
        path = os.path.join(shown, name)
        mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            below = os.open(name, DIRECTORY, dir_fd=handle)
            try:
                _hand_over(below, path, uid, gid, level + 1)
            finally:
                os.close(below)
        elif stat.S_ISLNK(mode):
            os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
        else:
            _hand_over_file(handle, name, path, uid, gid)


def _hand_over_file(directory: int, name: str, shown: str, uid: int, gid: int) -> None:
    seen = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        _require_plain(os.fstat(seen), shown)
        file = os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(seen)
    try:
        _give(file, uid, gid)
    finally:
        os.close(file)


def _give(handle: int, uid: int, gid: int) -> None:
    os.fchown(handle, uid, gid)
    mode = os.fstat(handle).st_mode
    readable = 0o755 if stat.S_ISDIR(mode) or mode & 0o111 else 0o644
    os.fchmod(handle, readable)  # no setuid, no setgid, and nobody else's to write


def _require_plain(found: os.stat_result, shown: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise Unsafe(shown, "It is a link")
    if not stat.S_ISREG(found.st_mode):
        raise Unsafe(shown, "It is no regular file")
    if found.st_nlink != 1:
        raise Unsafe(shown, "It has a second name (a hard link)")


def _mode(base: Path, relative: str) -> int:
    """Return the mode of what is there, 0 if nothing is or if a link leads there."""
    parent, name = os.path.split(relative)
    try:
        with directory(base, parent) as handle:
            return os.stat(name or ".", dir_fd=handle, follow_symlinks=False).st_mode
    except OSError:
        return 0


def _parts(relative: str) -> list[str]:
    parts = [part for part in relative.split("/") if part]
    if ".." in parts or relative.startswith("/"):
        raise Unsafe(relative, "It is no path below its base")
    return parts
