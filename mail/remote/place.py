"""Where a team's log is on a server: the address that a person writes, and the mark in the folder of its local copy.

Nothing of PostgreSQL is imported: every command asks for this.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple, Self, cast
from urllib.parse import parse_qsl, urlsplit

from ..errors import LogUnavailable, UsageError
from ..log.disk import Disk, make_folder, read_file, write_file
from ..log.writer import REMOTE

GIVEN: dict[str, str] = {}  # variables of libpq that this process was given and does not show: see personas/hidden.py
_SCHEMES = {"postgresql", "postgres"}
_SCHEMA = r"[a-z_][a-z0-9_]{0,39}"
_HIDDEN = {"password", "sslpassword"}


class Address(NamedTuple):
    """A server's database and the team's schema in it. `url` has no password."""

    url: str
    schema: str

    @classmethod
    def of(cls, url: str, schema: str) -> Self:
        """Check what a person wrote. Raises UsageError; the message never shows a password."""
        try:
            parts = urlsplit(url)
            secret = parts.password is not None or any(name in _HIDDEN for name, _ in parse_qsl(parts.query))
        except ValueError:
            raise UsageError("[log] url cannot be read: postgresql://HOST/DATABASE") from None
        if parts.scheme not in _SCHEMES:
            raise UsageError("[log] url must begin with postgresql://, as in postgresql://HOST/DATABASE")
        if secret:
            raise UsageError("[log] url has a password, which everybody reads there: put it into ~/.pgpass")
        if not re.fullmatch(_SCHEMA, schema):
            raise UsageError(f"[log] schema {schema!r} must be a word of small letters, digits and _, at most 40")
        return cls(url, schema)

    def __str__(self) -> str:
        """Return the address for people."""
        return f"{self.url} (schema {self.schema})"


class Mark(NamedTuple):
    """What says that a folder holds a copy of a server's log. `place` names this folder, the only one of its name."""

    address: Address
    place: str


def read_mark(folder: Path) -> Mark | None:
    """Return the mark of a log's folder; None if the log is in the folder itself. Raises LogUnavailable."""
    path = folder / REMOTE
    try:
        fields = json.loads(read_file(path))
        return Mark(Address(fields["url"], fields["schema"]), fields["place"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LogUnavailable(f"cannot read {path}: {error}; write it again with `team log migrate --to URL`") from None


def write_mark(folder: Path, mark: Mark) -> None:
    """Mark a folder as one that holds a copy. Raises OSError."""
    make_folder(folder)
    fields = {"url": mark.address.url, "schema": mark.address.schema, "place": mark.place}
    write_file(Disk(), folder / REMOTE, f"{json.dumps(fields)}\n".encode())


def new_mark(address: Address) -> Mark:
    """Return a mark for another folder."""
    return Mark(address, os.urandom(16).hex())


def readable(text: str) -> dict[str, Any]:
    """Return a JSON object that some login has written; an empty one if it is none that can be read."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
