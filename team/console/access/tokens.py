"""Machine tokens: what programs ask the console with. A person makes, lists and revokes them.

They lie beside the log as the key of approvals does, and not in it, since whoever can write the log's file can write
any event. Only their digests are kept; when each was last used stands in a file of its own, to the minute.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hmac import compare_digest
from pathlib import Path
from typing import Any, cast

from ....mail.clock import Clock, SystemClock, rfc3339
from ....mail.errors import LogUnavailable, UsageError
from ....mail.log.disk import Disk, make_folder, open_file, reason_of, replacing
from ....mail.log.lock import Lock
from ....mail.process import check_not_in_run
from ....mail.text.nearest import suggestion
from .caller import OF_PROGRAMS, Caller, Scope
from .logins import digest

PREFIX = "team_"  # of every token, by which those who look for secrets know it
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_TIMEOUT = 10.0
_NOTED = timedelta(minutes=1)  # between two notes of the last use of a token


@dataclass(frozen=True)
class Token:
    """A token by its name: its digest, what it may be used for, in whose name it acts, and when it was made and used.

    Times are as in the log; `used` is "" if it never was.
    """

    name: str
    digest: str
    scopes: tuple[str, ...]
    sender: str
    created: str
    used: str = ""

    def document(self) -> dict[str, Any]:
        """Return what is shown of it."""
        shown = asdict(self)
        del shown["digest"]
        return {**shown, "scopes": [*self.scopes], "used": self.used or None}


class Tokens:
    """The tokens of the team whose `.team` folder is `home`. Threads and processes share them."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self.home = home
        self._path, self._uses = home / "mail" / "console.tokens", home / "mail" / "console.used"
        self._clock = clock or SystemClock()
        self._lock = Lock(home / "mail" / "console.lock", self._clock, Disk(), _TIMEOUT)
        self._noted: dict[str, datetime] = {}
        self._noting = threading.Lock()

    def create(self, name: str, scopes: Collection[str], sender: str) -> str:
        """Make a token that acts as `sender`, and return it; nobody can read it later. Raises UsageError."""
        check_not_in_run(self.home, "makes no tokens; ask the human by mail")
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is not a name: letters, digits, '.', '_' and '-', with none of the last in front"
            )
        chosen = checked_scopes(scopes)
        text = PREFIX + secrets.token_urlsafe(32)
        make_folder(self._path.parent)
        with self._lock:
            tokens = self._read()
            if name in tokens:
                raise UsageError(f"there is a token {name!r}; revoke it first, or choose another name")
            now = rfc3339(self._clock.now())
            tokens[name] = Token(name, digest(text), chosen, sender, now)
            self._write(tokens)
        return text

    def revoke(self, name: str) -> None:
        """End a token; it is refused from now on. Raises UsageError."""
        check_not_in_run(self.home, "revokes no tokens; ask the human by mail")
        make_folder(self._path.parent)
        with self._lock:
            tokens = self._read()
            if name not in tokens:
                raise UsageError(f"no token {name!r}{suggestion(name, tokens)}")
            del tokens[name]
            self._write(tokens)

    def all(self) -> list[Token]:
        """Return all tokens by name, with their last use."""
        used = _object(_content(self._uses))
        return [replace(token, used=str(used.get(token.digest[:16], ""))) for _, token in sorted(self._read().items())]

    def caller(self, text: str) -> Caller | None:
        """Return who asks with a token, None if it is none, or one that was revoked."""
        own = digest(text)
        token = next((each for each in self._read().values() if compare_digest(each.digest, own)), None)
        if token is None:
            return None
        self._note(token)
        return Caller(token.sender, frozenset(map(Scope, token.scopes)), token=token.name)

    def _note(self, token: Token) -> None:
        """Note that a token was used, unless that was done a moment ago."""
        now, key = self._clock.now(), token.digest[:16]
        with self._noting:
            if (before := self._noted.get(key)) and now - before < _NOTED:
                return
            self._noted[key] = now
        with self._lock:
            known = {each.digest[:16] for each in self._read().values()}
            used = {name: value for name, value in _object(_content(self._uses)).items() if name in known}
            _replace(self._uses, used | {key: rfc3339(now)})

    def _read(self) -> dict[str, Token]:
        try:
            return {
                name: Token(name, fields["digest"], tuple(fields["scopes"]), fields["sender"], fields["created"])
                for name, fields in _object(_content(self._path)).items()
            }
        except (KeyError, TypeError) as error:
            raise LogUnavailable(f"{self._path} is damaged: {error}; move it away and make the tokens anew") from None

    def _write(self, tokens: Mapping[str, Token]) -> None:
        kept = {name: {**asdict(token), "scopes": [*token.scopes]} for name, token in tokens.items()}
        for fields in kept.values():
            del fields["name"], fields["used"]
        _replace(self._path, kept)


def checked_scopes(scopes: Collection[str]) -> tuple[str, ...]:
    """Return the scopes of a token in their order, each once. Raises UsageError."""
    for scope in scopes:
        if scope == Scope.ACT:
            raise UsageError("only a person who has logged in may approve, land, deploy and stop: no token may")
        if scope not in OF_PROGRAMS:
            raise UsageError(f"no scope {scope!r}{suggestion(scope, OF_PROGRAMS)}; there are {', '.join(OF_PROGRAMS)}")
    if not scopes:
        raise UsageError(f"a token needs a scope: {', '.join(OF_PROGRAMS)}")
    return tuple(str(scope) for scope in OF_PROGRAMS if scope in scopes)


def _content(path: Path) -> bytes:
    """Return the content of a file, b"" if there is none. Links are not followed. Raises LogUnavailable."""
    try:
        with open_file(path) as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise LogUnavailable(f"cannot read {path}: {reason_of(error)}") from error


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError:
        value = None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"": None}


def _replace(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that only the user may read, or the group whose team it is. Raises LogUnavailable."""
    try:
        with replacing(path) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(value, file, indent=1)
    except OSError as error:
        raise LogUnavailable(f"cannot write {path}: {reason_of(error)}") from error
