"""Decisions and data types without I/O: everything here can be tested with tables of cases."""
