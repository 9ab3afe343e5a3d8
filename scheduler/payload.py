"""JSON of any size in an event: within the line if it is small, else in a blob that the line names."""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any

from ..mail.errors import InvalidEvent
from ..mail.log.blobs import Blobs
from ..mail.log.event import check_json

_INLINE = 16 << 10  # characters; a line holds a mebibyte, but every reader of the log reads every line
_BLOB = "_blob"


def text_of(value: Any) -> str:
    """Return a value as JSON. Raises ValueError, with the reason, if it cannot be written so."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("it is nested too deep for JSON") from None
    except (TypeError, ValueError, RuntimeError) as error:  # the last one if it is changed while it is written
        raise ValueError(f"it is not JSON: {error}") from None


def kept(blobs: Blobs, name: str, value: Any) -> dict[str, Any]:
    """Return the entry of an event's data that stores a copy of a value under a name.

    Raises ValueError for a value that is not JSON.
    """
    text = text_of(value)
    if len(text) <= _INLINE and "\\u0000" not in text and _fits(value):
        return {name: json.loads(text)}
    return {name + _BLOB: blobs.put(text.encode(errors="backslashreplace"))._asdict()}


def held(blobs: Blobs, data: Mapping[str, Any], name: str) -> Any:
    """Return the value that `kept` stored under a name; None if there is none. Raises BlobMissing."""
    if blob := data.get(name + _BLOB):
        return json.loads(blobs.read(blob["sha256"]))
    return data.get(name)


def _fits(value: Any) -> bool:
    try:
        check_json({"": value})
    except InvalidEvent:
        return False
    return True


def as_text(data: bytes) -> str:
    """Return bytes as JSON can hold them."""
    return b2a_base64(data, newline=False).decode()


def as_bytes(text: str) -> bytes:
    """Return the bytes of `as_text`. Raises ValueError."""
    return a2b_base64(text)
