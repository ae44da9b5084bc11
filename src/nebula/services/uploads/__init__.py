"""Taking bytes in: one upload from its creation to its file."""
