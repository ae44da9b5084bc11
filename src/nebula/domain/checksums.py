"""Digests that clients announce: tus' Upload-Checksum, RFC 9530's Repr-Digest, and hex text."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from nebula.errors import InvalidInput

SIZES = {"sha1": 20, "sha256": 32}
HEX_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
REPR_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:;.*)?")


@dataclass(frozen=True)
class Checksum:
    """The digest that a request body must have."""

    algorithm: str  # a key of SIZES
    digest: bytes


def of_body(header: str) -> Checksum:
    """Parse an Upload-Checksum (tus 1.0.0): the algorithm, a space, the digest in base64. Raises InvalidInput."""
    algorithm, _, text = header.strip().partition(" ")
    if algorithm not in SIZES:
        raise InvalidInput(
            f"Upload-Checksum takes one of: {', '.join(SIZES)}.", code="unsupported_checksum", field="Upload-Checksum"
        )
    digest = _decoded(text)
    if digest is None or len(digest) != SIZES[algorithm]:
        raise InvalidInput(f"Upload-Checksum holds no {algorithm} digest in base64.", code="invalid_checksum")
    return Checksum(algorithm, digest)


def of_representation(header: str) -> str | None:
    """Return the SHA-256, in hex, that a Repr-Digest (RFC 9530) announces; None if it names only other algorithms.

    Raises InvalidInput.
    """
    announced = None
    for member in header.split(","):
        match = REPR_MEMBER.fullmatch(member.strip())
        if match is None:
            raise InvalidInput("Repr-Digest is not of the form sha-256=:BASE64:.", code="invalid_digest")
        if match[1] == "sha-256":
            digest = _decoded(match[2])
            if digest is None or len(digest) != SIZES["sha256"]:
                raise InvalidInput("Repr-Digest holds no SHA-256 digest in base64.", code="invalid_digest")
            announced = digest.hex()
    return announced


def of_hex(text: str) -> str:
    """Return a SHA-256 in hex as it is stored, in lower case. Raises InvalidInput."""
    if not HEX_SHA256.fullmatch(text):
        raise InvalidInput("sha256 must be 64 hexadecimal digits.", code="invalid_digest", field="sha256")
    return text.lower()


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
