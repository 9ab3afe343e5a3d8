"""A team at one moment as text: what needs a person, what is under way, who is there, what is due at which time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ...mail.directory import PROGRAMS
from ...mail.render import line, listed
from ...mail.text.units import counted
from ...scheduler.kinds import AgentStatus, NeedKind
from ...scheduler.needs import Need
from ...scheduler.overview.dispatches import OpenDispatch, TaskAtWork
from ...scheduler.overview.overview import Overview
from ...scheduler.overview.past import Past
from ...scheduler.overview.registry import Registered, Registry
from ...scheduler.schedules.timetable import Ended, Planned
from .sprint import status
from .tables import bytes_text, columns, shortened, span

if TYPE_CHECKING:
    from ..api.team import Cleaned

_TEXT = 160  # characters of a matter
_WHY = 100
_TASK = 60
_MAILS = 10  # messages with a line of their own
_NO_SCHEDULES = "no schedules; write [schedules.NAME] into team.toml"
_RUN = 8


def overview(team: Overview) -> Iterator[str]:
    """Show what needs a person, the sprint, and the dispatches and tasks that have no end."""
    yield from needs(team.needs)
    yield from status(team.status)
    for dispatch in team.dispatches:
        yield from _dispatch(dispatch)
    for task in team.tasks:
        owner = f", by {task.owner} until {task.until[:19]}Z" if task.owner else f", for {task.to}" if task.to else ""
        yield line(f"task {task.name}: {task.state}{owner}")


def needs(found: tuple[Need, ...]) -> Iterator[str]:
    """List what needs a person, with the command that settles each; mail of programs is one line.

    Its matters stand above it.
    """
    if not found:
        yield "nothing needs you"
        return
    yield f"{counted(len(found), 'matter')} for you:"
    mail = [need for need in found if need.kind == NeedKind.MAIL and need.sender not in PROGRAMS]
    told = [need for need in found if need.kind == NeedKind.MAIL and need.sender in PROGRAMS]
    for need in (*(need for need in found if need.kind != NeedKind.MAIL), *mail[:_MAILS]):
        yield f"  {need.kind}: {shortened(need.text, _TEXT)}"
        yield f"    {line(need.command)}"
    for rest, what in ((mail[_MAILS:], "more message"), (told, "message of the scheduler")):
        if rest:
            yield f"  {NeedKind.MAIL}: {_counted(len(rest), what)}, the last: {shortened(rest[-1].text, _TEXT)}"
            yield f"    team-mail inbox --persona {line(rest[-1].persona or '')} --unread"


def _counted(number: int, what: str) -> str:
    """Count messages: the plural is in the middle of the words."""
    return f"{number} {what if number == 1 else what.replace('message', 'messages')}"


def agents(registry: Registry, now: datetime) -> Iterator[str]:
    """List who works in the team, what each does now, and how its last run ended."""
    rows = [("name", "played by", "status", "runs", "last seen", "last result", "unread", "can", "")]
    rows += [
        (
            each.name, ", ".join(each.agents), each.status, f"{len(each.runs)}/{each.max_concurrent}",
            _ago(each.seen, now), _result(each, now), str(each.unread), ", ".join(each.capabilities),
            _why(each),
        )
        for each in registry.agents
    ]  # fmt: skip
    yield from columns(rows) if registry.agents else ["nobody is on the roster; team init makes personas"]


def _result(agent: Registered, now: datetime) -> str:
    if agent.last is None:
        return "-"
    times = f" x{agent.last.times}" if agent.last.times > 1 else ""
    return f"{agent.last.status}{times}, {_ago(datetime.fromisoformat(agent.last.ended), now)} ago"


def _why(agent: Registered) -> str:
    if agent.stale:
        return f"{counted(len(agent.stale), 'run')} without a process; team clean puts the end on record"
    bad = agent.last.detail if agent.last and agent.status == AgentStatus.ERROR else ""
    return shortened(agent.why or bad, _WHY)


def _ago(then: datetime | None, now: datetime) -> str:
    return "-" if then is None else span(max(0.0, (now - then).total_seconds()))


def past(found: Past) -> Iterator[str]:
    """List what a team did, the newest last."""
    rows = [("started", "what", "id", "result", "money", "tasks", "again")]
    rows += [
        (
            f"{deed.started[:16]}Z", deed.kind, deed.id, deed.result, deed.usage.money_text, listed(deed.tasks) or "-",
            shortened(deed.again, _TEXT),
        )
        for deed in found.deeds
    ]  # fmt: skip
    yield from (
        columns(rows) if found.deeds else ["nothing yet; scheduler sprint, team dispatch and team ask do something"]
    )
    if found.older:
        yield f"there is more before; team history --limit {2 * len(found.deeds)} shows it"


def cleaned(found: Cleaned) -> Iterator[str]:
    """Say what was cleaned up, or would be, with the bytes of it."""
    would = "" if found.removed else "would be "
    for run in found.freed:
        yield f"{would}put on record: the end of {run.persona}'s run {run.run[:_RUN]}, which has no process any more"
    for claim in found.claims:
        yield f"{would}put on record: the end of {line(claim.owner)}'s claim of {line(claim.what)}, {claim.why}"
    for orphan in found.orphans:
        yield f"{would}removed: {orphan.folder}, {bytes_text(orphan.size)}, no team in {orphan.home}"
    for what in dict.fromkeys(each.what for each in found.leftovers):
        own = [each for each in found.leftovers if each.what == what]
        place = f", {own[0].path}" if len(own) == 1 else f" of its kind, the first {own[0].path}"
        size = bytes_text(sum(each.size for each in own))
        yield f"{would}removed: {counted(len(own), own[0].noun)}, {size}: {what}{place}"
    if found.staying:
        yield f"stays: {counted(found.staying, 'folder')} of old runs, whose output is nowhere else"
    if found.refs:
        first = f", {found.refs[0]}" if len(found.refs) == 1 else f", the first of {found.refs[0]}"
        yield f"{would}removed: {counted(len(found.refs), 'pair')} of refs, all of whose commits the base has{first}"
    if found.freed or found.claims or found.orphans or found.leftovers or found.refs:
        yield f"{bytes_text(found.size)} in all"
    else:
        yield "nothing to clean up"


def _dispatch(dispatch: OpenDispatch) -> Iterator[str]:
    where = f"cut off; {dispatch.resume} goes on" if dispatch.is_cut_off else f"process {dispatch.process} leads"
    yield line(f"dispatch {dispatch.short}: {dispatch.text}; {where}")
    rows = [
        (each.task, each.run.persona, str(each.run.attempt), each.run.id[:_RUN], each.run.agent, _standing(each))
        for each in dispatch.at_work
    ]
    if rows:
        yield from columns([("task", "persona", "attempt", "run", "agent", ""), *rows])


def _standing(task: TaskAtWork) -> str:
    return span(task.seconds) if task.goes_on else "has ended, or is lost"


def schedules(found: Sequence[Planned]) -> Iterator[str]:
    """List the schedules."""
    rows = [("name", "when", "next", "last", "missed", "what")]
    rows += [
        (
            each.name,
            each.settings.spec,
            _next_time(each),
            _last_time(each),
            _missed(each),
            shortened(each.settings.what, _TASK),
        )
        for each in found
    ]
    yield from columns(rows) if found else [_NO_SCHEDULES]


def ran(ends: Sequence[tuple[str, Ended]]) -> Iterator[str]:
    """Say how what was carried out ended."""
    if not ends:
        yield "nothing is due"
    for name, ended in ends:
        yield line(f"schedule {name}: {ended.outcome}, {ended.why}")
        if ended.answer:
            yield from ("", *map(line, ended.answer.splitlines()))


def _next_time(each: Planned) -> str:
    if each.record and each.record.paused:
        return each.record.paused
    if each.due.fire:
        return f"now, for {_time(each.due.fire)}"
    return _time(each.due.next) if each.due.next else "-"


def _last_time(each: Planned) -> str:
    last = each.record.last if each.record else None
    return f"{_time(last.at)}: {last.outcome or 'under way'}" if last else "-"


def _missed(each: Planned) -> str:
    return str(each.record.missed) if each.record else "0"


def _time(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}"
