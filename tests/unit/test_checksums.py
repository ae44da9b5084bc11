"""Digests that clients announce, and the media type that a file gets."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nebula.domain import checksums, media_types
from nebula.errors import InvalidInput

SHA1 = base64.b64encode(hashlib.sha1(b"x").digest()).decode()
SHA256 = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
HEX = hashlib.sha256(b"x").hexdigest()


def test_body_checksum_is_read() -> None:
    assert checksums.of_body(f"sha1 {SHA1}") == checksums.Checksum("sha1", hashlib.sha1(b"x").digest())
    assert checksums.of_body(f" sha256 {SHA256} ").digest.hex() == HEX


@pytest.mark.parametrize(
    "header", ["", "sha1", "sha1 ", f"md5 {SHA1}", f"sha256 {SHA1}", f"sha1 {SHA1[:-3]}", f"SHA1 {SHA1}", "sha1 ü"]
)
def test_body_checksum_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput):
        checksums.of_body(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"sha-256=:{SHA256}:", HEX),
        (f"sha-512=:AAAA:, sha-256=:{SHA256}:", HEX),
        (f"sha-256=:{SHA256}:;x=1", HEX),
        ("sha-512=:AAAA:", None),
    ],
)
def test_representation_digest_is_read(header: str, expected: str | None) -> None:
    assert checksums.of_representation(header) == expected


@pytest.mark.parametrize("header", ["", "sha-256", f"sha-256={SHA256}", f"sha-256=:{SHA1}:", "sha-256=:A:", ",", HEX])
def test_representation_digest_that_is_none_is_refused(header: str) -> None:
    with pytest.raises(InvalidInput):
        checksums.of_representation(header)


@given(st.text())
def test_any_header_is_read_or_refused(text: str) -> None:
    for read in (checksums.of_body, checksums.of_representation, checksums.of_hex):
        try:
            read(text)
        except InvalidInput as error:
            assert error.message


def test_hex_digest_is_kept_in_lower_case() -> None:
    assert checksums.of_hex(HEX.upper()) == HEX
    for text in ("", HEX[1:], HEX + "0", "g" * 64):
        with pytest.raises(InvalidInput):
            checksums.of_hex(text)


@pytest.mark.parametrize(
    ("announced", "name", "expected"),
    [
        ("video/mp4", "a.mkv", "video/mp4"),
        ('text/plain; charset="utf-8"', "a", 'text/plain; charset="utf-8"'),
        (None, "films/A Film.MKV", "video/x-matroska"),
        ("", "a.mp4", "video/mp4"),
        ("application/octet-stream", "a.webm", "video/webm"),
        ("nonsense", "a.jpg", "image/jpeg"),
        ("text/html\r\nX-Evil: 1", "a.txt", "text/plain"),
        ("a/" + "b" * 300, "a.flac", "audio/flac"),
        ("text/plain; name=é", "a.txt", "text/plain"),
        (None, ".mkv", "application/octet-stream"),
        (None, "folder.mkv/file", "application/octet-stream"),
        (None, "no extension", "application/octet-stream"),
        (None, "data:text/html,x", "application/octet-stream"),
    ],
)
def test_media_type_is_the_announced_one_or_the_names(announced: str | None, name: str, expected: str) -> None:
    assert media_types.settled(announced, name) == expected
