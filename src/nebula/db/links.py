"""Links. A link is found by the digest of its token, and works only while its account, file and film are available."""

from __future__ import annotations

import uuid
from typing import Any

from nebula.db.database import Tx, aware
from nebula.domain.records import Link
from nebula.domain.states import Visibility

KEPT_AFTER_END_S = 7 * 86400


def link_record(row: Any) -> Link:
    """Turn a link's row into its record."""
    return Link(
        id=row.id,
        account_id=row.account_id,
        file_id=row.file.id,
        name=row.file.name,
        rendition_id=None if row.rendition is None else row.rendition.id,
        subtitles_id=None if row.subtitles is None else row.subtitles.id,
        subtitles_language=None if row.subtitles is None else row.subtitles.language,
        quality=row.quality,
        created_at=aware(row.created_at),
        expires_at=aware(row.expires_at),
        revoked_at=aware(row.revoked_at),
    )


def add(
    tx: Tx,
    *,
    digest: str,
    account_id: str,
    file_id: str,
    rendition_id: str | None,
    subtitles_id: str | None = None,
    quality: str,
    life_s: float,
) -> Link:
    """Store a link that expires `life_s` seconds from now."""
    row = tx.e.Link(
        id=str(uuid.uuid4()),
        digest=digest,
        account_id=account_id,
        file=file_id,
        rendition=rendition_id,
        subtitles=subtitles_id,
        quality=quality,
        created_at=tx.now,
        expires_at=tx.after(life_s),
    )
    tx.flush()
    return link_record(row)


def find_alive(tx: Tx, digest: str, original: str) -> Link | None:
    """Return the link with this token digest if it can be opened now, otherwise None.

    The link must not be expired or revoked. Its account must be enabled, and its file must be visible to that account
    and not in the trash. The rendition or subtitles that it was made for must still exist. `original` is the name of
    the quality that needs neither.
    """
    row = tx.e.Link.get(digest=digest)
    if row is None or row.revoked_at is not None or row.expires_at <= tx.now:
        return None
    account = tx.e.Account.get(id=row.account_id)
    if account is None or account.disabled_at is not None or not _may_show(row):
        return None
    if row.rendition is None and row.subtitles is None and row.quality != original:
        return None
    return link_record(row)


def living(tx: Tx, account_id: str, limit: int) -> list[Link]:
    """Return an account's links that have not ended, the newest first."""
    now = tx.now
    rows = tx.e.Link.select(
        lambda link: link.account_id == account_id and link.revoked_at is None and link.expires_at > now
    )
    newest_first = sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)
    return [link_record(row) for row in newest_first[:limit] if _may_show(row)]


def revoke(tx: Tx, account_id: str, link_id: str) -> bool:
    """End one of the account's links; a second call does no harm. Returns False if the account has no such link."""
    row = tx.e.Link.get(id=link_id, account_id=account_id)
    if row is None:
        return False
    if row.revoked_at is None:
        row.revoked_at = tx.now
    return True


def revoke_of_file(tx: Tx, file_id: str) -> None:
    """End every link of a file for good. They stay revoked if the file is restored from the trash."""
    tx.execute(
        "UPDATE links SET revoked_at = $now WHERE file_id = $file AND revoked_at IS NULL", now=tx.now, file=file_id
    )


def tidy(tx: Tx) -> None:
    """Delete links that ended more than a week ago."""
    before = tx.after(-KEPT_AFTER_END_S)
    tx.execute("DELETE FROM links WHERE expires_at < $before OR revoked_at < $before", before=before)


def _may_show(row: Any) -> bool:
    file = row.file
    return bool(
        file.deleted_at is None and (file.visibility == Visibility.HOUSEHOLD or file.account_id == row.account_id)
    )
