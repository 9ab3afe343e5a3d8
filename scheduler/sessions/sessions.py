"""What is done to sessions: creates them, pauses, resumes, completes and deletes them. No status is stored.

Each act reads, decides and appends an event whose id is derived from what was read: of several at once one is written,
and the others read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...mail.log.event import Draft, Event
from ...mail.mailbox import Mailbox
from ...mail.process import checked_session
from ...mail.query.rows import Projections
from ...mail.text.nearest import nearest
from ..errors import NoSuchSession, SessionError, SessionExists
from ..kinds import Kind, SessionStatus
from ..state.fold import fact_of
from .session import Session, fold_sessions, session_id

_TRIES = 100  # of one change, before each of which somebody else made another


def read_sessions(projections: Projections) -> dict[str, Session]:
    """Read all sessions from the log, by name, the oldest first."""
    return fold_sessions(map(fact_of, projections.rows("scheduler.state.sessions")))


def read_session(projections: Projections, name: str) -> Session:
    """Read one session. Raises NoSuchSession, and UsageError for what is no name."""
    sessions = read_sessions(projections)
    if checked_session(name) not in sessions:
        shown = [each.id for each in sessions.values() if each.status != SessionStatus.DELETED]
        raise NoSuchSession(name, nearest(name, shown))
    return sessions[name]


def held(projections: Projections, name: str | None) -> str | None:
    """Say why nothing of a session is started, and what changes this. None if it may be, or there is no session."""
    if name is None:
        return None
    try:
        return read_session(projections, name).held
    except NoSuchSession as error:
        return str(error)


def check_startable(projections: Projections, name: str | None) -> None:
    """Raise NoSuchSession or SessionError if nothing of a session may be started; None is no session."""
    if name is not None:
        read_session(projections, name).check_active()


@dataclass
class Sessions:
    """The sessions of one team."""

    mailbox: Mailbox

    def all(self) -> dict[str, Session]:
        """Return all of them by name, the oldest first."""
        return read_sessions(self.mailbox.projections)

    def get(self, name: str) -> Session:
        """Return one. Raises NoSuchSession, and UsageError for what is no name."""
        return read_session(self.mailbox.projections, name)

    def create(
        self, name: str, sender: str, title: str = "", participants: Sequence[str] = (), *, key: str = ""
    ) -> Session:
        """Create one. Raises SessionExists, UsageError, UnknownRecipient.

        A program may give a `key`: then the same request is answered with what it made before.
        """
        checked_session(name)
        people = [*dict.fromkeys(self.mailbox.directory.checked(each) for each in participants)]
        data: dict[str, Any] = {"session": name, "title": title.strip(), "participants": people}
        data |= {"key": key} if key else {}
        repeats: list[Event] = []
        (event,) = self.mailbox.log.append(
            [Draft(Kind.SESSION_CREATED, sender, data=data, id=session_id(name))], repeats
        )
        if repeats and not (key and dict(event.data) == data):
            raise SessionExists(name)
        return self.get(name)

    def change(
        self,
        name: str,
        kind: Kind,
        sender: str,
        check: Callable[[Session], object] = lambda _: None,
        *,
        again: bool = False,
    ) -> tuple[Session, bool]:
        """Change the status of one. Returns it, and whether it has changed only now. Raises SessionError.

        `check` is called before, and may refuse. With `again`, one that is completed or deleted is resumed, too.
        """
        for _ in range(_TRIES):
            session = self.get(name)
            if session.is_already(kind):
                return session, False
            session.check(kind, again=again)
            check(session)
            data: dict[str, Any] = {"session": name} | ({"again": True} if again else {})
            repeats: list[Event] = []
            self.mailbox.log.append([Draft(kind, sender, data=data, id=session.next_id())], repeats)
            if not repeats:
                return self.get(name), True
        raise SessionError(f"session {name!r} was changed by others {_TRIES} times; try again")
