"""Playback: which stored object represents a file, and how long its bytes may be sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nebula.db import files, listing, subtitles
from nebula.db.database import Database, Tx
from nebula.domain import names, webvtt
from nebula.domain.listing import FileDetails
from nebula.domain.records import File, Job, Principal, Rendition, Subtitles
from nebula.domain.states import FILM_JOBS, LIVE_JOB_STATES, FileState, JobState
from nebula.domain.subtitles import language_tag
from nebula.errors import Conflict, NotFound, StoreUnavailable

RENDITION_MEDIA_TYPE = "video/mp4"
SHORTEST_RETRY_S = 2
LONGEST_RETRY_S = 60

WEB = "web"
ANY = "any"


@dataclass(frozen=True)
class Representation:
    """Stored bytes that represent a file, with the values of their HTTP headers."""

    object_key: str
    size_bytes: int
    etag: str  # strong, in quotes; made from the digest
    media_type: str
    name: str
    modified_at: datetime
    may_continue: Callable[[], bool]  # called while a body is sent; False ends it
    link: tuple[str, str] | None = None  # the account and the id of the link that opened it, if one did


class Playback:
    """Finds the bytes to play. If an account may not see a file, it does not learn whether the file exists."""

    def __init__(self, database: Database, is_alive: Callable[[str], bool]) -> None:
        self._database = database
        self._is_alive = is_alive

    def original(self, principal: Principal, file_id: str) -> Representation:
        """Return the file's original. Raises NotFound."""
        file = self._database.read(lambda tx: seen(tx, principal, file_id))
        return of_original(file, self._watch(principal, file_id))

    def rendition(self, principal: Principal, file_id: str, rendition_id: str) -> Representation:
        """Return one of the file's renditions. Raises NotFound."""

        def work(tx: Tx) -> tuple[File, Rendition]:
            file = seen(tx, principal, file_id)
            for rendition in files.renditions(tx, file.content.id):
                if rendition.id == rendition_id:
                    return file, rendition
            raise NotFound("The file has no such rendition.", code="rendition_not_found")

        return of_rendition(*self._database.read(work), self._watch(principal, file_id))

    def subtitles(self, principal: Principal, file_id: str, subtitles_id: str) -> Representation:
        """Return one of the file's subtitles. Raises NotFound."""

        def work(tx: Tx) -> tuple[File, Subtitles]:
            file = seen(tx, principal, file_id)
            return file, found_subtitles(tx, file, subtitles_id)

        return of_subtitles(*self._database.read(work), self._watch(principal, file_id))

    def stream_path(self, principal: Principal, file_id: str, purpose: str) -> str:
        """Return the path, below the API's version, of the best representation for `purpose`.

        WEB asks for one that plays everywhere; ANY falls back to the original. Raises NotFound, and Conflict if
        WEB is asked for and nothing plays everywhere: not_ready (with state, progress and retry_after_s), film_failed
        or not_a_film.
        """

        def work(tx: Tx) -> FileDetails:
            file = seen(tx, principal, file_id)
            return listing.details(tx, principal, [tx.e.File[file.id]])[0]

        details = self._database.read(work)
        best = best_for_web(details.file, details.renditions)
        if isinstance(best, Rendition):
            return f"/files/{file_id}/renditions/{best.id}/content"
        if best is None and purpose == WEB:
            raise why_not_ready(details)
        return f"/files/{file_id}/content"

    def _watch(self, principal: Principal, file_id: str) -> Callable[[], bool]:
        def may_continue() -> bool:
            try:
                return self._is_alive(principal.session_id) and self._database.read(
                    lambda tx: _find(tx, principal, file_id) is not None
                )
            except StoreUnavailable:
                return True  # nothing can be revoked now, and a film should play on while the database restarts

        return may_continue


def of_original(file: File, may_continue: Callable[[], bool]) -> Representation:
    """Return a file's original as a representation."""
    content = file.content
    return Representation(
        object_key=content.object_key,
        size_bytes=content.size_bytes,
        etag=f'"{content.sha256}"',
        media_type=file.media_type,
        name=file.name,
        modified_at=content.created_at,
        may_continue=may_continue,
    )


def of_rendition(file: File, rendition: Rendition, may_continue: Callable[[], bool]) -> Representation:
    """Return one of a file's renditions as a representation."""
    return Representation(
        object_key=rendition.object_key,
        size_bytes=rendition.size_bytes,
        etag=f'"{rendition.sha256}"',
        media_type=RENDITION_MEDIA_TYPE,
        name=names.with_suffix(file.name, ".mp4"),
        modified_at=rendition.created_at,
        may_continue=may_continue,
    )


def of_subtitles(file: File, found: Subtitles, may_continue: Callable[[], bool]) -> Representation:
    """Return one of a file's subtitles as a representation."""
    return Representation(
        object_key=found.object_key,
        size_bytes=found.size_bytes,
        etag=f'"{found.sha256}"',
        media_type=webvtt.MEDIA_TYPE,
        name=subtitles_name(file.name, found.language),
        modified_at=found.created_at,
        may_continue=may_continue,
    )


def subtitles_name(name: str, language: str | None) -> str:
    """Return the name of a file's subtitles. Players look for the language just before the extension."""
    tag = language_tag(language)
    return names.with_suffix(name, f".{tag}.vtt" if tag else ".vtt")


def found_subtitles(tx: Tx, file: File, subtitles_id: str) -> Subtitles:
    """Return one of a file's subtitles. Raises NotFound."""
    subtitle_record = subtitles.find(tx, file.content.id, subtitles_id)
    if subtitle_record is None:
        raise NotFound("The file has no such subtitles.", code="subtitles_not_found")
    return subtitle_record


def best_for_web(file: File, renditions: tuple[Rendition, ...] | list[Rendition]) -> Rendition | File | None:
    """Return the best version that plays everywhere: the original if it is web-ready, or else the highest rendition.

    None if there is neither.
    """
    if file.content.web_ready:
        return file
    return max(renditions, key=lambda rendition: rendition.height, default=None)


def why_not_ready(details: FileDetails) -> Conflict:
    """Return the error that says why no version of the file plays everywhere, and when to ask again."""
    state = details.file.content.state
    film_jobs = [job for job in details.jobs if job.kind in FILM_JOBS]
    live_jobs = [job for job in film_jobs if job.state in LIVE_JOB_STATES]
    if state is FileState.PROCESSING or live_jobs:
        return _not_ready(live_jobs[0] if live_jobs else None)
    failed_jobs = [job for job in film_jobs if job.state is JobState.FAILED]
    if state is FileState.FAILED and failed_jobs:
        error_text = failed_jobs[-1].error or "unknown"
        return Conflict(
            f"No film could be made of this file: {error_text} The original can be played or downloaded.",
            code="film_failed",
            state=state,
            reason=error_text,
            job_id=failed_jobs[-1].id,
        )
    return Conflict("This file has no film; its original can be downloaded.", code="not_a_film", state=state)


def seen(tx: Tx, principal: Principal, file_id: str) -> File:
    """Return a file. Raises NotFound if this account may not see it or it is in the trash."""
    file = _find(tx, principal, file_id)
    if file is None:
        raise NotFound("There is no such file, or it is not yours to see.", code="file_not_found")
    return file


def _find(tx: Tx, principal: Principal, file_id: str) -> File | None:
    file = files.find_visible(tx, file_id, principal)
    return None if file is None or file.deleted_at is not None else file


def _not_ready(job: Job | None) -> Conflict:
    wait_s = SHORTEST_RETRY_S if job is None or job.eta_s is None else round(job.eta_s)
    progress = 0.0 if job is None else job.progress
    return Conflict(
        f"The film is being made ({progress:.0%}); try again in a while, or play the original.",
        code="not_ready",
        state=FileState.PROCESSING,
        progress=round(progress, 4),
        eta_s=None if job is None else job.eta_s,
        retry_after_s=min(max(wait_s, SHORTEST_RETRY_S), LONGEST_RETRY_S),
    )
