"""Verifying what was made: films, chunks, damage and likeness."""
