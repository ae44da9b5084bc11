"""Alembic's entry: runs the revisions on the connection that db/migrate.py hands over, in one transaction each."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
