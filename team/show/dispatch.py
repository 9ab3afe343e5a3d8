"""A dispatch as text: its runs while it is running, its result, a dry run, the templates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from ...mail.render import clean, line, listed
from ...mail.text.units import counted
from ...scheduler.dispatch.output import DispatchOutput, TaskResult
from ...scheduler.dispatch.preview import DispatchPreview
from ...scheduler.dispatch.skipping import TaskSkipped
from ...scheduler.kinds import DispatchStatus, RunStatus, TaskStatus
from ...scheduler.liveness import is_led
from ...scheduler.progress import Progress
from ...scheduler.runs.progress import RunEnded, RunStarted, RunUsed, SetUpFailed
from ...scheduler.state.dispatches import DispatchState
from ...scheduler.tasks.task import Task
from ..api.ask import Answer, AskPlan
from ..dispatcher import DispatchBegun
from ..templates import Template
from .live import Row, Show
from .tables import columns, shortened, span
from .tick import setup_lines

_WIDE = 100
_DESCRIPTION = 60  # characters
ENDS = {
    TaskStatus.SUCCESS: "done",
    TaskStatus.ERROR: "failed",
    TaskStatus.BLOCKED: "blocked",
    TaskStatus.SKIPPED: "skipped",
    TaskStatus.CANCELLED: "cancelled",
}


class DispatchShow(Show):
    """Shows the runs of a dispatch on standard error. Use it as a context manager, and its method as a listener."""

    def on_progress(self, progress: Progress) -> None:
        """Show a run's start or end, a set-up that failed, or the text of other progress."""
        if isinstance(progress, RunStarted | RunUsed | RunEnded | SetUpFailed):
            super().on_progress(progress)
            return
        if isinstance(progress, TaskSkipped):
            self._skipped(progress)
            return
        self.note(progress.text)
        if isinstance(progress, DispatchBegun):
            self.waiting(Row(task.task_id, 1, detail=_what(task)) for task in progress.tasks)

    def _skipped(self, skip: TaskSkipped) -> None:
        """Show in the table that a task was skipped, and why; without a table, in a line."""
        with self._turn:
            self._rows[skip.task] = Row(skip.task, 1, ENDS[TaskStatus.SKIPPED], skip.why, seconds=0.0)
        if not self._live:
            self._say([f"  {skip.text}"])

    def _close(self) -> None:
        """Mark tasks that still wait: blocked or cancelled, they will not run."""
        with self._turn:
            self._rows = {
                name: row._replace(status="not run") if row.status == "waiting" else row
                for name, row in self._rows.items()
            }
        super()._close()


def _what(task: Task) -> str:
    """Return what a task is, with its condition in front."""
    return ": ".join(filter(None, (task.when.text if task.when else "", task.description)))


def summary(done: DispatchOutput) -> Iterator[str]:
    """Show how each task ended, and what to do next."""
    yield from columns([_result(result) for result in done.results])
    yield ""
    counts = ", ".join(f"{count} {ENDS[TaskStatus(status)]}" for status, count in done.counts.items())
    yield f"{done.status}: {counts}, in {span(done.total_time_ms / 1000)}"
    if done.branch:
        yield f"{counted(done.landed, 'patch')} landed on {done.branch}"
        yield f"  look: git log -p HEAD..{done.branch}    take them: git merge {done.branch}"
    if done.trace_index:
        yield f"traces: {line(done.trace_index)}"
    if done.status != DispatchStatus.SUCCESS:
        yield f"go on: team dispatch --resume {done.correlation_id[-8:]}    why: team trace TASK"


def _result(result: TaskResult) -> tuple[str, ...]:
    outcome = shortened(result.error or result.why or json.dumps(result.output, ensure_ascii=False), _WIDE)
    return result.task_id, result.agent, result.status, span(result.execution_time_ms / 1000), outcome


def standing_of(dispatch: DispatchState, task: str) -> str:
    """Return how a task ended, or its state in a dispatch that has not finished."""
    if task in dispatch.ends or dispatch.finished:
        return dispatch.status(task)
    begun = any(attempt.status == RunStatus.OPEN for attempt in dispatch.of(task))
    if is_led(dispatch.supervisor):
        return "running" if begun else "waiting"
    return "cut off" if begun else "not begun"


def state_of(dispatch: DispatchState) -> str:
    """Return why a dispatch has not finished; "" if it has."""
    if dispatch.finished:
        return ""
    if is_led(dispatch.supervisor):
        return f", under way as process {dispatch.supervisor['pid']}"
    return f", cut off; team dispatch --resume {dispatch.short} goes on"


def preview(dispatch: DispatchPreview) -> Iterator[str]:
    """Show a dry run: who would do what, after which tasks, and how long it may take."""
    yield from planned(dispatch)
    yield "nothing was started"


def asked(plan: AskPlan, dispatch: DispatchPreview) -> Iterator[str]:
    """Show the tasks that a request came to, and which of them wait because they may change the same files."""
    yield from planned(dispatch)
    for pair in plan.ordered:
        yield f"{line(pair.right)} and {line(pair.left)} run one after the other: both may change {listed(pair.files)}"


def answered(answer: Answer) -> Iterator[str]:
    """Show an answer, what would mend the tasks that failed, and the traces that it does not name."""
    yield clean(answer.text)
    if answer.mend:
        yield ""
        yield from (f"{line(task)} did not succeed: {line(advice)}" for task, advice in answer.mend.items())
    if answer.invented:
        yield ""
        yield f"the answer names traces that do not exist: {listed(answer.invented)}"
    if left := [trace for trace in answer.traces if trace not in answer.text]:
        yield ""
        yield f"traces: {', '.join(map(line, left))}"


def planned(dispatch: DispatchPreview) -> Iterator[str]:
    """Show who would do what, after which tasks, and how long it may take."""
    wave = {name: number for number, names in enumerate(dispatch.waves, 1) for name in names}
    rows = [("wave", "task", "agent", "played by", "estimate", "after", "what")]
    rows += [
        (
            str(wave[task.task_id]), task.task_id, task.agent, dispatch.choices[task.task_id].agent,
            span(task.estimate) if task.estimate else "-", ", ".join(task.dependencies) or "-",
            line(task.description)[:_DESCRIPTION],
        )
        for task in sorted(dispatch.tasks, key=lambda task: wave[task.task_id])
    ]  # fmt: skip
    yield from columns(rows)
    for task, choice in dispatch.choices.items():
        if choice.text:
            yield f"{line(task)}: {line(choice.text)}"
    for task in dispatch.tasks:
        if task.when:
            yield f"{line(task.task_id)}: {task.when.text}"
    yield ""
    most = min(dispatch.config.max_workers, max(len(names) for names in dispatch.waves))
    path = " -> ".join(dispatch.critical_path)
    yield f"{counted(len(dispatch.tasks), 'task')}, at most {most} at once; the longest chain: {path}"
    if dispatch.seconds is not None:
        total = sum(task.estimate or 0.0 for task in dispatch.tasks)
        workers = counted(dispatch.config.max_workers, "worker")
        yield f"estimated {span(dispatch.seconds)} on {workers}, {span(total)} of work"
    yield from setup_lines(dispatch.setup)


def templates(listed: Iterable[Template]) -> Iterator[str]:
    """List templates, each with its parameters and their defaults."""
    for template in listed:
        own = " (your own)" if template.own else ""
        yield f"{template.name}{own}: {line(template.problem or template.description)}"
        for parameter in template.parameters:
            default = "" if parameter.default is None else f" [{line(parameter.default)}]"
            yield f"  --set {parameter.name}=…  {line(parameter.description)}{default}"
