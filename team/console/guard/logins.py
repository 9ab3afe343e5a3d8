"""Logins: a single-use key on the terminal makes a session, which lives in memory and ends with the server."""

from __future__ import annotations

import hashlib
import secrets
import threading

COOKIE = "team_console"


class Logins:
    """The keys and sessions of one server. Only their digests are kept. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[str] = set()
        self._sessions: set[str] = set()

    def new_key(self) -> str:
        """Return a key that logs in once."""
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._keys.add(_digest(key))
        return key

    def log_in(self, key: str) -> str | None:
        """Return a new session's cookie for a key, None if the key was used already or is none."""
        with self._lock:
            if _digest(key) not in self._keys:
                return None
            self._keys.remove(_digest(key))
            session = secrets.token_urlsafe(32)
            self._sessions.add(_digest(session))
            return session

    def knows(self, session: str) -> bool:
        """Tell whether a cookie is that of a session."""
        with self._lock:
            return _digest(session) in self._sessions


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
