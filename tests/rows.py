"""Rows that several suites begin with."""

from __future__ import annotations

import uuid
from typing import Any

from nebula.db.database import Tx
from nebula.domain.states import FileState


def add_content(tx: Tx) -> Any:
    """Make a film's content that is being processed, of an account of its own."""
    unique = str(uuid.uuid4())
    account = tx.e.Account(id=unique, name=unique, role="owner", password_hash="x", created_at=tx.now)
    content = tx.e.Content(
        id=unique,
        account=account,
        sha256=unique,
        size_bytes=1,
        object_key=f"originals/{unique}",
        media_type="video/mp4",
        state=FileState.PROCESSING,
        web_ready=False,
        created_at=tx.now,
    )
    tx.flush()
    return content
