"""Carries out one dispatch: each task becomes a run and each run a result, and every step is logged first.

A task starts when all its dependencies are done and their patches have landed, so it works on their changes. The
state is a fold of the logged facts, so a dispatch that was cut off can be resumed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property

from ...mail.clock import rfc3339
from ...mail.errors import TeamMailError
from ...mail.log.event import Draft, Event
from ...mail.render import listed
from ...personas.agent import Assignment, Outcome
from ..context import Context
from ..errors import InvalidTasks, Stopped
from ..kinds import Budget, LaunchReason, PatchStatus, RunStatus, TaskStatus
from ..limits.budget import Overspent
from ..limits.ledger import Ledger
from ..limits.routing import Case, Choice, Fault, Routing
from ..progress import Listener, Progress
from ..runs.flow import DONE, FAILED, FlowRunner, StepResult, TaskQueue
from ..runs.launch import Launch
from ..runs.local import LocalRunner, RunnerFactory
from ..runs.preparation import between_runs
from ..runs.record import task_finished
from ..runs.run import Batch
from ..runs.watch import Watch
from ..state.dispatches import DispatchState
from ..state.facts import Patch, Run
from ..state.fold import fact_of, left_over
from ..state.reading import read_refused
from ..tasks.references import filled
from ..tasks.task import DispatchConfig, Task
from ..tasks.typed import check_input
from .events import dispatch_finished
from .holding import ClaimHold, SessionHold
from .landing import Landing
from .order import pools_of, steps_of
from .output import DispatchOutput, Outputs, task_result
from .places import Places, names_paths, places_of
from .preview import starts_process, work_of
from .skipping import TaskSkipped, why_skipped
from .traces import Traces
from .tries import Tries

_MOST_NAMES = 5  # of blocked tasks, in one message
Heard = Callable[[Sequence[Event]], object]


class Dispatch:
    """One dispatch under way. `routing` says which agent plays; `runner` makes what carries out its runs.

    `heard` is given the events that it writes. With `leaving`, its runs may outlive this process, see `leave`.
    """

    def __init__(
        self,
        context: Context,
        state: DispatchState,
        *,
        tasks: Sequence[Task],
        config: DispatchConfig,
        routing: Routing,
        stop: threading.Event,
        listener: Listener,
        runner: RunnerFactory = LocalRunner,
        heard: Heard,
        leaving: threading.Event | None = None,
    ) -> None:
        self.tasks = {task.task_id: task for task in tasks}
        self.state, self.config, self.routing, self.stop, self.listener = state, config, routing, stop, listener
        self._lock, self._heard, self._leaving = threading.Lock(), heard, leaving
        self.context = context = replace(context, on_append=self._add)
        self._landing = Landing(context, state, stop, self._is_last, listener)
        self.traces = Traces(config.trace_dir, context.mailbox.blobs)
        self._outputs = Outputs(state, context.mailbox.blobs)
        self._tries = Tries(context.clock, listener, self._ended)
        self._refused = [*read_refused(context.mailbox.projections, rfc3339(context.clock.now()))]
        self._choices: dict[str, Choice] = {}  # of the agent, by task
        self._at_work, self._cancelled = set[str](), set[str]()
        self._budgets = replace(context.budgets, sprint=None, persona=None)  # those that bound a dispatch
        ledger = Ledger(self._budgets, now=context.clock.now, today=context.used_today)
        self._watch = Watch(context, stop, leaving, ledger, on_stop=self._asked_to_end)
        self._runner = runner(context, self._watch, listener)
        self._hold, self._bar = SessionHold(context, listener), ClaimHold(context, listener)
        self._flow = FlowRunner(self._attempt, stop, context.clock, self._after)

    def end(self) -> None:
        """End all runs and start no more; may be called from a signal's handler."""
        self.stop.set()
        self._watch.end()
        self._flow.wake()

    def _asked_to_end(self, dispatch: str) -> None:
        if dispatch == self.state.id:
            self.end()

    def leave(self) -> None:
        """Let those runs go on that can without this process, and end the others; a signal's handler may call it.

        Then the dispatch has no end on record, and whoever resumes it takes them over.
        """
        if self._leaving:
            self._leaving.set()
        self.end()

    @property
    def is_left(self) -> bool:
        """Whether it was left before all of its tasks had ended."""
        is_leaving = self._leaving is not None and self._leaving.is_set()
        return is_leaving and not self.tasks.keys() <= self.state.ends.keys()

    def cancel(self, key: str) -> bool:
        """Cancel a task that has not started or waits for its next try; tell whether it was one."""
        with self._lock:
            if key not in self.tasks or key in self._at_work or key in self.state.ends or key in self._cancelled:
                return False
            self._cancelled.add(key)
        self._ended(self.tasks[key], TaskStatus.CANCELLED, "cancelled before it started")
        return True

    def run(self, executor: Callable[[int], Executor]) -> DispatchOutput:
        """Carry out every task that is not done yet; return the output of all."""
        started = self.context.clock.monotonic()
        self._export(task for key, task in self.tasks.items() if key in self.state.ends)
        steps, pools, config = [*steps_of(self.tasks, self.state)], pools_of(self.context), self.config
        queue = TaskQueue(steps, config.max_workers, config.max_per_agent, pools, self._choose)
        needed = starts_process(self.context, self.routing, [self.tasks[step.key] for step in steps])
        between = between_runs(self.context, self.state.base, needed=needed)
        try:
            if any(sprint.commits for sprint in self.state.work.sprints):  # it is resumed
                self._landing.put_back()
            with self._watch, self._landing.pushes, between, executor(config.max_workers) as threads:
                self._carry_out(queue, threads)
        finally:
            if not self.is_left:
                seconds = self.context.clock.monotonic() - started
                self.context.append([dispatch_finished(self.state, len(self.tasks), seconds)])
        self._export(task for key, task in self.tasks.items() if self.traces.file(key) is None)
        index = self.traces.write_index(self.state, [*self.tasks.values()], self.config)
        blobs, file = self.context.mailbox.blobs, self.traces.file
        results = (task_result(self.state, task, blobs, file(key)) for key, task in self.tasks.items())
        return DispatchOutput.of(self.state, results, index)

    def _carry_out(self, queue: TaskQueue, threads: Executor) -> None:
        try:
            self._flow.run(queue, threads)
        except BaseException:  # an interrupt that nobody turned into `end`, or a bug: no run may go on
            self.end()
            raise

    def _choose(self, key: str) -> str:
        """Choose the agent for the next attempt at a task, and return it: the pool that the attempt draws from."""
        task = self.tasks[key]
        attempts = [attempt.run for attempt in self.state.of(key)]
        work = work_of(self.context, task, LaunchReason.RETRY if attempts else LaunchReason.TASK)
        uses, now = self._watch.uses(), self.context.clock.now()
        several = len(self.routing.candidates(work, uses.left(self._budgets))[1]) > 1
        if self._watch.refusals.is_set():
            self._watch.refusals.clear()
            known = read_refused(self.context.mailbox.projections, rfc3339(self.context.clock.now()))
            with self._lock:
                self._refused = [*known]
        with self._lock:
            runs = [*self.state.work.runs.values()] if several else []
            own = [run for run in map(self.state.work.runs.get, attempts) if run]
            refused = [*self._refused]
        case = Case(now, own, runs, refused, uses, self._budgets, self._has_failed, pauses=False)
        self._choices[key] = choice = self.routing.choose(work, case)
        return choice.agent

    def _has_failed(self, run: Run) -> bool:
        """Tell whether a run came to nothing."""
        patch = self.state.work.patches.get(run.id)
        return run.status != RunStatus.OK and (patch is None or patch.status == PatchStatus.DROPPED)

    # -- one attempt at a task, in a thread of the executor

    def _attempt(self, key: str) -> StepResult:
        task = self.tasks[key]
        with self._lock:
            if key in self._cancelled:
                return FAILED
            self._at_work.add(key)
        try:
            result = self._unfinished(task) or self._skipped(task) or self._hold.of(task.task_id)
            result = result or self._bar.of(task) or self._parked(task) or self._try(task)
        except Stopped:
            result = FAILED
        except (TeamMailError, OSError) as error:
            result = self._ended(task, TaskStatus.ERROR, str(error))
        finally:
            with self._lock:
                self._at_work.discard(key)
        if key in self.state.ends:
            self._export([task])
        return result

    def _unfinished(self, task: Task) -> StepResult | None:
        """Finish a task whose run had ended well before the dispatch was cut off; None if there is no such run."""
        last = self.state.of(task.task_id)[-1:]
        patch = self.state.work.patches.get(last[0].run) if last else None
        if not last or last[0].status != RunStatus.OK or self._tries.of(task):
            return None
        if patch and patch.status not in {PatchStatus.PENDING, PatchStatus.LANDED, PatchStatus.PRESENT}:
            return None
        if patch and patch.status == PatchStatus.PENDING:
            return self._land(task, last[0].run)
        return self._ended(task, TaskStatus.SUCCESS)

    def _skipped(self, task: Task) -> StepResult | None:
        """Skip a task that is not to be run; None if it is. Raises Undecided."""
        if not (why := why_skipped(task, self.state, self._outputs)):
            return None
        self.context.append([task_finished(self.state.id, task.task_id, task.agent, TaskStatus.SKIPPED, why=why)])
        self.listener(TaskSkipped(f"{task.task_id}: skipped, {why}", task.task_id, why))
        return DONE

    def _parked(self, task: Task) -> StepResult | None:
        """Let a task wait whose agent's service said until when it takes no more; None if it may start."""
        parked, now = self._choices[task.task_id].hindered(Fault.PARKED), self.context.clock.now()
        if parked is None or parked.until is None or parked.spent:
            return None
        self.listener(Progress(f"{task.task_id}: parked until {parked.until:%Y-%m-%d %H:%M:%S}Z, {parked.why}"))
        return StepResult(done=False, again=max(1.0, (parked.until - now).total_seconds()))

    def _note(self, run: str) -> None:
        """Keep a run that ended if it tells whether a service takes more."""
        with self._lock:
            ended = self.state.work.runs.get(run)
            if ended and (ended.until or (self._refused and ended.status == RunStatus.OK)):
                self._refused.append(ended)

    def _try(self, task: Task) -> StepResult:
        assignment = self._assignment(task)
        self._tries.begin(task)
        number = len(self.state.of(task.task_id)) + 1
        why, route = f"task {task.task_id}", self._choices[task.task_id]
        why += f", attempt {number}" if number > 1 else ""
        if route.passed:
            self.listener(Progress(f"{task.task_id}: {route.text}"))
        reason = LaunchReason.TASK if number == 1 else LaunchReason.RETRY
        attempts = ((attempt.run, attempt.status) for attempt in reversed(self.state.of(task.task_id)))
        launch = Launch(
            task.agent, route.agent, number, 0, reason, f"{why}; {route.text}" if route.text else why,
            assignment=assignment, timeout=self._timeout(task), last_attempt=self._tries.are_spent(task),
            previous=left_over(attempts, self.state.work.patches), route=route, answer_only=task.keep != "all",
        )  # fmt: skip
        base = self._landing.tip if self.state.base else ""
        result = self._runner.run(launch, Batch(0, 0, base, self.state.branch))
        self._note(launch.run)
        if result is not None and result.lost:  # somebody killed its warden: that is not the task's fault
            return self._ended(task, TaskStatus.ERROR, result.lost) if launch.last_attempt else self._tries.again(task)
        if result is None and (over := self._watch.refusal(launch.run)):
            return self._unaffordable(task, launch, over)
        if result is None or result.given_up:
            return FAILED
        if result.outcome.status != RunStatus.OK:
            return self._failed(task, launch, result.outcome)
        return self._land(task, launch.run) if result.has_patch else DONE

    def _failed(self, task: Task, launch: Launch, outcome: Outcome) -> StepResult:
        """Decide what comes after a run that did not end well."""
        if outcome.status == RunStatus.SETUP:
            return self._tries.not_set_up(task, outcome.detail)
        several = len(self._choices[task.task_id].agents) > 1
        if several and (outcome.hopeless or outcome.status == RunStatus.LIMITED):
            self._choose(task.task_id)
            if result := self._tries.handed_on(task, outcome, self._choices[task.task_id].unfit):
                return result
        elif outcome.status == RunStatus.LIMITED and outcome.until is not None:
            return self._tries.limited(task, outcome.detail, outcome.until)
        if outcome.status == RunStatus.LIMITED:  # until nobody knows when: whoever waits for the result hears of it
            return (
                self._ended(task, TaskStatus.ERROR, outcome.detail) if launch.last_attempt else self._tries.again(task)
            )
        if outcome.hopeless and (several or not launch.last_attempt):
            return self._ended(task, TaskStatus.ERROR, outcome.detail)
        return FAILED if outcome.status == RunStatus.STOPPED or launch.last_attempt else self._tries.again(task)

    def _unaffordable(self, task: Task, launch: Launch, over: Overspent) -> StepResult:
        """Let another agent play if a run did not start because the budget of its own is spent, else fail the task."""
        self._tries.take_back(task)
        if over.budget == Budget.AGENT and self._choose(task.task_id) != launch.agent:
            return StepResult(done=False, again=0.0)
        return self._ended(task, TaskStatus.ERROR, over.text)

    @cached_property
    def _places(self) -> Places:
        places = places_of(self.context, repository=bool(self.state.base))
        return replace(places, clones=self.context.mirror.folder.resolve()) if self.state.base else places

    def _assignment(self, task: Task) -> Assignment:
        """Fill a task's input with the outputs of its dependencies. Raises MissingOutput, InvalidTasks."""
        input_data = filled(task.input_data, self._outputs)
        if names_paths(input_data):
            input_data = self._places.mapped(task.task_id, input_data)
        if problems := check_input(task.agent, input_data):
            raise InvalidTasks(problems)
        return Assignment(self.state.id, task.task_id, task.description, input_data)

    def _land(self, task: Task, run: str) -> StepResult:
        if (why := self._landing.land(run)) is None:
            return self._ended(task, TaskStatus.SUCCESS)
        if not self._tries.are_spent(task, landing=True):
            return self._tries.again(task)
        return self._ended(task, TaskStatus.ERROR, why)

    def _is_last(self, patch: Patch) -> bool:
        return self._tries.are_spent(self.tasks[str(patch.task)], landing=True)

    def _timeout(self, task: Task) -> float:
        """Return the time limit of a run: the task's, else the config's, else the persona's, else the default."""
        limit = self.config.timeout_seconds
        if task.timeout_seconds or "timeout_seconds" in self.config.model_fields_set:
            return task.timeout_seconds or limit
        return self.context.persona(task.agent).timeout or limit

    # -- what is logged

    def _ended(self, task: Task, status: TaskStatus, error: str = "") -> StepResult:
        self.context.append([self._end(task, status, error)])
        return DONE if status == TaskStatus.SUCCESS else FAILED

    def _end(self, task: Task, status: TaskStatus, error: str = "") -> Draft:
        return task_finished(self.state.id, task.task_id, task.agent, status, error)

    def _after(self, key: str, _: StepResult, cut: tuple[str, ...]) -> None:
        """Mark the dependents of a failed task as blocked, unless the dispatch was stopped."""
        if cut and not self.stop.is_set():
            tasks, why = [self.tasks[name] for name in cut], f"blocked: task '{key}' did not succeed"
            self.context.append([self._end(task, TaskStatus.BLOCKED, why) for task in tasks])
            self._export(tasks)
            self.listener(Progress(f"blocked by {key}: {listed(cut, _MOST_NAMES)}"))

    def _add(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                self.state.add(fact_of(event._asdict()))
        self._heard(events)

    def _export(self, tasks: Sequence[Task] | Iterator[Task]) -> None:
        for task in tasks:
            self.traces.write(self.state, task)
