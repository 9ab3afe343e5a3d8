"""Steps that depend on each other, run on an executor: each starts as soon as all it depends on are done.

There are no waves. `TaskQueue` is the bookkeeping, pure and without threads; `FlowRunner` is the loop around it. The
steps of a sprint's batch have no dependencies, those of a dispatch do.
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

EVERYBODY = "*"  # in limits: every group that is not named


@dataclass(frozen=True)
class Step:
    """One step. Of the steps that are ready, the one with the lowest `rank` starts; `limits` apply to a `group`."""

    key: str
    after: tuple[str, ...] = ()
    rank: tuple[float, ...] = ()
    group: str = ""


class StepResult(NamedTuple):
    """How a step ended: done or not. `again` is the pause in seconds before it is tried once more."""

    done: bool
    again: float | None = None


Ended = tuple[str, Future[StepResult]]
_Place = tuple[tuple[float, ...], int, str]  # rank, number, key: the least is next
DONE, FAILED = StepResult(done=True), StepResult(done=False)


class TaskQueue:
    """Which step may start next: at most `width` at once, and of groups and pools what `limits` and `pools` say.

    `pool_of` tells what a step draws from when it starts, which may be another pool at another time. Raises
    graphlib.CycleError. A step that depends on one that is not there never starts.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        width: int,
        limits: Mapping[str, int] | None = None,
        pools: Mapping[str, int] | None = None,
        pool_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._steps = {step.key: step for step in steps}
        self._order = {step.key: number for number, step in enumerate(steps)}
        self._width, self._limits, self._pools, self._pool_of = width, limits or {}, pools or {}, pool_of
        self._sorter = TopologicalSorter({step.key: step.after for step in steps})
        self._sorter.prepare()
        self._ready: defaultdict[tuple[str, str], list[_Place]] = defaultdict(list)  # by group and pool
        self._later: list[tuple[float, str]] = []
        self._busy: Counter[str] = Counter()
        self._pool: dict[str, str] = {}  # of the steps that run
        self._drawn: Counter[str] = Counter()  # by pool
        self._left = set(self._steps)
        self.running: set[str] = set()
        self._take()

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing more can start."""
        return not (self.running or self._later or any(self._ready.values()))

    def due(self, now: float) -> float | None:
        """Return the seconds until the next retry; None if there is none."""
        return max(0.0, self._later[0][0] - now) if self._later else None

    def start(self, now: float) -> str | None:
        """Start the next step that is ready and return its key; None if there is none, or no room."""
        while self._later and self._later[0][0] <= now:
            key = heapq.heappop(self._later)[1]
            self._put(key, self._pool_of(key))
        if len(self.running) >= self._width:
            return None
        self._move()
        while places := [place for place, ready in self._ready.items() if ready and self._has_room(*place)]:
            group, pool = place = min(places, key=lambda place: self._ready[place][0])
            key = heapq.heappop(self._ready[place])[2]
            if (current := self._pool_of(key)) != pool:
                self._put(key, current)
                continue
            self.running.add(key)
            self._busy[group] += 1
            self._pool[key] = pool
            self._drawn[pool] += 1
            return key
        return None

    def ended(self, key: str, result: StepResult, now: float) -> tuple[str, ...]:
        """Record how a step ended; return the steps that can never start because of it, in the order given."""
        self.running.discard(key)
        self._busy[self._steps[key].group] -= 1
        self._drawn[self._pool.pop(key)] -= 1
        if result.again is not None:
            heapq.heappush(self._later, (now + result.again, key))
            return ()
        self._left.discard(key)
        if not result.done:
            return self._cut(key)
        self._sorter.done(key)
        self._take()
        return ()

    def drop(self, group: str) -> None:
        """Start no step of a group that has not started yet."""
        for place in [place for place in self._ready if place[0] == group]:
            del self._ready[place]
        self._later = [(due, key) for due, key in self._later if self._steps[key].group != group]
        heapq.heapify(self._later)

    def clear(self) -> None:
        """Start nothing more."""
        self._ready.clear()
        self._later.clear()

    def _take(self) -> None:
        for key in self._sorter.get_ready():
            if key in self._steps:
                self._put(key, self._pool_of(key))

    def _put(self, key: str, pool: str) -> None:
        step = self._steps[key]
        heapq.heappush(self._ready[step.group, pool], (step.rank, self._order[key], key))

    def _move(self) -> None:
        """Let steps that wait for a full pool go to another one if that is theirs by now."""
        full = [place for place in self._ready if self._is_full(place[1])]
        for place in full:
            while (ready := self._ready[place]) and (current := self._pool_of(ready[0][2])) != place[1]:
                self._put(heapq.heappop(ready)[2], current)

    def _is_full(self, pool: str) -> bool:
        return pool in self._pools and self._drawn[pool] >= self._pools[pool]

    def _has_room(self, group: str, pool: str) -> bool:
        """Tell whether a step may start as far as its group and its pool go."""
        most = self._limits.get(group, self._limits.get(EVERYBODY))
        return not self._is_full(pool) and (most is None or self._busy[group] < most)

    def _cut(self, key: str) -> tuple[str, ...]:
        """Remove every transitive dependent that has not been removed yet."""
        cut: set[str] = set()
        waiting = [key]
        while waiting:
            dependents = [key for key in self._below[waiting.pop()] if key in self._left and key not in cut]
            cut.update(dependents)
            waiting += dependents
        self._left -= cut
        return tuple(sorted(cut, key=self._order.__getitem__))

    @property
    def _below(self) -> Mapping[str, Sequence[str]]:
        if not hasattr(self, "_dependents"):
            self._dependents: defaultdict[str, list[str]] = defaultdict(list)
            for step in self._steps.values():
                for above in step.after:
                    self._dependents[above].append(step.key)
        return self._dependents


@dataclass
class FlowRunner:
    """Runs the steps of a queue: `work` is called in the executor's threads, `settle` in this one after each step.

    `settle` is given the step's key, its result, and the steps that can never start because of it. `pace` is the pause
    in seconds between two starts. Once `stop` is set nothing more is started, and running steps are waited for.
    """

    work: Callable[[str], StepResult]
    stop: threading.Event
    clock: Clock
    settle: Callable[[str, StepResult, tuple[str, ...]], object] = lambda _key, _result, _cut: None
    pace: float = 0.0
    _ended: SimpleQueue[Ended | None] = field(default_factory=SimpleQueue["Ended | None"])

    def wake(self) -> None:
        """Check now whether to stop; a signal handler may call it."""
        self._ended.put(None)

    def run(self, flow: TaskQueue, executor: Executor) -> None:
        """Return when nothing runs and nothing more can start. Raises what `work` raised once all steps have ended."""
        raised: BaseException | None = None
        while True:
            if self.stop.is_set():
                flow.clear()
            self._start(flow, executor)
            if flow.over:
                break
            raised = self._wait(flow) or raised
            if raised:
                flow.clear()
        if raised:
            raise raised

    def _start(self, flow: TaskQueue, executor: Executor) -> None:
        while not self.stop.is_set() and (key := flow.start(self.clock.monotonic())) is not None:
            future = executor.submit(self.work, key)
            future.add_done_callback(partial(self._on_done, key))
            if self.pace:
                self.stop.wait(self.pace)

    def _wait(self, flow: TaskQueue) -> BaseException | None:
        """Wait until a step ends or is to be retried; return the exception that it raised, if any."""
        try:
            ended = self._ended.get(timeout=flow.due(self.clock.monotonic()))
        except Empty:
            return None
        if ended is None:
            return None
        key, future = ended
        error = future.exception()
        result = FAILED if error else future.result()
        cut = flow.ended(key, result, self.clock.monotonic())
        self.settle(key, result, cut)
        return error

    def _on_done(self, key: str, future: Future[StepResult]) -> None:
        self._ended.put((key, future))
