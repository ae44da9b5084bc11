"""Pages of files and jobs. A page takes few statements at any length, and costs the same anywhere in the list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pony import orm

from nebula.db import files, subtitles
from nebula.db.database import Tx, naive
from nebula.db.work import jobs
from nebula.db.work.rows import LIVE
from nebula.domain.listing import FileDetails, FileQuery, JobQuery, Position
from nebula.domain.records import File, Job, Principal
from nebula.domain.states import Visibility

VISIBLE = "(f.visibility = 'household' OR f.account_id = $account)"


def file_page(tx: Tx, principal: Principal, query: FileQuery) -> list[FileDetails]:
    """Return up to `query.limit` + 1 files, the newest first. The extra one shows that there is a next page."""
    conditions = ["f.deleted_at IS NOT NULL" if query.trashed else "f.deleted_at IS NULL", VISIBLE]
    values: dict[str, Any] = {"account": principal.account_id}
    if query.trashed and not principal.is_owner:
        conditions.append("f.account_id = $account")
    if query.q is not None:
        conditions.append(f"{tx.lowered('f.name')} LIKE {tx.lowered('$pattern')} ESCAPE '\\'")
        values["pattern"] = f"%{_escaped(query.q)}%"
    for column, value in [("c.sha256", query.sha256), ("c.state", query.state)]:
        if value is not None:
            conditions.append(f"{column} = ${column[2:]}")
            values[column[2:]] = str(value)
    sql = "SELECT f.id, f.created_at FROM files AS f JOIN contents AS c ON c.id = f.content_id WHERE "
    rows = _page(tx, sql, "f", conditions, values, query.after, query.limit)
    return details(tx, principal, [tx.e.File[row[0]] for row in _loaded(tx, rows)])


def job_page(tx: Tx, principal: Principal, query: JobQuery) -> list[Job]:
    """Return up to `query.limit` + 1 jobs of contents that this account may see, the newest first.

    An owner sees all jobs.
    """
    conditions = ["1 = 1"]
    values: dict[str, Any] = {}
    if not principal.is_owner:
        conditions = [f"EXISTS (SELECT 1 FROM files AS f WHERE f.content_id = j.content_id AND {VISIBLE})"]
        values["account"] = principal.account_id
    if query.state is not None:
        conditions.append("j.state = $state")
        values["state"] = str(query.state)
    if query.live:
        conditions.append(f"j.{LIVE}")
    sql = "SELECT j.id, j.created_at FROM jobs AS j WHERE "
    rows = _page(tx, sql, "j", conditions, values, query.after, query.limit)
    ids = [row[0] for row in rows]
    selected = tx.e.Job.select(lambda job: job.id in ids).prefetch(tx.e.Content, tx.e.Account)
    jobs_by_id = {row.id: row for row in selected} if ids else {}
    return job_records(tx, principal, [jobs_by_id[job_id] for job_id in ids])


def job_records(tx: Tx, principal: Principal, rows: Sequence[Any]) -> list[Job]:
    """Turn rows of jobs into records, as this account may see them. One statement finds all their files.

    If the account may see no file of a job's content, the record tells only about the work itself.
    """
    oldest = _oldest_files(tx, principal, {row.content.id for row in rows})
    records = [jobs.job_record(row, oldest.get(row.content.id)) for row in rows]
    return [record if record.file_id else record.withheld() for record in records]


def details(tx: Tx, principal: Principal, rows: Sequence[Any]) -> list[FileDetails]:
    """Turn files' rows into records with the renditions, subtitles and jobs of their contents."""
    ids = list({row.content.id for row in rows})
    if not ids:
        return []
    renditions = _by_content(map(files.rendition_record, tx.e.Rendition.select(lambda r: r.content.id in ids)))
    jobs_by_content = _by_content(job_records(tx, principal, list(tx.e.Job.select(lambda j: j.content.id in ids))))
    texts_by_content = _by_content(map(subtitles.record, tx.e.Subtitles.select(lambda s: s.content.id in ids)))
    return [
        _details(file, renditions[file.content.id], jobs_by_content[file.content.id], texts_by_content[file.content.id])
        for file in map(files.file_record, rows)
    ]


def _details(
    file: File, renditions: list[Any], jobs_of_content: list[Any], subtitles_of_content: list[Any]
) -> FileDetails:
    highest_first = sorted(renditions, key=lambda rendition: -rendition.height)
    oldest_first = sorted(jobs_of_content, key=lambda job: (job.created_at, job.id))
    as_in_source = sorted(subtitles_of_content, key=lambda one: one.number)
    return FileDetails(file, tuple(highest_first), tuple(oldest_first), tuple(as_in_source))


def _by_content(records: Iterable[Any]) -> defaultdict[str, list[Any]]:
    grouped: defaultdict[str, list[Any]] = defaultdict(list)
    for record in records:
        grouped[record.content_id].append(record)
    return grouped


def _oldest_files(tx: Tx, principal: Principal, content_ids: set[str]) -> dict[str, str]:
    ids, household, own = list(content_ids), Visibility.HOUSEHOLD.value, principal.account_id
    if not ids:
        return {}
    rows = orm.select(
        (f.content.id, f.created_at, f.id)
        for f in tx.e.File
        if f.content.id in ids and (f.visibility == household or f.account_id == own)
    )
    return {content_id: file_id for content_id, _, file_id in sorted(rows, reverse=True)}


def _loaded(tx: Tx, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Load the files, contents and accounts of a page at once, so that no row needs a query of its own."""
    ids = [row[0] for row in rows]
    if ids:
        list(tx.e.File.select(lambda f: f.id in ids).prefetch(tx.e.Content, tx.e.Account))
    return rows


def _page(
    tx: Tx, sql: str, table: str, conditions: list[str], values: dict[str, Any], after: Position | None, limit: int
) -> list[tuple[Any, ...]]:
    if after is not None:
        conditions = [*conditions, f"({table}.created_at, {table}.id) < ($moment, $last_id)"]
        values = values | {"moment": naive(after.created_at), "last_id": after.id}
    order = f" ORDER BY {table}.created_at DESC, {table}.id DESC LIMIT {int(limit) + 1}"
    return tx.select(sql + " AND ".join(conditions) + order, **values)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
