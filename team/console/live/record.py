"""Asks as the log has them: dispatches that say whose they are and what their personas are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ....scheduler.context import Context
from ....scheduler.dispatch.resuming import input_of
from ....scheduler.kinds import Kind, TaskStatus
from ....scheduler.leader import myself
from ....scheduler.liveness import is_led
from ....scheduler.state.dispatches import DispatchState, facts_of
from ....scheduler.state.facts import Fact
from .ask import Ask, Closing, Part

_ENDED = {TaskStatus.SUCCESS, TaskStatus.SKIPPED}


def cause_of(state: DispatchState) -> Mapping[str, Any] | None:
    """Return what a dispatch says of the ask that it is; None if it is none."""
    cause = state.given.get("console")
    return cast("dict[str, Any]", cause) if isinstance(cause, dict) else None


def owner_of(state: DispatchState) -> str:
    """Return who asked."""
    return str((cause_of(state) or {}).get("owner", ""))


def parts_of(context: Context, state: DispatchState) -> list[Part]:
    """Return who is asked what."""
    names = (cause_of(state) or {}).get("names")
    known = cast("dict[str, Any]", names) if isinstance(names, dict) else {}
    return [
        Part(task.task_id, str(known.get(task.task_id, task.agent)), task.agent, task.description)
        for task in input_of(context, state).tasks
    ]


def recorded(context: Context, state: DispatchState) -> dict[str, object] | None:
    """Return an ask as its JSON object, as far as the log has it; None for another dispatch."""
    if cause_of(state) is None:
        return None
    parts = parts_of(context, state)
    for part in parts:
        attempts = state.of(part.task)
        part.run = attempts[-1].run if attempts else ""
        if end := state.ends.get(part.task):
            part.status, part.error = end.status, end.error or end.why
        elif state.finished:
            part.status = TaskStatus.CANCELLED
    tasks = [part.document() for part in parts]
    return {"id": state.id, "started": state.started, "over": state.finished is not None, "tasks": tasks}


def rebuilt(context: Context, state: DispatchState, first: int) -> tuple[Ask, int]:
    """Make the ask of a dispatch from its events, as if they happened now; return it, and the seq of the last one."""
    ask = Ask(
        state.id, parts_of(context, state), context.home, context.mailbox.blobs, owner=owner_of(state), first=first
    )
    ask.started, ask.asked = state.started, str((cause_of(state) or {}).get("asked", ""))
    facts = facts_of(context.mailbox.projections, state.id)
    ask.hear(_last_sitting(facts))
    ask.is_elsewhere = not state.finished and is_elsewhere(state)
    if not state.finished and not ask.is_elsewhere and not (cause_of(state) or {}).get("detached"):
        ask.hear([Closing("the console ended before it was over; try again")])
    return ask, facts[-1].seq if facts else 0


def is_elsewhere(state: DispatchState) -> bool:
    """Tell whether another process, which lives, carries a dispatch out."""
    return is_led(state.supervisor) and state.supervisor != myself()


def _last_sitting(facts: Sequence[Fact]) -> list[Fact]:
    """Leave out the ends of what was gone on with later."""
    last = max((at for at, fact in enumerate(facts) if fact.kind == Kind.DISPATCH_RESUMED), default=0)
    return [fact for at, fact in enumerate(facts) if at >= last or not _was_undone(fact)]


def _was_undone(fact: Fact) -> bool:
    is_end = fact.kind == Kind.TASK_FINISHED and fact.data.get("status") not in _ENDED
    return is_end or fact.kind == Kind.DISPATCH_FINISHED
