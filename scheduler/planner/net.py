"""A graph of numbered tasks, and a list scheduler that simulates it on some workers: a millisecond for 500 tasks.

A ready task starts as soon as a worker is free, the one of lowest rank first. Two tasks that are kept apart never run
at once; the simulation decides which of them goes first.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import cast


@dataclass(frozen=True)
class Simulation:
    """The result of a simulation: the tasks in the order of their starts, and the worker, start and end of each."""

    order: Sequence[int]
    worker: Sequence[int]
    start: Sequence[float]
    end: Sequence[float]

    @property
    def makespan(self) -> float:
        """When the last task ends."""
        return max(self.end, default=0.0)


@dataclass(frozen=True)
class TaskNet:
    """Numbered tasks: the duration, dependencies and dependents of each, and the tasks kept apart from it."""

    length: Sequence[float]
    before: Sequence[Sequence[int]]
    behind: Sequence[Sequence[int]]
    apart: Sequence[Collection[int]]

    @cached_property
    def order(self) -> list[int]:
        """The tasks in topological order. Raises graphlib.CycleError."""
        return list(TopologicalSorter(dict(enumerate(self.before))).static_order())

    @cached_property
    def tails(self) -> list[float]:
        """The duration of the longest chain that begins with each task."""
        tails = [*self.length]
        for task in reversed(self.order):
            tails[task] += max((tails[next_one] for next_one in self.behind[task]), default=0.0)
        return tails

    @cached_property
    def size(self) -> int:
        """The cost of a simulation, in tasks; ten edges or pairs kept apart cost as much as one task."""
        edges = sum(map(len, self.before)) + sum(map(len, self.apart)) // 2
        return max(1, len(self.length) + edges // 10)

    @cached_property
    def turned(self) -> TaskNet:
        """The same net with all edges reversed."""
        return TaskNet(self.length, self.behind, self.before, self.apart)

    def play(self, rank: Sequence[float], workers: int) -> Simulation:
        """Simulate: start each ready task as soon as a worker is free, the lowest rank first."""
        stage = _Stage(self, rank, workers)
        while stage.going:
            stage.start_ready()
            stage.end_next()
        return Simulation(stage.order, stage.worker, stage.start, stage.end)


class _Stage:
    """A simulation in progress: the clock, ready tasks by rank, running tasks, and tasks barred by those."""

    def __init__(self, net: TaskNet, rank: Sequence[float], workers: int) -> None:
        count = len(net.length)
        self.net, self.rank, self.now = net, rank, 0.0
        self.waits = [len(before) for before in net.before]
        self.ready = sorted((rank[task], task) for task in range(count) if not self.waits[task])
        self.free = list(range(1, min(workers, count) + 1))
        self.running: list[tuple[float, int]] = []
        self.barred: set[int] = set()
        self.order: list[int] = []
        self.worker, self.start, self.end = [0] * count, [0.0] * count, [0.0] * count

    @property
    def going(self) -> bool:
        return bool(self.ready or self.running)

    def start_ready(self) -> None:
        at = 0
        while self.free and at < len(self.ready):
            task = self.ready[at][1]
            if task in self.barred:
                at += 1
            else:
                del self.ready[at]
                self._start(task)

    def _start(self, task: int) -> None:
        self.worker[task], self.start[task] = heappop(self.free), self.now
        self.end[task] = self.now + self.net.length[task]
        self.order.append(task)
        self.barred.update(self.net.apart[task])
        heappush(self.running, (self.end[task], task))

    def end_next(self) -> None:
        """Advance the clock to the next end of a task, and end every task that ends then."""
        self.now = self.running[0][0]
        while self.running and self.running[0][0] <= self.now:
            _, task = heappop(self.running)
            heappush(self.free, self.worker[task])
            for freed in self._freed(task):
                insort(self.ready, (self.rank[freed], freed))
        self.barred = set[int]().union(*(self.net.apart[task] for _, task in self.running))

    def _freed(self, task: int) -> Iterable[int]:
        for behind in self.net.behind[task]:
            self.waits[behind] -= 1
            if not self.waits[behind]:
                yield behind


def net_of(
    durations: Mapping[str, float], after: Mapping[str, Collection[str]], apart: Iterable[tuple[str, str]] = ()
) -> TaskNet:
    """Assign numbers to the tasks in the order given; edges to tasks without a duration are ignored.

    Raises ValueError for a cycle.
    """
    places = {task: place for place, task in enumerate(durations)}
    before = [[places[name] for name in dict.fromkeys(after.get(task, ())) if name in places] for task in places]
    behind: list[list[int]] = [[] for _ in places]
    for task, waits in enumerate(before):
        for dependency in waits:
            behind[dependency].append(task)
    rivals: list[dict[int, None]] = [{} for _ in places]
    for left, right in apart:
        if left in places and right in places:
            rivals[places[left]][places[right]] = rivals[places[right]][places[left]] = None
    net = TaskNet([*durations.values()], before, behind, rivals)
    try:
        net.order  # noqa: B018 - a simulation would never end on a cycle
    except CycleError as knot:
        names, cycle = [*durations], cast("list[int]", knot.args[1])
        raise ValueError(f"tasks wait for each other: {' -> '.join(names[task] for task in cycle[::-1])}") from None
    return net
