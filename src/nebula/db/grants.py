"""What a worker node may do in PostgreSQL: it makes films, and reads no account, no session, no name of a file.

Each node signs in by a role of its own, a member of the role WORKERS. A migration gives that role, where it is there,
what this version's encode worker needs, and takes nothing away: nodes of the version before run on until they are
brought along. tests/integration/test_worker_grants.py makes films with nothing but this.
"""

from __future__ import annotations

import sqlalchemy

WORKERS = "nebula_workers"

# Whose content it is and where its bytes lie is not for a node to change: who may watch hangs on both.
_FOUND = "UPDATE (state, web_ready, facts, width, height, duration_s)"
MAY: dict[str, tuple[str, ...]] = {
    "alembic_version": ("SELECT",),
    "jobs": ("SELECT", "UPDATE"),
    "tasks": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "contents": ("SELECT", _FOUND),
    "renditions": ("INSERT",),
    "doomed_objects": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "nodes": ("SELECT", "INSERT", "UPDATE"),
    "power_changes": ("INSERT",),
}


def grant(connection: sqlalchemy.Connection) -> bool:
    """Give worker nodes what they need; False where their role is not there, and on SQLite."""
    if connection.dialect.name != "postgresql":
        return False
    role = sqlalchemy.text("SELECT 1 FROM pg_roles WHERE rolname = :role")
    is_there = connection.execute(role, {"role": WORKERS}).first() is not None
    tables = set(sqlalchemy.inspect(connection).get_table_names()) if is_there else set()
    for table in sorted(tables & MAY.keys()):
        connection.execute(sqlalchemy.text(f"GRANT {', '.join(MAY[table])} ON {table} TO {WORKERS}"))
    connection.commit()
    return is_there
