"""How a dispatch looks on a terminal: what came of it, and what a trace tells of one task."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ...mail.clock import Clock
from ...mail.log.blobs import Blobs
from ...mail.render import clean, line
from ...mail.units import counted
from ...scheduler.dispatch.output import DispatchOutput, trace
from ...scheduler.dispatch.preview import DispatchPreview
from ...scheduler.leader import alive
from ...scheduler.progress import Progress
from ...scheduler.runs.progress import RunEnded, RunStarted
from ...scheduler.state.dispatches import BLOCKED, CANCELLED, ERROR, SUCCESS, Attempt, DispatchState
from ...scheduler.state.facts import OPEN, Patch
from ...scheduler.tasks.task import Task
from .live import Row, Show
from .sprint import columns, span

_WIDE = 100
_LONG = 4_000  # characters of an input or output
_CALLS = 20
_ENDS = {SUCCESS: "done", ERROR: "failed", BLOCKED: "blocked", CANCELLED: "cancelled"}


class DispatchShow(Show):
    """Hears of a dispatch's runs, and shows them on standard error. Use it as a context manager."""

    def __init__(self, tasks: Sequence[Task], *, quiet: bool = False, clock: Clock | None = None) -> None:
        super().__init__(quiet=quiet, clock=clock)
        self._tasks = tasks
        self._begun = False

    def on_progress(self, progress: Progress) -> None:
        """Show a run's start or end, or a line on what is at work."""
        if isinstance(progress, RunStarted | RunEnded):
            super().on_progress(progress)
            return
        self.note(progress.text)
        if not self._begun:
            self._begun = True
            self.waiting(Row(task.task_id, 1, detail=task.description) for task in self._tasks)

    def _close(self) -> None:
        """Leave no task behind that seems to wait still: what was blocked or cancelled will not run."""
        with self._turn:
            self._rows = {
                name: row._replace(status="not run") if row.status == "waiting" else row
                for name, row in self._rows.items()
            }
        super()._close()


def summary(done: DispatchOutput) -> Iterator[str]:
    """Tell what came of each task, and what to do next."""
    rows = [(one.task_id, one.agent, one.status, _time(one.execution_time_ms), _came(one)) for one in done.results]
    yield from columns(rows)
    yield ""
    counts = ", ".join(f"{count} {_ENDS[status]}" for status, count in done.counts.items())
    yield f"{done.status}: {counts}, in {span(done.total_time_ms / 1000)}"
    if done.branch:
        yield f"{counted(done.landed, 'patch').replace('patchs', 'patches')} landed on {done.branch}"
        yield f"  look: git log -p HEAD..{done.branch}    take them: git merge {done.branch}"
    if done.trace_index:
        yield f"traces: {line(done.trace_index)}"
    if done.status != SUCCESS:
        yield f"go on: team dispatch --resume {done.correlation_id[-8:]}    why: team trace TASK"


def _came(one: Any) -> str:
    text = one.error or json.dumps(one.output, ensure_ascii=False)
    shown = line(text)
    return shown if len(shown) <= _WIDE else f"{shown[:_WIDE]}…"


def standing_of(found: DispatchState, task: str) -> str:
    """Say how a task ended, or where it stands in a dispatch that is not over."""
    if task in found.ends or found.finished:
        return found.status(task)
    begun = any(one.status == OPEN for one in found.of(task))
    if alive(found.supervisor):
        return "running" if begun else "waiting"
    return "cut off" if begun else "not begun"


def state_of(found: DispatchState) -> str:
    """Say of a dispatch that is not over why that is so."""
    if found.finished:
        return ""
    if alive(found.supervisor):
        return f", under way as process {found.supervisor['pid']}"
    return f", cut off; team dispatch --resume {found.short} goes on"


def traced(found: DispatchState, task: Task, blobs: Blobs) -> Iterator[str]:
    """Tell all that is known of one task of a dispatch."""
    told = trace(found, task, blobs)
    standing = standing_of(found, task.task_id)
    yield f"{task.task_id}: {standing}, in dispatch {found.id}"
    if task.description:
        yield f"  {line(task.description)}"
    yield from columns([("persona", task.agent), *_attempts(found, task), ("time", _time(told["execution_time_ms"]))])
    if told["error"] and standing in _ENDS:
        yield f"error: {line(told['error'])}"
    for number, call in enumerate(told["mcp_calls"][:_CALLS], 1):
        took = f" ({_time(call['duration_ms'])})" if call["duration_ms"] is not None else ""
        yield f"tool {number}: {line(call['tool'])}{took} {_short(call['input'])}"
    if (more := len(told["mcp_calls"]) - _CALLS) > 0:
        yield f"and {more} more tool calls (--json has them)"
    for name in ("input", "output"):
        yield f"{name}:"
        yield from (f"  {text}" for text in _whole(told[name]))


def _attempts(found: DispatchState, task: Task) -> Iterator[tuple[str, str]]:
    for one in found.of(task.task_id):
        patch = found.work.patches.get(one.run)
        left = f"; patch to {counted(len(patch.files), 'file')} {_became(one, patch)}" if patch else ""
        yield f"attempt {one.number}", f"{one.agent}, {line(one.detail) or one.status}{left} (run {one.run})"


def _became(one: Attempt, patch: Patch) -> str:
    """Say what became of a patch; that of a run that failed does not land, and can be looked at."""
    if one.status in {"ok", OPEN}:
        return patch.status
    return f"kept, not landed: .team/mail/blobs/{patch.sha256[:2]}/{patch.sha256}"


def _time(milliseconds: float) -> str:
    return span(milliseconds / 1000)


def _short(value: Any) -> str:
    return line(json.dumps(value, ensure_ascii=False))[:_WIDE]


def _whole(value: Any) -> list[str]:
    text = clean(json.dumps(value, indent=2, ensure_ascii=False))
    return (text if len(text) <= _LONG else f"{text[:_LONG]}\n… (--json has all of it)").split("\n")


def preview(found: DispatchPreview) -> Iterator[str]:
    """Show a dry run: who would do what, after which tasks, and how long it may take."""
    wave = {name: number for number, names in enumerate(found.waves, 1) for name in names}
    rows = [("wave", "task", "agent", "played by", "estimate", "after", "what")]
    rows += [
        (
            str(wave[task.task_id]), task.task_id, task.agent, found.agents[task.agent],
            span(task.estimate) if task.estimate else "-", ", ".join(task.dependencies) or "-",
            line(task.description)[:60],
        )
        for task in sorted(found.tasks, key=lambda task: wave[task.task_id])
    ]  # fmt: skip
    yield from columns(rows)
    yield ""
    most = min(found.config.max_workers, max(len(names) for names in found.waves))
    path = " -> ".join(found.critical_path)
    yield f"{counted(len(found.tasks), 'task')}, at most {most} at once; the longest way: {path}"
    if found.seconds is not None:
        total = sum(task.estimate or 0.0 for task in found.tasks)
        workers = counted(found.config.max_workers, "worker")
        yield f"estimated {span(found.seconds)} on {workers}, {span(total)} of work"
    yield "nothing was started"
