"""The exception with which the programs of root stop in an orderly way."""

from __future__ import annotations


class Stop(Exception):
    """The program cannot go on. The message is one sentence that says why and what to do."""
