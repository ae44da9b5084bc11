"""Passwords: argon2id through passlib; only this module uses passlib.

At most two hashes are computed at once, because each takes 19 MiB and a core.
"""

from __future__ import annotations

import secrets
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from nebula.domain import credentials, limits
from nebula.errors import Busy

with warnings.catch_warnings():
    # passlib 1.7.4 reads argon2.__version__ when it chooses its backend, and imports crypt if Python still has it.
    warnings.filterwarnings("ignore", r"Accessing argon2\.__version__", DeprecationWarning)
    warnings.filterwarnings("ignore", "'crypt' is deprecated", DeprecationWarning)
    from passlib.context import CryptContext
    from passlib.hash import argon2

    argon2.get_backend()

# The parameters that OWASP recommends for argon2id: 19 MiB, two passes, one lane.
CONTEXT = CryptContext(
    ["argon2"], argon2__type="ID", argon2__memory_cost=19 * 1024, argon2__time_cost=2, argon2__parallelism=1
)


class Passwords:
    """Hashes and verifies passwords. Raises Busy if more than `hashes` would run at once."""

    def __init__(self, hashes: int = limits.HASHES) -> None:
        self._places = threading.BoundedSemaphore(hashes)
        self._nobodys_hash: str = CONTEXT.hash(secrets.token_urlsafe(32))

    def hash(self, password: str) -> str:
        """Hash a new password. Raises InvalidInput(code="invalid_password") if it is too short or too long."""
        checked = credentials.checked_password(password)
        with self._place():
            return str(CONTEXT.hash(checked))

    def verify(self, password: str, password_hash: str | None) -> bool:
        """Return whether the password matches.

        A hash of None means that the account does not exist: the same work is done, so that the time reveals nothing.
        """
        may_fit = password_hash is not None and credentials.may_be_password(password)
        candidate = credentials.normalised(password) if may_fit else ""
        with self._place():
            fits = CONTEXT.verify(candidate, password_hash or self._nobodys_hash)
        return bool(fits) and may_fit

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Busy("Too many sign-ins at once; try again in a few seconds.", retry_after_s=2)
        try:
            yield
        finally:
            self._places.release()
