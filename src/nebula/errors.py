"""The conditions that Nebula names. Each has a stable `code`; what a code means over HTTP is api/errors.py's to say."""

from __future__ import annotations


class NebulaError(Exception):
    """A condition with a name. `permanent` says whether trying the same again can ever help."""

    code = "internal"
    permanent = True

    def __init__(self, message: str, *, code: str | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = details


class InvalidInput(NebulaError):
    """What was sent cannot be meant; the message says what to change."""

    code = "invalid_input"


class SignInRequired(NebulaError):
    """No valid credentials came with the request."""

    code = "sign_in_required"


class Forbidden(NebulaError):
    """The account is known and may not do this."""

    code = "forbidden"


class NotFound(NebulaError):
    """No such thing, or none that this account may see: the two look the same from outside."""

    code = "not_found"


class Gone(NebulaError):
    """The thing was there and has ended; to try again is to begin anew."""

    code = "gone"


class Conflict(NebulaError):
    """The thing is in a state in which this cannot be done."""

    code = "conflict"


class PreconditionFailed(NebulaError):
    """A condition that the client announced does not hold (If-Match, If-None-Match)."""

    code = "precondition_failed"


class DigestMismatch(NebulaError):
    """The bytes that came are not the bytes that were announced; nothing of them is kept."""

    code = "digest_mismatch"


class ChecksumMismatch(DigestMismatch):
    """The same, of a resumable upload: tus has a status of its own for it."""

    code = "checksum_mismatch"


class IncompleteBody(NebulaError):
    """The connection broke, or the body's framing did, before the body was complete."""

    code = "incomplete_body"


class StalledBody(IncompleteBody):
    """The body stopped coming."""

    code = "stalled"


class TooLarge(NebulaError):
    """More bytes than Nebula takes in this place."""

    code = "too_large"


class TooManyAttempts(NebulaError):
    """Failed sign-ins; `retry_after_s` in the details says how long to wait."""

    code = "too_many_attempts"
    permanent = False


class Busy(NebulaError):
    """As many of these as Nebula serves at once are under way."""

    code = "busy"
    permanent = False


class NoRoom(NebulaError):
    """The disk's reserve would be touched."""

    code = "no_room"
    permanent = False


class StoreUnavailable(NebulaError):
    """A store that the request needs does not answer: `store` is database, objects or queue."""

    code = "store_unavailable"
    permanent = False

    def __init__(self, store: str, message: str | None = None) -> None:
        super().__init__(message or f"The {store} store does not answer; try again in a moment.", store=store)
        self.store = store


class ObjectNotFound(NebulaError):
    """The object store holds no object of that key."""

    code = "object_not_found"


class ObjectChanged(NebulaError):
    """The object is not the one that reading began with."""

    code = "object_changed"


class MultipartNotFound(NebulaError):
    """The object store knows nothing of that unfinished multipart upload."""

    code = "multipart_not_found"


class Superseded(NebulaError):
    """A newer attempt owns this row; whatever this one made is to be thrown away."""

    code = "superseded"


class MediaError(NebulaError):
    """No film can be made of these bytes; the message is the plain reason that the user reads."""

    code = "media_error"


class FfmpegFailed(NebulaError):
    """An ffmpeg run ended badly. In the details, `log` is the tail of its stderr and `status` its exit code, if any.

    The log and the message hold text of the file: they are shown to people, and decide nothing.
    """

    code = "ffmpeg_failed"
    permanent = False


class FfmpegStalled(FfmpegFailed):
    """An ffmpeg run said nothing new for too long, and was ended."""


class Incomplete(FfmpegFailed):
    """A film does not hold what its source's packets promise; again from a local copy: then the source is damaged."""

    code = "incomplete"


class HardwareFailed(FfmpegFailed):
    """A hardware encoder failed again at what it had failed at; software may be able to do it."""

    code = "hardware_failed"


class OtherFingerprint(FfmpegFailed):
    """A chunk's header is not that of the chunks that it is to be joined with: another encoder made it."""

    code = "other_fingerprint"


class Stopped(NebulaError):
    """Work ended in the middle because its worker was told to stop; nothing is wrong with it."""

    code = "stopped"
    permanent = False


class HandedBack(Stopped):
    """Work ended in the middle because this machine is to spare its battery; the message says why."""

    code = "handed_back"


class SettingsError(NebulaError):
    """A setting is missing or wrong; the message names it and says what to set."""

    code = "settings"


class SchemaTooNew(NebulaError):
    """The database was written by a newer version, whose revision this code does not know."""

    code = "schema_too_new"
