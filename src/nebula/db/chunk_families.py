"""One family of encoders for each rendition: its chunks could not be joined otherwise, for it has only one header.

The first claim of a span of its picture binds a rendition to the claiming node's family, the first span that is done to
its extradata. A node claims what its own encoder or software may make. Where hardware fails, or is gone with its node,
the whole picture is begun again in software, which every node has; that is counted in `restarts`.
"""

from __future__ import annotations

from nebula.db import chunks, files, leases
from nebula.db.database import Tx
from nebula.domain.encoders import SOFTWARE
from nebula.domain.limits import ENCODER_GONE_S, MAX_RESTARTS

# Nothing of the picture is there or being made: whoever comes next chooses the family.
_UNTOUCHED = (
    "NOT EXISTS (SELECT 1 FROM chunks AS made WHERE made.job_id = {job} AND made.kind = 'video'"
    " AND made.state IN ('running', 'done'))"
)
# Of chunks c and their jobs j: what a node may claim whose own encoder is $own.
MAKEABLE = (
    "AND j.plan_version = $version AND (c.kind = 'audio' OR j.encoder IS NULL OR j.encoder IN ($software, $own)"
    f" OR {_UNTOUCHED.format(job='j.id')})"
)


def bind(tx: Tx, job_id: str, encoder: str) -> bool:
    """Bind a rendition to the family where it is bound to none; say whether a node with that one can go on with it.

    Hardware that has left nothing behind is forgotten; software stays, for the film may not suit hardware.
    """
    tx.execute(
        "UPDATE jobs SET encoder = $own, fingerprint = NULL WHERE id = $id AND (encoder IS NULL"
        f" OR (encoder <> $software AND {_UNTOUCHED.format(job='jobs.id')}))",
        own=encoder,
        id=job_id,
        software=SOFTWARE,
    )
    found = tx.select("SELECT encoder, id FROM jobs WHERE id = $id", id=job_id)
    return found[0][0] in (encoder, SOFTWARE)


def bind_header(tx: Tx, job_id: str, encoder: str, fingerprint: str) -> bool:
    """Bind a rendition to the extradata of its first chunk, or say whether it is bound to the same."""
    return bool(
        tx.execute(
            "UPDATE jobs SET encoder = COALESCE(encoder, $encoder), fingerprint = $print WHERE id = $id"
            " AND (fingerprint IS NULL OR fingerprint = $print) AND (encoder IS NULL OR encoder = $encoder)"
            " RETURNING id, attempt",
            encoder=encoder,
            print=fingerprint,
            id=job_id,
        )
    )


def restart_or_give_up(tx: Tx, job_id: str, *, code: str, error: str) -> bool:
    """Restart in software; False where that was done so often that the job has failed instead."""
    restarts, _ = tx.select("SELECT restarts, id FROM jobs WHERE id = $id", id=job_id)[0]
    if restarts >= MAX_RESTARTS:
        leases.give_up(tx, job_id, code=code, error=error)
        return False
    restart(tx, job_id)
    return True


def restart(tx: Tx, job_id: str) -> None:
    """Make every span of the picture again, in software; counted apart from what is repeated after a death."""
    for row in tx.select(
        "SELECT object_key, number FROM chunks WHERE job_id = $id AND kind = 'video' AND object_key IS NOT NULL",
        id=job_id,
    ):
        files.doom(tx, row[0])
    # Failures were the hardware's.
    tx.execute(
        f"UPDATE chunks SET {chunks.BLANK}, attempt = attempt + 1, failures = 0, not_before = NULL,"
        " error_code = NULL, error = NULL WHERE job_id = $id AND kind = 'video'",
        id=job_id,
    )
    tx.execute(
        "UPDATE jobs SET encoder = $encoder, fingerprint = NULL, rejections = 0, restarts = restarts + 1"
        " WHERE id = $id",
        encoder=SOFTWARE,
        id=job_id,
    )
    chunks.show(tx, job_id)


def free_stranded(tx: Tx) -> list[tuple[str, str]]:
    """Restart the films that wait for an encoder which no node has any more. Returns (job id, encoder) of each.

    A node that was heard of within ENCODER_GONE_S may only be starting.
    """
    stranded = tx.select(
        "SELECT j.id, j.encoder FROM jobs AS j WHERE j.stage = 'chunks' AND j.state IN ('queued', 'running', 'paused')"
        " AND j.encoder <> $software AND EXISTS (SELECT 1 FROM chunks AS c WHERE c.job_id = j.id"
        " AND c.kind = 'video' AND c.state = 'queued')"
        " AND NOT EXISTS (SELECT 1 FROM chunks AS c WHERE c.job_id = j.id AND c.kind = 'video' AND c.state = 'running')"
        # The reading of its power is the encode worker's own sign of life; its node's gateway has others.
        " AND NOT EXISTS (SELECT 1 FROM nodes AS n WHERE n.encoder = j.encoder AND n.power_at >= $since)",
        software=SOFTWARE,
        since=tx.after(-ENCODER_GONE_S),
    )
    freed = [(job_id, encoder) for job_id, encoder in stranded if chunks.hold(tx, job_id)]
    for job_id, _ in freed:
        restart(tx, job_id)
    return freed
