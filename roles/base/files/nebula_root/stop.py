"""The one exception that ends what root's programs do in an orderly way."""

from __future__ import annotations


class Stop(Exception):
    """It goes no further. The one sentence says why, and what to do."""
