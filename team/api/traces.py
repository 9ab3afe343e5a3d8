"""Traces: what a run or a task was given, what it did, and its result. Everything is read from the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ...mail.errors import TeamMailError, UnknownMessage, UsageError
from ...mail.message import Message
from ...personas.agents.result import log_of
from ...personas.spending.usage import UNKNOWN, Usage
from ...personas.streams.stream import read_stream
from ...personas.streams.transcript import Transcript
from ...scheduler.context import Context
from ...scheduler.dispatch.output import index
from ...scheduler.dispatch.output import trace as task_document
from ...scheduler.dispatch.resuming import input_of
from ...scheduler.dispatch.traces import Traces
from ...scheduler.errors import NoSuchRun
from ...scheduler.kinds import Kind, RunStatus
from ...scheduler.overview.one_dispatch import DispatchView, dispatch_view
from ...scheduler.overview.past import DispatchList, past_dispatches
from ...scheduler.overview.runs import RunFilter, RunList, list_runs
from ...scheduler.payload import held
from ...scheduler.state.dispatches import DispatchState, read_dispatch
from ...scheduler.state.facts import Fact, Patch, Run
from ...scheduler.state.fold import Fold
from ...scheduler.state.reading import read_run_facts
from ...scheduler.tasks.task import DispatchInput, Task

SHORTEST = 4  # characters of an id that name a run
_MOST_LISTED = 5  # runs named in an error
_UNENDED = (RunStatus.OPEN, RunStatus.LOST)  # their output is nowhere but in their folder


@dataclass(frozen=True)
class RunTrace:
    """A run of a sprint or a dispatch. `size` is that of its output in bytes, None if it is gone.

    `mail` are the messages that it was launched with, `input` is what a task was given. `dispatch` and `task` are None
    for a run of a sprint. `setup` is what `run.finished` says of the workspace's set-up, None if there was none.
    """

    run: Run
    patch: Patch | None
    mail: tuple[Message, ...]
    transcript: Transcript
    dispatch: str | None = None
    task: str | None = None
    input: Any = None
    size: int | None = None
    setup: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team trace RUN --json`."""
        run = self.run
        return {
            "run": run.id, "persona": run.persona, "agent": run.agent, "sprint": run.sprint or None, "tick": run.tick,
            "route": run.rule or None, "instead_of": [{"agent": agent, "why": why} for agent, why in run.passed],
            "dispatch": self.dispatch, "task": self.task, "attempt": run.attempt, "reason": run.reason,
            "status": run.status, "detail": run.detail, "started": run.started, "finished": run.finished,
            "seconds": run.seconds, "base": run.base or None, "input": self.input,
            "mail": [message.listed() for message in self.mail], "patch": self._patch(),
            "tool_calls": [
                {"tool": call.tool, "input": call.input, "output": call.output, "duration_ms": call.duration_ms}
                for call in self.transcript.calls
            ],
            "usage": self.usage.document(), "cost_usd": self.usage.usd, "text": self.transcript.text,
            "output_bytes": self.size,
            "workspace": dict(self.setup) if self.setup else None,
        }  # fmt: skip

    @property
    def usage(self) -> Usage:
        """What the run used: as recorded at its end, else as far as its output tells."""
        return self.run.usage if self.run.usage != UNKNOWN else self.transcript.usage

    def _patch(self) -> dict[str, Any] | None:
        if self.patch is None:
            return None
        patch = self.patch
        return {
            "status": patch.status, "why": patch.why, "files": [*patch.files], "size": patch.size,
            "sha256": patch.sha256, "commit": patch.commit,
        }  # fmt: skip


@dataclass(frozen=True)
class TaskTrace:
    """A task of a dispatch, with the dispatch that it is part of."""

    state: DispatchState
    task: Task
    trace: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team trace TASK --json`."""
        return dict(self.trace)


@dataclass(frozen=True)
class DispatchIndex:
    """A dispatch with all its tasks."""

    state: DispatchState
    tasks: DispatchInput

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team trace --index --json`."""
        return index(self.state, self.tasks.tasks, self.tasks.config, lambda _: None)


@dataclass(frozen=True)
class _Record:
    """A run in the log: its folded facts, and the data of its first and last event."""

    run: Run
    patch: Patch | None
    start: Mapping[str, Any]
    end: Mapping[str, Any] = field(default_factory=dict[str, Any])


def trace(context: Context, name: str, dispatch: str | None = None) -> RunTrace | TaskTrace:
    """Return everything that is known about a task or a run.

    Raises NoSuchRun, and UsageError for a task that the named dispatch does not have.

    Args:
        context: The team.
        name: A task's id, else a run's id or its beginning from 4 characters on.
        dispatch: The correlation id of the dispatch that has the task; by default the last one that has it.
    """
    if dispatch is not None:
        return trace_task(context, name, dispatch)
    try:
        return trace_task(context, name)
    except NoSuchRun as no_task:
        records = _records(context, name)
        if not records:
            raise NoSuchRun(f"{no_task}; and no run's id begins with {name!r}") from None
    return _traced(context, _only(records, name))


def trace_task(context: Context, name: str, dispatch: str | None = None) -> TaskTrace:
    """Return everything that is known about a task of a dispatch, as `trace` does."""
    state = read_dispatch(context.mailbox.projections, dispatch, name)
    tasks = {task.task_id: task for task in input_of(context, state).tasks}
    if name not in tasks:
        raise UsageError(
            f"dispatch {state.id} has no task {name!r}; team trace --index --dispatch {state.short} lists them"
        )
    return TaskTrace(state, tasks[name], task_document(state, tasks[name], context.mailbox.blobs))


def runs(context: Context, wanted: RunFilter, most: int, before: int | None = None) -> RunList:
    """List runs of sprints and dispatches, the newest first: so many of those that began before an event `before`.

    Raises UsageError for an unknown status, NoSuchRun for an unknown dispatch.
    """
    return list_runs(context, wanted, most, before)


def dispatches(context: Context, most: int, before: str | None = None) -> DispatchList:
    """List the last dispatches, the newest last: so many of those before one of a name. Raises NoSuchRun."""
    return past_dispatches(context, most, before)


def trace_run(context: Context, name: str) -> RunTrace:
    """Return everything that is known about a run, by its id or the beginning of it. Raises NoSuchRun, BlobMissing."""
    return _traced(context, _record(context, name))


def _traced(context: Context, record: _Record) -> RunTrace:
    output = _output(context, record)
    start, run = record.start, record.run
    return RunTrace(
        run, record.patch, tuple(_mail(context, run)), read_stream(output or b""), start.get("dispatch"),
        start.get("task"), held(context.mailbox.blobs, start, "input"), None if output is None else len(output),
        record.end.get("workspace"),
    )  # fmt: skip


def output_of(context: Context, name: str) -> bytes:
    """Return the output of a run, or its output so far. Raises NoSuchRun if there is none any more, BlobMissing."""
    record = _record(context, name)
    output = _output(context, record)
    if output is None and record.run.status in _UNENDED and not (context.home / "runs" / record.run.id).exists():
        raise NoSuchRun(f"what run {record.run.id} of {record.run.persona} printed was removed: its folder is gone")
    if output is None:
        raise NoSuchRun(f"run {record.run.id} of {record.run.persona} has printed nothing")
    return output


def patch_of(context: Context, name: str) -> bytes:
    """Return a run's patch, landed or not. Raises NoSuchRun if it left none, BlobMissing."""
    record = _record(context, name)
    if record.patch is None:
        raise NoSuchRun(f"run {record.run.id} of {record.run.persona} left no patch")
    return context.mailbox.blobs.read(record.patch.sha256)


def trace_index(context: Context, dispatch: str | None = None, task: str | None = None) -> DispatchIndex:
    """Return a dispatch by its correlation id; None means the last one with `task`. Raises NoSuchRun."""
    state = read_dispatch(context.mailbox.projections, dispatch, task)
    return DispatchIndex(state, input_of(context, state))


def view_dispatch(context: Context, dispatch: str | None = None) -> DispatchView:
    """Return a dispatch as it is now: tasks with what they wait for, each attempt over time, and the money.

    Raises NoSuchRun. `dispatch` is its correlation id, by default that of the last one.
    """
    state = read_dispatch(context.mailbox.projections, dispatch)
    return dispatch_view(context, state, input_of(context, state).tasks)


def export(context: Context, dispatch: DispatchIndex, folder: str) -> str:
    """Write the traces of a dispatch and their index into a folder; return the path of the index.

    Raises NotReady as `Traces.prepare` does, TeamMailError with every file that could not be written.
    """
    traces = Traces(folder, context.mailbox.blobs)
    traces.prepare(task.task_id for task in dispatch.tasks.tasks)
    for task in dispatch.tasks.tasks:
        traces.write(dispatch.state, task)
    path = traces.write_index(dispatch.state, dispatch.tasks.tasks, dispatch.tasks.config)
    if traces.problems or path is None:
        raise TeamMailError("; ".join(traces.problems))
    return path


def _record(context: Context, name: str) -> _Record:
    return _only(_records(context, name), name)


def _only(records: Sequence[_Record], name: str) -> _Record:
    if len(records) == 1:
        return records[0]
    if not records:
        raise NoSuchRun(
            f"no run's id begins with {name!r}, of at least {SHORTEST} characters; scheduler status lists ids"
        )
    known = ", ".join(f"{each.run.persona} ({each.run.id})" for each in records[-_MOST_LISTED:])
    raise NoSuchRun(f"{name!r} names {len(records)} runs: {known}; write more of it")


def _records(context: Context, name: str) -> list[_Record]:
    """Find the runs whose id begins with `name`, those of sprints first."""
    if len(name) < SHORTEST:
        return []
    parts: dict[str | None, list[Fact]] = {None: []}
    for fact in read_run_facts(context.mailbox.projections, name):
        parts.setdefault(fact.data.get("dispatch"), []).append(fact)
    return [record for facts in parts.values() for record in _recorded(facts)]


def _recorded(facts: Sequence[Fact]) -> Iterator[_Record]:
    """Yield the runs that some facts are about, those of sprints or of one dispatch."""
    starts = {str(fact.run): fact.data for fact in facts if fact.kind == Kind.RUN_STARTED}
    ends = {str(fact.run): fact.data for fact in facts if fact.kind == Kind.RUN_FINISHED}
    fold = Fold()
    for fact in facts:
        fold.add(fact)
    for run, start in starts.items():
        if run in fold.runs:
            yield _Record(fold.runs[run], fold.patches.get(run), start, ends.get(run, {}))


def _output(context: Context, record: _Record) -> bytes | None:
    """Return the output of a run: the blob of one that ended, else the end of its file; None if there is none."""
    if blob := record.end.get("output"):
        return context.mailbox.blobs.read(blob["sha256"])
    if record.run.status in _UNENDED:
        return log_of(context.home / "runs" / record.run.id) or None
    return None


def _mail(context: Context, run: Run) -> Iterator[Message]:
    """Yield the messages that a run was launched with."""
    for message in run.mail:
        with suppress(UnknownMessage):
            yield context.mailbox.read(run.persona, message, peek=True)
