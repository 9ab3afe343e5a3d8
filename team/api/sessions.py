"""Sessions: create, list, show, pause, resume, complete, delete, export, and what is remembered and kept in them.

All functions that write are for people and for programs that they start: called from an agent's run, they raise
UsageError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ...mail.errors import TeamMailError, UsageError
from ...mail.letter import Attachment, Letter
from ...mail.log.event import Event
from ...mail.message import Message
from ...scheduler.context import Context
from ...scheduler.errors import SessionError
from ...scheduler.kinds import Kind, SessionStatus
from ...scheduler.overview.sessions import ARTIFACT, MEMORY, Gathered, gather, session_document
from ...scheduler.progress import Listener, Progress, silent
from ...scheduler.sessions.session import Session
from ...scheduler.sessions.sessions import Sessions
from ...scheduler.sprint.control import by_people_only
from ..interrupts import Interrupts, uninterrupted
from .dispatches import DispatchRequest, DispatchResult
from .dispatches import resume as resume_dispatch

_MOST_KEY = 200  # characters
_TAG = 64


@dataclass(frozen=True)
class SessionList:
    """Sessions, the newest first."""

    sessions: tuple[Session, ...]

    def document(self) -> dict[str, Any]:
        """Return the list as a JSON object."""
        return {"sessions": [session_document(session) for session in self.sessions]}


@dataclass(frozen=True)
class SessionChange:
    """A session after it was created or its status was to change; `already` tells that nothing was written."""

    session: Session
    already: bool = False

    def document(self) -> dict[str, Any]:
        """Return both as a JSON object."""
        return session_document(self.session) | {"already": self.already}


@dataclass(frozen=True)
class SessionResumption:
    """A session that goes on, with what became of its dispatches that had been cut off."""

    change: SessionChange
    dispatches: tuple[DispatchResult, ...] = ()
    troubles: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether all of them could go on, and succeeded."""
        return not self.troubles and all(each.succeeded for each in self.dispatches)

    @property
    def interrupted(self) -> bool:
        """Whether one was ended early."""
        return any(each.interrupted for each in self.dispatches)

    def document(self) -> dict[str, Any]:
        """Return all of it as a JSON object."""
        dispatches = [each.document() for each in self.dispatches]
        return self.change.document() | {"dispatches": dispatches, "troubles": [*self.troubles]}


@dataclass(frozen=True)
class SessionView:
    """What is gathered under a session, as of `now`, for the person `human`."""

    gathered: Gathered
    now: datetime
    human: str

    @property
    def session(self) -> Session:
        """The session itself."""
        return self.gathered.session

    def document(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return self.gathered.document()

    def export(self) -> dict[str, Any]:
        """Return all of it as a JSON object."""
        return self.gathered.export()


@dataclass(frozen=True)
class NewMemory:
    """Something to remember: a key, the text, tags, and to whom it is sent besides its writer."""

    key: str
    text: str
    tags: Sequence[str] = ()
    to: Sequence[str] = ()
    idempotency: str | None = None


@dataclass(frozen=True)
class NewArtifact:
    """A file to keep, with a few words on it, and to whom it is sent besides its writer."""

    file: Attachment
    text: str = ""
    to: Sequence[str] = field(default_factory=tuple[str, ...])
    idempotency: str | None = None


@dataclass(frozen=True)
class Kept:
    """A memory or a file that is in a session now; `repeated` tells that it was before."""

    message: Event
    session: str
    repeated: bool = False

    def document(self) -> dict[str, Any]:
        """Return where it is as a JSON object."""
        return {"session": self.session, "message": self.message.seq, "id": self.message.id, "repeated": self.repeated}


@dataclass(frozen=True)
class Conversation:
    """What was said, kept in a session as one thread."""

    session: str
    kept: tuple[Kept, ...]

    def document(self) -> dict[str, Any]:
        """Return where it is as a JSON object."""
        return {"session": self.session, "messages": [each.document() for each in self.kept]}


def create(
    context: Context, name: str, sender: str, *, title: str = "", participants: Sequence[str] = (), key: str = ""
) -> SessionChange:
    """Create a session. Raises SessionExists, UsageError for what is no name, UnknownRecipient.

    Args:
        context: The team.
        name: Its name: letters, digits, '.', '_' and '-', at most 64.
        sender: Who creates it.
        title: What it is about, in one line.
        participants: Personas that take part, for whoever reads it.
        key: A key by which a program may ask again: it gets the same answer, and nothing is written.
    """
    by_people_only("team session create", context.home)
    return SessionChange(Sessions(context.mailbox).create(name, sender, title, participants, key=key))


def list_sessions(
    context: Context, status: str | None = None, limit: int | None = None, *, whole: bool = False
) -> SessionList:
    """List the sessions, the newest first: those with a `SessionStatus`, or but those that were deleted, or all."""
    sessions = reversed(Sessions(context.mailbox).all().values())
    hidden = set[str]() if whole or status else {SessionStatus.DELETED}
    shown = [each for each in sessions if each.status not in hidden and status in {None, each.status}]
    return SessionList(tuple(shown[:limit]))


def show(context: Context, name: str) -> SessionView:
    """Return what is gathered under a session. Raises NoSuchSession."""
    session = Sessions(context.mailbox).get(name)
    return SessionView(gather(context, session), context.clock.now(), context.settings.team.human)


def pause(context: Context, name: str, sender: str) -> SessionChange:
    """Let nothing of a session be started; runs under way go on to their end. Raises SessionError."""
    by_people_only("team session pause", context.home)
    return _changed(context, name, Kind.SESSION_PAUSED, sender)


def resume(
    context: Context,
    name: str,
    sender: str,
    *,
    again: bool = False,
    dispatches: bool = True,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> SessionResumption:
    """Let a session go on, and go on with its dispatches that were cut off, one after the other. Raises SessionError.

    Args:
        context: The team.
        name: The session.
        sender: Who resumes it.
        again: Also one that is completed or deleted.
        dispatches: Whether to carry out the dispatches.
        listener: Is told of each run's start and end.
        interrupts: Ends the runs that are open.
    """
    by_people_only("team session resume", context.home)
    change = _changed(context, name, Kind.SESSION_RESUMED, sender, again=again)
    done: list[DispatchResult] = []
    troubles: list[str] = []
    for each in gather(context, change.session).cut_off if dispatches else ():
        listener(Progress(f"dispatch {each.short} goes on"))
        try:
            request = DispatchRequest(home=context.home)
            done.append(resume_dispatch(each.id, None, request, listener=listener, interrupts=interrupts))
        except (TeamMailError, OSError) as error:
            troubles.append(f"dispatch {each.short}: {error}")
        if done and done[-1].interrupted:
            break
    return SessionResumption(change, tuple(done), tuple(troubles))


def complete(context: Context, name: str, sender: str, *, force: bool = False) -> SessionChange:
    """Put on record that a session is done. Raises SessionError while runs of it are open, unless by `force`."""
    by_people_only("team session complete", context.home)
    check = _no_check if force else _none_open(context, "complete", "; --force completes it all the same")
    return _changed(context, name, Kind.SESSION_COMPLETED, sender, check)


def delete(context: Context, name: str, sender: str) -> SessionChange:
    """Hide a session; all that is gathered under it stays. Raises SessionError while runs of it are open."""
    by_people_only("team session delete", context.home)
    return _changed(context, name, Kind.SESSION_DELETED, sender, _none_open(context, "delete", ""))


def remember(context: Context, name: str, sender: str, memory: NewMemory) -> Kept:
    """Keep a text by a key in a session: mail of the type `memory`. Raises NoSuchSession, SessionError, UsageError."""
    by_people_only("team session remember", context.home)
    if not memory.key.strip() or len(memory.key) > _MOST_KEY:
        raise UsageError(f"the key of a memory has 1 to {_MOST_KEY} characters")
    if not memory.text.strip():
        raise UsageError("remember what? give a text")
    if wrong := [tag for tag in memory.tags if not tag.strip() or len(tag) > _TAG]:
        raise UsageError(f"{wrong[0]!r} is not a tag: 1 to {_TAG} characters")
    payload = {"key": memory.key, "tags": [*memory.tags]}
    letter = Letter(
        sender, [*memory.to] or [sender], memory.key[:_MOST_KEY], memory.text, type=MEMORY, payload=payload,
        key=memory.idempotency,
    )  # fmt: skip
    return _kept(context, name, letter)


def attach(context: Context, name: str, sender: str, artifact: NewArtifact) -> Kept:
    """Keep a file in a session: mail of the type `artifact`. Raises NoSuchSession, SessionError, UsageError."""
    by_people_only("team session attach", context.home)
    file = artifact.file
    title = file.name if isinstance(file, Path) else file[0]
    letter = Letter(
        sender, [*artifact.to] or [sender], title, artifact.text, type=ARTIFACT, attachments=[file],
        key=artifact.idempotency,
    )  # fmt: skip
    return _kept(context, name, letter)


def converse(
    context: Context,
    name: str,
    sender: str,
    said: Sequence[tuple[str, str, str | None]],
    to: Sequence[str] = (),
) -> Conversation:
    """Keep what was said in a conversation, in one thread: each a role, the text, and a key by which it is sent once.

    Raises NoSuchSession, SessionError, UsageError.
    """
    by_people_only("team command", context.home)
    kept: list[Kept] = []
    for role, text, key in said:
        thread = kept[0].message.id if kept else None
        letter = Letter(
            sender, [*to] or [sender], f"{role}: {text}"[:_MOST_KEY], text, payload={"role": role}, key=key,
            thread=thread,
        )  # fmt: skip
        kept.append(_kept(context, name, letter))
    return Conversation(name, tuple(kept))


def _kept(context: Context, name: str, letter: Letter) -> Kept:
    """Send mail that belongs to a session; who sends it to itself has read it."""
    session, mailbox = Sessions(context.mailbox).get(name), context.mailbox
    if session.status in {SessionStatus.COMPLETED, SessionStatus.DELETED}:
        raise SessionError(f"{session.held}")
    repeats: list[Event] = []
    before, mailbox.log.session = mailbox.log.session, name
    try:
        event = mailbox.send(letter, repeats)
        if not repeats:
            mailbox.seen(event.sender, Message.of(event._asdict()))
    finally:
        mailbox.log.session = before
    return Kept(event, name, bool(repeats))


def _changed(
    context: Context,
    name: str,
    kind: Kind,
    sender: str,
    check: Callable[[Session], object] | None = None,
    *,
    again: bool = False,
) -> SessionChange:
    session, now = Sessions(context.mailbox).change(name, kind, sender, check or _no_check, again=again)
    return SessionChange(session, already=not now)


def _no_check(_: Session) -> None:
    return None


def _none_open(context: Context, act: str, otherwise: str) -> Callable[[Session], None]:
    """Return a check that refuses while runs or dispatches of a session go on."""

    def check(session: Session) -> None:
        gathered = gather(context, session)
        runs = [f"{run.persona} ({run.id[:8]})" for run in gathered.open_runs]
        runs += [f"dispatch {each.short}" for each in gathered.under_way]
        if runs:
            what = f"cannot {act} session {session.id!r} while it has open runs: {', '.join(runs)}"
            raise SessionError(f"{what}; wait for them, or scheduler stop RUN{otherwise}")

    return check
