"""What a team has done: sprints, dispatches and requests in plain words, with the line that does each again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...mail.log.blobs import BlobMissing, Blobs
from ..context import Context
from ..kinds import AskStep, DispatchStatus, WorkKind
from ..liveness import is_led
from ..payload import held
from ..state.dispatches import DispatchState, read_last, session_of
from ..state.facts import Sprint
from ..state.reading import read_spans
from ..state.sprints import State
from ..state.usage import UsageTotal, total
from .dispatches import request_of, schedule_of

_SHORT = 12
_COUNTS = ("failed", "successful")  # in the event that ends a dispatch
_GOES_ON, _CUT_OFF, _OPEN = "under way", "cut off", "open"


@dataclass(frozen=True)
class Deed:
    """A sprint, a dispatch, or all dispatches of one request: a `WorkKind`.

    `id` is what people name it by, and `tasks` are the names of its tasks, or the personas of a sprint. `again` is the
    command that does it again, or goes on with one that was cut off. `cause` is the request or the reason.
    """

    kind: str
    id: str
    started: str
    tasks: tuple[str, ...]
    result: str
    usage: UsageTotal
    again: str
    cause: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "kind": self.kind, "id": self.id, "started": self.started, "tasks": [*self.tasks], "result": self.result,
            "usage": self.usage.document(), "again": self.again, "cause": self.cause or None,
        }  # fmt: skip


@dataclass(frozen=True)
class Past:
    """What a team has done, the newest last. `older` tells that there is more before."""

    deeds: tuple[Deed, ...]
    older: bool = False

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `team history --json`."""
        return [deed.document() for deed in self.deeds]


@dataclass(frozen=True)
class PastDispatch:
    """A dispatch: its tasks by name, its result, what its runs used, and what asked for it."""

    id: str
    started: str
    tasks: tuple[str, ...]
    result: str
    usage: UsageTotal
    branch: str
    session: str | None
    ask: str
    schedule: str
    again: str

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "dispatch": self.id, "started": self.started, "tasks": [*self.tasks], "result": self.result,
            "usage": self.usage.document(), "branch": self.branch or None, "session": self.session,
            "ask": self.ask or None, "schedule": self.schedule or None, "again": self.again,
        }  # fmt: skip


@dataclass(frozen=True)
class DispatchList:
    """The last dispatches, the newest last. `older` tells that there are more before."""

    dispatches: tuple[PastDispatch, ...]
    older: bool = False

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `team dispatches --json`."""
        return [each.document() for each in self.dispatches]


def past_dispatches(context: Context, most: int, before: str | None = None) -> DispatchList:
    """Read the last dispatches, so many of those before one of a name. Raises NoSuchRun if there is none of it."""
    states = read_last(context.mailbox.projections, most + 1, before)
    listed = (
        PastDispatch(
            state.id, state.started, _tasks(state, context.mailbox.blobs), result_of(state),
            total(run.usage for run in state.work.runs.values()), state.branch, session_of(state), request_of(state),
            schedule_of(state), _again(state),
        )
        for state in states[-most:]
    )  # fmt: skip
    return DispatchList(tuple(listed), len(states) > most)


def past(context: Context, most: int) -> Past:
    """Read what a team has done last: so many sprints, dispatches and requests together."""
    spans = read_spans(context.mailbox.projections, most + 1)
    state = context.sprints(spans) if spans else State()
    numbers = {span.number for span in spans}
    deeds = [_of_sprint(state, sprint) for sprint in state.sprints if sprint.number in numbers]
    deeds += _of_dispatches(context, most + 1)
    deeds.sort(key=lambda deed: deed.started)
    return Past(tuple(deeds[-most:]), len(deeds) > most)


def _of_sprint(state: State, sprint: Sprint) -> Deed:
    runs = [run for run in state.runs if run.sprint == sprint.number and not run.withdrawn]
    again = f"scheduler sprint --base {sprint.base[:_SHORT]} --mode {sprint.mode}"
    return Deed(
        WorkKind.SPRINT, str(sprint.number), sprint.started, sprint.personas, sprint.outcome or _OPEN,
        total(run.usage for run in runs), again, sprint.reason,
    )  # fmt: skip


def _of_dispatches(context: Context, most: int) -> Iterator[Deed]:
    """Yield the last dispatches, those of one request as one."""
    asks: dict[str, list[DispatchState]] = {}
    steps = len(AskStep) + 2  # of one request: the planner may be asked three times
    for state in read_last(context.mailbox.projections, most * steps):
        asks.setdefault(_ask_of(state) or state.id, []).append(state)
    for states in [*asks.values()][-most:]:
        yield deed_of(states, context.mailbox.blobs)


def deed_of(states: Sequence[DispatchState], blobs: Blobs) -> Deed:
    """Return what one dispatch was, or several of one request, the first one first."""
    first, request = states[0], request_of(states[0])
    work = next((state for state in reversed(states) if not request or _step_of(state) == AskStep.WORK), None)
    usage = total(run.usage for state in states for run in state.work.runs.values())
    if not request:
        return Deed(
            WorkKind.DISPATCH, first.short, first.started, _tasks(first, blobs), result_of(first), usage,
            _again(first), schedule_of(first) and f"schedule {schedule_of(first)}",
        )  # fmt: skip
    again = _again(work) if work else f"team ask {shlex.quote(request)}"
    result = result_of(work) if work else result_of(states[-1]) if _is_open(states[-1]) else DispatchStatus.FAILURE
    return Deed(
        WorkKind.ASK, _ask_of(first)[-8:], first.started, _tasks(work, blobs) if work else (), result, usage, again,
        request,
    )  # fmt: skip


def result_of(state: DispatchState) -> str:
    """Return how a dispatch ended, a `DispatchStatus`, or what it is while it has no end."""
    if not state.finished:
        return _GOES_ON if is_led(state.supervisor) else _CUT_OFF
    failed, successful = (state.finished.get(name) for name in _COUNTS)
    if not failed:
        return DispatchStatus.SUCCESS
    return DispatchStatus.PARTIAL if successful else DispatchStatus.FAILURE


def _is_open(state: DispatchState) -> bool:
    return not state.finished


def _again(state: DispatchState) -> str:
    cut_off = not state.finished and not is_led(state.supervisor)
    return f"team dispatch --resume {state.short}" if cut_off else f"team replay {state.short}"


def _tasks(state: DispatchState, blobs: Blobs) -> tuple[str, ...]:
    try:
        tasks = held(blobs, state.given, "tasks")
        return tuple(str(task["task_id"]) for task in tasks)
    except (BlobMissing, ValueError, TypeError, KeyError):
        return tuple(sorted(state.names))


def _ask_of(state: DispatchState) -> str:
    return _of_ask(state, "id")


def _step_of(state: DispatchState) -> str:
    return _of_ask(state, "step")


def _of_ask(state: DispatchState, key: str) -> str:
    ask = state.given.get("ask")
    return str(ask.get(key, "")) if isinstance(ask, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
