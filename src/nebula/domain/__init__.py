"""Decisions and shapes without I/O: everything here can be tested as a table."""
