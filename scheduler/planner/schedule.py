"""Who does what when: tasks with durations and edges on so many workers, and how far from the best that may be.

List scheduling, longest tail first, then other orders and shifts to and fro within a budget that is counted in plays
and not in time, so that the same plan always gives the same schedule. It stops at once where the bound is met.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from .net import Simulation, TaskNet, net_of

NEAR = 1e-9  # two times that differ by less, in proportion, are the same: sums of floats
_WORK = 16_000  # plays times the size of the net that one schedule may cost: about 50 ms
_MOST_PLAYS, _LEAST_PLAYS = 300, 6
_SHIFTS = 8  # times to and fro from one start, if nothing gets better
_NOISE = 0.3  # how far a tail is off at most where chance orders the tasks

Pair = tuple[str, str]


class Slot(NamedTuple):
    """A task on a worker, who is counted from 1, from `start` to `end` in seconds."""

    task: str
    worker: int
    start: float
    end: float


@dataclass(frozen=True)
class Schedule:
    """Slots in the order in which they start, on at most `workers` workers; `makespan` is when the last one ends."""

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
    """Schedule tasks on workers; `after` has what each one waits for, `apart` the pairs that never run at once.

    Tasks given earlier are preferred where all else is equal. It looks no further once it is no longer than `goal`
    seconds, or after that many `plays`. Raises ValueError for a cycle, and for no worker.
    """
    if workers < 1:
        raise ValueError("a schedule needs at least one worker")
    net = net_of(durations, after, apart)
    play = _best(net, workers, goal, plays or max(_LEAST_PLAYS, min(_MOST_PLAYS, _WORK // net.size)))
    names = [*durations]
    slots = tuple(Slot(names[task], play.worker[task], play.start[task], play.end[task]) for task in play.order)
    return Schedule(workers, slots, play.makespan)


def tails(durations: Mapping[str, float], after: Mapping[str, Collection[str]]) -> dict[str, float]:
    """Give for each task the time from its start to the end of the longest chain that begins with it."""
    return dict(zip(durations, net_of(durations, after).tails, strict=True))


def critical_path(durations: Mapping[str, float], after: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Name the tasks of the longest chain, from first to last; of chains that are as long, the one given first."""
    net = net_of(durations, after)
    names, chain, candidates = [*durations], list[str](), [*range(len(durations))]
    while candidates:
        longest = max(candidates, key=lambda task: (net.tails[task], -task))
        chain.append(names[longest])
        candidates = [*net.behind[longest]]
    return tuple(chain)


def lower_bound(durations: Mapping[str, float], after: Mapping[str, Collection[str]], workers: int) -> float:
    """Tell what no schedule can be shorter than: the critical path, or the work shared out evenly."""
    return _bound(net_of(durations, after), workers)


def curve(
    durations: Mapping[str, float], after: Mapping[str, Collection[str]], most: int, apart: Iterable[Pair] = ()
) -> tuple[Schedule, ...]:
    """Schedule on 1, 2 … `most` workers; it ends early where the critical path is reached and nobody more can help."""
    found: list[Schedule] = []
    longest, pairs = _bound(net_of(durations, after), max(1, len(durations))), [*apart]
    for workers in range(1, most + 1):
        new = schedule(durations, after, workers, pairs)
        if found and found[-1].makespan <= new.makespan:
            new = Schedule(workers, found[-1].slots, found[-1].makespan)
        found.append(new)
        if same(new.makespan, longest):
            break
    return tuple(found)


def same(one: float, other: float) -> bool:
    """Tell whether two times differ by no more than sums of floats do."""
    return abs(one - other) <= NEAR * max(abs(one), abs(other), 1.0)


def _bound(net: TaskNet, workers: int) -> float:
    return max(max(net.tails, default=0.0), sum(net.length) / workers)


def _best(net: TaskNet, workers: int, goal: float, plays: int) -> Simulation:
    """Play in many orders, and keep the shortest; where the bound is met there is nothing left to look for."""
    enough = max(_bound(net, workers), goal) * (1 + NEAR)
    tried = _plays(net, workers)
    best = next(tried)
    for play in islice(tried, plays - 1):
        if best.makespan <= enough:
            break
        best = min(best, play, key=lambda play: play.makespan)
    return best


def _plays(net: TaskNet, workers: int) -> Iterator[Simulation]:
    """Play from one order after the other: first those with a reason, then tails that chance has shaken."""
    for rank in _ranks(net):
        yield from _shifted(net, net.play(rank, workers), workers)


def _ranks(net: TaskNet) -> Iterator[list[float]]:
    work = _work_behind(net)
    yield [-tail for tail in net.tails]
    yield [-length for length in net.length]
    yield [-amount for amount in work]
    yield [-len(behind) for behind in net.behind]
    chance = Random(len(net.length))  # noqa: S311 - always the same numbers, on purpose
    while True:
        yield [-tail * (1 + chance.uniform(-_NOISE, _NOISE)) for tail in net.tails]


def _work_behind(net: TaskNet) -> list[float]:
    """For each task, the work that waits for it, shared by all that it waits for."""
    work = [*net.length]
    for task in reversed(net.order):
        work[task] += sum(work[behind] / len(net.before[behind]) for behind in net.behind[task])
    return work


def _shifted(net: TaskNet, play: Simulation, workers: int) -> Iterator[Simulation]:
    """Shift everything as late as it can be and as early again, for as long as that makes it shorter now and then."""
    yield play
    best, patience = play.makespan, _SHIFTS
    while patience:
        late = net.turned.play([-end for end in play.end], workers)
        play = net.play([-end for end in late.end], workers)
        yield play
        patience = _SHIFTS if play.makespan < best * (1 - NEAR) else patience - 1
        best = min(best, play.makespan)
