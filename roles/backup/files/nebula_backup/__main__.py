"""The entry point: `python3 -m nebula_backup COMMAND`. systemd and root use it."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from nebula_backup import keys, making, reading, targets
from nebula_backup.machine import Machine
from nebula_backup.places import Places, Settings, Stop, read_settings
from nebula_backup.reading import Damaged
from nebula_backup.repository import Repository, write

KEYS = ("add-key", "take-key", "drop-key")


def main(argv: list[str] | None = None, places: Places | None = None) -> int:
    """Run one command; return its exit status."""
    arguments = _parser().parse_args(argv)
    os.umask(0o077)
    try:
        if places is None and arguments.command != "where" and os.geteuid() != 0:
            raise Stop("Only root makes backups here: nebula backup now, from any machine of the tailnet.")
        places = places or Places()
        return _run(arguments.command, read_settings(places), places)
    except Stop as stop:
        print(f"nebula-backup: {stop}", file=sys.stderr, flush=True)
        return 1


def _run(command: str, settings: Settings, places: Places) -> int:
    if command == "where":
        return _where(settings, places)
    signal.signal(signal.SIGTERM, _ended)
    places.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if command in KEYS:
        return _key(command, settings, places)
    machine = Machine(places)
    with _turn(places):
        return {"make": _make, "read": _read, "open": _open}[command](settings, places, machine)


def _make(settings: Settings, places: Places, machine: Machine) -> int:
    try:
        sentence = making.make(settings, places, machine, _say)
    except Exception as error:  # noqa: BLE001 - the waiting person gets a sentence; the journal has the traceback
        sentence = _told(error)
        _end(places, "failed", sentence)
        _note(machine, "failed", sentence)
        return 1
    _end(places, "made", sentence)
    return 0


def _read(settings: Settings, places: Places, machine: Machine) -> int:
    try:
        sentence = reading.read(settings, places, machine)
    except Exception as error:  # noqa: BLE001 - as above
        sentence = _told(error)
        _say(sentence)
        _note(machine, "unreadable" if isinstance(error, Damaged) else "failed", sentence)
        return 1
    _say(sentence)
    _note(machine, "read", sentence)
    return 0


def _open(settings: Settings, places: Places, machine: Machine) -> int:
    """Try the target. The role backup calls this, so that an error shows now and not at night."""
    making.announce(settings, places, machine)
    targets.require(settings)
    is_new = Repository(settings, places).open()
    _say(f"Made a new repository at {settings.repository}." if is_new else "The repository answers.")
    return 0


def _key(command: str, settings: Settings, places: Places) -> int:
    """Run a command of playbooks/rotate-secrets.yml. Does not wait for a running backup: restic has its own locks."""
    repository = Repository(settings, places)
    if command == "take-key":
        _say(keys.take(places))
        return 0
    targets.require(settings)
    repository.open()
    _say(keys.add(repository, places) if command == "add-key" else keys.drop(repository, places))
    return 0


def _where(settings: Settings, places: Places) -> int:
    warning = targets.warning(settings, places)
    print(warning or f"{settings.repository} is not on the data's own file system, or that was accepted.")
    return 1 if warning else 0


def _told(error: Exception) -> str:
    if isinstance(error, Stop):
        return str(error)
    traceback.print_exc()
    return f"The machine could not read or write: {error}." if isinstance(error, OSError) else f"A mistake: {error!r}."


def _end(places: Places, state: str, sentence: str) -> None:
    _say(sentence)
    write(places.outcome, json.dumps({"state": state, "sentence": sentence}))


def _note(machine: Machine, step: str, sentence: str) -> None:
    try:
        machine.note(step, sentence)
    except Stop as stop:
        _say(f"Not recorded: {stop}")


def _ended(_number: int, _frame: FrameType | None) -> None:
    raise Stop("It was ended in the middle (the machine shuts down?). The next night tries again.")


@contextmanager
def _turn(places: Places) -> Iterator[None]:
    """Wait until no other process works with the repository, then lock it."""
    with places.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nebula-backup", description="Backs this machine up.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("make", help="make a backup now")
    commands.add_parser("read", help="read the part of the backup whose turn it is")
    commands.add_parser("open", help="try the target; make the repository where there never was one")
    commands.add_parser("add-key", help="let the password in backup_password.next open the backup too")
    commands.add_parser("take-key", help="use the password in backup_password.next from now on")
    commands.add_parser("drop-key", help="let the password in backup_password.old open the backup no more")
    commands.add_parser("where", help="say whether the target is another disk than the data's")
    return parser


if __name__ == "__main__":
    sys.exit(main())
