"""Runs the machine's commands for a deploy, except git (repository.py). Each has a deadline."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, unquote, urlsplit

from nebula_deploy.places import Places, Stop

SCHEMA = re.compile(r"at revision (\S+?)[,.]")
USUAL = re.compile(r"Start|Stop|nebula-|level=INFO|worker: |\[.*\] \[INFO\]|Traceback")  # ordinary lines of a journal
WORKERS = ("nebula-quick.service", "nebula-worker.service")
GATEWAY = "nebula-api.service"
BUILD_S, MIGRATE_S, DUMP_S, COMMAND_S = 1800, 3600, 3600, 120
SEEN_WITHIN = timedelta(days=2)  # a node that was last seen before that is not reported as behind


class Machine:
    """What a deploy does to the machine. Each command runs as the user that is allowed to do it."""

    def __init__(self, places: Places, probe_s: int) -> None:
        self._places = places
        self._probe_s = probe_s
        self._programs = places.root / "usr/local/lib/nebula"

    def unpack(self, archive: bytes, source: Path) -> None:
        """Unpack a release's source as the user that builds it. The release's own directory still belongs to root."""
        source.mkdir(mode=0o755)
        shutil.chown(source, "nebula-build", "nebula-build")
        self._run([*_as("nebula-build"), "tar", "-x", "-C", str(source)], stdin=archive, what="Unpacking the source")

    def build(self, release: Path) -> None:
        """Install the locked packages. Afterwards all built files belong to root."""
        self._run(
            [str(self._programs / "build-release"), str(release)], seconds=BUILD_S, what="Installing the packages"
        )

    def server(self, *words: str, release: Path | None = None, stdin: str = "") -> str:
        """Run nebula-server as the service user; return its output."""
        return self._server(words, release, stdin.encode(), COMMAND_S)

    def schema(self) -> str | None:
        """Return the revision of the database's schema; None for an empty one."""
        completed = self._call(self._server_argv("migrate", "--status"), self._release(None), b"", COMMAND_S)
        match = SCHEMA.search(completed.stdout)
        if match is None:
            raise Stop(f"The database does not say where its schema stands: {_last(completed.stdout)}")
        return None if match[1] == "none" else match[1]

    def migrate(self, release: Path, *words: str) -> None:
        """Bring the schema to a release's revision, or with --expand only as far as older code can still run on it."""
        self._server(("migrate", *words), release, b"", MIGRATE_S)

    def dump(self, target: Path) -> None:
        """Dump the database with pg_dump to a file that only root can read."""
        target.parent.mkdir(parents=True, exist_ok=True)
        new_file = target.with_suffix(".new")
        url = (self._places.root / "etc/nebula/secrets/database_url").read_text().strip()
        try:
            with open(os.open(new_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                command = [*_as("nebula"), "pg_dump", "--format=custom", "--no-password"]
                dumped = call(command, env=os.environ | connection(url), stdout=file, seconds=DUMP_S, shown="pg_dump")
            if dumped.returncode != 0:
                raise Stop(f"The database could not be dumped: {_last(dumped.stderr.decode(errors='replace'))}")
            new_file.replace(target)
        finally:
            new_file.unlink(missing_ok=True)

    def restart(self) -> None:
        """Restart the services. Workers give their tasks back; the sockets keep listening."""
        for units in (WORKERS, (GATEWAY,)):
            installed = [unit for unit in units if (self._places.units / unit).exists()]
            if installed:
                self._run(["systemctl", "restart", *installed], what=f"Restarting {' and '.join(installed)}")

    def wait_until_ready(self) -> None:
        """Wait until the linked release serves and its workers keep running. Raises Stop if that does not happen."""
        if self._places.serves:
            self._run([str(self._programs / "probe-release"), str(self._probe_s)], seconds=self._probe_s + 60)
        workers = [unit for unit in WORKERS if (self._places.units / unit).exists()]
        if workers:
            command = [str(self._programs / "probe-workers"), str(self._probe_s), *workers]
            self._run(command, seconds=self._probe_s + 60)

    def last_words(self, since: float) -> list[str]:
        """Return the last relevant lines that the services have logged since then."""
        units = [word for unit in (GATEWAY, *WORKERS) for word in ("-u", unit)]
        options = ["--no-pager", "--quiet", "--output=cat", f"--since=@{int(since)}", *units]
        journal = self._call(["journalctl", *options], {}, b"", COMMAND_S).stdout.splitlines()
        return telling(journal)

    def other_nodes(self) -> list[str]:
        """Return the names of the other worker nodes that were seen within SEEN_WITHIN."""
        lines = [line.split() for line in self.server("nodes").splitlines()]
        others = [words for words in lines if len(words) == 3]  # the line of this machine has a fourth word
        since = datetime.now(UTC) - SEEN_WITHIN
        return [name for name, _, seen in others if datetime.fromisoformat(seen) > since]

    def start(self, unit: str) -> None:
        """Start a unit and wait until it has ended. Raises Stop if it failed."""
        self._run(["systemctl", "start", unit], seconds=24 * 3600, what=f"{unit} (journalctl -u {unit} says why)")

    def _server(self, words: Sequence[str], release: Path | None, stdin: bytes, seconds: float) -> str:
        completed = self._call(self._server_argv(*words), self._release(release), stdin, seconds)
        if completed.returncode != 0:
            raise Stop(f"nebula-server {words[0]} failed: {_last(completed.stdout)}")
        return completed.stdout

    def _server_argv(self, *words: str) -> list[str]:
        return [str(self._places.root / "usr/local/sbin/nebula-server"), *words]

    def _release(self, release: Path | None) -> dict[str, str]:
        return {"NEBULA_RELEASE": str(release or self._places.current)}

    def _run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = COMMAND_S, what: str = "") -> str:
        completed = self._call(argv, {}, stdin, seconds)
        if completed.returncode != 0:
            reason = _last(completed.stdout)
            raise Stop(f"{what} failed: {reason}" if what else reason)
        return completed.stdout

    def _call(
        self, argv: Sequence[str], environ: Mapping[str, str], stdin: bytes, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        completed = call(argv, env=os.environ | environ, stdin=stdin, seconds=seconds, shown=Path(argv[0]).name)
        return subprocess.CompletedProcess(argv, completed.returncode, completed.stdout.decode(errors="replace"))


def call(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    shown: str,
    stdin: bytes = b"",
    stdout: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end. Its stderr is mixed into its output, unless the output goes to a file.

    Raises Stop if it does not end in time. Then every process of its session is killed, because a child would keep the
    output open and go on working.
    """
    streams = (stdout, subprocess.PIPE) if stdout else (subprocess.PIPE, subprocess.STDOUT)
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=streams[0], stderr=streams[1], cwd="/", start_new_session=True
    ) as running:
        try:
            output, errors = running.communicate(stdin, timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Stop(f"{shown} did not end within {seconds:g} s.") from None
            raise
    return subprocess.CompletedProcess(argv, running.returncode, output, errors)


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


def telling(said: list[str]) -> list[str]:
    """Return the lines of a journal that explain a failure, each once. Of a traceback: Nebula's frames, the error."""
    stripped = [line.strip() for line in said if not line.startswith(" ") or "site-packages/nebula/" in line]
    unusual = [line for line in stripped if not USUAL.match(line)]
    by_digitless_text = {re.sub(r"\d", "", line): line for line in unusual}
    return [_shown(line) for line in list(by_digitless_text.values())[-12:]]


def _as(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs"]


def _last(said: str) -> str:
    """Return the line that says why: the error of a traceback, else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception): ", line)]
    return _shown([*lines, *errors][-1]) if lines else "it said nothing."


def _shown(line: str) -> str:
    return "".join(character for character in line if character.isprintable())[:500]
