"""Links: opaque URLs, each for one representation of one file. Any player can open one; its account can revoke it.

A token is 32 random bytes. Only its digest is stored, so reading the database is not enough to open a link.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import secrets
from collections.abc import Callable

from nebula.db import files, links, subtitles
from nebula.db.database import Database, Tx
from nebula.domain.records import File, Link, Principal, Rendition, Subtitles
from nebula.errors import InvalidInput, NotFound, StoreUnavailable
from nebula.services.playback import (
    Representation,
    best_for_web,
    found_subtitles,
    of_original,
    of_rendition,
    of_subtitles,
    seen,
)

log = logging.getLogger(__name__)

ORIGINAL = "original"
AUTO = "auto"
SUBTITLES = "subtitles"
DEFAULT_LIFE_S = 6 * 3600
SHORTEST_LIFE_S = 60
LONGEST_LIFE_S = 366 * 86400
MOST_LISTED = 1000


class Links:
    """Creates, lists, revokes and opens links."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        principal: Principal,
        file_id: str,
        *,
        quality: str = AUTO,
        subtitles_id: str | None = None,
        expires_s: int | None = None,
    ) -> Link:
        """Create a link. Only the record that is returned here has the token; it cannot be read again later.

        "auto" is the best representation that plays everywhere, or else the original. It is chosen now and does not
        change when more renditions are made. With `subtitles_id` the link is for these subtitles instead of a film.
        Raises NotFound, InvalidInput (invalid_expiry, invalid_quality).
        """
        if expires_s is not None and not SHORTEST_LIFE_S <= expires_s <= LONGEST_LIFE_S:
            raise InvalidInput(
                f"expires_s must be from {SHORTEST_LIFE_S} to {LONGEST_LIFE_S} seconds.", code="invalid_expiry"
            )
        if subtitles_id is not None and quality != AUTO:
            raise InvalidInput("A link is for a quality or for subtitles, not for both.", code="invalid_quality")
        token = secrets.token_urlsafe(32)

        def work(tx: Tx) -> Link:
            file = seen(tx, principal, file_id)
            chosen: Rendition | Subtitles | None
            if subtitles_id is not None:
                chosen = found_subtitles(tx, file, subtitles_id)
            else:
                chosen = _chosen(file, files.renditions(tx, file.content.id), quality)
            return links.add(
                tx,
                digest=_digest(token),
                account_id=principal.account_id,
                file_id=file.id,
                rendition_id=chosen.id if isinstance(chosen, Rendition) else None,
                subtitles_id=chosen.id if isinstance(chosen, Subtitles) else None,
                quality=_quality(chosen),
                life_s=expires_s or max(DEFAULT_LIFE_S, 2 * (file.content.duration_s or 0)),
            )

        link = self._database.write(work)
        log.info("link made link=%s file=%s account=%s", link.id, file_id, principal.account_id)
        return dataclasses.replace(link, token=token)

    def list(self, principal: Principal) -> list[Link]:
        """Return the account's living links, the newest first, without their tokens."""
        return self._database.read(lambda tx: links.living(tx, principal.account_id, MOST_LISTED))

    def revoke(self, principal: Principal, link_id: str) -> None:
        """Revoke a link. New requests fail at once; running ones end within half a minute. Raises NotFound."""
        if not self._database.write(lambda tx: links.revoke(tx, principal.account_id, link_id)):
            raise NotFound("There is no such link.", code="link_not_found")
        log.info("link revoked link=%s account=%s", link_id, principal.account_id)

    def open(self, token: str) -> Representation:
        """Return the representation that a link stands for. Raises NotFound, which is the same for every reason."""
        digest = _digest(token)
        target = self._database.read(lambda tx: _target(tx, digest))
        if target is None:
            raise NotFound("This link does not exist, or it has ended.", code="link_not_found")
        link, file, chosen = target
        representation = _representation(file, chosen, self._watch(digest))
        return dataclasses.replace(representation, link=(link.account_id, link.id))

    def _watch(self, digest: str) -> Callable[[], bool]:
        def may_continue() -> bool:
            try:
                return self._database.read(lambda tx: links.find_alive(tx, digest, ORIGINAL) is not None)
            except StoreUnavailable:
                return True  # nothing can be revoked now, and a film should play on while the database restarts

        return may_continue


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _chosen(file: File, renditions: list[Rendition], quality: str) -> Rendition | None:
    """Return the rendition of that quality, or None for the original. Raises InvalidInput (invalid_quality)."""
    if quality == AUTO:
        best = best_for_web(file, renditions)
        return best if isinstance(best, Rendition) else None
    by_rung = {rendition.rung: rendition for rendition in renditions}
    if quality != ORIGINAL and quality not in by_rung:
        available = [AUTO, ORIGINAL, *by_rung]
        raise InvalidInput(
            f"This file can be had as: {', '.join(available)}.", code="invalid_quality", available=available
        )
    return by_rung.get(quality)


def _quality(chosen: Rendition | Subtitles | None) -> str:
    if isinstance(chosen, Subtitles):
        return SUBTITLES
    return ORIGINAL if chosen is None else chosen.rung


def _representation(
    file: File, chosen: Rendition | Subtitles | None, may_continue: Callable[[], bool]
) -> Representation:
    if isinstance(chosen, Subtitles):
        return of_subtitles(file, chosen, may_continue)
    return of_original(file, may_continue) if chosen is None else of_rendition(file, chosen, may_continue)


def _target(tx: Tx, digest: str) -> tuple[Link, File, Rendition | Subtitles | None] | None:
    link = links.find_alive(tx, digest, ORIGINAL)
    file = None if link is None else files.find(tx, link.file_id)
    if link is None or file is None:
        return None
    if link.subtitles_id is not None:
        subtitle_record = subtitles.find(tx, file.content.id, link.subtitles_id)
        return None if subtitle_record is None else (link, file, subtitle_record)
    if link.rendition_id is None:
        return link, file, None
    renditions = files.renditions(tx, file.content.id)
    return next(((link, file, rendition) for rendition in renditions if rendition.id == link.rendition_id), None)
