"""Work with an order to it, carried out on an executor: each piece starts the moment the last it waits for is done.

There are no waves. `TaskQueue` is the bookkeeping, pure and without threads; `FlowRunner` is the loop around it. A
batch of a sprint is a flow without an order, a dispatch one with.
"""

from __future__ import annotations

import heapq
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from typing import NamedTuple

from ...mail.clock import Clock

EVERYBODY = "*"  # in limits: each group that is not named


@dataclass(frozen=True)
class Step:
    """One piece of work. Of those that could start, the one of the lowest `rank` does; `group` is what limits name."""

    key: str
    after: tuple[str, ...] = ()
    rank: tuple[float, ...] = ()
    group: str = ""


class StepResult(NamedTuple):
    """How a piece ended: well, or not; `again` is the pause in seconds before it is tried once more."""

    done: bool
    again: float | None = None


News = tuple[str, Future[StepResult]]
DONE, FAILED = StepResult(done=True), StepResult(done=False)


class TaskQueue:
    """Which piece may start next, at most `width` at once, and of a group at most as many as `limits` say.

    Raises graphlib.CycleError. Pieces that wait for one that is not there never start.
    """

    def __init__(self, pieces: Sequence[Step], width: int, limits: Mapping[str, int] | None = None) -> None:
        self._pieces = {piece.key: piece for piece in pieces}
        self._order = {piece.key: number for number, piece in enumerate(pieces)}
        self._width, self._limits = width, limits or {}
        self._sorter = TopologicalSorter({piece.key: piece.after for piece in pieces})
        self._sorter.prepare()
        self._ready: defaultdict[str, list[tuple[tuple[float, ...], int, str]]] = defaultdict(list)  # by group
        self._later: list[tuple[float, str]] = []
        self._busy: Counter[str] = Counter()
        self._left = set(self._pieces)
        self.running: set[str] = set()
        self._take()

    @property
    def over(self) -> bool:
        """Tell whether nothing runs and nothing can start any more."""
        return not (self.running or self._later or any(self._ready.values()))

    def due(self, now: float) -> float | None:
        """Return in how many seconds the next piece is to be tried again; None if none is."""
        return max(0.0, self._later[0][0] - now) if self._later else None

    def start(self, now: float) -> str | None:
        """Take the next piece that may start now; None where there is none, or no room."""
        while self._later and self._later[0][0] <= now:
            self._put(heapq.heappop(self._later)[1])
        if len(self.running) >= self._width:
            return None
        first = min((ready[0] for group, ready in self._ready.items() if ready and self._has_room(group)), default=None)
        if first is None:
            return None
        key = first[2]
        group = self._pieces[key].group
        heapq.heappop(self._ready[group])
        self.running.add(key)
        self._busy[group] += 1
        return key

    def ended(self, key: str, verdict: StepResult, now: float) -> tuple[str, ...]:
        """Take note of how a piece ended; return those that can never start because of it, in the order given."""
        self.running.discard(key)
        self._busy[self._pieces[key].group] -= 1
        if verdict.again is not None:
            heapq.heappush(self._later, (now + verdict.again, key))
            return ()
        self._left.discard(key)
        if not verdict.done:
            return self._cut(key)
        self._sorter.done(key)
        self._take()
        return ()

    def clear(self) -> None:
        """Start nothing any more."""
        self._ready.clear()
        self._later.clear()

    def _take(self) -> None:
        for key in self._sorter.get_ready():
            if key in self._pieces:
                self._put(key)

    def _put(self, key: str) -> None:
        piece = self._pieces[key]
        heapq.heappush(self._ready[piece.group], (piece.rank, self._order[key], key))

    def _has_room(self, group: str) -> bool:
        most = self._limits.get(group, self._limits.get(EVERYBODY))
        return most is None or self._busy[group] < most

    def _cut(self, key: str) -> tuple[str, ...]:
        """Take out all that waits for a piece, also by way of others, and has not been taken out before."""
        cut: set[str] = set()
        waiting = [key]
        while waiting:
            found = [below for below in self._below[waiting.pop()] if below in self._left and below not in cut]
            cut.update(found)
            waiting += found
        self._left -= cut
        return tuple(sorted(cut, key=self._order.__getitem__))

    @property
    def _below(self) -> Mapping[str, Sequence[str]]:
        if not hasattr(self, "_dependents"):
            self._dependents: defaultdict[str, list[str]] = defaultdict(list)
            for piece in self._pieces.values():
                for above in piece.after:
                    self._dependents[above].append(piece.key)
        return self._dependents


@dataclass
class FlowRunner:
    """Carries a flow out: `work` is called in the executor's threads, `settle` hears in this one how each piece ended.

    `settle` is given the piece, its verdict, and those that are cut off by it. `pace` is the pause in seconds between
    two starts. Once `stop` is set nothing more is started; what runs is waited for.
    """

    work: Callable[[str], StepResult]
    stop: threading.Event
    clock: Clock
    settle: Callable[[str, StepResult, tuple[str, ...]], object] = lambda _key, _verdict, _cut: None
    pace: float = 0.0
    _news: SimpleQueue[News | None] = field(default_factory=SimpleQueue["News | None"])

    def wake(self) -> None:
        """Look at once whether to stop; may be called from a signal's handler."""
        self._news.put(None)

    def run(self, flow: TaskQueue, executor: Executor) -> None:
        """Return when nothing runs and nothing can start any more. Raises what `work` raised, when all has ended."""
        raised: BaseException | None = None
        while True:
            if self.stop.is_set():
                flow.clear()
            self._start(flow, executor)
            if flow.over:
                break
            raised = self._hear(flow) or raised
            if raised:
                flow.clear()
        if raised:
            raise raised

    def _start(self, flow: TaskQueue, executor: Executor) -> None:
        while not self.stop.is_set() and (key := flow.start(self.clock.monotonic())) is not None:
            future = executor.submit(self.work, key)
            future.add_done_callback(partial(self._tell, key))
            if self.pace:
                self.stop.wait(self.pace)

    def _hear(self, flow: TaskQueue) -> BaseException | None:
        """Wait for one piece to end, or for one that is to be tried again; return what was raised, if so."""
        try:
            news = self._news.get(timeout=flow.due(self.clock.monotonic()))
        except Empty:
            return None
        if news is None:
            return None
        key, future = news
        error = future.exception()
        verdict = FAILED if error else future.result()
        cut = flow.ended(key, verdict, self.clock.monotonic())
        self.settle(key, verdict, cut)
        return error

    def _tell(self, key: str, future: Future[StepResult]) -> None:
        self._news.put((key, future))
