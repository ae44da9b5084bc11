"""Metadata: entities, transactions, queries and the schema's history. The only home of Pony and Alembic."""
