"""The documents of a dispatch: its output, a trace for each task, and an index. docs/dispatch.md describes the keys.

They are made from the facts of the log alone, so they can be made again at any time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...mail.log.blobs import BlobMissing, Blobs
from ...personas.spending.usage import usage_of
from ...personas.streams.stream import read_stream
from ..kinds import DispatchStatus, PatchStatus, TaskStatus
from ..payload import held
from ..state.dispatches import DispatchState
from ..state.usage import total
from ..tasks.task import DispatchConfig, Task


@dataclass(frozen=True)
class TaskResult:
    """The result of one task. The time is that of all its attempts; `trace_file` is None if none was written.

    `error` is None, and `why` says why, if it was skipped.
    """

    task_id: str
    agent: str
    status: str
    output: Any
    error: str | None
    execution_time_ms: int
    trace_file: str | None
    why: str = ""

    def document(self) -> dict[str, Any]:
        """Return the entry of `results`."""
        succeeded, skipped = self.status == TaskStatus.SUCCESS, self.status == TaskStatus.SKIPPED
        output = {"output": self.output} if succeeded else {"why": self.why} if skipped else {}
        error = {"error": self.error} if self.error is not None or not (succeeded or skipped) else {}
        return {
            "task_id": self.task_id, "status": self.status, **output, **error,
            "execution_time_ms": self.execution_time_ms, "trace_file": self.trace_file,
        }  # fmt: skip


@dataclass(frozen=True)
class DispatchOutput:
    """The results of a dispatch: one for each task, in the order given. `branch` is None if no patch landed."""

    correlation_id: str
    results: tuple[TaskResult, ...]
    total_time_ms: int
    trace_index: str | None
    branch: str | None
    landed: int

    @classmethod
    def of(cls, state: DispatchState, results: Iterable[TaskResult], index: str | None) -> DispatchOutput:
        """Return the results of a dispatch, with what landed of it; `index` is the file of its traces, if any."""
        landed = sum(patch.status == PatchStatus.LANDED for patch in state.work.patches.values())
        branch = state.branch if landed else None
        return cls(state.id, tuple(results), round(1000 * state.seconds), index, branch, landed)

    @property
    def status(self) -> DispatchStatus:
        """`success` if every task succeeded, `failure` if none did, else `partial`; skipped ones do not count."""
        succeeded = self.counts[TaskStatus.SUCCESS]
        if succeeded == len(self.results) - self.counts[TaskStatus.SKIPPED]:
            return DispatchStatus.SUCCESS
        return DispatchStatus.PARTIAL if succeeded else DispatchStatus.FAILURE

    @property
    def counts(self) -> Counter[str]:
        """The number of tasks by status."""
        return Counter(result.status for result in self.results)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team dispatch`; `failed` counts tasks that neither succeeded nor were skipped."""
        succeeded, skipped = self.counts[TaskStatus.SUCCESS], self.counts[TaskStatus.SKIPPED]
        return {
            "status": self.status,
            "results": [result.document() for result in self.results],
            "summary": {
                "total_tasks": len(self.results),
                "successful": succeeded,
                "failed": len(self.results) - succeeded - skipped,
                "skipped": skipped,
                "total_time_ms": self.total_time_ms,
            },
            "trace_index": self.trace_index,
        }

    def __await__(self) -> Generator[Any, None, DispatchOutput]:
        """Return this output, which is complete; that of a dispatch under way is a `PendingOutput`."""
        yield from ()
        return self

    def model_dump_json(self, indent: int | None = None) -> str:
        """Return `document()` as JSON."""
        return json.dumps(self.document(), indent=indent, ensure_ascii=False)


def task_result(dispatch: DispatchState, task: Task, blobs: Blobs, trace_file: str | None) -> TaskResult:
    """Return the result of a task that has ended, or was cancelled."""
    end, status = dispatch.ends.get(task.task_id), dispatch.status(task.task_id)
    output, error = None, end.error if end else "cancelled before it ended"
    if status == TaskStatus.SKIPPED:
        error = None
    elif status == TaskStatus.SUCCESS:
        try:
            output, error = output_of(dispatch, task.task_id, blobs), None
        except BlobMissing as missing:  # the other results are whole
            error = f"it succeeded, but its output is lost: {missing}"
    return TaskResult(
        task.task_id, task.agent, status, output, error,
        round(1000 * sum(attempt.seconds for attempt in dispatch.of(task.task_id))), trace_file, end.why if end else "",
    )  # fmt: skip


def output_of(dispatch: DispatchState, task: str, blobs: Blobs) -> Any:
    """Return the output of a task's last run, an empty object if it had none. Raises BlobMissing."""
    attempts = dispatch.of(task)
    output = held(blobs, attempts[-1].result, "result") if attempts else None
    return {} if output is None else output


class Outputs(Mapping[str, Any]):
    """The outputs of the tasks that have succeeded, by id; each is read when it is asked for."""

    def __init__(self, dispatch: DispatchState, blobs: Blobs) -> None:
        self._dispatch, self._blobs = dispatch, blobs

    def __getitem__(self, task: str) -> Any:
        if self._dispatch.status(task) != TaskStatus.SUCCESS:
            raise KeyError(task)
        return output_of(self._dispatch, task, self._blobs)

    def __iter__(self) -> Iterator[str]:
        return (task for task, end in self._dispatch.ends.items() if end.status == TaskStatus.SUCCESS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def trace(dispatch: DispatchState, task: Task, blobs: Blobs) -> dict[str, Any]:
    """Return the trace of a task: its input and result, what its runs used, and the tool calls in its agent's stream.

    `when` is there if the task has a condition, `why` if it was skipped. Raises BlobMissing.
    """
    result = task_result(dispatch, task, blobs, None)
    condition = {"when": task.when.model_dump(mode="json")} if task.when else {}
    condition |= {"why": result.why} if result.why else {}
    last = dispatch.of(task.task_id)[-1] if dispatch.of(task.task_id) else None
    return {
        "task_id": result.task_id,
        "agent": result.agent,
        "input": held(blobs, last.start, "input") if last else task.input_data,
        "output": result.output,
        "error": result.error,
        "execution_time_ms": result.execution_time_ms,
        "mcp_calls": _tool_calls(last.result, blobs) if last else [],
        "timestamp": dispatch.ends[task.task_id].ts if task.task_id in dispatch.ends else dispatch.last,
        "usage": total(usage_of(attempt.result.get("usage")) for attempt in dispatch.of(task.task_id)).document(),
        **condition,
    }


def _tool_calls(end: Mapping[str, Any], blobs: Blobs) -> list[dict[str, Any]]:
    """List the tool calls that the output of a run contains; `end` is the data of the event that ended it."""
    if not (log := end.get("output")):
        return []
    calls = read_stream(blobs.read(log["sha256"])).calls
    return [
        {"tool": call.tool, "input": call.input, "output": call.output, "duration_ms": call.duration_ms}
        for call in calls
    ]


def index(
    dispatch: DispatchState, tasks: Sequence[Task], config: DispatchConfig, trace_file: Callable[[str], str | None]
) -> dict[str, Any]:
    """Return the index of a dispatch; `trace_file` maps a task's id to the path of its trace."""
    return {
        "correlation_id": dispatch.id,
        "dispatch_timestamp": dispatch.started,
        "total_time_ms": round(1000 * dispatch.seconds),
        "task_count": len(tasks),
        "config": config.model_dump(mode="json"),
        "tasks": [
            {
                "task_id": task.task_id, "agent": task.agent, "status": dispatch.status(task.task_id),
                "trace_file": trace_file(task.task_id),
            }
            for task in tasks
        ],
    }  # fmt: skip
