"""`nebula-server`: the server's own command, run on the server's machine.

An error is one line that says what to do.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nebula
from nebula import config, up
from nebula.auth.passwords import Passwords
from nebula.auth.tokens import AccessTokens
from nebula.config import Settings
from nebula.db import accounts as account_rows
from nebula.db import counts, migrate, nodes
from nebula.db.database import Database, sqlite_path
from nebula.domain.states import BackupState, OperationState, Queue, Role
from nebula.errors import InvalidInput, NebulaError, NotFound, SettingsError, StoreUnavailable
from nebula.messages import Messages
from nebula.services.accounts import Accounts
from nebula.services.machine import node_leases
from nebula.services.machine.backups import BackupOverview, Backups
from nebula.services.machine.consistency import Checks
from nebula.services.machine.operations import Operations
from nebula.storage.choose import open_storage
from nebula.worker.app import create_encoders, create_worker

DONE, FAILED, USAGE, UNREACHABLE, NOT_FOUND, INTERRUPTED = 0, 1, 2, 3, 5, 130

BACKUP_STEPS = ("set-up", "forget", "hold", "release", "made", "failed", "read", "unreadable")

Command = Callable[[Mapping[str, str], argparse.Namespace], int]


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = _parser().parse_args(argv)
    command: Command = arguments.command
    try:
        return command(_environment(), arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except NebulaError as error:
        print(f"nebula-server: {error.message}", file=sys.stderr)
        if log := error.details.get("log"):
            print(f"The end of {error.details.get('path')}:\n{log}", file=sys.stderr)
        return _status(error)
    except OSError as error:
        # Every path that a command opens itself is below the data directory.
        place = f"{error.filename}: " if error.filename else ""
        print(f"nebula-server: {place}{error.strerror or error}; see NEBULA_DATA_DIR.", file=sys.stderr)
        return FAILED


def _status(error: NebulaError) -> int:
    if isinstance(error, StoreUnavailable):
        return UNREACHABLE
    return NOT_FOUND if isinstance(error, NotFound) else FAILED


def _environment() -> dict[str, str]:
    environ = dict(os.environ)
    own = Path(sys.prefix)
    if own.name == ".venv":
        # The command of a checkout uses the data of that checkout, from whatever directory it is run.
        environ.setdefault("NEBULA_DATA_DIR", str(own.parent / ".nebula"))
    return environ


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nebula-server", description="The server's own command.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"Nebula {nebula.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, help: str) -> argparse.ArgumentParser:
        subparser = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        subparser.set_defaults(command=command)
        return subparser

    add("up", _up, "Run gateway and workers until Ctrl-C.")
    extent = add("migrate", _migrate, "Bring the schema to this version.").add_mutually_exclusive_group()
    extent.add_argument(
        "--status", action="store_true", help="only say where the schema stands; exit status 1 where it is not current"
    )
    extent.add_argument("--expand", action="store_true", help="only as far as the version before can still run on it")
    add("accounts", _list_accounts, "List the accounts, one a line.")
    create = add("create-account", _create_account, "Make an account.")
    create.add_argument("--role", choices=[role.value for role in Role], default=Role.MEMBER.value)
    reset = add("reset-password", _reset_password, "Give an account a new password; its sessions end.")
    for with_password in (create, reset):
        with_password.add_argument("--password-stdin", action="store_true", help="read the password from stdin")
    disable = add("disable-account", _disable_account, "Close an account: sessions, links and jobs end, files stay.")
    enable = add("enable-account", _enable_account, "Open a closed account again; what was ended stays ended.")
    for with_name in (create, reset, disable, enable):
        with_name.add_argument("name", metavar="NAME")
    add("check", _check, "Say whether everything that the server needs is there.")
    add("encoder", _encoder, "Try the encoders, and say which one this machine makes films with.")
    add("sweep", _sweep, "Sweep once, now.")
    add("nodes", _list_nodes, "List the machines that run workers, one a line, with version and when they were seen.")
    forget = add("forget-node", _forget_node, "Forget a machine that left; what it was doing goes back to the queue.")
    forget.add_argument("name", metavar="NAME")
    add("grant-workers", _grant_workers, "Let worker nodes use the database as far as they need it to make films.")
    add("settle", _settle, "After a restore: end what was under way when the backup was made, and count what is there.")
    operation = add("operation", _operation, "For the machine's deployer: note what it does.")
    operation.add_argument("step", choices=["begin", "take", "end"])
    operation.add_argument("subject", metavar="COMMIT|ID")
    operation.add_argument("outcome", metavar="STATE", nargs="?", choices=["done", "failed"])
    operation.add_argument("release", metavar="RELEASE", nargs="?")
    backup = add("backup", _backup, "Say how the backup is; for the machine's program: note what it does.")
    backup.add_argument("step", choices=["status", *BACKUP_STEPS], nargs="?", default="status")
    return parser


def _up(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    return up.run(environ)


def _migrate(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    settings = config.load(environ)
    if not arguments.status:
        bring = migrate.expand if arguments.expand else migrate.upgrade
        print(f"The schema is at revision {bring(settings.database_url).current}.")
        return DONE
    _require_database(settings)
    schema = migrate.status(settings.database_url)
    print(_schema_sentence(schema))
    return DONE if schema.is_current else FAILED


def _list_accounts(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    with _accounts(environ) as accounts:
        for account in accounts.everyone():
            print(f"{account.name} ({account.role}{', closed' if account.disabled_at else ''})")
    return DONE


def _create_account(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    with _accounts(environ) as accounts:
        account = accounts.create_account(arguments.name, _password(arguments), Role(arguments.role))
    print(f"The account {account.name} ({account.role}) is there.")
    return DONE


def _reset_password(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    with _accounts(environ) as accounts:
        accounts.reset_password(arguments.name, _password(arguments))
    print(f"The account {arguments.name} has a new password; its sessions have ended.")
    return DONE


def _disable_account(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    with _accounts(environ) as accounts:
        accounts.disable_account(arguments.name)
    print(f"The account {arguments.name} is closed; its files are still there.")
    return DONE


def _enable_account(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    with _accounts(environ) as accounts:
        accounts.enable_account(arguments.name)
    print(f"The account {arguments.name} is open; its owner can sign in.")
    return DONE


def _check(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    settings = config.load(environ)
    _require_database(settings)
    messages = Messages(settings)
    database = Database(settings.database_url, threads=1)
    is_well = True
    try:
        checks = Checks(
            database,
            open_storage(settings),
            schema=lambda: _schema(settings),
            queue=messages.check,
            programs=_programs,
        )
        for finding in checks.run():
            print(f"{'ok  ' if finding.is_well else 'FAIL'}  {finding.subject:<9} {finding.text}")
            is_well = is_well and finding.is_well
    finally:
        messages.close()
        database.close()
    return DONE if is_well else FAILED


def _encoder(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    choice = create_encoders(config.load(environ)).find_anew()
    for reason in choice.reasons:
        print(reason, file=sys.stderr)
    print(choice.encoder)
    return DONE


def _sweep(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    settings = config.load(environ)
    _require_schema(settings)
    _, worker = create_worker(settings, Queue.QUICK)
    worker.sweep()
    print("Swept.")
    return DONE


def _list_nodes(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    settings = config.load(environ)
    with _database(settings) as database:
        for node in database.read(nodes.all_nodes):
            own = " (this one)" if node.name == settings.node_name else ""
            print(f"{node.name} {node.version} {node.seen_at.isoformat(timespec='seconds')}{own}")
    return DONE


def _forget_node(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    settings = config.load(environ)
    if arguments.name == settings.node_name:
        raise InvalidInput(f"{arguments.name} is this machine itself; name the one that left.")
    messages = Messages(settings)
    try:
        with _database(settings) as database:
            returned = node_leases.forget(database, messages, arguments.name)
    finally:
        messages.close()
    for task in returned:
        print(f"given back {task}")
    print(f"The node {arguments.name} is forgotten.")
    return DONE


def _grant_workers(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    settings = config.load(environ)
    _require_schema(settings)
    if not migrate.grant(settings.database_url):
        raise NotFound(
            "The database has no role for them. Its administrator makes it: CREATE ROLE nebula_workers NOLOGIN"
        )
    print("Worker nodes may make films.")
    return DONE


def _operation(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    with _database(config.load(environ)) as database:
        operations = Operations(database, spool=None)
        if arguments.step == "begin":
            print(operations.begin(arguments.subject).id)
        elif arguments.step == "take":
            print(json.dumps({"kind": operations.take(arguments.subject).kind}))
        elif arguments.outcome is None:
            raise InvalidInput("How did it end? nebula-server operation end ID done|failed [RELEASE]")
        else:
            state, message = OperationState(arguments.outcome), sys.stdin.read().strip()
            operations.end(arguments.subject, state, message, arguments.release)
    return DONE


def _settle(environ: Mapping[str, str], _arguments: argparse.Namespace) -> int:
    settings = config.load(environ)
    _require_schema(settings)
    with _database(settings) as database:
        Operations(database, spool=None).end_cut_off()
        totals = database.read(counts.count)
        people = len(database.read(account_rows.everyone))
    files = sum(totals.files.values())
    print(f"{people} accounts, {files} files, {totals.stored_bytes} bytes, {totals.uploads} unfinished uploads.")
    return DONE


def _backup(environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    with _database(config.load(environ)) as database:
        backups = Backups(database)
        if arguments.step == "status":
            return _say_backup(backups.overview())
        if arguments.step == "hold":
            print(backups.hold().isoformat(timespec="seconds"))
        elif arguments.step == "release":
            backups.release()
        elif arguments.step == "forget":
            backups.forget()
        elif arguments.step == "set-up":
            backups.set_up(*_set_up(sys.stdin.read()))
        else:
            backups.note(arguments.step, sys.stdin.read().strip())
    return DONE


def _set_up(given: str) -> tuple[str, str, str | None]:
    try:
        fields = json.loads(given)
        return str(fields["target"]), str(fields["kept"]), fields.get("warning") or None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput('Give {"target": ..., "kept": ..., "warning": ...} on stdin.') from None


def _say_backup(overview: BackupOverview) -> int:
    """Print the condition of the backup, one line for each fact. The exit status is 1 if it is failing or overdue."""
    print(overview.state)
    if backup := overview.backup:
        details = (backup.target, backup.warning, backup.error, backup.read_error, backup.said, backup.read_said)
        print(*filter(None, details), sep="\n")
    return FAILED if overview.state in (BackupState.FAILING, BackupState.OVERDUE) else DONE


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    _require_database(settings)
    database = Database(settings.database_url, threads=1)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _accounts(environ: Mapping[str, str]) -> Iterator[Accounts]:
    settings = config.load(environ)
    _require_schema(settings)
    with _database(settings) as database:
        # No token is issued or read here, so any key will do: the caller may not be allowed to read SECRET_KEY.
        tokens = AccessTokens([secrets.token_urlsafe(32)], minutes=1)
        yield Accounts(database, Passwords(), tokens, refresh_token_days=settings.refresh_token_days)


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidInput("There is no terminal to ask for the password: give it on stdin with --password-stdin.")
    password = getpass.getpass(f"Password for {arguments.name}: ")
    if getpass.getpass("Once more: ") != password:
        raise InvalidInput("The two passwords differ; nothing was changed.")
    return password


def _require_database(settings: Settings) -> None:
    # Opening SQLite would create an empty database in the wrong place.
    path = sqlite_path(settings.database_url)
    if path is not None and not Path(path).exists():
        raise SettingsError(
            f"There is no database at {path}. Set NEBULA_DATA_DIR (or DATABASE_URL) to the server's, or run"
            " nebula-server migrate to make a new one."
        )


def _require_schema(settings: Settings) -> None:
    _require_database(settings)
    _schema(settings)


def _schema(settings: Settings) -> str:
    schema = migrate.status(settings.database_url)
    if schema.current is None or not (schema.is_current or schema.is_newer):
        raise SettingsError(_schema_sentence(schema))
    return _schema_sentence(schema)


def _schema_sentence(found: migrate.SchemaStatus) -> str:
    if found.is_newer:
        return f"The schema is at revision {found.current}, written by a newer version (this one knows {found.head})."
    if found.is_current:
        return f"The schema is at revision {found.current}, as this version needs it."
    return f"The schema is at revision {found.current or 'none'}, not at {found.head}: run nebula-server migrate."


def _programs() -> str:
    missing = [program for program in up.PROGRAMS if shutil.which(program) is None]
    if missing:
        raise SettingsError(f"Not installed: {', '.join(missing)}. On Debian: apt-get install ffmpeg util-linux.")
    return str(shutil.which("ffmpeg"))
