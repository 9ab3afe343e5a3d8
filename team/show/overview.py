"""A team at one moment as text: what needs a person, then all that is under way."""

from __future__ import annotations

from collections.abc import Iterator

from ...mail.render import line
from ...mail.text.units import counted
from ...scheduler.overview.dispatches import OpenDispatch, TaskAtWork
from ...scheduler.overview.needs import Need
from ...scheduler.overview.overview import Overview
from .sprint import status
from .tables import columns, shortened, span

_TEXT = 160  # characters of a matter
_RUN = 8


def overview(team: Overview) -> Iterator[str]:
    """Show what needs a person, the sprint, and the dispatches that have not finished."""
    yield from needs(team.needs)
    yield from status(team.status)
    for dispatch in team.dispatches:
        yield from _dispatch(dispatch)


def needs(listed: tuple[Need, ...]) -> Iterator[str]:
    """List what needs a person, with the command that settles each."""
    if not listed:
        yield "nothing needs you"
        return
    yield f"{counted(len(listed), 'matter')} for you:"
    for need in listed:
        yield f"  {need.kind}: {shortened(need.text, _TEXT)}"
        yield f"    {line(need.command)}"


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
