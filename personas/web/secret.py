"""Secrets, which are read from their file whenever they are needed, so that they can be changed at any time."""

from __future__ import annotations

from pathlib import Path

from ...mail.log.disk import open_file, reason_of

_MOST = 4_096  # bytes of a file with secrets


def read_secret(path: Path) -> str:
    """Read a file with secrets. Raises ValueError."""
    try:
        with open_file(path, follow=True) as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {reason_of(error)}") from None
    if len(data) > _MOST or not data.isascii():
        raise ValueError(f"names {path}, which holds more than secrets")
    return data.decode()


def read_token(path: Path) -> str:
    """Read a file that holds one token. Raises ValueError."""
    token = read_secret(path).strip()
    if not (token and token.isprintable() and " " not in token):
        raise ValueError("must hold one token, in one line")
    return token
