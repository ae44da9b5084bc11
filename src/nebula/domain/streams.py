"""The type that a service reads a request body from."""

from __future__ import annotations

from typing import Protocol


class ByteSource(Protocol):
    """Bytes in order. A source that breaks off raises OSError or TimeoutError, or ends early."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" at the end."""
