"""The rules for account names and passwords, and how long one must wait after failed sign-ins."""

from __future__ import annotations

import re
import unicodedata

from nebula.errors import InvalidInput

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MIN_PASSWORD = 8
MAX_PASSWORD = 1024

FREE_FAILURES = 4  # people mistype
FAILURE_LIFE_S = 3600  # a failure after this much time without failures counts as the first
MAX_ADDRESS_DELAY_S = 300
MAX_ACCOUNT_DELAY_S = 5  # small, so that nobody can lock an account's owner out by guessing
SHARED_ADDRESS = "local"  # a unix socket has no address: all devices behind it are counted together


def may_be_account_name(name: str) -> bool:
    """Return whether an account can have this name."""
    return ACCOUNT_NAME.fullmatch(name) is not None


def checked_account_name(name: str) -> str:
    """Return `name`, or raise InvalidInput(code="invalid_account_name")."""
    if not may_be_account_name(name):
        raise InvalidInput(
            "An account's name has 1 to 64 letters (a-z), digits, dots, underscores or dashes.",
            code="invalid_account_name",
        )
    return name


def normalised(password: str) -> str:
    """Return the form that is hashed (NFKC): a password gives the same hash if it is typed on another keyboard."""
    return unicodedata.normalize("NFKC", password)


def may_be_password(password: str) -> bool:
    """Return whether an account can have this password."""
    # A lone surrogate cannot be encoded to bytes, and other argon2 implementations end a C string at a NUL.
    if "\x00" in password or any("\ud800" <= character <= "\udfff" for character in password):
        return False
    return MIN_PASSWORD <= len(password) <= MAX_PASSWORD


def checked_password(password: str) -> str:
    """Return the normalised password, or raise InvalidInput(code="invalid_password")."""
    if not may_be_password(password):
        raise InvalidInput(
            f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters, none of them NUL.", code="invalid_password"
        )
    return normalised(password)


def address_subject(address: str) -> str:
    """Return the name of the row that counts an address's failed sign-ins."""
    return f"address:{address}"


def account_subject(name: str) -> str:
    """Return the name of the row that counts an account's failed sign-ins.

    A name that no account has is counted in the same way.
    """
    return f"account:{name}"


def guess_subject(address: str, name: str) -> str:
    """Return the name of the row that counts the failed sign-ins of one address at one account.

    They are a part of the address's failures. In alphabetical order this name is between the other two, and the rows
    are locked in that order.
    """
    return f"account@{address} {name}"


def delay_s(subject: str, failures: int) -> int:
    """Return how long a subject waits after this many failures in a row. It doubles, up to the limit of its kind."""
    if failures <= FREE_FAILURES:
        return 0
    # 1 << 9 is above every limit: more doublings would only make a longer number.
    return min(_most_delay_s(subject), 1 << min(failures - FREE_FAILURES - 1, 9))


def _most_delay_s(subject: str) -> int:
    if subject.startswith("account@"):
        return 0  # the address and the account wait instead
    return MAX_ACCOUNT_DELAY_S if subject.startswith("account:") else MAX_ADDRESS_DELAY_S
