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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "short@2026-11-25T02:15Z"),
        ("SECRET_KEY", f"{KEY}@2026-11-25T02:15Z"),
        ("SECRET_KEY", f"{KEY} {KEY}@2026-13-25T02:15Z"),
        ("DATABASE_URL", "mysql://x"),
        ("S3_ENDPOINT", "127.0.0.1:9000"),
        ("NEBULA_BIND", "8420"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "soon"),
        ("NEBULA_NODE", "a b"),
        ("NEBULA_POWER_INTERVAL", "0"),
        ("NEBULA_POWER_INTERVAL", "nan"),
        ("SECRET_KEY_FILE", "/nowhere/key"),
    ],
)
def test_load_names_the_setting_that_is_wrong(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        config.load({name: value})


def test_load_never_shows_a_secret_in_its_error() -> None:
    with pytest.raises(SettingsError) as raised:
        config.load({"SECRET_KEY": "hunter2"})
    assert "hunter2" not in raised.value.message


def test_load_asks_for_the_keys_that_an_endpoint_needs() -> None:
    with pytest.raises(SettingsError, match="S3_ACCESS_KEY"):
        config.load({"S3_ENDPOINT": "http://127.0.0.1:9000"})


def test_settings_show_no_secret_when_printed() -> None:
    assert KEY not in repr(config.load({"SECRET_KEY": KEY}))
