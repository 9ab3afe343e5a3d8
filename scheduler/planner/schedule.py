"""Schedules of tasks with durations and dependencies on a number of workers.

List scheduling by longest tail, then by other orders, each improved by forward-backward shifts. The budget is counted
in simulations, not in time, so that the same input always gives the same schedule. The lower bound ends the search.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from .net import Simulation, TaskNet, net_of

NEAR = 1e-9  # relative difference below which two times are equal: they are sums of floats
_WORK = 16_000  # simulations times the size of the net that one schedule may cost: about 50 ms
_MOST_PLAYS, _LEAST_PLAYS = 300, 6
_SHIFTS = 8  # shifts in a row without an improvement
_NOISE = 0.3  # largest relative change of a tail in a random order

Pair = tuple[str, str]


class Slot(NamedTuple):
    """A task on a worker (counted from 1), from `start` to `end` in seconds."""

    task: str
    worker: int
    start: float
    end: float


@dataclass(frozen=True)
class Schedule:
    """Slots by their start, on at most `workers` workers; `makespan` is the end of the last one."""

    workers: int
    slots: tuple[Slot, ...]
    makespan: float


def schedule(
    durations: Mapping[str, float],
    after: Mapping[str, Collection[str]],
    workers: int,
    apart: Iterable[Pair] = (),
    *,
    goal: float = 0.0,
    plays: int | None = None,
) -> Schedule:
    """Schedule tasks on workers; `after` maps a task to those it waits for, `apart` are pairs that never run at once.

    Where all else is equal, tasks given earlier go first. The search ends at a schedule of at most `goal` seconds, or
    after `plays` simulations. Raises ValueError for a cycle, and for less than one worker.
    """
    if workers < 1:
        raise ValueError("a schedule needs at least one worker")
    net = net_of(durations, after, apart)
    play = _best(net, workers, goal, plays or max(_LEAST_PLAYS, min(_MOST_PLAYS, _WORK // net.size)))
    names = [*durations]
    slots = tuple(Slot(names[task], play.worker[task], play.start[task], play.end[task]) for task in play.order)
    return Schedule(workers, slots, play.makespan)


def tails(durations: Mapping[str, float], after: Mapping[str, Collection[str]]) -> dict[str, float]:
    """Return for each task the length of the longest chain that begins with it, in seconds."""
    return dict(zip(durations, net_of(durations, after).tails, strict=True))


def critical_path(durations: Mapping[str, float], after: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the longest chain of tasks, from first to last; of equally long chains the one given first."""
    net = net_of(durations, after)
    names, chain, candidates = [*durations], list[str](), [*range(len(durations))]
    while candidates:
        longest = max(candidates, key=lambda task: (net.tails[task], -task))
        chain.append(names[longest])
        candidates = [*net.behind[longest]]
    return tuple(chain)


def curve(
    durations: Mapping[str, float], after: Mapping[str, Collection[str]], most: int, apart: Iterable[Pair] = ()
) -> tuple[Schedule, ...]:
    """Schedule on 1, 2 … `most` workers; stop early at the length of the critical path, as more workers cannot help."""
    schedules: list[Schedule] = []
    longest, pairs = _bound(net_of(durations, after), max(1, len(durations))), [*apart]
    for workers in range(1, most + 1):
        new = schedule(durations, after, workers, pairs)
        if schedules and schedules[-1].makespan <= new.makespan:
            new = Schedule(workers, schedules[-1].slots, schedules[-1].makespan)
        schedules.append(new)
        if same(new.makespan, longest):
            break
    return tuple(schedules)


def same(left: float, right: float) -> bool:
    """Tell whether two times are equal but for the rounding of float sums."""
    return abs(left - right) <= NEAR * max(abs(left), abs(right), 1.0)


def _bound(net: TaskNet, workers: int) -> float:
    """Return the least possible makespan: the critical path, or the work divided by the workers."""
    return max(max(net.tails, default=0.0), sum(net.length) / workers)


def _best(net: TaskNet, workers: int, goal: float, plays: int) -> Simulation:
    """Simulate many orders and keep the shortest; stop at the lower bound."""
    enough = max(_bound(net, workers), goal) * (1 + NEAR)
    tried = _plays(net, workers)
    best = next(tried)
    for play in islice(tried, plays - 1):
        if best.makespan <= enough:
            break
        best = min(best, play, key=lambda play: play.makespan)
    return best


def _plays(net: TaskNet, workers: int) -> Iterator[Simulation]:
    """Simulate one order after the other: first those by a rule, then randomly perturbed tails."""
    for rank in _ranks(net):
        yield from _shifted(net, net.play(rank, workers), workers)


def _ranks(net: TaskNet) -> Iterator[list[float]]:
    work = _work_behind(net)
    yield [-tail for tail in net.tails]
    yield [-length for length in net.length]
    yield [-amount for amount in work]
    yield [-len(behind) for behind in net.behind]
    chance = Random(len(net.length))  # noqa: S311 - seeded, so that the result is reproducible
    while True:
        yield [-tail * (1 + chance.uniform(-_NOISE, _NOISE)) for tail in net.tails]


def _work_behind(net: TaskNet) -> list[float]:
    """Return for each task the work that depends on it, divided among all its dependencies."""
    work = [*net.length]
    for task in reversed(net.order):
        work[task] += sum(work[behind] / len(net.before[behind]) for behind in net.behind[task])
    return work


def _shifted(net: TaskNet, play: Simulation, workers: int) -> Iterator[Simulation]:
    """Shift all tasks as late and then as early as possible, until several shifts in a row shorten nothing."""
    yield play
    best, patience = play.makespan, _SHIFTS
    while patience:
        late = net.turned.play([-end for end in play.end], workers)
        play = net.play([-end for end in late.end], workers)
        yield play
        patience = _SHIFTS if play.makespan < best * (1 - NEAR) else patience - 1
        best = min(best, play.makespan)
