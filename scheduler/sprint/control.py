"""What a person may tell the scheduler while it works: end a run, let a held patch land."""

from __future__ import annotations

from ...mail.errors import UsageError
from ...mail.log.event import Draft, derived_id
from ...personas.running.sweep import within_run
from ..context import Context
from ..errors import NoSuchRun
from ..state.dispatches import under_way
from ..state.facts import OPEN, Patch, Run

_SHORTEST = 4


def stop_run(context: Context, name: str, sender: str) -> Run:
    """Ask for the end of an open run, of the sprint or of a dispatch, by its id, its beginning, or its persona.

    Raises NoSuchRun.
    """
    runs = [run for run in context.state().runs if run.status == OPEN] + under_way(context.mailbox.projections)
    found = [run for run in runs if _named(run.id, run.persona, name)]
    if len(found) != 1:
        known = ", ".join(f"{run.persona} ({run.id[:8]})" for run in runs) or "none"
        raise NoSuchRun(f"{name!r} names {len(found)} open runs; open are: {known}")
    context.append([Draft("run.stopped", sender, ref=found[0].id, id=derived_id("run.stopped", found[0].id))])
    return found[0]


def by_people_only(what: str) -> None:
    """Raise UsageError where an agent asks for what is for people, be it with an environment washed clean."""
    if within_run():
        raise UsageError(f"{what} is for people, not for runs; ask the human by mail")


def approve_patch(context: Context, name: str, sender: str) -> Patch:
    """Let a held patch land, named by its run or its persona. Raises NoSuchRun."""
    held = context.state().of("held")
    found = [patch for patch in held if _named(patch.run, patch.persona, name)]
    if len(found) != 1:
        known = ", ".join(f"{patch.persona} ({patch.run[:8]})" for patch in held) or "none"
        raise NoSuchRun(f"{name!r} names {len(found)} held patches; held are: {known}")
    context.append([Draft("patch.approved", sender, ref=found[0].run, id=derived_id("patch.approved", found[0].run))])
    return found[0]


def _named(id: str, persona: str, name: str) -> bool:
    return name == persona or (len(name) >= _SHORTEST and id.startswith(name))
