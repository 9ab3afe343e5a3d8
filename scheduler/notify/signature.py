"""Signatures of webhooks as Standard Webhooks has them (specification 1.0.0): HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64  # bytes of a secret, as the specification says
_SECRETS = 2  # while one takes the place of the other
TOLERANCE = 300  # seconds that the clocks of both sides may differ, as the specification's own libraries have it
_DIGITS = 12  # of a time in seconds


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


def refusal(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Say why a webhook that came in is not believed, "" if it is; `now` is in seconds since 1970.

    `headers` are those that `signed` makes, their names in small letters.
    """
    own, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not own or not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= _DIGITS):
        return "webhook-id or webhook-timestamp is missing"
    if abs(now - int(stamp)) > TOLERANCE:
        return f"its time is more than {TOLERANCE} s from this machine's"
    given = headers.get("webhook-signature", "").split(" ")
    for secret in secrets:
        code = signed([secret], own, int(stamp), body)["webhook-signature"]
        if any(hmac.compare_digest(code.encode(), each.encode(errors="replace")) for each in given):
            return ""
    return "the signature is not one by the secret of this team"
