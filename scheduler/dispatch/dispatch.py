"""One dispatch being carried out: tasks become runs, runs become results, and every step is on record first.

A task starts when the last it depends on has succeeded and its patch has landed, so it works on what they left. All
that is known is the fold of the facts that were written, so a dispatch that was cut off is gone on with.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.log.event import Draft, Event
from ...personas.agent import Assignment
from ..context import Context
from ..errors import InvalidTasks, Stopped
from ..leader import myself
from ..planner.schedule import tails
from ..progress import Listener, Progress
from ..runs.flow import DONE, FAILED, FlowRunner, Step, StepResult, TaskQueue
from ..runs.launch import Launch
from ..runs.run import Batch, LocalRunner, RunResult
from ..runs.watch import Watch
from ..state.dispatches import BLOCKED, ERROR, SUCCESS, DispatchState
from ..state.facts import PENDING, Fact, Patch
from ..tasks.references import filled
from ..tasks.task import DispatchConfig, Task
from ..tasks.typed import check_input
from .landing import Landing
from .mail import Mails
from .output import DispatchOutput, output_of, told
from .traces import Traces

_LONGEST_PAUSE = 600.0  # seconds


class Dispatch:
    """The tasks of one dispatch on their way. `agents` says who plays each persona."""

    def __init__(
        self,
        context: Context,
        found: DispatchState,
        *,
        tasks: Sequence[Task],
        config: DispatchConfig,
        agents: Mapping[str, str],
        stop: threading.Event,
        listener: Listener,
    ) -> None:
        self.tasks = {task.task_id: task for task in tasks}
        self.found, self.config, self.agents, self.stop, self.listener = found, config, agents, stop, listener
        self._turn = threading.Lock()
        self.context = context = replace(context, on_append=self._heard)
        self._landing = Landing(context, found, stop, self._is_last, listener)
        self._mails = Mails(context.mailbox, found)
        self.traces = Traces(config.trace_dir, context.mailbox.blobs)
        self._outputs = _Outputs(self)
        self._tries: Counter[str] = Counter()
        self._watch = Watch(context, stop)
        self._player = LocalRunner(context, self._watch, stop, listener, self._mails.of, self._closing)
        self._carrier = FlowRunner(self._attempt, stop, context.clock, self._settle)

    def end(self) -> None:
        """End all runs and start no more; may be called from a signal's handler."""
        self.stop.set()
        self._watch.end()
        self._carrier.wake()

    def run(self, executor: Callable[[int], Executor]) -> DispatchOutput:
        """Carry out what has not succeeded yet; return what came of every task."""
        began = self.context.clock.monotonic()
        self._export(task for key, task in self.tasks.items() if key in self.found.ends)
        flow = TaskQueue([*self._pieces()], self.config.max_workers, self.config.max_per_agent)
        try:
            with self._watch, executor(self.config.max_workers) as threads:
                self._carry(flow, threads)
        finally:
            self.context.append([self._finished(self.context.clock.monotonic() - began)])
        self._export(task for key, task in self.tasks.items() if self.traces.file(key) is None)
        return self._output(self.traces.write_index(self.found, [*self.tasks.values()], self.config))

    def _carry(self, flow: TaskQueue, threads: Executor) -> None:
        try:
            self._carrier.run(flow, threads)
        except BaseException:  # an interrupt that nobody turned into `end`, or a fault of ours: nothing may go on
            self.end()
            raise

    def _pieces(self) -> Iterator[Step]:
        """Put what is left to do in order: by priority, then what has the most behind it, then as given."""
        left = {key: task for key, task in self.tasks.items() if self.found.status(key) != SUCCESS}
        after = {key: tuple(name for name in task.dependencies if name in left) for key, task in left.items()}
        known = [task.estimate for task in left.values() if task.estimate]
        usual = sum(known) / len(known) if known else 1.0
        behind = tails({key: task.estimate or usual for key, task in left.items()}, after)
        for key, task in left.items():
            yield Step(key, after[key], (-task.priority, -behind[key]), task.agent)

    # -- one attempt at a task, in a thread of the executor

    def _attempt(self, key: str) -> StepResult:
        task = self.tasks[key]
        try:
            verdict = self._unfinished(task) or self._tried(task)
        except InvalidTasks as unfit:
            verdict = self._ended(task, ERROR, str(unfit))
        except Stopped:
            verdict = FAILED
        except (TeamMailError, OSError) as error:
            verdict = self._ended(task, ERROR, str(error))
        if key in self.found.ends:
            self._export([task])
        return verdict

    def _unfinished(self, task: Task) -> StepResult | None:
        """Take up a run that ended well before the dispatch was cut off."""
        last = self.found.of(task.task_id)[-1:]
        patch = self.found.work.patches.get(last[0].run) if last else None
        if not last or last[0].status != "ok" or (patch and patch.status not in {PENDING, "landed"}):
            return None
        if self._tries[task.task_id]:
            return None
        return self._landed(task, last[0].run) if patch and patch.status == PENDING else self._ended(task, SUCCESS)

    def _tried(self, task: Task) -> StepResult:
        assignment = self._assignment(task)
        self._tries[task.task_id] += 1
        number = len(self.found.of(task.task_id)) + 1
        why = f"task {task.task_id}" if number == 1 else f"task {task.task_id}, attempt {number}"
        launch = Launch(
            task.agent, self.agents[task.agent], number, 0, "task" if number == 1 else "retry", why,
            assignment=assignment, timeout=self._timeout(task),
        )  # fmt: skip
        base = self._landing.tip if self.found.base else ""
        try:
            played = self._player.play(launch, Batch(0, 0, base, self.found.branch))
        finally:
            self._mails.release(launch.run)
        if played is None or played.given_up:
            return FAILED
        if played.outcome.status != "ok":
            return self._again(task) if self._has_more(task, played) else FAILED
        return self._landed(task, launch.run) if _has_patch(played) else DONE

    def _assignment(self, task: Task) -> Assignment:
        """Fill a task's input from what those before it gave. Raises MissingOutput, InvalidTasks."""
        given = filled(task.input_data, self._outputs)
        if problems := check_input(task.agent, given):
            raise InvalidTasks(problems)
        return Assignment(self.found.id, task.task_id, task.description, given)

    def _landed(self, task: Task, run: str) -> StepResult:
        if (why := self._landing.land(run)) is None:
            return self._ended(task, SUCCESS)
        if self._tries[task.task_id] < self._most(task, landing=True):
            return self._again(task)
        return self._ended(task, ERROR, why)

    def _again(self, task: Task) -> StepResult:
        pause = task.retry_backoff * 2.0 ** (max(1, self._tries[task.task_id]) - 1)
        return StepResult(done=False, again=min(pause, _LONGEST_PAUSE))

    def _most(self, task: Task, *, landing: bool = False) -> int:
        """Return how often a task is tried: work that others overtook gets one more chance than it was given."""
        return max(1 + task.retries, 2 if landing else 1)

    def _has_more(self, task: Task, played: RunResult) -> bool:
        return played.outcome.status != "stopped" and self._tries[task.task_id] < self._most(task)

    def _is_last(self, patch: Patch) -> bool:
        task = self.tasks[str(patch.task)]
        return self._tries[task.task_id] >= self._most(task, landing=True)

    def _timeout(self, task: Task) -> float:
        """Return how long a run may take: the task's own word, the dispatch's, the persona's, the usual."""
        told = self.config.timeout_seconds
        if task.timeout_seconds or "timeout_seconds" in self.config.model_fields_set:
            return task.timeout_seconds or told
        return self.context.persona(task.agent).timeout or told

    # -- what is written

    def _closing(self, launch: Launch, played: RunResult) -> Sequence[Draft]:
        """Say with a run's end that its task has ended, where that is so: one write less."""
        assert launch.assignment is not None  # noqa: S101 - a dispatch launches nothing else
        task = self.tasks[launch.assignment.task]
        if played.given_up or (played.outcome.status == "ok" and _has_patch(played)):
            return ()
        if played.outcome.status == "ok":
            return (self._end(task, SUCCESS),)
        return () if self._has_more(task, played) else (self._end(task, ERROR, _reason(played)),)

    def _ended(self, task: Task, status: str, error: str = "") -> StepResult:
        self.context.append([self._end(task, status, error)])
        return DONE if status == SUCCESS else FAILED

    def _end(self, task: Task, status: str, error: str = "") -> Draft:
        data = {
            "dispatch": self.found.id,
            "task": task.task_id,
            "persona": task.agent,
            "status": status,
            "error": error,
        }
        return Draft("task.finished", "scheduler", data=data)

    def _settle(self, key: str, _: StepResult, cut: tuple[str, ...]) -> None:
        """Say of those behind a task that failed that they cannot start; of a dispatch that is stopped nobody can."""
        if cut and not self.stop.is_set():
            tasks = [self.tasks[name] for name in cut]
            self.context.append([self._end(task, BLOCKED, f"blocked: task '{key}' did not succeed") for task in tasks])
            self._export(tasks)
            more = f" and {len(cut) - 5} more" if len(cut) > 5 else ""  # noqa: PLR2004
            self.listener(Progress(f"blocked by {key}: {', '.join(cut[:5])}{more}"))

    def _finished(self, seconds: float) -> Draft:
        done = sum(end.status == SUCCESS for end in self.found.ends.values())
        data: dict[str, Any] = {
            "dispatch": self.found.id,
            "successful": done,
            "failed": len(self.tasks) - done,
            "seconds": round(seconds, 3),
        }
        return Draft("dispatch.finished", "scheduler", data=data)

    def _heard(self, events: Sequence[Event]) -> None:
        with self._turn:
            for one in events:
                self.found.add(Fact(one.seq, one.ts, one.kind, one.sender, one.ref, one.run, one.data, one.hash))

    def _export(self, tasks: Sequence[Task] | Iterator[Task]) -> None:
        for task in tasks:
            self.traces.write(self.found, task)

    def _output(self, index: str | None) -> DispatchOutput:
        found, blobs = self.found, self.context.mailbox.blobs
        results = tuple(told(found, task, blobs, self.traces.file(key)) for key, task in self.tasks.items())
        landed = sum(patch.status == "landed" for patch in found.work.patches.values())
        branch = found.branch if landed else None
        return DispatchOutput(found.id, results, round(1000 * found.seconds), index, branch, landed)


class _Outputs(Mapping[str, Any]):
    """The results of tasks that have succeeded, by id, read when one refers to them."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def __getitem__(self, task: str) -> Any:
        found = self._dispatch.found
        if found.status(task) != SUCCESS:
            raise KeyError(task)
        return output_of(found, task, self._dispatch.context.mailbox.blobs)

    def __iter__(self) -> Iterator[str]:
        return (task for task, end in self._dispatch.found.ends.items() if end.status == SUCCESS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def started(found: str, tasks: Mapping[str, Any], **told: Any) -> Draft:
    """Make the event by which a dispatch begins; `tasks` is the entry that holds them."""
    return Draft("dispatch.started", "scheduler", data={"dispatch": found, "supervisor": myself(), **tasks, **told})


def _has_patch(played: RunResult) -> bool:
    return bool(played.captured and played.captured.patch)


def _reason(played: RunResult) -> str:
    """Say why a run was no success, a timeout in the words of the format."""
    detail = played.outcome.detail
    return f"Task timeout exceeded: {detail}" if played.outcome.status == "timeout" else detail
