"""What a dispatch tells: its result, a trace for each task, an index. Pure; the keys are those of the format.

All of it is made from the facts of the log, so that it can be told again at any time. See docs/dispatch.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ...mail.log.blobs import BlobMissing, Blobs
from ...personas.agents.stream import read_stream
from ..payload import held
from ..state.dispatches import CANCELLED, SUCCESS, DispatchState
from ..tasks.task import DispatchConfig, Task

PARTIAL, FAILURE = "partial", "failure"


@dataclass(frozen=True)
class TaskResult:
    """How one task ended. Times are milliseconds, of all its attempts; `trace_file` is None where none was written."""

    task_id: str
    agent: str
    status: str
    output: Any
    error: str | None
    execution_time_ms: int
    trace_file: str | None

    def document(self) -> dict[str, Any]:
        """Return the entry of `results`."""
        came = {"output": self.output} if self.status == SUCCESS else {}
        came |= {"error": self.error} if self.error is not None or self.status != SUCCESS else {}
        return {
            "task_id": self.task_id, "status": self.status, **came,
            "execution_time_ms": self.execution_time_ms, "trace_file": self.trace_file,
        }  # fmt: skip


@dataclass(frozen=True)
class DispatchOutput:
    """What came of a dispatch: each task given, once, in the order given. `branch` is None where no patch landed."""

    correlation_id: str
    results: tuple[TaskResult, ...]
    total_time_ms: int
    trace_index: str | None
    branch: str | None = None
    landed: int = 0

    @property
    def status(self) -> str:
        """`success` where every task did, `failure` where none did, else `partial`."""
        done = sum(one.status == SUCCESS for one in self.results)
        return SUCCESS if done == len(self.results) else PARTIAL if done else FAILURE

    @property
    def counts(self) -> Counter[str]:
        """How many tasks ended in which way."""
        return Counter(one.status for one in self.results)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team dispatch`. Who failed is who did not succeed."""
        return {
            "status": self.status,
            "results": [one.document() for one in self.results],
            "summary": {
                "total_tasks": len(self.results),
                "successful": self.counts[SUCCESS],
                "failed": len(self.results) - self.counts[SUCCESS],
                "total_time_ms": self.total_time_ms,
            },
            "trace_index": self.trace_index,
        }

    def __await__(self) -> Generator[None, None, Self]:
        """Let callers that are coroutines write `await dispatcher.dispatch(tasks)`; the work was done before that."""
        yield from ()
        return self

    def model_dump_json(self, indent: int | None = None) -> str:
        """Write `document()` as JSON."""
        return json.dumps(self.document(), indent=indent, ensure_ascii=False)


def told(found: DispatchState, task: Task, blobs: Blobs, trace_file: str | None) -> TaskResult:
    """Tell how a task ended."""
    end, status = found.ends.get(task.task_id), found.status(task.task_id)
    output, error = None, end.error if end else "cancelled before it ended"
    if status == SUCCESS:
        try:
            output, error = output_of(found, task.task_id, blobs), None
        except BlobMissing as missing:  # what others gave is told all the same
            error = f"it succeeded, but its output is lost: {missing}"
    return TaskResult(
        task.task_id, task.agent, status, output, error,
        round(1000 * sum(one.seconds for one in found.of(task.task_id))), trace_file,
    )  # fmt: skip


def output_of(found: DispatchState, task: str, blobs: Blobs) -> Any:
    """Return what a task's last run gave as its result; an empty object where it gave none. Raises BlobMissing."""
    attempts = found.of(task)
    output = held(blobs, attempts[-1].result, "result") if attempts else None
    return {} if output is None else output


def trace(found: DispatchState, task: Task, blobs: Blobs) -> dict[str, Any]:
    """Return the trace of a task: what it was given, what came of it, and the tools that its agent's stream names.

    Raises BlobMissing.
    """
    one = told(found, task, blobs, None)
    last = found.of(task.task_id)[-1] if found.of(task.task_id) else None
    return {
        "task_id": one.task_id,
        "agent": one.agent,
        "input": held(blobs, last.start, "input") if last else task.input_data,
        "output": one.output,
        "error": one.error,
        "execution_time_ms": one.execution_time_ms,
        "mcp_calls": _calls(last.result, blobs) if last else [],
        "timestamp": found.ends[task.task_id].ts if task.task_id in found.ends else found.last,
    }


def _calls(said: Mapping[str, Any], blobs: Blobs) -> list[dict[str, Any]]:
    """List the tools that a run used, as far as its own output tells them."""
    if not (log := said.get("output")):
        return []
    calls = read_stream(blobs.read(log["sha256"])).calls
    return [
        {"tool": call.tool, "input": call.input, "output": call.output, "duration_ms": call.duration_ms}
        for call in calls
    ]


def index(
    found: DispatchState, tasks: Sequence[Task], config: DispatchConfig, trace_file: Callable[[str], str | None]
) -> dict[str, Any]:
    """Return the index of a dispatch."""
    return {
        "correlation_id": found.id,
        "dispatch_timestamp": found.started,
        "total_time_ms": round(1000 * found.seconds),
        "task_count": len(tasks),
        "config": config.model_dump(mode="json"),
        "tasks": [
            {
                "task_id": one.task_id, "agent": one.agent, "status": found.status(one.task_id),
                "trace_file": trace_file(one.task_id),
            }
            for one in tasks
        ],
    }  # fmt: skip


__all__ = ["CANCELLED", "DispatchOutput", "TaskResult", "index", "output_of", "told", "trace"]
