"""Bringing the runs of one tick to their end: a flow without an order, one thread each, as many at once as allowed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from ..context import Workshop
from .flow import DONE, Carrier, Flow, Piece, Verdict
from .launch import Launch
from .run import Batch, News, Player
from .watch import Watch


@dataclass
class Dispatcher:
    """Runs batches of launches on an executor, threads as a rule. `end` gives them up, which is no failure of theirs.

    `tell` hears of each run's start and end; `executor` makes one of as many workers as may run at once.
    """

    workshop: Workshop
    tell: Callable[[News], object] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    watch: Watch | None = None
    executor: Callable[[int], Executor] = ThreadPoolExecutor

    def end(self) -> None:
        """End all runs and start no more; may be called from a signal's handler."""
        self.stop.set()
        if self.watch:
            self.watch.end()

    def run(self, launches: Sequence[Launch], batch: Batch) -> None:
        """Launch all; wait until every run has ended and its end is on record."""
        if not launches:
            return
        self.workshop.mirror.update(batch.base)
        settings, clock = self.workshop.settings.sprint, self.workshop.clock
        by_run = {launch.run: launch for launch in launches}
        flow = Flow([Piece(run) for run in by_run], settings.max_parallel)
        with Watch(self.workshop, self.stop) as watch, self.executor(settings.max_parallel) as threads:
            self.watch = watch
            player = Player(self.workshop, watch, self.stop, self.tell)

            def work(run: str) -> Verdict:
                player.play(by_run[run], batch)
                return DONE

            Carrier(work, self.stop, clock, pace=settings.pace).run(flow, threads)
