"""The errors that end a command: each has a one-line message for the person, and an exit code."""

from __future__ import annotations


class CliError(Exception):
    """The command failed. The message says in one line what failed, why, and what to type next.

    `what` is the message without the advice.
    """

    exit_code = 1

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what}. {advice}" if advice else what)
        self.what = what

    def put_before(self, sentence: str) -> None:
        """Put `sentence` before the message; the exit code stays the same."""
        self.what = f"{sentence} {self.what}"
        self.args = (f"{sentence} {self}",)

    def advise(self, advice: str) -> None:
        """Add a sentence about what to do next."""
        self.args = (f"{str(self).rstrip('.')}. {advice}",)


class UsageError(CliError):
    """The command line is wrong; nothing was done."""

    exit_code = 2


class Unreachable(CliError):
    """The server did not answer, or something other than Nebula answered."""

    exit_code = 3


class SignInAgain(CliError):
    """There is no session, or the server ended it."""

    exit_code = 4


class NotFound(CliError):
    """It does not exist, or this account may not see it."""

    exit_code = 5


class Interrupted(CliError):
    """Ctrl-C was pressed; the message says how to continue."""

    exit_code = 130


class Refused(CliError):
    """The server answered with a problem; `code` is its stable code, `status` its HTTP status."""

    def __init__(self, message: str, *, code: str, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
