"""The proof that a person approved a patch: a code over run and patch, with a key that lies beside the log.

An event alone says nothing, since whoever can write the log's file can write any event. The key is in the team's
folder, which an agent in a sandbox does not have. What an agent without one can do is in docs/security.md.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from ..mail.errors import LogUnavailable
from ..mail.log.disk import Disk, open_file
from .kinds import Kind

_KEY_BYTES = 32
_OWNER, _GROUP = 0o600, 0o060


class ApprovalKey:
    """The key of the team whose `.team` folder is `home`; it is made with the first approval."""

    def __init__(self, home: Path) -> None:
        self.path = home / "mail" / "approval.key"
        self._log = home / "mail" / "events.jsonl"

    def sign(self, run: str, sha256: str) -> str:
        """Return the code for the patch of a run, given its checksum. Raises LogUnavailable."""
        try:
            return _code(self._read() or self._make(), run, sha256)
        except OSError as error:
            raise LogUnavailable(f"cannot write {self.path}: {error.strerror}; nothing was approved") from error

    def verifies(self, run: str, sha256: str, code: object) -> bool:
        """Tell whether a code is that of the patch of a run."""
        try:
            key = self._read()
        except OSError:
            return False
        return bool(key) and isinstance(code, str) and hmac.compare_digest(_code(key, run, sha256), code)

    def _read(self) -> bytes:
        """Return the key, b"" if there is none. Links are not followed."""
        try:
            with open_file(self.path) as file:
                key = file.read(_KEY_BYTES + 1)
        except FileNotFoundError:
            return b""
        return key if len(key) == _KEY_BYTES else b""

    def _make(self) -> bytes:
        """Make the key, for the same people as the log: a team of several users shares it by its group."""
        shared = bool(stat.S_IMODE(self._log.stat().st_mode) & stat.S_IWGRP)
        scratch = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")  # so that nobody can take its place
        try:
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, _OWNER | (_GROUP if shared else 0))
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                Disk().sync(descriptor)
            if self.path.exists() and not self._read():
                self.path.unlink()  # a torn one verifies nothing
            with suppress(FileExistsError):  # somebody else was first
                self.path.hardlink_to(scratch)
        finally:
            scratch.unlink(missing_ok=True)
        return self._read()


def _code(key: bytes, run: str, sha256: str) -> str:
    return hmac.new(key, f"{Kind.PATCH_APPROVED}\0{run}\0{sha256}".encode(), "sha256").hexdigest()
