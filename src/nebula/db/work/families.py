"""Binds each film to one encoder. A film has only one codec header, so chunks of different encoders cannot be joined.

The first claim of a picture chunk binds the film to the claiming node's encoder. The first finished chunk binds the
film to that chunk's extradata. A node claims only chunks that its own encoder or software can make. If hardware fails,
or the nodes that have it are gone, the whole picture is made again in software, which every node has; `restarts` counts
this.
"""

from __future__ import annotations

from nebula.db import objects
from nebula.db.database import Tx
from nebula.db.moves import listed, move_tasks
from nebula.db.work import jobs, rows
from nebula.domain.encoders import SOFTWARE
from nebula.domain.limits import ENCODER_GONE_S, MAX_RESTARTS
from nebula.domain.states import ACTIVE_TASK_STATES, TaskKind, TaskState
from nebula.domain.work import Failure

_PICTURE = f"kind = '{TaskKind.VIDEO_CHUNK}'"
# No chunk of the picture is done or being made, so the next node chooses the encoder.
_UNTOUCHED = (
    f"NOT EXISTS (SELECT 1 FROM tasks AS made WHERE made.job_id = jobs.id AND made.{_PICTURE}"
    f" AND made.state IN {listed(ACTIVE_TASK_STATES | {TaskState.DONE})})"
)
# A condition on tasks and their jobs: a node whose own encoder is $own can make this.
MAKEABLE = f"(NOT tasks.{_PICTURE} OR jobs.encoder IS NULL OR jobs.encoder IN ($software, $own) OR {_UNTOUCHED})"


def bind(tx: Tx, job_id: str, encoder: str) -> bool:
    """Bind a film to `encoder` if it is bound to none; return whether a node with this encoder can continue the film.

    If no picture chunk is done or being made, a film that is bound to hardware is bound to `encoder` instead. A film
    that is bound to software stays so, because it may not suit hardware.
    """
    tx.execute(
        "UPDATE jobs SET encoder = $own, fingerprint = NULL WHERE id = $id AND (encoder IS NULL"
        f" OR (encoder <> $software AND {_UNTOUCHED}))",
        own=encoder,
        id=job_id,
        software=SOFTWARE,
    )
    encoder_rows = tx.select("SELECT encoder, id FROM jobs WHERE id = $id", id=job_id)
    return encoder_rows[0][0] in (encoder, SOFTWARE)


def bind_header(tx: Tx, job_id: str, encoder: str, fingerprint: str) -> bool:
    """Bind a film to the extradata of its first chunk; return whether the film is now bound to these extradata."""
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


def restart_or_give_up(tx: Tx, job_id: str, failure: Failure) -> bool:
    """Restart a film in software. If it was restarted MAX_RESTARTS times before, fail its job and return False."""
    restarts, _ = tx.select("SELECT restarts, id FROM jobs WHERE id = $id", id=job_id)[0]
    if restarts >= MAX_RESTARTS:
        jobs.fail(tx, job_id, failure)
        return False
    restart(tx, job_id)
    return True


def restart(tx: Tx, job_id: str) -> None:
    """Make the whole picture again, in software. This does not raise the chunks' `repeats`."""
    picture = f"job_id = $id AND {_PICTURE}"
    for object_key, _ in tx.select(
        f"SELECT object_key, id FROM tasks WHERE {picture} AND object_key IS NOT NULL", id=job_id
    ):
        objects.doom(tx, object_key)
    # The hardware caused the failures so far.
    tx.execute(
        f"UPDATE tasks SET failures = 0, not_before = NULL, error_code = NULL, error = NULL WHERE {picture}", id=job_id
    )
    move_tasks(tx, TaskState.QUEUED, picture, rows.RESET, id=job_id)
    tx.execute(
        "UPDATE jobs SET encoder = $encoder, fingerprint = NULL, rejections = 0, restarts = restarts + 1"
        " WHERE id = $id",
        encoder=SOFTWARE,
        id=job_id,
    )
    rows.show(tx, job_id)


def free_stranded(tx: Tx) -> list[tuple[str, str]]:
    """Restart the films that wait for an encoder that no node has any more; return (job id, encoder) of each.

    A node counts as gone ENCODER_GONE_S after its last power reading, because until then it may only be restarting.
    """
    chunk = f"SELECT 1 FROM tasks WHERE job_id = jobs.id AND {_PICTURE} AND tasks"
    stranded = tx.select(
        f"SELECT id, encoder FROM jobs WHERE {rows.LIVE} AND encoder <> $software"
        f" AND EXISTS ({chunk}.{rows.QUEUED}) AND NOT EXISTS ({chunk}.{rows.ACTIVE})"
        # Only the encode worker writes power_at, so that it shows that this worker is alive, not just its gateway.
        " AND NOT EXISTS (SELECT 1 FROM nodes WHERE nodes.encoder = jobs.encoder AND nodes.power_at >= $since)",
        software=SOFTWARE,
        since=tx.after(-ENCODER_GONE_S),
    )
    freed = [(job_id, encoder) for job_id, encoder in stranded if rows.lock(tx, job_id) is not None]
    for job_id, _ in freed:
        restart(tx, job_id)
    return freed
