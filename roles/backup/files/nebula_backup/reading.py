"""Verifies the backup by reading one part of it each week, so that damage is found before the backup is needed."""

from __future__ import annotations

from nebula_backup import making, targets
from nebula_backup.machine import Machine
from nebula_backup.places import Places, Settings, Stop
from nebula_backup.repository import Repository, write


class Damaged(Stop):
    """The data read differs from the data written, or cannot be read."""


def read(settings: Settings, places: Places, machine: Machine) -> str:
    """Read the next part; return the sentence of success. Raises Stop, or Damaged."""
    making.announce(settings, places, machine)
    repository = Repository(settings, places)
    targets.require(settings)
    if repository.open():
        return "There is nothing to read yet: the repository has just been made."
    part = _part(places, settings.read_weeks)
    try:
        repository.read(part)
    except Stop as stop:
        raise Damaged(
            f"Part {part} of {settings.read_weeks} of the backup is damaged or cannot be read: look after its disk,"
            f" then name a new repository beside it (backup_repository). {stop}"
        ) from None
    write(places.part, str(part + 1))
    return f"Part {part} of {settings.read_weeks} was read, and is whole."


def _part(places: Places, parts: int) -> int:
    try:
        part = int(places.part.read_text())
    except (FileNotFoundError, ValueError):
        return 1
    return part if 1 <= part <= parts else 1
