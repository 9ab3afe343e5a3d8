"""Runs launches, a thread for each, beside the loop that decides what is next.

It waits in `OpenRuns` until something has happened that may change what is next: a run has ended, mail has come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ...mail.errors import LogError, TeamMailError
from ...personas.running.process import is_going
from ...personas.spending.usage import Usage
from ..context import Context
from ..limits.ledger import Ledger
from ..progress import Listener, Progress, silent
from .launch import Launch
from .local import LocalRunner, RunnerFactory
from .preparation import between_runs
from .progress import RunOffered, RunStarted
from .run import Batch, Runner, RunResult
from .watch import Watch

_LEFT = 1000  # runs of an earlier scheduler that may be taken over besides
_WEAVE = ""  # the name of the weave among what is made beside the runs
_LOOK = 0.02  # seconds between two looks whether a run goes on without this process


class OpenRuns:
    """The open runs of this process, as a context manager, which ends with the last of them.

    After `end` of its watch, `start` starts nothing. Its methods are for one thread, `wake` is for all.
    """

    def __init__(
        self,
        context: Context,
        leaving: threading.Event | None,
        *,
        runner: RunnerFactory,
        listener: Listener,
        executor: Callable[[int], Executor],
    ) -> None:
        self._context, self._listener = context, listener
        self._stop = threading.Event()  # its own: an error ends these runs, and no later ones
        self._ledger = Ledger(context.budgets, now=context.clock.now, today=context.used_today)
        self.watch = Watch(context, self._stop, leaving, self._ledger, news=self.wake)
        self._runner: Runner = runner(context, self.watch, self._told)
        self._executor = executor
        self._stack = ExitStack()
        self._news = threading.Event()
        self._futures: dict[str, Future[RunResult | None]] = {}
        self._begun: dict[str, threading.Event] = {}
        self._recorded = set[str]()  # runs whose start is on record, so that what they leave can be taken up
        self._offered = set[str]()  # runs that workers carry out, so that they go on without this process
        self._launches: dict[str, Launch] = {}
        self._beside: dict[str, Future[object]] = {}

    def __enter__(self) -> Self:
        """Watch the log, and keep a warden, until all runs are over."""
        self._stack.enter_context(self.watch)
        self._stack.enter_context(between_runs(self._context))
        most = self._context.settings.sprint.max_parallel
        self._threads = self._stack.enter_context(self._executor(most + _LEFT))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.busy:
            self.watch.end()
        self._stack.__exit__(kind, error, trace)
        self._context.mirror.settle()

    @property
    def running(self) -> frozenset[str]:
        """The ids of the runs whose end is not on record yet."""
        return frozenset(run for run, future in self._futures.items() if not future.done())

    @property
    def weaving(self) -> bool:
        """Whether a weave goes on beside the runs."""
        return _WEAVE in self._going

    @property
    def making(self) -> frozenset[str]:
        """What else is made beside the runs, by its name."""
        return frozenset(self._going) - {_WEAVE}

    @property
    def _going(self) -> list[str]:
        return [name for name, future in self._beside.items() if not future.done()]

    @property
    def busy(self) -> bool:
        """Whether anything goes on whose end is news."""
        return bool(self.running or self._going)

    @property
    def used(self) -> Mapping[str, Usage]:
        """What these runs have used so far, by their ids."""
        return self._ledger.own()

    def start(self, launches: Sequence[Launch], batch: Batch) -> None:
        """Start runs, one after the other. When this returns, the start of each is on record, or it did not start."""
        if launches:
            self._context.mirror.update(batch.base)
            self._ledger.begin(batch.uses)
        for launch in launches:
            if self._stop.is_set():
                return
            self._submit(launch, lambda launch=launch: self._runner.run(launch, batch))
            self._begun[launch.run].wait()
            if pace := self._context.settings.sprint.pace:
                self._stop.wait(pace)

    def take_over(self, launches: Sequence[Launch], batches: Sequence[Batch], stops: Collection[str]) -> None:
        """Take over runs whose scheduler is gone, each with its batch; end those whose ids are in `stops`."""
        for launch, batch in zip(launches, batches, strict=True):
            self._ledger.begin(batch.uses)

            def harvest(launch: Launch = launch, batch: Batch = batch) -> RunResult | None:
                return self._runner.harvest(launch, batch, stop=launch.run in stops)

            self._submit(launch, harvest)

    def weave(self, work: Callable[[threading.Event], object]) -> None:
        """Let `work` weave beside the runs; it is given what is set when it has to end."""
        self.make(_WEAVE, work)

    def make(self, name: str, work: Callable[[threading.Event], object]) -> None:
        """Let `work` make something beside the runs, as `weave` does."""
        self._beside[name] = self._threads.submit(work, self._stop)
        self._beside[name].add_done_callback(lambda _: self.wake())

    def _submit(self, launch: Launch, work: Callable[[], RunResult | None]) -> None:
        run, begun = launch.run, threading.Event()
        self._begun[run], self._launches[run] = begun, launch
        self._futures[run] = future = self._threads.submit(work)

        def over(_: object) -> None:
            begun.set()
            self.wake()

        future.add_done_callback(over)

    def _told(self, progress: Progress) -> None:
        self._listener(progress)
        if isinstance(progress, RunOffered):
            self._offered.add(progress.launch.run)
            self.wake()
        if isinstance(progress, RunStarted):
            self._recorded.add(progress.launch.run)
            self._begun[progress.launch.run].set()

    def wake(self) -> None:
        """Let `wait` return; any thread may call it, and a signal handler."""
        self._news.set()

    def wait(self, seconds: float | None) -> None:
        """Wait for news, at most so long: a run has ended, mail has come, a person asked for something."""
        if seconds is None:
            self._news.wait()
        else:
            self._context.clock.wait(self._news, max(0.0, seconds), busy=self.busy)

    def look(self) -> None:
        """Forget the news so far, and raise what the weave has raised, what else is made, or a run that did not start.

        A run whose end could not be put on record is told of: it is given up, as that of a scheduler that is gone.
        Raises LogError of any run, because then nothing can be put on record.
        """
        self._news.clear()
        for run, future in [*self._futures.items()]:
            if future.done():
                del self._futures[run]
                self._finished(run, future)
        for name, future in [*self._beside.items()]:
            if future.done():
                del self._beside[name]
                future.result()

    def _finished(self, run: str, future: Future[RunResult | None]) -> None:
        try:
            future.result()
        except LogError:
            raise
        except (TeamMailError, OSError) as error:
            if run not in self._recorded:
                raise
            self._listener(Progress(f"{self._launches[run].persona}: its end could not be put on record: {error}"))

    def finish(self) -> None:
        """Wait until all runs are over. Raises what `look` does."""
        while self.running:
            self.wait(None)
            self.look()
        self.look()

    def settle(self) -> None:
        """Wait until each run goes on without this process, or is over: an agent that is no process cannot."""
        for run, future in self._futures.items():
            folder = self._context.home / "runs" / run
            while not (future.done() or run in self._offered or is_going(folder)):
                self._news.clear()  # else there would be no pause
                self._news.wait(_LOOK)


@dataclass
class BatchRunner:
    """Opens runs on an executor, usually of threads.

    `listener` is told of each run's start and end. `executor` is called with the number of runs that may be active at
    once; `runner` makes the Runner of each batch. With `leaving`, runs may outlive this process.
    """

    context: Context
    listener: Listener = silent
    stop: threading.Event = field(default_factory=threading.Event)
    leaving: threading.Event | None = None
    watch: Watch | None = None
    open: OpenRuns | None = None
    executor: Callable[[int], Executor] = ThreadPoolExecutor
    runner: RunnerFactory = LocalRunner

    @contextmanager
    def opened(self) -> Generator[OpenRuns]:
        """Start runs without waiting for them; all are over when this ends."""
        runs = OpenRuns(self.context, self.leaving, runner=self.runner, listener=self.listener, executor=self.executor)
        with runs:
            self.watch, self.open = runs.watch, runs
            if self.stop.is_set():
                runs.watch.end()
            try:
                yield runs
            finally:
                self.open = None

    @property
    def running(self) -> frozenset[str]:
        """The ids of the runs that were started without waiting, and go on."""
        return self.open.running if self.open else frozenset()

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
