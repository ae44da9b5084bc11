"""What a worker node may do in PostgreSQL. It makes films, and cannot read accounts, sessions or file names.

Each node signs in with a role of its own, which is a member of the role WORKERS. If that role exists, a migration
grants it what this version's encode worker needs. It revokes nothing, so that nodes with the previous version keep
running until they are updated. tests/integration/test_worker_grants.py makes films with these grants alone.
"""

from __future__ import annotations

import sqlalchemy

WORKERS = "nebula_workers"

# A node must not change a content's owner or object key, because both decide who may watch what.
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
    """Grant worker nodes what they need. Returns False on SQLite, or if their role does not exist."""
    if connection.dialect.name != "postgresql":
        return False
    role = sqlalchemy.text("SELECT 1 FROM pg_roles WHERE rolname = :role")
    is_there = connection.execute(role, {"role": WORKERS}).first() is not None
    tables = set(sqlalchemy.inspect(connection).get_table_names()) if is_there else set()
    for table in sorted(tables & MAY.keys()):
        connection.execute(sqlalchemy.text(f"GRANT {', '.join(MAY[table])} ON {table} TO {WORKERS}"))
    connection.commit()
    return is_there
