"""Runs the launches of one tick: a flow without dependencies, one thread for each run, within the limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from ..context import Context
from ..progress import Listener, silent
from .flow import DONE, FlowRunner, Step, StepResult, TaskQueue
from .launch import Launch
from .local import LocalRunner, RunnerFactory
from .run import Batch
from .watch import Watch


@dataclass
class BatchRunner:
    """Runs batches of launches on an executor, usually of threads.

    `listener` is told of each run's start and end. `executor` is called with the number of runs that may be active at
    once; `runner` makes the Runner of each batch.
    """

    context: Context
    listener: Listener = silent
    stop: threading.Event = field(default_factory=threading.Event)
    watch: Watch | None = None
    executor: Callable[[int], Executor] = ThreadPoolExecutor
    runner: RunnerFactory = LocalRunner

    def end(self) -> None:
        """Give up all runs, which does not count as their failure, and start no more; a signal handler may call it."""
        self.stop.set()
        if self.watch:
            self.watch.end()

    def run(self, launches: Sequence[Launch], batch: Batch) -> None:
        """Launch all; wait until every run has ended and its end is on record. Raises LogError."""
        if not launches:
            return
        self.context.mirror.update(batch.base)
        settings, clock = self.context.settings.sprint, self.context.clock
        by_run = {launch.run: launch for launch in launches}
        flow = TaskQueue([Step(run) for run in by_run], settings.max_parallel)
        with Watch(self.context, self.stop) as watch, self.executor(settings.max_parallel) as threads:
            self.watch = watch
            runner = self.runner(self.context, watch, self.listener)

            def work(run: str) -> StepResult:
                runner.run(by_run[run], batch)
                return DONE

            FlowRunner(work, self.stop, clock, pace=settings.pace).run(flow, threads)
