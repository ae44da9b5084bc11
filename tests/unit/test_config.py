"""Settings are read once, checked, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from nebula import config
from nebula.errors import SettingsError

KEY = "k" * 32


def test_load_fills_in_the_embedded_stores() -> None:
    settings = config.load({"NEBULA_DATA_DIR": "/var/lib/nebula"})
    assert settings.database_url == "sqlite:////var/lib/nebula/nebula.sqlite"
    assert settings.embedded_database
    assert (settings.redis_url, settings.s3_endpoint) == ("", "")


def test_load_reads_a_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert config.load({"SECRET_KEY_FILE": str(tmp_path / "key")}).secret_keys == (KEY,)


def test_load_reads_a_keyring_newest_first() -> None:
    other = "o" * 32
    assert config.load({"SECRET_KEY": f"{KEY} {other}"}).secret_keys == (KEY, other)


GOOD: dict[str, list[str]] = {
    "DATABASE_URL": [
        "postgresql://nebula:p%40ss@127.0.0.1:5432/nebula",
        "postgres://nebula@laptop/nebula?sslmode=require",
        "postgresql:///nebula?host=/run/postgresql",
        "postgresql://nebula@[fd7a:115c::1]/nebula",
        "postgresql://%2Frun%2Fpostgresql/nebula",
        "sqlite:////var/lib/nebula/a #?%20 b.sqlite",
    ],
    "REDIS_URL": [
        "redis://127.0.0.1:6379/0",
        "redis://:p%40ss@laptop",
        "rediss://worker:secret@laptop:6380/1",
        "redis://[::1]:6379",
    ],
    "NEBULA_BIND": ["127.0.0.1:8420", "[::1]:8420", "0.0.0.0:65535", "laptop:80", "127.0.0.1:0"],
}

WRONG: dict[str, list[str]] = {
    "SECRET_KEY": [
        "short",
        "short@2026-11-25T02:15Z",
        f"{KEY}@2026-11-25T02:15Z",
        f"{KEY} {KEY}@2026-13-25T02:15Z",
    ],
    "SECRET_KEY_FILE": ["/nowhere/key", "/"],
    "DATABASE_URL": [
        "mysql://x",
        "postgresql",
        "postgresql://",
        "postgresql://nebula:hunter2@laptop:port/nebula",
        "postgresql://nebula:hunter2@laptop:99999/nebula",
        "postgresql://nebula:hunter2@laptop/",
        "postgresql://nebula:hunter2@[::1/nebula",
        "sqlite://nebula.sqlite",
        "sqlite:///",
        "sqlite:///a/relative/path",
        "sqlite:////a/path\nin two lines",
    ],
    "REDIS_URL": [
        "127.0.0.1:6379",
        "http://127.0.0.1:6379",
        "redis:127.0.0.1",
        "redis://",
        "redis://:hunter2@laptop:port/0",
        "redis://:hunter2@laptop:99999/0",
        "redis://:hunter2@laptop:6379/queue",
        "redis://:hunter2@[::1:6379",
        "redis://:hunter2@laptop:6379/0?socket_timeout=soon",
        "redis://:hun/ter2@laptop:6379",
        "redis://:hunter2@lap top:6379",
        "unix:///run/redis/redis.sock",
    ],
    "S3_ENDPOINT": ["127.0.0.1:9000", "http://", "http://:9000", "http://user:hunter2@store", "http://store:99999"],
    "S3_BUCKET": ["no", "Upper", "a_b", "with space"],
    "S3_SYNC_DIR": ["two\nlines"],
    "NEBULA_BIND": ["8420", "127.0.0.1", "127.0.0.1:99999", ":8420", "a b:8420", "127.0.0.1:http", "::1:8420:"],
    "NEBULA_DATA_DIR": ["two\nlines", "nul\x00"],
    "NEBULA_SPOOL_DIR": ["two\nlines"],
    "ACCESS_TOKEN_EXPIRE_MINUTES": ["0", "soon", "-5", "1.5", "9" * 30, "1_0"],
    "REFRESH_TOKEN_EXPIRE_DAYS": ["0", "9" * 30],
    "NEBULA_RESERVE_BYTES": ["0", "1 GiB", "9" * 30],
    "NEBULA_SWEEP_INTERVAL": ["0", "1e3", "9" * 30],
    "NEBULA_NODE": ["a b"],
    "NEBULA_POWER_INTERVAL": ["0", "nan", "inf", "1e9"],
    "NEBULA_CHUNK_SECONDS": ["0", "soon"],
    "NEBULA_ENCODER": ["h265"],
    "NEBULA_OWNER": ["a b", "x" * 65],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GOOD.items() for value in values])
def test_load_takes_what_the_stores_take(name: str, value: str) -> None:
    config.load({name: value})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_load_names_the_setting_that_is_wrong_in_one_sentence(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as raised:
        config.load({name: value})
    assert "hunter2" not in raised.value.message
    assert "ter2" not in raised.value.message
    assert "\n" not in raised.value.message


def test_load_never_shows_a_secret_in_its_error() -> None:
    with pytest.raises(SettingsError) as raised:
        config.load({"SECRET_KEY": "hunter2"})
    assert "hunter2" not in raised.value.message


def test_load_asks_for_the_keys_that_an_endpoint_needs() -> None:
    with pytest.raises(SettingsError, match="S3_ACCESS_KEY"):
        config.load({"S3_ENDPOINT": "http://127.0.0.1:9000"})


def test_settings_show_no_secret_when_printed() -> None:
    assert KEY not in repr(config.load({"SECRET_KEY": KEY}))
