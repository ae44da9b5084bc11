"""How a command can end other than well: one line for people, and the exit code of its kind."""

from __future__ import annotations


class CliError(Exception):
    """The command failed. The message says what failed, why, and what to type next, in one line.

    `what` is that line without its `advice`.
    """

    exit_code = 1

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what}. {advice}" if advice else what)
        self.what = what

    def put_before(self, sentence: str) -> None:
        """Begin the message with `sentence`; the exit code stays."""
        self.what = f"{sentence} {self.what}"
        self.args = (f"{sentence} {self}",)

    def advise(self, advice: str) -> None:
        """Add a sentence about what to do next."""
        self.args = (f"{str(self).rstrip('.')}. {advice}",)


class UsageError(CliError):
    """The command line cannot be meant; nothing was done."""

    exit_code = 2


class Unreachable(CliError):
    """No answer came from the server."""

    exit_code = 3


class SignInAgain(CliError):
    """There is no session, or the server ended it."""

    exit_code = 4


class NotFound(CliError):
    """No such thing, or none that this account may see."""

    exit_code = 5


class Interrupted(CliError):
    """Ctrl-C, where there is something to say about how to go on."""

    exit_code = 130


class Refused(CliError):
    """The server answered with a problem; `code` is its stable word, `status` its HTTP status."""

    def __init__(self, message: str, *, code: str, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
