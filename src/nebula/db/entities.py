"""The schema as Pony maps it. Its history is in migrations/; a test checks that the two are equal.

Ids are dashed UUIDs as text, times are naive UTC, and JSON is text. `autostrip` is off everywhere, so that a name keeps
its spaces.
"""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

from pony import orm

from nebula.db.columns import key, maybe_text, size, text
from nebula.db.work import entities as work


def define_entities(database: orm.Database) -> SimpleNamespace:
    """Define every entity on `database` and return them by name."""

    class Account(database.Entity):  # type: ignore[misc]
        _table_ = "accounts"
        id = key()
        name = text(unique=True)
        role = text()
        password_hash = text()
        created_at = orm.Required(datetime)
        disabled_at = orm.Optional(datetime)
        sessions = orm.Set("Session")
        contents = orm.Set("Content")
        uploads = orm.Set("Upload")

    class Session(database.Entity):  # type: ignore[misc]
        """A token family: one signed-in device."""

        _table_ = "sessions"
        id = key()
        account = orm.Required(Account, column="account_id", index="sessions_by_account")
        user_agent = text()
        address = text()
        created_at = orm.Required(datetime)
        last_used_at = orm.Required(datetime)
        expires_at = orm.Required(datetime)
        revoked_at = orm.Optional(datetime)
        refresh_tokens = orm.Set("RefreshToken")

    class RefreshToken(database.Entity):  # type: ignore[misc]
        """A refresh token. `digest` is its SHA-256, `jti` is the id of the access token that was issued with it."""

        _table_ = "refresh_tokens"
        digest = key()
        session = orm.Required(Session, column="session_id", index="refresh_tokens_by_session")
        parent = maybe_text()
        jti = text(unique=True)
        issued_at = orm.Required(datetime)
        expires_at = orm.Required(datetime)
        spent_at = orm.Optional(datetime)
        access_seen_at = orm.Optional(datetime)
        dead_at = orm.Optional(datetime)

    class LoginFailure(database.Entity):  # type: ignore[misc]
        """The count of failed sign-ins of one subject (domain/credentials.py names the subjects)."""

        _table_ = "login_failures"
        subject = key()
        failures = orm.Required(int)
        last_at = orm.Required(datetime)
        blocked_until = orm.Required(datetime)

    class Content(database.Entity):  # type: ignore[misc]
        _table_ = "contents"
        id = key()
        account = orm.Required(Account, column="account_id")
        sha256 = text()
        size_bytes = size()
        object_key = text(unique=True)
        media_type = text()
        state = text()
        web_ready = orm.Required(bool)
        duration_s = orm.Optional(float)
        width = orm.Optional(int)
        height = orm.Optional(int)
        facts = maybe_text()
        created_at = orm.Required(datetime)
        files = orm.Set("File")
        renditions = orm.Set("Rendition")
        subtitles = orm.Set("Subtitles")
        jobs = orm.Set("Job")
        orm.composite_key(account, sha256)

    class File(database.Entity):  # type: ignore[misc]
        _table_ = "files"
        id = key()
        content = orm.Required(Content, column="content_id", index="files_by_content")
        account_id = text()
        name = text(index="files_by_name")
        media_type = text()
        visibility = text()
        created_at = orm.Required(datetime)
        updated_at = orm.Required(datetime)
        deleted_at = orm.Optional(datetime, index="files_by_deletion")
        links = orm.Set("Link")
        orm.composite_key(account_id, name, content)
        orm.composite_index(created_at, id)

    class Upload(database.Entity):  # type: ignore[misc]
        _table_ = "uploads"
        id = key()
        account = orm.Required(Account, column="account_id", index="uploads_by_account")
        state = text()
        name = text()
        media_type = text()
        visibility = text()
        announced_sha256 = maybe_text()
        length_bytes = orm.Optional(int, size=64)
        offset_bytes = size()
        object_key = text(unique=True)
        multipart_id = maybe_text()
        attempt = orm.Required(int)
        tail_attempt = orm.Required(int)
        resumable = orm.Required(bool)
        lease_until = orm.Optional(datetime)
        file_id = maybe_text()
        error_code = maybe_text()
        error = maybe_text()
        created_at = orm.Required(datetime)
        updated_at = orm.Required(datetime)
        expires_at = orm.Required(datetime, index="uploads_by_expiry")
        parts = orm.Set("UploadPart")

    class UploadPart(database.Entity):  # type: ignore[misc]
        _table_ = "upload_parts"
        upload = orm.Required(Upload, column="upload_id")
        number = orm.Required(int)
        etag = text()
        size_bytes = size()
        orm.PrimaryKey(upload, number)

    class Rendition(database.Entity):  # type: ignore[misc]
        _table_ = "renditions"
        id = key()
        content = orm.Required(Content, column="content_id")
        rung = text()
        object_key = text(unique=True)
        size_bytes = size()
        sha256 = text()
        width = orm.Required(int)
        height = orm.Required(int)
        duration_s = orm.Required(float)
        video_codec = text()
        audio_codec = maybe_text()
        created_at = orm.Required(datetime)
        links = orm.Set("Link")
        orm.composite_key(content, rung)

    class Subtitles(database.Entity):  # type: ignore[misc]
        """One text stream of a source, stored as a WebVTT object; `number` is the stream's index in the source."""

        _table_ = "subtitles"
        id = key()
        content = orm.Required(Content, column="content_id")
        number = orm.Required(int)
        codec = text()
        language = maybe_text()
        title = maybe_text()
        is_default = orm.Required(bool)
        is_forced = orm.Required(bool)
        is_for_hearing_impaired = orm.Required(bool)
        object_key = text(unique=True)
        size_bytes = size()
        sha256 = text()
        cues = orm.Required(int)
        created_at = orm.Required(datetime)
        links = orm.Set("Link")
        orm.composite_key(content, number)

    class Link(database.Entity):  # type: ignore[misc]
        """`digest` is the SHA-256 of the token. The token itself is not stored."""

        _table_ = "links"
        id = key()
        digest = text(unique=True)
        account_id = text(index="links_by_account")
        file = orm.Required(File, column="file_id", index="links_by_file")
        rendition = orm.Optional(Rendition, column="rendition_id", index="links_by_rendition")
        subtitles = orm.Optional(Subtitles, column="subtitles_id", index="links_by_subtitles")
        quality = text()
        created_at = orm.Required(datetime)
        expires_at = orm.Required(datetime)
        revoked_at = orm.Optional(datetime)

    class DoomedObject(database.Entity):  # type: ignore[misc]
        """An object that may exist and that may not be needed. The row is written before the object is.

        The sweep deletes the object when it is due, unless a content, or something that was made of a content, names
        it. The row stays until the object is deleted. The sweep deletes no other objects.
        """

        _table_ = "doomed_objects"
        object_key = key()
        delete_after = orm.Required(datetime, index="doomed_objects_by_time")

    class Node(database.Entity):  # type: ignore[misc]
        _table_ = "nodes"
        name = key()
        version = text()
        encoder = maybe_text()
        viewers = orm.Required(int)
        viewers_at = orm.Optional(datetime)
        throttle = maybe_text()
        throttle_since = orm.Optional(datetime)
        power = maybe_text()
        power_at = orm.Optional(datetime)
        paused_s = orm.Required(float, default=0.0)
        started_at = orm.Required(datetime)
        seen_at = orm.Required(datetime)

    class PowerChange(database.Entity):  # type: ignore[misc]
        """A change of a node's throttle decision, with the power reading that caused it."""

        _table_ = "power_changes"
        id = key()
        node = text()
        at = orm.Required(datetime)
        throttle = text()
        reasons = text()
        on_mains = orm.Optional(bool)
        percent = orm.Optional(float)
        temperature_c = orm.Optional(float)
        orm.composite_index(node, at)

    class Operation(database.Entity):  # type: ignore[misc]
        """A backup, a rollback or a deploy. It is requested here and carried out by the machine."""

        _table_ = "operations"
        id = key()
        kind = text()
        state = text()
        asked_by = text()
        commit_id = maybe_text()
        release = maybe_text()
        message = maybe_text()
        created_at = orm.Required(datetime, index="operations_by_time")
        started_at = orm.Optional(datetime)
        finished_at = orm.Optional(datetime)

    class Backup(database.Entity):  # type: ignore[misc]
        """The backup that is set up: one row, or none. `said` describes the last success, `error` a later failure."""

        _table_ = "backups"
        target = key()
        kept = text()
        warning = maybe_text()
        set_up_at = orm.Required(datetime)
        tried_at = orm.Optional(datetime)
        succeeded_at = orm.Optional(datetime)
        said = maybe_text()
        error = maybe_text()
        read_at = orm.Optional(datetime)
        read_said = maybe_text()
        read_error = maybe_text()

    class PurgeHold(database.Entity):  # type: ignore[misc]
        """A purge lease. While it is valid, the sweep deletes no object, so that a backup of the store is complete."""

        _table_ = "purge_holds"
        holder = key()
        held_until = orm.Required(datetime)

    return SimpleNamespace(
        Account=Account,
        Session=Session,
        RefreshToken=RefreshToken,
        LoginFailure=LoginFailure,
        Content=Content,
        File=File,
        Upload=Upload,
        UploadPart=UploadPart,
        **work.define_entities(database),
        Rendition=Rendition,
        Subtitles=Subtitles,
        Link=Link,
        DoomedObject=DoomedObject,
        Node=Node,
        PowerChange=PowerChange,
        Operation=Operation,
        Backup=Backup,
        PurgeHold=PurgeHold,
    )
