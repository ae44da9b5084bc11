"""The library: listing, renaming and sharing files, the trash, and deleting for good."""

from __future__ import annotations

import logging
from typing import Any

from nebula.db import files, listing, objects
from nebula.db.database import Database, Tx
from nebula.domain import limits, names
from nebula.domain.listing import FileDetails, FileQuery, Page, Position
from nebula.domain.records import Principal
from nebula.domain.states import Queue, Visibility
from nebula.errors import Conflict, Forbidden, NotFound, StoreUnavailable
from nebula.messages import Messages
from nebula.storage.contract import ObjectStorage

log = logging.getLogger(__name__)

PURGED_AT_ONCE = 100


class Library:
    """Files as people see them."""

    def __init__(self, database: Database, storage: ObjectStorage, messages: Messages) -> None:
        self._database = database
        self._storage = storage
        self._messages = messages

    def page(self, principal: Principal, query: FileQuery) -> Page[FileDetails]:
        """Return one page of the files that this account may see."""
        matching_files = self._database.read(lambda tx: listing.file_page(tx, principal, query))
        items = tuple(matching_files[: query.limit])
        last = items[-1].file if len(matching_files) > query.limit else None
        return Page(items, None if last is None else Position(last.created_at, last.id).to_cursor())

    def details(self, principal: Principal, file_id: str) -> FileDetails:
        """Return a file with its renditions and jobs. Raises NotFound."""
        return self._database.read(lambda tx: _details(tx, principal, _seen(tx, principal, file_id)))

    def change(
        self, principal: Principal, file_id: str, *, name: str | None = None, visibility: Visibility | None = None
    ) -> FileDetails:
        """Rename a file or change who sees it. Raises NotFound, Forbidden, InvalidInput, Conflict."""
        if name is not None:
            names.checked(name)

        def work(tx: Tx) -> FileDetails:
            row = _owned(tx, principal, file_id)
            if name is not None and name != row.name and _is_taken(tx, row, name):
                raise Conflict("The same bytes already have that name.", code="name_taken")
            row.set(name=name or row.name, visibility=visibility or row.visibility, updated_at=tx.now)
            tx.flush()
            return _details(tx, principal, row)

        return self._database.write(work)

    def remove(self, principal: Principal, file_id: str) -> None:
        """Put a file into the trash. If it is there already, delete it for good and free its space at once."""

        def work(tx: Tx) -> bool:
            row = _owned(tx, principal, file_id)
            purged = row.deleted_at is not None
            (files.purge if purged else files.trash)(tx, file_id)
            return purged

        purged = self._database.write(work)
        log.info("%s file=%s account=%s", "purged" if purged else "trashed", file_id, principal.account_id)
        if purged:
            self._free_room()

    def restore(self, principal: Principal, file_id: str) -> FileDetails:
        """Take a file out of the trash, and start the work that its content still lacks."""

        def work(tx: Tx) -> FileDetails:
            row = _owned(tx, principal, file_id)
            files.restore(tx, file_id)
            return _details(tx, principal, row)

        restored = self._database.write(work)
        for queue in Queue:
            self._messages.wake(queue)
        return restored

    def sweep(self) -> None:
        """Purge what has been in the trash for 30 days, and delete the objects that nothing needs."""
        self._database.write(_purge_expired)
        self._free_room()

    def _free_room(self) -> None:
        """Delete the doomed objects that are due. If the store fails, the next sweep tries again."""
        for object_key in self._database.read(objects.due_objects):
            try:
                # No row names these: a worker that is killed while it stores a large film leaves one behind.
                for multipart_id in self._storage.list_multiparts(object_key):
                    self._storage.abort_multipart(object_key, multipart_id)
                self._storage.delete(object_key)
            except StoreUnavailable as error:
                log.warning("object kept key=%s code=%s", object_key, error.code)
                return
            self._database.write(lambda tx, key=object_key: objects.forget_doomed(tx, key))  # type: ignore[misc]


def _purge_expired(tx: Tx) -> None:
    before = tx.after(-limits.TRASH_LIFE_S)
    expired = tx.e.File.select(lambda f: f.deleted_at is not None and f.deleted_at < before)
    for row in list(expired.limit(PURGED_AT_ONCE)):
        files.purge(tx, row.id)


def _details(tx: Tx, principal: Principal, row: Any) -> FileDetails:
    return listing.details(tx, principal, [row])[0]


def _seen(tx: Tx, principal: Principal, file_id: str) -> Any:
    file = files.find_visible(tx, file_id, principal)
    if file is None or (file.deleted_at is not None and not _may_change(principal, file.account_id)):
        raise NotFound("There is no such file, or it is not yours to see.", code="file_not_found")
    return tx.e.File[file_id]


def _owned(tx: Tx, principal: Principal, file_id: str) -> Any:
    row = _seen(tx, principal, file_id)
    if not _may_change(principal, row.account_id):
        raise Forbidden("Only the account that stored a file, or the owner, changes it.", code="not_your_file")
    return row


def _may_change(principal: Principal, account_id: str) -> bool:
    return principal.is_owner or principal.account_id == account_id


def _is_taken(tx: Tx, row: Any, name: str) -> bool:
    return tx.e.File.get(account_id=row.account_id, name=name, content=row.content) is not None
