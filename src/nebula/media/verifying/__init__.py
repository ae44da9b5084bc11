"""Verifying films, sound and chunks after they were made."""
