"""Runs the machine's commands: nebula-server, which records the backup in the database, and pg_dump."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from nebula_backup.places import Places, Settings, Stop
from nebula_backup.repository import write
from nebula_root import handles

COMMAND_S, DUMP_S = 120, 6 * 3600
SPARE_BYTES = 1 << 30
SCHEMA = re.compile(r"at revision (\S+?)[,.]")


class Machine:
    """What a backup needs from the machine."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def note(self, step: str, sentence: str = "") -> None:
        """Record a step of the backup in the database (nebula-server backup). Raises Stop."""
        self._server("backup", step, stdin=sentence)

    def dump(self, settings: Settings) -> None:
        """Write a dump of the database and its manifest to the directory that is backed up. Raises Stop."""
        folder = self._places.dump
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_room(folder)
        new_file = folder / "nebula.dump.new"
        url = (self._places.secrets / "database_url").read_text().strip()
        # Uncompressed, because restic compresses, and finds what has not changed since the last backup.
        command = ["pg_dump", "--format=custom", "--compress=0", "--no-password"]
        with open(os.open(new_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            completed = subprocess.run(
                command,
                env=os.environ | connection(url),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
                cwd="/",
                timeout=DUMP_S,
            )
        if completed.returncode != 0:
            new_file.unlink()
            raise Stop(f"The database could not be dumped: {_last(completed.stderr.decode(errors='replace'))}")
        write(folder / "manifest.json", json.dumps(self._manifest(settings), indent=2))
        new_file.replace(folder / "nebula.dump")

    def _manifest(self, settings: Settings) -> dict[str, object]:
        release = self._places.release.resolve()
        schema = SCHEMA.search(self._server("migrate", "--status", fine=(0, 1)))
        return {
            "format": 1,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": settings.host,
            "release": release.name,
            "commit": handles.read_text(release, "deployed").strip() if handles.is_file(release, "deployed") else None,
            "schema": schema[1] if schema else None,
            "bucket": settings.bucket,
            "objects": str(settings.objects) if settings.objects else None,
        }

    def _server(self, *words: str, stdin: str = "", fine: tuple[int, ...] = (0,)) -> str:
        try:
            completed = subprocess.run(
                [str(self._places.server), *words],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd="/",
                timeout=COMMAND_S,
            )
        except subprocess.TimeoutExpired:
            raise Stop(f"nebula-server {' '.join(words)} did not end within {COMMAND_S} s.") from None
        if completed.returncode not in fine:
            raise Stop(f"nebula-server {' '.join(words)} failed: {_last(completed.stdout)}")
        return completed.stdout


def check_room(folder: Path) -> None:
    """Raise Stop if the disk has no room for a dump. A full disk stops the database; the last dump gives the size."""
    last = folder / "nebula.dump"
    needed = SPARE_BYTES + (last.stat().st_size if last.exists() else 0)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Stop(
            f"This machine's disk has {free >> 20} MiB free, and a dump of the database asks for {needed >> 20} MiB:"
            " free some room (nebula trash --empty), then nebula backup now."
        )


def connection(url: str) -> dict[str, str]:
    """Return a database URL as libpq's environment variables. A command line would show the password to everyone."""
    parts = urlsplit(url)
    variables = {
        "PGHOST": unquote(parts.hostname or ""),
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        "PGSSLMODE": "".join(parse_qs(parts.query).get("sslmode", [])),
    }
    return {name: value for name, value in variables.items() if value}


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = lines[-1] if lines else "it said nothing."
    return "".join(character for character in last if character.isprintable())[:500]
