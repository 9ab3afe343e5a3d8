"""Runs the launches of one tick: a flow without dependencies, one thread for each run, within the limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from ...personas.running.warden_process import leased
from ..context import Context
from ..limits.budget import NOTHING_USED, Uses
from ..limits.ledger import Ledger
from ..progress import Listener, silent
from .flow import DONE, FlowRunner, Step, StepResult, TaskQueue
from .launch import Launch
from .local import LocalRunner, RunnerFactory
from .run import Batch, Runner
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
            self._carry_out(launches, lambda runner, launch: runner.run(launch, batch), batch.uses)

    def harvest(self, launches: Sequence[Launch], batches: Sequence[Batch], stops: Collection[str]) -> None:
        """Take over runs whose scheduler is gone, each with its batch; end those whose ids are in `stops`.

        All have their end on record when this returns, except those that are left once more. Raises LogError.
        """
        own = {launch.run: batch for launch, batch in zip(launches, batches, strict=True)}

        def harvest(runner: Runner, launch: Launch) -> object:
            return runner.harvest(launch, own[launch.run], stop=launch.run in stops)

        self._carry_out(launches, harvest, batches[0].uses if batches else NOTHING_USED)

    def _carry_out(
        self, launches: Sequence[Launch], how: Callable[[Runner, Launch], object], uses: Uses = NOTHING_USED
    ) -> None:
        settings, clock = self.context.settings.sprint, self.context.clock
        by_run = {launch.run: launch for launch in launches}
        flow = TaskQueue([Step(run) for run in by_run], settings.max_parallel)
        ledger = Ledger(self.context.budgets, uses, clock.now())
        watch = Watch(self.context, self.stop, self.leaving, ledger)
        with watch, leased(), self.executor(settings.max_parallel) as threads:
            self.watch = watch
            runner = self.runner(self.context, watch, self.listener)

            def work(run: str) -> StepResult:
                how(runner, by_run[run])
                return DONE

            FlowRunner(work, self.stop, clock, pace=settings.pace).run(flow, threads)
