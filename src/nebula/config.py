"""Settings: one table, read once from the environment and checked. Only this module reads os.environ.

A secret may be given as NAME_FILE, the path of a file that contains it (systemd credentials). No secret has a usable
default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from nebula.errors import SettingsError

MAX_PORT = 65535
MINIMUM_KEY_BYTES = 32  # RFC 7518 3.2: an HS256 key must be at least as long as the hash
KEY_WITH_END = re.compile(r"(.+)@(\d{4}-\d\d-\d\dT\d\d:\d\dZ)")
ENCODERS = ("auto", "h264_qsv", "h264_vaapi", "libx264")


@dataclass(frozen=True)
class Setting:
    """One row of the table: its environment name, its meaning, and how its text becomes a value."""

    name: str
    help: str
    parse: Callable[[str], Any] = str
    secret: bool = False


def _row(name: str, help: str, default: Any, parse: Callable[[str], Any] = str, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"setting": Setting(name, help, parse, secret)})


def _positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
        raise ValueError("takes a whole number of 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) or not 0.1 <= float(text) <= 3600:
        raise ValueError("takes 0.1 to 3600 seconds")
    return float(text)


def _path(text: str) -> Path:
    if not text.isprintable():
        raise ValueError("takes a path without line breaks and control characters")
    return Path(text)


def key_and_end(text: str) -> tuple[str, datetime | None]:
    """Split a key of the keyring: KEY, or KEY@2026-11-25T02:15Z for a key that is valid until then."""
    match = KEY_WITH_END.fullmatch(text)
    return (match[1], datetime.fromisoformat(match[2])) if match else (text, None)


def _keyring(text: str) -> tuple[str, ...]:
    keys = tuple(key for key in re.split(r"[\s,]+", text) if key)
    parts = [key_and_end(key) for key in keys]
    if not keys or any(len(key.encode()) < MINIMUM_KEY_BYTES for key, _ in parts):
        raise ValueError(f"takes one or more keys of at least {MINIMUM_KEY_BYTES} bytes, newest first")
    if parts[0][1] is not None:
        raise ValueError("takes a first key without an end: it signs")
    return keys


def _parts(text: str, form: str) -> SplitResult:
    """Split a URL. Raises ValueError that says which form is expected and quotes nothing of the URL."""
    try:
        parts = urlsplit(text)
        is_good = text.isprintable() and " " not in text and parts.port != 0  # a port that is not a number raises
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(f"takes {form}")
    return parts


def _database_url(text: str) -> str:
    form = "postgresql://USER:PASSWORD@HOST/NAME or sqlite:////PATH"
    if text.startswith("sqlite:"):
        # The text after sqlite:/// is the path as it is, without escapes.
        if not text.startswith("sqlite:////") or not text.isprintable():
            raise ValueError(f"takes {form}")
        return text
    parts = _parts(text, form)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/") or parts.fragment:
        raise ValueError(f"takes {form}; a special character in the password is written as %XX")
    return text


def _redis_url(text: str) -> str:
    form = "redis://:PASSWORD@HOST:PORT/NUMBER"
    parts = _parts(text, form)
    is_redis = parts.scheme in {"redis", "rediss"} and parts.hostname
    if not is_redis or not re.fullmatch(r"/?\d{0,5}", parts.path, re.ASCII) or parts.query or parts.fragment:
        raise ValueError(f"takes {form}; a special character in the password is written as %XX")
    return text


def _http_url(text: str) -> str:
    form = "http://HOST:PORT or https://HOST:PORT"
    parts = _parts(text, form)
    is_address = parts.scheme in {"http", "https"} and parts.hostname and parts.username is None
    if not is_address or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"takes {form}")
    return text.rstrip("/")


def _bucket(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError("takes 3 to 63 small letters, digits, dots and dashes")
    return text


def _bind(text: str) -> str:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", text)
    if match is None or int(match[2]) > MAX_PORT:
        raise ValueError(f"takes ADDRESS:PORT, an IPv6 address in brackets, a port of at most {MAX_PORT}")
    return text


def _owner(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", text):
        raise ValueError("takes 1 to 64 letters (a-z), digits, dots, underscores or dashes")
    return text


def _node(text: str) -> str:
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}$", text):
        raise ValueError("takes a short host name: letters, digits, dots and dashes")
    return text


def _encoder(text: str) -> str:
    if text not in ENCODERS:
        raise ValueError(f"takes {', '.join(ENCODERS)}")
    return text


@dataclass(frozen=True)
class Settings:
    """Every setting, checked. An empty value means "not set": the embedded store of that kind is used."""

    data_dir: Path = _row(
        "NEBULA_DATA_DIR", "directory for everything that this node keeps itself", Path(".nebula"), _path
    )
    bind: str = _row("NEBULA_BIND", "address and port of the gateway", "127.0.0.1:8420", _bind)
    database_url: str = _row(
        "DATABASE_URL", "postgresql://...; unset: SQLite in the data directory", "", _database_url, True
    )
    redis_url: str = _row("REDIS_URL", "redis://...; unset: a queue in the data directory", "", _redis_url, True)
    s3_endpoint: str = _row("S3_ENDPOINT", "http://HOST:PORT of MinIO or any S3; unset: a directory", "", _http_url)
    s3_access_key: str = _row("S3_ACCESS_KEY", "the store's access key", "", str, True)
    s3_secret_key: str = _row("S3_SECRET_KEY", "the store's secret key", "", str, True)
    s3_bucket: str = _row("S3_BUCKET", "the bucket that holds every object", "nebula-uploads", _bucket)
    s3_region: str = _row("S3_REGION", "the region that requests are signed for", "us-east-1")
    s3_sync_dir: Path | None = _row(
        "S3_SYNC_DIR",
        "a directory on the store's drive, where that is in this machine: synced before done",
        None,
        _path,
    )
    secret_keys: tuple[str, ...] = _row(
        "SECRET_KEY",
        "signs access tokens: one or more, newest first; the first signs, all count (KEY@2026-11-25T02:15Z until then)",
        (),
        _keyring,
        True,
    )
    access_token_minutes: int = _row("ACCESS_TOKEN_EXPIRE_MINUTES", "life of an access token", 15, _positive)
    refresh_token_days: int = _row(
        "REFRESH_TOKEN_EXPIRE_DAYS", "days from its last use that a session lives", 30, _positive
    )
    metrics_token: str = _row("METRICS_TOKEN", "bearer token for /metrics; unset: 404", "", str, True)
    node_name: str = _row("NEBULA_NODE", "stable name of this worker node; unset: the host's name", "", _node)
    power_supply_dir: Path = _row(
        "NEBULA_POWER_SUPPLY_DIR", "where batteries and adapters are read", Path("/sys/class/power_supply"), _path
    )
    thermal_dir: Path | None = _row(
        "NEBULA_THERMAL_DIR", "where temperatures are read (thermal_zone*/temp); unset: what psutil finds", None, _path
    )
    power_interval_s: float = _row("NEBULA_POWER_INTERVAL", "seconds between two power readings", 5.0, _seconds)
    chunk_s: float = _row("NEBULA_CHUNK_SECONDS", "seconds of film in one encoded chunk, at least", 30.0, _seconds)
    encoder: str = _row(
        "NEBULA_ENCODER",
        "encoder to try: h264_qsv, h264_vaapi, libx264, or auto: each, the best first; one that fails is libx264",
        "auto",
        _encoder,
    )
    reserve_bytes: int = _row("NEBULA_RESERVE_BYTES", "disk kept free for the database", 1 << 30, _positive)
    sweep_interval_s: int = _row("NEBULA_SWEEP_INTERVAL", "seconds between two sweeps", 60, _positive)
    spool_dir: Path | None = _row(
        "NEBULA_SPOOL_DIR", "where the ids of requested operations go; unset: none can be asked for", None, _path
    )
    owner: str = _row("NEBULA_OWNER", "name of the first account", "owner", _owner)
    owner_password_file: str = _row("NEBULA_OWNER_PASSWORD_FILE", "file with the first account's password", "")

    @property
    def embedded_database(self) -> bool:
        """Whether metadata is in a SQLite file, which works only on one machine."""
        return self.database_url.startswith("sqlite:")

    @property
    def objects_dir(self) -> Path:
        """The directory of the embedded object store."""
        return self.data_dir / "objects"

    @property
    def queue_dir(self) -> Path:
        """The directory of the embedded queue (Celery's filesystem transport)."""
        return self.data_dir / "queue"

    @property
    def tails_dir(self) -> Path:
        """The directory of acknowledged bytes of unfinished uploads that do not fill a part yet."""
        return self.data_dir / "tails"

    @property
    def scratch_dir(self) -> Path:
        """The directory of workers' local files: one directory per attempt, emptied when a worker starts."""
        return self.data_dir / "scratch"


def notify_socket() -> str:
    """Return the socket on which systemd expects a service's reports (sd_notify(3)), or "".

    systemd sets the variable, so it is not a setting.
    """
    return os.environ.get("NOTIFY_SOCKET", "")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check every setting.

    Raises SettingsError that names the variable and the values that it accepts.
    """
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for row in fields(Settings):
        setting: Setting = row.metadata["setting"]
        text = _text(setting, source)
        if text:
            values[row.name] = _parsed(setting, text)
    settings = Settings(**values)
    return _completed(settings, values)


def _completed(settings: Settings, values: dict[str, Any]) -> Settings:
    data_dir = settings.data_dir.absolute()
    values |= {"data_dir": data_dir, "node_name": settings.node_name or os.uname().nodename}
    if not settings.database_url:
        values["database_url"] = f"sqlite:///{data_dir / 'nebula.sqlite'}"
    if settings.s3_endpoint and not (settings.s3_access_key and settings.s3_secret_key):
        raise SettingsError("S3_ENDPOINT is set: S3_ACCESS_KEY and S3_SECRET_KEY must be set too.")
    return Settings(**values)


def _text(setting: Setting, source: Mapping[str, str]) -> str:
    path = source.get(f"{setting.name}_FILE", "") if setting.secret else ""
    if not path:
        return source.get(setting.name, "").strip()
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{setting.name}_FILE cannot be read: {error}.") from error


def _parsed(setting: Setting, text: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError as error:
        # A URL may contain a password even if its setting is not a secret.
        value = "its value" if setting.secret or "@" in text else repr(text[:200])
        raise SettingsError(f"{setting.name}: {value} is not usable: {error}. It is: {setting.help}.") from error
