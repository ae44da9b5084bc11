"""Uploads: receiving bytes, from the creation of an upload to its file."""
