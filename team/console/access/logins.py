"""Logins: a single-use key on the terminal makes a session, which lives in memory and ends with the server."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ....mail.clock import Clock, SystemClock, rfc3339

_IDLE = 7 * 86_400.0  # seconds after which a session that nobody uses is over
_KEY_LIVES = 600.0  # seconds of a key that was made for another device
_FRESH = 600.0  # seconds
_MOST = 100  # sessions, and keys; the oldest makes room
_DEVICE = 200  # characters


@dataclass(frozen=True)
class Session:
    """A login: its id, which is no secret, the device as it calls itself, its address, and when it came and was used.

    Times are in seconds since 1970.
    """

    id: str
    device: str
    address: str
    since: float
    used: float

    def document(self) -> dict[str, str]:
        """Return what is shown of it."""
        return {
            "id": self.id,
            "device": self.device,
            "address": self.address,
            "since": _text(self.since),
            "used": _text(self.used),
        }


class Logins:
    """The keys and sessions of one server. Only their digests are kept. Threads share it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._lock = threading.Lock()
        self._clock = clock or SystemClock()
        self._keys: OrderedDict[str, float | None] = OrderedDict()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def new_key(self, *, lasts: bool = True) -> str:
        """Return a key that logs in once; unless it `lasts`, within ten minutes."""
        key, until = secrets.token_urlsafe(32), None if lasts else self._now() + _KEY_LIVES
        with self._lock:
            self._keys[digest(key)] = until
            if len(self._keys) > _MOST:
                self._keys.popitem(last=False)
        return key

    def log_in(self, key: str, device: str = "", address: str = "") -> str | None:
        """Return a new session's cookie for a key, None if the key was used already, is too old, or is none."""
        now = self._now()
        with self._lock:
            if digest(key) not in self._keys:
                return None
            until = self._keys.pop(digest(key))
            if until is not None and now > until:
                return None
            cookie = secrets.token_urlsafe(32)
            self._sessions[digest(cookie)] = Session(secrets.token_hex(8), device[:_DEVICE], address, now, now)
            if len(self._sessions) > _MOST:
                self._sessions.popitem(last=False)
            return cookie

    def session(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None if it is of none, or of one that is over."""
        now, own = self._now(), digest(cookie)
        with self._lock:
            session = self._sessions.get(own)
            if session is None:
                return None
            if now > session.used + _IDLE:
                del self._sessions[own]
                return None
            self._sessions[own] = replace(session, used=now)
            return session

    def is_fresh(self, id: str) -> bool:
        """Tell whether a session was begun in the last ten minutes."""
        with self._lock:
            since = next((session.since for session in self._sessions.values() if session.id == id), 0.0)
        return self._now() - since <= _FRESH

    def sessions(self) -> list[Session]:
        """Return all sessions, the newest first."""
        with self._lock:
            return [*reversed(self._sessions.values())]

    def revoke(self, id: str) -> bool:
        """End a session; tell whether there was one of this id."""
        with self._lock:
            own = next((key for key, session in self._sessions.items() if session.id == id), None)
            if own is not None:
                del self._sessions[own]
            return own is not None

    def _now(self) -> float:
        return self._clock.now().timestamp()


def digest(secret: str) -> str:
    """Return what is kept of a secret; those here are random, so that nobody can guess one from it."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _text(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))
