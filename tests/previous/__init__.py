"""A database of the version before, with jobs in every state, as that version's own code left it (make.py)."""
