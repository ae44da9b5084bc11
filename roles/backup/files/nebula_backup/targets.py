"""Checks that the target is there and on another disk than the data, before restic runs: it would wait for long."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from nebula_backup.places import Places, Settings, Stop

ANSWER_S = 10
AGAIN = "The next night tries again; now: nebula backup now."


def require(settings: Settings) -> None:
    """Raise Stop if the target is missing: a disk that is not mounted, or an S3 that does not answer."""
    if settings.directory is None:
        _require_answer(settings.repository)
        return
    if settings.mount and not os.path.ismount(settings.mount):
        raise Stop(f"Nothing is mounted at {settings.mount}: plug the disk in and mount it. {AGAIN}")
    if not settings.directory.is_dir() and settings.mount:
        settings.directory.mkdir(mode=0o700, parents=True)
    if not settings.directory.is_dir():
        raise Stop(f"{settings.directory} is not there: mount its disk, or run site.yml --tags backup. {AGAIN}")


def warning(settings: Settings, places: Places) -> str | None:
    """Return a warning if the target is on the data's own file system; None if it is not, or if that was accepted."""
    if settings.same_disk_accepted or not _is_same(settings, places):
        return None
    return (
        f"{settings.repository} is on the data's own file system: what takes the one takes the other. Name another disk"
        " or an S3 in backup_repository, or accept it (backup_same_disk_accepted)."
    )


def _is_same(settings: Settings, places: Places) -> bool:
    if settings.directory is None:
        host = address(settings.repository)[0]
        return host == "localhost" or host.startswith("127.") or host == "::1"
    data_paths = [path for path in (settings.objects, places.state) if path is not None]
    return _device(settings.directory) in {_device(path) for path in data_paths}


def _device(path: Path) -> int:
    """Return the device of a path; if it does not exist, of the nearest directory above it."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def address(repository: str) -> tuple[str, int]:
    """Return the host and port of an S3 repository.

    >>> address("s3:http://127.0.0.1:9000/bucket"), address("s3:s3.example.com/bucket/path")
    (('127.0.0.1', 9000), ('s3.example.com', 443))
    """
    rest = repository.removeprefix("s3:")
    parts = urlsplit(rest if "://" in rest else f"https://{rest}")
    return parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


def _require_answer(repository: str) -> None:
    host, port = address(repository)
    try:
        socket.create_connection((host, port), ANSWER_S).close()
    except OSError as error:
        why = error.strerror or error
        raise Stop(
            f"{host} does not answer on port {port} ({why}): is it on, and can this machine reach it? {AGAIN}"
        ) from None
