"""Runs the launches of one tick: a flow without dependencies, one thread for each run, within the limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from ...mail.clock import Clock, rfc3339
from ...personas.agent import Outcome
from ...personas.running.warden_process import leased
from ..context import Context
from ..limits.budget import NOTHING_USED
from ..limits.ledger import Ledger
from ..limits.parking import Width
from ..progress import Listener, silent
from .flow import DONE, FlowRunner, Step, StepResult, TaskQueue
from .launch import Launch
from .local import LocalRunner, RunnerFactory
from .run import Batch, Runner, RunResult
from .watch import Watch


@dataclass
class BatchRunner:
    """Runs batches of launches on an executor, usually of threads.

    `listener` is told of each run's start and end. `executor` is called with the number of runs that may be active at
    once; `runner` makes the Runner of each batch. With `leaving`, runs may outlive this process.
    """

    context: Context
    listener: Listener = silent
    stop: threading.Event = field(default_factory=threading.Event)
    leaving: threading.Event | None = None
    watch: Watch | None = None
    executor: Callable[[int], Executor] = ThreadPoolExecutor
    runner: RunnerFactory = LocalRunner

    def end(self) -> None:
        """Give up all runs, which does not count as their failure, and start no more; a signal handler may call it."""
        self.stop.set()
        if self.watch:
            self.watch.end()

    def leave(self) -> None:
        """Let the runs go on without this process, and start no more; the next scheduler takes them over.

        Runs of agents that are functions are given up. A signal handler may call it.
        """
        if self.leaving:
            self.leaving.set()
        self.end()

    def run(self, launches: Sequence[Launch], batch: Batch) -> None:
        """Launch all; wait until every run has ended and its end is on record. Raises LogError."""
        if launches:
            self.context.mirror.update(batch.base)
            self._carry_out(launches, lambda runner, launch: runner.run(launch, batch), batch)

    def harvest(self, launches: Sequence[Launch], batches: Sequence[Batch], stops: Collection[str]) -> None:
        """Take over runs whose scheduler is gone, each with its batch; end those whose ids are in `stops`.

        All have their end on record when this returns, except those that are left once more. Raises LogError.
        """
        own = {launch.run: batch for launch, batch in zip(launches, batches, strict=True)}

        def harvest(runner: Runner, launch: Launch) -> RunResult | None:
            return runner.harvest(launch, own[launch.run], stop=launch.run in stops)

        self._carry_out(launches, harvest, batches[0] if batches else None)

    def _carry_out(
        self, launches: Sequence[Launch], how: Callable[[Runner, Launch], RunResult | None], batch: Batch | None
    ) -> None:
        settings, clock = self.context.settings.sprint, self.context.clock
        by_run = {launch.run: launch for launch in launches}
        valve = _Valve(by_run, batch.widths if batch else {}, settings.max_parallel, clock)
        uses = batch.uses if batch else NOTHING_USED
        ledger = Ledger(self.context.budgets, uses, clock.now, self.context.used_today)
        watch = Watch(self.context, self.stop, self.leaving, ledger)
        with watch, leased(), self.executor(settings.max_parallel) as threads:
            self.watch = watch
            runner = self.runner(self.context, watch, self.listener)

            def work(run: str) -> StepResult:
                began = clock.now()
                valve.note(run, began, how(runner, by_run[run]))
                return DONE

            settle = valve.settle
            FlowRunner(work, self.stop, clock, settle, pace=settings.pace).run(valve.flow, threads)


class _Valve:
    """Lets as many runs of each agent go on at once as its service takes, also when that changes meanwhile."""

    def __init__(self, launches: Mapping[str, Launch], widths: Mapping[str, Width], most: int, clock: Clock) -> None:
        self._launches, self._widths, self._clock = launches, widths, clock
        self._limits = {agent: width.now for agent, width in widths.items()}
        self._ends: dict[str, tuple[datetime, Outcome]] = {}
        self.flow = TaskQueue([Step(run, group=launch.agent) for run, launch in launches.items()], most, self._limits)

    def note(self, run: str, began: datetime, result: RunResult | None) -> None:
        """Keep how a run ended until `settle`; may be called from any thread."""
        if result:
            self._ends[run] = (began, result.outcome)

    def settle(self, run: str, _result: StepResult, _cut: tuple[str, ...]) -> None:
        """Narrow or widen the agent by how its run ended; once its service is closed, start none of it any more."""
        agent = self._launches[run].agent
        if run not in self._ends or agent not in self._widths:
            return
        (began, outcome), now = self._ends.pop(run), self._clock.now()
        width = self._widths[agent]
        width.ended(outcome.status, rfc3339(began), rfc3339(now))
        self._limits[agent] = width.now
        if outcome.until and outcome.until > now:
            self.flow.drop(agent)
