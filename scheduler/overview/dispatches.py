"""The dispatches that have not finished: which tasks are being done, and how one that was cut off is gone on with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...mail.log.blobs import BlobMissing, Blobs
from ..context import Context
from ..kinds import RunStatus, TaskStatus
from ..liveness import is_led, liveness
from ..payload import held
from ..state.dispatches import DispatchState, read_unfinished
from ..state.facts import Run

_TEXT = 60  # characters of a request in plain words


@dataclass(frozen=True)
class TaskAtWork:
    """A task whose run is open: the run, whether anybody works on it, and for how many seconds it is open."""

    task: str
    run: Run
    goes_on: bool
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the task as a JSON object."""
        run = self.run
        return {
            "task": self.task, "run": run.id, "persona": run.persona, "agent": run.agent, "attempt": run.attempt,
            "goes_on": self.goes_on, "seconds": self.seconds,
        }  # fmt: skip


@dataclass(frozen=True)
class OpenDispatch:
    """A dispatch without an end on record. `process` supervises it; it is None if that is gone: it was cut off.

    `tasks` is how many it has, None if nobody knows; `done` of them have succeeded or were skipped, and `failed` have
    another end. `ask` is the request in plain words that it belongs to, and `schedule` the one that started it, each ""
    if there is none.
    """

    id: str
    short: str
    started: str
    process: int | None
    tasks: int | None
    done: int
    failed: int
    at_work: tuple[TaskAtWork, ...]
    ask: str = ""
    schedule: str = ""
    seq: int = 0

    @property
    def is_cut_off(self) -> bool:
        """Whether nobody carries it out any more."""
        return self.process is None

    @property
    def resume(self) -> str:
        """The command that goes on with it."""
        return f"team dispatch --resume {self.short}"

    @property
    def done_text(self) -> str:
        """Return how far it is, in a few words."""
        done = f"{self.done} of {self.tasks if self.tasks is not None else '?'} done"
        return f"{done}, {self.failed} failed" if self.failed else done

    @property
    def text(self) -> str:
        """Return how far it is, and what it is for."""
        cause = f", for {self.ask!r}" if self.ask else f", by schedule {self.schedule}" if self.schedule else ""
        return f"{self.done_text}{cause}"

    def document(self) -> dict[str, Any]:
        """Return the dispatch as a JSON object; `resume` is null as long as somebody carries it out."""
        return {
            "dispatch": self.id, "started": self.started, "cut_off": self.is_cut_off, "pid": self.process,
            "tasks": self.tasks, "done": self.done, "failed": self.failed,
            "at_work": [each.document() for each in self.at_work], "ask": self.ask or None,
            "schedule": self.schedule or None, "resume": self.resume if self.is_cut_off else None,
        }  # fmt: skip


def open_dispatches(context: Context, now: datetime) -> tuple[OpenDispatch, ...]:
    """Read the dispatches of a team that have not finished, the newest last; of very many, the last ones."""
    states = read_unfinished(context.mailbox.projections)
    return tuple(_open_dispatch(context, state, now) for state in states)


def _open_dispatch(context: Context, state: DispatchState, now: datetime) -> OpenDispatch:
    ends = Counter(end.status for end in state.ends.values())
    done = ends[TaskStatus.SUCCESS] + ends[TaskStatus.SKIPPED]
    process = state.supervisor.get("pid") if is_led(state.supervisor) else None
    return OpenDispatch(
        state.id, state.short, state.started, process, _number_of_tasks(state, context.mailbox.blobs), done,
        ends.total() - done, tuple(_at_work(context, state, now)), request_of(state)[:_TEXT], schedule_of(state),
        state.seq,
    )  # fmt: skip


def _at_work(context: Context, state: DispatchState, now: datetime) -> Sequence[TaskAtWork]:
    tasks = {attempt.run: task for task, own in state.attempts.items() for attempt in own}
    return [
        TaskAtWork(
            tasks.get(run.id, ""), run, liveness(context.home, run).goes_on,
            round((now - datetime.fromisoformat(run.started)).total_seconds(), 1),
        )
        for run in state.work.runs.values()
        if run.status == RunStatus.OPEN
    ]  # fmt: skip


def _number_of_tasks(state: DispatchState, blobs: Blobs) -> int | None:
    try:
        tasks = held(blobs, state.given, "tasks")
    except (BlobMissing, ValueError):
        return None
    return len(tasks) if isinstance(tasks, list) else None  # pyright: ignore[reportUnknownArgumentType]


def request_of(state: DispatchState) -> str:
    """Return the request in plain words that a dispatch belongs to; "" if it belongs to none."""
    return _text(state, "ask", "request")


def schedule_of(state: DispatchState) -> str:
    """Return the name of the schedule that started a dispatch; "" if none did."""
    return _text(state, "schedule", "name")


def _text(state: DispatchState, table: str, key: str) -> str:
    value = state.given.get(table)
    return str(value.get(key, "")) if isinstance(value, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
