"""One session as a fold over its events, and what may be done to it as it is."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from ...mail.log.event import derived_id
from ..errors import SessionError
from ..kinds import Kind, SessionStatus
from ..state.facts import Fact
from ..state.form import counts

_ENDS = {
    Kind.SESSION_PAUSED: SessionStatus.PAUSED,
    Kind.SESSION_RESUMED: SessionStatus.ACTIVE,
    Kind.SESSION_COMPLETED: SessionStatus.COMPLETED,
    Kind.SESSION_DELETED: SessionStatus.DELETED,
}
_FROM = {  # the statuses that an event of a kind changes; a resumption changes the others with `again`
    Kind.SESSION_PAUSED: {SessionStatus.ACTIVE},
    Kind.SESSION_RESUMED: {SessionStatus.PAUSED},
    Kind.SESSION_COMPLETED: {SessionStatus.ACTIVE, SessionStatus.PAUSED},
    Kind.SESSION_DELETED: {SessionStatus.ACTIVE, SessionStatus.PAUSED, SessionStatus.COMPLETED},
}


@dataclass(frozen=True)
class Session:
    """A session. `by` is who gave it its status, at the time `at`; `changes` counts the events that did so.

    `key` is the key by which a program created it, "" without one.
    """

    id: str
    title: str
    participants: tuple[str, ...]
    creator: str
    created: str
    status: SessionStatus = SessionStatus.ACTIVE
    by: str = ""
    at: str = ""
    changes: int = 0
    key: str = ""

    @property
    def standing(self) -> str:
        """Its status, with who gave it and when."""
        return f"{self.status} since {self.at[:16].replace('T', ' ')}Z, by {self.by}"

    def next_id(self) -> str:
        """Return the id of the next event that changes its status, so that of several at once one is written."""
        return derived_id("session", self.id, str(self.changes + 1))

    def is_already(self, kind: Kind) -> bool:
        """Tell whether it has the status that an event of a kind would give it."""
        return self.status == _ENDS[kind]

    def check(self, kind: Kind, *, again: bool = False) -> None:
        """Raise SessionError unless an event of a kind may follow."""
        if self.status in _FROM[kind] or (again and kind == Kind.SESSION_RESUMED):
            return
        name = self.id
        raise SessionError(f"session {name!r} is {self.standing}; team session resume {name} --again opens it again")

    def check_active(self) -> None:
        """Raise SessionError unless something of it may be started."""
        if (why := self.held) is not None:
            raise SessionError(f"{why}; nothing was started")

    @property
    def held(self) -> str | None:
        """Why nothing of it is started, and the command that changes this; None if it may."""
        if self.status == SessionStatus.ACTIVE:
            return None
        again = "" if self.status == SessionStatus.PAUSED else " --again"
        return f"session {self.id!r} is {self.standing}; team session resume {self.id}{again} goes on"


def session_id(name: str) -> str:
    """Return the id of the event that creates a session, derived from its name, so that a name is given once."""
    return derived_id("session", name)


def fold_sessions(facts: Iterable[Fact]) -> dict[str, Session]:
    """Fold the events of sessions, in the order of the log, into the sessions by name."""
    sessions: dict[str, Session] = {}
    for fact in facts:
        if counts(fact):
            with suppress(KeyError, TypeError, ValueError):
                _fold(sessions, fact)
    return sessions


def _fold(sessions: dict[str, Session], fact: Fact) -> None:
    data, name = fact.data, str(fact.data["session"])
    if fact.kind == Kind.SESSION_CREATED:
        participants = tuple(map(str, data["participants"]))
        made = Session(
            name, str(data["title"]), participants, fact.sender, fact.ts, by=fact.sender, at=fact.ts,
            key=str(data.get("key", "")),
        )  # fmt: skip
        sessions.setdefault(name, made)
        return
    own, kind = sessions[name], Kind(fact.kind)
    if own.status in _FROM[kind] or (kind == Kind.SESSION_RESUMED and data.get("again") is True):
        status = _ENDS[kind]
        sessions[name] = replace(own, status=status, by=fact.sender, at=fact.ts, changes=own.changes + 1)
