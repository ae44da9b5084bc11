"""The errors that Nebula names. Each has a stable `code`; api/errors.py decides what a code means over HTTP."""

from __future__ import annotations


class NebulaError(Exception):
    """An error with a name. `permanent` is True if repeating the same action can never help."""

    code = "internal"
    permanent = True

    def __init__(self, message: str, *, code: str | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = details


class InvalidInput(NebulaError):
    """The input is not valid; the message says what to change."""

    code = "invalid_input"


class SignInRequired(NebulaError):
    """The request has no valid credentials."""

    code = "sign_in_required"


class Forbidden(NebulaError):
    """The account is known but may not do this."""

    code = "forbidden"


class NotFound(NebulaError):
    """There is no such thing, or none that this account may see. The two look the same from outside."""

    code = "not_found"


class Gone(NebulaError):
    """The thing existed and has ended; trying again means starting from the beginning."""

    code = "gone"


class Conflict(NebulaError):
    """The thing is in a state in which this is not possible."""

    code = "conflict"


class PreconditionFailed(NebulaError):
    """A condition that the client set does not hold (If-Match, If-None-Match)."""

    code = "precondition_failed"


class DigestMismatch(NebulaError):
    """The received bytes are not the announced ones; none of them are kept."""

    code = "digest_mismatch"


class ChecksumMismatch(DigestMismatch):
    """A digest mismatch in a resumable upload, for which tus has its own status."""

    code = "checksum_mismatch"


class IncompleteBody(NebulaError):
    """The connection or the body's framing broke before the body was complete."""

    code = "incomplete_body"


class StalledBody(IncompleteBody):
    """The body stopped arriving."""

    code = "stalled"


class TooLarge(NebulaError):
    """There are more bytes than Nebula accepts here."""

    code = "too_large"


class TooManyAttempts(NebulaError):
    """There were too many failed sign-ins; `retry_after_s` in the details says how long to wait."""

    code = "too_many_attempts"
    permanent = False


class Busy(NebulaError):
    """Nebula is already serving as many of these requests as it can at once."""

    code = "busy"
    permanent = False


class NoRoom(NebulaError):
    """There is too little disk space: the request would use the disk's reserve."""

    code = "no_room"
    permanent = False


class StoreUnavailable(NebulaError):
    """A store that the request needs does not answer. `store` is database, objects or queue."""

    code = "store_unavailable"
    permanent = False

    def __init__(self, store: str, message: str | None = None) -> None:
        super().__init__(message or f"The {store} store does not answer; try again in a moment.", store=store)
        self.store = store


class ObjectNotFound(NebulaError):
    """The object store has no object with this key."""

    code = "object_not_found"


class ObjectChanged(NebulaError):
    """The object is not the one that was there when reading began."""

    code = "object_changed"


class MultipartNotFound(NebulaError):
    """The object store does not know this unfinished multipart upload."""

    code = "multipart_not_found"


class Superseded(NebulaError):
    """A newer attempt owns this row; the results of this attempt must be discarded."""

    code = "superseded"


class MediaError(NebulaError):
    """No film can be made from these bytes; the message is the reason, in words for people."""

    code = "media_error"


class FfmpegFailed(NebulaError):
    """An ffmpeg run failed. In the details, `log` is the tail of its stderr and `status` its exit code, if any.

    The log and the message contain text from the file: they are shown to people and never used for decisions.
    """

    code = "ffmpeg_failed"
    permanent = False


class FfmpegStalled(FfmpegFailed):
    """An ffmpeg run reported nothing new for too long, and was ended."""


class Incomplete(FfmpegFailed):
    """A film does not contain what its source's packets promise.

    It is made again from a local copy. If that fails too, the source is damaged.
    """

    code = "incomplete"


class HardwareFailed(FfmpegFailed):
    """A hardware encoder failed twice at the same work; software may be able to do it."""

    code = "hardware_failed"


class OtherFingerprint(FfmpegFailed):
    """A chunk's header differs from that of the chunks that it is to be joined with: another encoder made it."""

    code = "other_fingerprint"


class Stopped(NebulaError):
    """Work ended in the middle because its worker was told to stop; nothing is wrong with the work."""

    code = "stopped"
    permanent = False


class HandedBack(Stopped):
    """Work ended in the middle because this machine must save its battery; the message says why."""

    code = "handed_back"


class SettingsError(NebulaError):
    """A setting is missing or wrong; the message names it and says what to set."""

    code = "settings"


class SchemaTooNew(NebulaError):
    """A newer version wrote the database, and this code does not know the database's revision."""

    code = "schema_too_new"
