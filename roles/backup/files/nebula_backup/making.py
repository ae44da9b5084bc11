"""Makes a backup: opens the repository, holds purges, dumps the database and saves everything in one snapshot.

The dump comes first and no object is deleted during a hold, so the snapshot has every object that the dump names.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nebula_backup import targets
from nebula_backup.machine import Machine
from nebula_backup.places import Places, Settings, Stop
from nebula_backup.repository import Repository, Saved

Say = Callable[[str], None]

HOLD_AGAIN_S = 180  # how often the hold is renewed; it lasts five times as long (nebula's PURGE_HOLD_S)
UNFINISHED = (".minio.sys/tmp", ".minio.sys/multipart")  # left out: data of unfinished uploads, which start again


def make(settings: Settings, places: Places, machine: Machine, say: Say) -> str:
    """Make a backup; return the sentence of success. Raises Stop."""
    announce(settings, places, machine)
    repository = Repository(settings, places)
    targets.require(settings)
    if settings.objects and not settings.objects.is_dir():
        raise Stop(f"The objects are not at {settings.objects}: is their disk mounted?")
    if repository.open():
        say(f"Made a new repository at {settings.repository}.")
    say("Dumping the database, while no object is deleted.")
    with held(machine, say):
        machine.dump(settings)
        say("Saving." if settings.objects else "Saving the dump.")
        saved = _save(repository, settings, places, say)
    sentence = _success(settings, saved)
    machine.note("made", sentence)
    say("Forgetting what is older than is kept.")
    try:
        repository.forget()
    except Stop as stop:
        raise Stop(f"The backup is made, but older ones could not be forgotten: {stop}") from None
    return sentence


def announce(settings: Settings, places: Places, machine: Machine) -> None:
    """Record in the database what people see about the target. Raises Stop."""
    target_facts = {"target": settings.repository, "kept": settings.kept, "warning": targets.warning(settings, places)}
    machine.note("set-up", json.dumps(target_facts))


@contextmanager
def held(machine: Machine, say: Say) -> Iterator[None]:
    """Hold purges. Raises Stop at the end if the hold expired meanwhile, because the snapshot may lack an object."""
    try:
        machine.note("hold")
        with _renewed(machine, say):
            yield
    except BaseException:
        _let_go(machine, say)
        raise
    try:
        machine.note("release")
    except Stop as stop:
        raise Stop(f"What was saved may lack objects that were purged meanwhile; make another backup. {stop}") from None


@contextmanager
def _renewed(machine: Machine, say: Say) -> Iterator[None]:
    """Renew the hold for as long as the backup takes."""
    backup_ended = threading.Event()

    def go_on() -> None:
        while not backup_ended.wait(HOLD_AGAIN_S):
            try:
                machine.note("hold")
            except Stop as stop:
                say(f"The hold could not be renewed; trying again: {stop}")

    renewing = threading.Thread(target=go_on, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        backup_ended.set()
        renewing.join()


def _let_go(machine: Machine, say: Say) -> None:
    try:
        machine.note("release")
    except Stop as stop:
        say(f"The hold on purges ends by itself: {stop}")


def _save(repository: Repository, settings: Settings, places: Places, say: Say) -> Saved:
    if settings.objects is None:
        return repository.save([places.dump], [], say)
    return repository.save([places.dump, settings.objects], [settings.objects / path for path in UNFINISHED], say)


def _success(settings: Settings, saved: Saved) -> str:
    sentence = f"The backup is made: {size(saved.size_bytes)}, {size(saved.new_bytes)} of that new."
    if settings.objects is None:
        sentence += " It holds the database alone: the objects are in an S3 elsewhere, whose backup is its own matter."
    return sentence


def size(size_bytes: int) -> str:
    """Return "1.5 GiB".

    >>> size(1536 << 20)
    '1.5 GiB'
    """
    amount = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
