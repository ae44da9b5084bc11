"""Reads and writes files in a directory whose content other users may control, without following links.

Each function takes a base directory, whose own path only root can change, and a relative path below it. Each component
is opened with O_NOFOLLOW relative to the handle of its parent, so a rename in the meantime cannot lead elsewhere. A
file is read only if it is a regular file with exactly one name: no symbolic link, no FIFO, no device, no hard link to a
file of another user. Whatever is refused raises an OSError.
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

MOST_BYTES = 4 << 20  # limit for a file that is read
MOST_LEVELS = 100  # limit for the depth of a tree that is handed over
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Unsafe(OSError):
    """The path is not a plain file or directory: a link, a special file, a file with a second name."""

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
    """Return whether the path is a regular file."""
    return stat.S_ISREG(_mode(base, relative))


def is_directory(base: Path, relative: str = "") -> bool:
    """Return whether the path is a directory; False for a link to one."""
    return stat.S_ISDIR(_mode(base, relative))


def read_text(base: Path, relative: str) -> str:
    """Return the text of a file. Raises OSError, or UnicodeDecodeError if it is not UTF-8."""
    parent, name = os.path.split(relative)
    with directory(base, parent) as handle:
        # O_PATH does not open the file itself, so a FIFO does not block and a device is not touched.
        path_handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
    try:
        _require_plain(os.fstat(path_handle), relative)
        with open(os.open(f"/proc/self/fd/{path_handle}", os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
            content = file.read(MOST_BYTES + 1)
    finally:
        os.close(path_handle)
    if len(content) > MOST_BYTES:
        raise Unsafe(relative, f"It is larger than {MOST_BYTES >> 20} MiB")
    return content.decode()


def write_text(base: Path, relative: str, text: str, mode: int = 0o644) -> None:
    """Write a file atomically. An existing file is replaced and never written to."""
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
    """Remove a file, a link or a tree of any depth. The path may be missing. Links are not followed."""
    # shutil.rmtree is recursive, and raises RecursionError if somebody has made a very deep tree.
    subprocess.run(["rm", "--recursive", "--force", "--", str(path)], stderr=subprocess.DEVNULL, cwd="/", timeout=600)


def hand_over(base: Path, uid: int, gid: int) -> None:
    """Make a user the owner of a tree. Afterwards nobody else can write to any part of it.

    Works from the top down, so nobody can change a directory any more when its entries are examined. Raises Unsafe for
    anything that does not belong in a release; part of the tree has been handed over by then.
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
    path_handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        _require_plain(os.fstat(path_handle), shown)
        file = os.open(f"/proc/self/fd/{path_handle}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(path_handle)
    try:
        _give(file, uid, gid)
    finally:
        os.close(file)


def _give(handle: int, uid: int, gid: int) -> None:
    os.fchown(handle, uid, gid)
    mode = os.fstat(handle).st_mode
    readable = 0o755 if stat.S_ISDIR(mode) or mode & 0o111 else 0o644
    os.fchmod(handle, readable)  # no setuid, no setgid, not writable by others


def _require_plain(found: os.stat_result, shown: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise Unsafe(shown, "It is a link")
    if not stat.S_ISREG(found.st_mode):
        raise Unsafe(shown, "It is no regular file")
    if found.st_nlink != 1:
        raise Unsafe(shown, "It has a second name (a hard link)")


def _mode(base: Path, relative: str) -> int:
    """Return the mode of the path; 0 if it does not exist or is reached through a link."""
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
