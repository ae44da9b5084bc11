"""Add the table of tasks. This revision only adds; db/work/adopting.py fills the table from the existing jobs.

The previous version still runs on this schema, during a deploy and after a rollback. Its columns and its table of
chunks therefore stay until a contracting revision.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _column(name: str, kind: Any, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def upgrade() -> None:
    """Create the table of tasks."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("job_id", sa.Text(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        *[_column(name, sa.Text()) for name in ("kind", "queue", "state")],
        _column("priority", sa.Integer()),
        _column("needs_mains", sa.Boolean()),
        _column("plan_version", sa.Integer(), nullable=True),
        *[
            _column(name, sa.Integer())
            for name in ("step", "number", "attempt", "failures", "interruptions", "repeats")
        ],
        _column("not_before", sa.DateTime(), nullable=True),
        _column("node", sa.Text(), nullable=True),
        _column("lease_until", sa.DateTime(), nullable=True),
        _column("paused_reason", sa.Text(), nullable=True),
        _column("progress", sa.Double()),
        _column("speed", sa.Double(), nullable=True),
        _column("media_s", sa.Double()),
        *[
            _column(name, sa.Text(), nullable=True)
            for name in ("error_code", "error", "payload", "object_key", "result")
        ],
        _column("created_at", sa.DateTime()),
    )
    op.create_index("idx_tasks__queue_state_priority_created_at", "tasks", ["queue", "state", "priority", "created_at"])
    op.create_index("tasks_by_job", "tasks", ["job_id"])
