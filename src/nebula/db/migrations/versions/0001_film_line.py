"""The film's line: accounts, uploads, files, jobs, renditions, subtitles, links."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False, **options)


def _maybe_text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=True)


def _time(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(), nullable=False)


def _maybe_time(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(), nullable=True)


def _integer(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _size(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _key(name: str = "id") -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), primary_key=True, nullable=False)


def _to(name: str, table: str, *, nullable: bool = False) -> sa.Column[Any]:
    action = "SET NULL" if nullable else "CASCADE"
    return sa.Column(name, sa.Text(), sa.ForeignKey(f"{table}.id", ondelete=action), nullable=nullable)


def upgrade() -> None:
    """Make every table of the first version."""
    _accounts()
    _library()
    _uploads()
    _work()
    _operations()


def _accounts() -> None:
    op.create_table(
        "accounts",
        _key(),
        _text("name", unique=True),
        _text("role"),
        _text("password_hash"),
        _time("created_at"),
        _maybe_time("disabled_at"),
    )
    op.create_table(
        "sessions",
        _key(),
        _to("account_id", "accounts"),
        _text("user_agent"),
        _text("address"),
        _time("created_at"),
        _time("last_used_at"),
        _time("expires_at"),
        _maybe_time("revoked_at"),
    )
    op.create_index("sessions_by_account", "sessions", ["account_id"])
    op.create_table(
        "refresh_tokens",
        _key("digest"),
        _to("session_id", "sessions"),
        _maybe_text("parent"),
        _text("jti", unique=True),
        _time("issued_at"),
        _time("expires_at"),
        _maybe_time("spent_at"),
        _maybe_time("access_seen_at"),
        _maybe_time("dead_at"),
    )
    op.create_index("refresh_tokens_by_session", "refresh_tokens", ["session_id"])
    op.create_table("login_failures", _key("subject"), _integer("failures"), _time("last_at"), _time("blocked_until"))


def _library() -> None:
    op.create_table(
        "contents",
        _key(),
        _to("account_id", "accounts"),
        _text("sha256"),
        _size("size_bytes"),
        _text("object_key", unique=True),
        _text("media_type"),
        _text("state"),
        sa.Column("web_ready", sa.Boolean(), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        _maybe_text("facts"),
        _time("created_at"),
        sa.UniqueConstraint("account_id", "sha256", name="unq_contents__account_id_sha256"),
    )
    op.create_table(
        "files",
        _key(),
        _to("content_id", "contents"),
        _text("account_id"),
        _text("name"),
        _text("media_type"),
        _text("visibility"),
        _time("created_at"),
        _time("updated_at"),
        _maybe_time("deleted_at"),
        sa.UniqueConstraint("account_id", "name", "content_id", name="unq_files__account_id_name_content_id"),
    )
    op.create_index("files_by_content", "files", ["content_id"])
    op.create_index("files_by_deletion", "files", ["deleted_at"])
    op.create_index("files_by_name", "files", ["name"])
    op.create_index("idx_files__created_at_id", "files", ["created_at", "id"])


def _uploads() -> None:
    op.create_table(
        "uploads",
        _key(),
        _to("account_id", "accounts"),
        _text("state"),
        _text("name"),
        _text("media_type"),
        _text("visibility"),
        _maybe_text("announced_sha256"),
        sa.Column("length_bytes", sa.BigInteger(), nullable=True),
        _size("offset_bytes"),
        _text("object_key", unique=True),
        _maybe_text("multipart_id"),
        _integer("attempt"),
        _integer("tail_attempt"),
        sa.Column("resumable", sa.Boolean(), nullable=False),
        _maybe_time("lease_until"),
        _maybe_text("file_id"),
        _maybe_text("error_code"),
        _maybe_text("error"),
        _time("created_at"),
        _time("updated_at"),
        _time("expires_at"),
    )
    op.create_index("uploads_by_account", "uploads", ["account_id"])
    op.create_index("uploads_by_expiry", "uploads", ["expires_at"])
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.Text(), sa.ForeignKey("uploads.id", ondelete="CASCADE"), nullable=False),
        _integer("number"),
        _text("etag"),
        _size("size_bytes"),
        sa.PrimaryKeyConstraint("upload_id", "number"),
    )
    op.create_table("doomed_objects", _key("object_key"), _time("delete_after"))
    op.create_index("doomed_objects_by_time", "doomed_objects", ["delete_after"])


def _work() -> None:
    op.create_table(
        "jobs",
        _key(),
        _to("content_id", "contents"),
        *[_text(name) for name in ("kind", "queue", "state")],
        *[_integer(name) for name in ("priority", "attempt", "failures", "interruptions")],
        _maybe_time("not_before"),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("speed", sa.Double(), nullable=True),
        sa.Column("eta_s", sa.Double(), nullable=True),
        _maybe_text("node"),
        _maybe_time("lease_until"),
        _maybe_text("plan"),
        sa.Column("plan_version", sa.Integer(), nullable=True),
        *[_maybe_text(name) for name in ("plan_reasons", "rung", "command", "warning", "error_code", "error", "log")],
        *[_integer(name) for name in ("chunks_total", "chunks_done", "chunks_repeated")],
        _time("created_at"),
        _maybe_time("started_at"),
        _maybe_time("finished_at"),
        _text("stage"),
        *[_maybe_text(name) for name in ("encoder", "fingerprint", "paused_reason")],
        *[_integer(name) for name in ("rejections", "restarts")],
    )
    op.create_index("idx_jobs__queue_state_priority_created_at", "jobs", ["queue", "state", "priority", "created_at"])
    op.create_index("jobs_by_content", "jobs", ["content_id"])
    op.create_table(
        "chunks",
        _to("job_id", "jobs"),
        _integer("number"),
        *[_text(name) for name in ("kind", "plan", "state")],
        *[_maybe_text(name) for name in ("key", "build")],
        _integer("frames"),
        sa.Column("duration_s", sa.Double(), nullable=False),
        _integer("frames_done"),
        sa.Column("speed", sa.Double(), nullable=True),
        *[_integer(name) for name in ("attempt", "failures", "interruptions", "repeats")],
        _maybe_time("not_before"),
        _maybe_text("node"),
        _maybe_time("lease_until"),
        _maybe_text("paused_reason"),
        _maybe_text("object_key"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("start_s", sa.Double(), nullable=True),
        *[_maybe_text(name) for name in ("fingerprint", "warning", "error_code", "error")],
        sa.PrimaryKeyConstraint("job_id", "number"),
    )
    op.create_index("idx_chunks__state_job_id", "chunks", ["state", "job_id"])
    op.create_table(
        "renditions",
        _key(),
        _to("content_id", "contents"),
        _text("rung"),
        _text("object_key", unique=True),
        _size("size_bytes"),
        _text("sha256"),
        _integer("width"),
        _integer("height"),
        sa.Column("duration_s", sa.Double(), nullable=False),
        _text("video_codec"),
        _maybe_text("audio_codec"),
        _time("created_at"),
        sa.UniqueConstraint("content_id", "rung", name="unq_renditions__content_id_rung"),
    )
    op.create_table(
        "subtitles",
        _key(),
        _to("content_id", "contents"),
        _integer("number"),
        _text("codec"),
        *[_maybe_text(name) for name in ("language", "title")],
        *[
            sa.Column(name, sa.Boolean(), nullable=False)
            for name in ("is_default", "is_forced", "is_for_hearing_impaired")
        ],
        _text("object_key", unique=True),
        _size("size_bytes"),
        _text("sha256"),
        _integer("cues"),
        _time("created_at"),
        sa.UniqueConstraint("content_id", "number", name="unq_subtitles__content_id_number"),
    )
    op.create_table(
        "links",
        _key(),
        _text("digest", unique=True),
        _text("account_id"),
        _to("file_id", "files"),
        _to("rendition_id", "renditions", nullable=True),
        _to("subtitles_id", "subtitles", nullable=True),
        _text("quality"),
        _time("created_at"),
        _time("expires_at"),
        _maybe_time("revoked_at"),
    )
    op.create_index("links_by_account", "links", ["account_id"])
    op.create_index("links_by_file", "links", ["file_id"])
    op.create_index("links_by_rendition", "links", ["rendition_id"])
    op.create_index("links_by_subtitles", "links", ["subtitles_id"])
    op.create_table(
        "nodes",
        _key("name"),
        _text("version"),
        _maybe_text("encoder"),
        _integer("viewers"),
        _maybe_time("viewers_at"),
        _maybe_text("throttle"),
        _maybe_time("throttle_since"),
        _maybe_text("power"),
        _maybe_time("power_at"),
        sa.Column("paused_s", sa.Double(), nullable=False),
        _time("started_at"),
        _time("seen_at"),
    )
    op.create_table(
        "power_changes",
        _key(),
        _text("node"),
        _time("at"),
        _text("throttle"),
        _text("reasons"),
        sa.Column("on_mains", sa.Boolean(), nullable=True),
        sa.Column("percent", sa.Double(), nullable=True),
        sa.Column("temperature_c", sa.Double(), nullable=True),
    )
    op.create_index("idx_power_changes__node_at", "power_changes", ["node", "at"])


def _operations() -> None:
    op.create_table(
        "operations",
        _key(),
        *[_text(name) for name in ("kind", "state", "asked_by")],
        *[_maybe_text(name) for name in ("commit_id", "release", "message")],
        _time("created_at"),
        _maybe_time("started_at"),
        _maybe_time("finished_at"),
    )
    op.create_index("operations_by_time", "operations", ["created_at"])
    op.create_table(
        "backups",
        _key("target"),
        _text("kept"),
        _maybe_text("warning"),
        _time("set_up_at"),
        *[_maybe_time(name) for name in ("tried_at", "succeeded_at", "read_at")],
        *[_maybe_text(name) for name in ("said", "error", "read_said", "read_error")],
    )
    op.create_table("purge_holds", _key("holder"), _time("held_until"))
