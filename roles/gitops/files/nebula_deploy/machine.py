"""The machine's own commands: the only place that starts programs for a deploy. Each has a deadline."""

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
USUAL = re.compile(r"Start|Stop|nebula-|level=INFO|worker: |\[.*\] \[INFO\]|Traceback")  # in a journal
WORKERS = ("nebula-quick.service", "nebula-worker.service")
GATEWAY = "nebula-api.service"
BUILD_S, MIGRATE_S, DUMP_S, COMMAND_S = 1800, 3600, 3600, 120
SEEN_WITHIN = timedelta(days=2)  # a node that was not seen for longer is not said to be behind


class Machine:
    """What a deploy does to the machine, as the users that may."""

    def __init__(self, places: Places, probe_s: int) -> None:
        self._places = places
        self._probe_s = probe_s
        self._programs = places.root / "usr/local/lib/nebula"

    def unpack(self, archive: bytes, source: Path) -> None:
        """Lay out a release's source, as the user that builds it. The release's own directory stays root's."""
        source.mkdir(mode=0o755)
        shutil.chown(source, "nebula-build", "nebula-build")
        self._run([*_as("nebula-build"), "tar", "-x", "-C", str(source)], stdin=archive, what="Unpacking the source")

    def build(self, release: Path) -> None:
        """Install the locked packages; what was built is root's from then on."""
        self._run(
            [str(self._programs / "build-release"), str(release)], seconds=BUILD_S, what="Installing the packages"
        )

    def server(self, *words: str, release: Path | None = None, stdin: str = "") -> str:
        """Run nebula-server, as the service user; return what it printed."""
        return self._server(words, release, stdin.encode(), COMMAND_S)

    def schema(self) -> str | None:
        """Return the revision of the database's schema; None for an empty one."""
        done = self._call(self._server_argv("migrate", "--status"), self._release(None), b"", COMMAND_S)
        match = SCHEMA.search(done.stdout)
        if match is None:
            raise Stop(f"The database does not say where its schema stands: {_last(done.stdout)}")
        return None if match[1] == "none" else match[1]

    def migrate(self, release: Path, *words: str) -> None:
        """Bring the schema to a release's revision, or with --expand as far as the code before it can still run."""
        self._server(("migrate", *words), release, b"", MIGRATE_S)

    def dump(self, target: Path) -> None:
        """Write what pg_dump says of the database; only root reads it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        written = target.with_suffix(".new")
        url = (self._places.root / "etc/nebula/secrets/database_url").read_text().strip()
        try:
            with open(os.open(written, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                command = [*_as("nebula"), "pg_dump", "--format=custom", "--no-password"]
                ended = call(command, env=os.environ | connection(url), stdout=file, seconds=DUMP_S, shown="pg_dump")
            if ended.returncode != 0:
                raise Stop(f"The database could not be dumped: {_last(ended.stderr.decode(errors='replace'))}")
            written.replace(target)
        finally:
            written.unlink(missing_ok=True)

    def restart(self) -> None:
        """Restart what runs the code. Workers hand back what they hold; the sockets go on listening."""
        for units in (WORKERS, (GATEWAY,)):
            installed = [unit for unit in units if (self._places.units / unit).exists()]
            if installed:
                self._run(["systemctl", "restart", *installed], what=f"Restarting {' and '.join(installed)}")

    def wait_until_ready(self) -> None:
        """Return once the release that is linked serves and its workers stay. Raises Stop."""
        if self._places.serves:
            self._run([str(self._programs / "probe-release"), str(self._probe_s)], seconds=self._probe_s + 60)
        workers = [unit for unit in WORKERS if (self._places.units / unit).exists()]
        if workers:
            command = [str(self._programs / "probe-workers"), str(self._probe_s), *workers]
            self._run(command, seconds=self._probe_s + 60)

    def last_words(self, since: float) -> list[str]:
        """Return the end of what the services said since then."""
        units = [word for unit in (GATEWAY, *WORKERS) for word in ("-u", unit)]
        asked = ["--no-pager", "--quiet", "--output=cat", f"--since=@{int(since)}", *units]
        said = self._call(["journalctl", *asked], {}, b"", COMMAND_S).stdout.splitlines()
        return telling(said)

    def other_nodes(self) -> list[str]:
        """Return the names of other worker nodes that were seen lately."""
        lines = [line.split() for line in self.server("nodes").splitlines()]
        others = [words for words in lines if len(words) == 3]  # this machine's own line has one more
        since = datetime.now(UTC) - SEEN_WITHIN
        return [name for name, _, seen in others if datetime.fromisoformat(seen) > since]

    def start(self, unit: str) -> None:
        """Run a unit to its end."""
        self._run(["systemctl", "start", unit], seconds=24 * 3600, what=f"{unit} (journalctl -u {unit} says why)")

    def _server(self, words: Sequence[str], release: Path | None, stdin: bytes, seconds: float) -> str:
        done = self._call(self._server_argv(*words), self._release(release), stdin, seconds)
        if done.returncode != 0:
            raise Stop(f"nebula-server {words[0]} failed: {_last(done.stdout)}")
        return done.stdout

    def _server_argv(self, *words: str) -> list[str]:
        return [str(self._places.root / "usr/local/sbin/nebula-server"), *words]

    def _release(self, release: Path | None) -> dict[str, str]:
        return {"NEBULA_RELEASE": str(release or self._places.current)}

    def _run(self, argv: Sequence[str], *, stdin: bytes = b"", seconds: float = COMMAND_S, what: str = "") -> str:
        done = self._call(argv, {}, stdin, seconds)
        if done.returncode != 0:
            said = _last(done.stdout)
            raise Stop(f"{what} failed: {said}" if what else said)
        return done.stdout

    def _call(
        self, argv: Sequence[str], environ: Mapping[str, str], stdin: bytes, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        ended = call(argv, env=os.environ | environ, stdin=stdin, seconds=seconds, shown=Path(argv[0]).name)
        return subprocess.CompletedProcess(argv, ended.returncode, ended.stdout.decode(errors="replace"))


def call(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    shown: str,
    stdin: bytes = b"",
    stdout: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, its errors beside its output unless that goes to a file.

    Raises Stop if it does not end. Then all that it started in its session is killed too: it would hold the output
    open, and work on.
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
    """Return a database's address as libpq's variables: a command line would show the password to everyone."""
    parts = urlsplit(url)
    known = {
        "PGHOST": unquote(parts.hostname or ""),
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        "PGSSLMODE": "".join(parse_qs(parts.query).get("sslmode", [])),
    }
    return {name: value for name, value in known.items() if value}


def telling(said: list[str]) -> list[str]:
    """Return what a journal says of a failure: each line once; of a traceback the places in Nebula, and its error."""
    places = [line.strip() for line in said if not line.startswith(" ") or "site-packages/nebula/" in line]
    kept = [line for line in places if not USUAL.match(line)]
    once = {re.sub(r"\d", "", line): line for line in kept}
    return [_shown(line) for line in list(once.values())[-12:]]


def _as(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs"]


def _last(said: str) -> str:
    """Return the line that says why: of a traceback its error, else the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception): ", line)]
    return _shown([*lines, *errors][-1]) if lines else "it said nothing."


def _shown(line: str) -> str:
    return "".join(character for character in line if character.isprintable())[:500]
