"""Sessions as text: the list, one session at a glance, and what it gathered, to come back to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...mail.render import line
from ...mail.text.units import counted
from ...scheduler.kinds import SessionStatus
from ...scheduler.overview.sessions import seconds_of
from ...scheduler.state.facts import Run
from ..api.sessions import SessionChange, SessionList, SessionView
from .tables import shortened, span

COLUMNS = ("session", "status", "title", "participants", "created (UTC)")
COLOURS: Mapping[str, str] = {
    SessionStatus.ACTIVE: "green",
    SessionStatus.PAUSED: "yellow",
    SessionStatus.COMPLETED: "blue",
    SessionStatus.DELETED: "dim",
}
_TITLE, _TEXT, _LAST = 60, 80, 5  # characters of a title and a text; messages of a summary


def rows(listed: SessionList) -> list[tuple[str, ...]]:
    """Return the rows of the list."""
    return [
        (each.id, str(each.status), shortened(each.title, _TITLE), ", ".join(each.participants), _minute(each.created))
        for each in listed.sessions
    ]


def changed(change: SessionChange, word: str) -> str:
    """Say that a session is now what it was to be, or was already."""
    own = change.session
    return f"session {own.id} is {'already ' if change.already else ''}{word}" + (
        f" ({own.by})" if change.already else ""
    )


def session(view: SessionView) -> Iterator[str]:
    """Show a session: what was done, what is under way, what needs somebody, and how it is gone on with."""
    own, all_ = view.session, view.gathered
    people = ", ".join(own.participants)
    yield "  ".join(part for part in (own.id, str(own.status), line(own.title), people) if part)
    cut = f" ({len(all_.cut_off)} cut off)" if all_.cut_off else ""
    unread = f" ({len(all_.unread)} unread)" if all_.unread else ""
    parts = [
        f"since {_minute(own.created)}", counted(len(all_.dispatches), "dispatch") + cut,
        *([counted(len(all_.sprints), "sprint")] if all_.sprints else []),
        counted(len(all_.messages), "message") + unread, f"{counted(len(all_.landed), 'patch')} landed",
        *([counted(len(all_.tasks), "task")] if all_.tasks else []),
        *([f"${all_.usd:.2f}"] if all_.usd is not None else []),
    ]  # fmt: skip
    yield f"  {', '.join(parts)}"
    now = [f"{run.persona}{_on(view, run)} ({span(seconds_of(run, view.now))})" for run in all_.open_runs]
    needs = [counted(len(all_.held), "held patch")] if all_.held else []
    told = [f"now: {', '.join(now)}"] * bool(now) + [f"needs you: {', '.join(needs)}"] * bool(needs)
    if told:
        yield f"  {'      '.join(told)}"
    yield from _on_with(view)


def _on(view: SessionView, run: Run) -> str:
    task = view.gathered.task_of(run)
    return f" on {task}" if task else ""


def _on_with(view: SessionView) -> Iterator[str]:
    own, cut = view.session, [each.short for each in view.gathered.cut_off]
    if own.status == SessionStatus.ACTIVE and cut:
        yield f"  team session resume {own.id} goes on with dispatch {', '.join(cut)}"
    elif own.held:
        yield f"  {own.held}"


def summary(view: SessionView) -> Iterator[str]:
    """Show a session with what is remembered and kept in it, and its last messages."""
    yield from session(view)
    for memory in view.gathered.memories:
        tags = "".join(f" #{tag}" for tag in memory.tags)
        yield f"  remember {line(memory.key)}: {shortened(memory.text, _TEXT)}{line(tags)}"
    for message in view.gathered.artifacts:
        names = ", ".join(str(each["name"]) for each in message.attachments)
        yield f"  file {line(names)}: team-mail attachment {message.seq}"
    for message in view.gathered.messages[-_LAST:]:
        to = ", ".join(message.recipients)
        yield f"  {message.seq} {_minute(message.ts)} {line(message.sender)} to {line(to)}: {line(message.subject)}"


def _minute(ts: str) -> str:
    return ts[:16].replace("T", " ")
