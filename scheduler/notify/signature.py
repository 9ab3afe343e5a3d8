"""Signatures of webhooks as Standard Webhooks has them (specification 1.0.0): HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64  # bytes of a secret, as the specification says
_SECRETS = 2  # while one takes the place of the other


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """Return the one or two secrets of a file, each a line of base64, with or without `whsec_`. Raises ValueError."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 1 <= len(lines) <= _SECRETS:
        raise ValueError(f"holds {len(lines)} secrets, and must hold one, or two while you change them, a line each")
    return tuple(map(_secret, lines))


def _secret(line: str) -> bytes:
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("holds a secret that is not base64: openssl rand -base64 32 makes one") from None
    if not _LEAST <= len(secret) <= _MOST:
        raise ValueError(
            f"holds a secret of {len(secret)} bytes, and it must have {_LEAST} to {_MOST}: openssl rand -base64 32"
        )
    return secret


def signed(secrets: Sequence[bytes], id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the headers of a webhook: its id, its time in seconds since 1970, and a signature by each secret."""
    content = f"{id}.{seconds}.".encode() + body
    codes = (base64.b64encode(hmac.digest(secret, content, sha256)).decode() for secret in secrets)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{code}" for code in codes),
    }
