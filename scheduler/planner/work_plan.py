"""The work plan of a roadmap: what can run in parallel, where tasks conflict, a schedule, and the time it saves.

A pure function: the same roadmap, overlaps and number of workers always give the same plan. Manual work takes no
worker and no time of the plan; the plan assumes that it is done when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .branch import branches
from .classify import classify
from .conflict import Conflict, Settled, settle
from .item import Item, Overlap, Phase, Roadmap
from .schedule import Schedule, Slot, same
from .work import Work, work_of

ASKED, MEANT, ENOUGH = "asked for", "the roadmap's", "the fewest with which it is fastest"


@dataclass(frozen=True)
class PhasePlan:
    """One phase: its class with the reason, and its seconds in sequence, on the plan's workers, and without conflicts.

    `tasks` are for agents, `manual` for people, whose work takes `by_hand` seconds in sequence.
    """

    number: int
    title: str
    note: str
    kind: str
    reason: str
    tasks: tuple[str, ...]
    manual: tuple[str, ...]
    sequential: float
    parallel: float
    ordered: float
    by_hand: float


@dataclass(frozen=True)
class Step:
    """The duration of the plan in seconds for a number of workers."""

    workers: int
    seconds: float


@dataclass(frozen=True)
class WorkPlan:
    """The plan of a roadmap on `workers` workers; `chosen` says why so many. All times are in seconds.

    `parallel` is the duration of the schedule `slots`, `ordered` that of one in which conflicting tasks never run at
    once, and `without_barriers` that without phase barriers (None if there are none). `curve` has `parallel` for 1, 2 …
    workers. `enough` is the fewest workers that reach the shortest duration; `final` tells that more can never help,
    because it is the length of the critical path. `waiting` are tasks that wait until somebody gives files back, each
    with the reason. `harmless` counts overlaps of tasks that never run at once.
    """

    roadmap: Roadmap
    workers: int
    chosen: str
    phases: tuple[PhasePlan, ...]
    conflicts: tuple[Conflict, ...]
    harmless: int
    waves: tuple[tuple[str, ...], ...]
    branches: dict[str, str]
    slots: tuple[Slot, ...]
    critical_path: tuple[str, ...]
    parallel: float
    ordered: float
    without_barriers: float | None
    curve: tuple[Step, ...]
    enough: int
    final: bool
    waiting: tuple[tuple[str, str], ...] = ()

    @property
    def sequential(self) -> float:
        """The work of all agents in sequence."""
        return sum((phase.sequential for phase in self.phases), 0.0)

    @property
    def by_hand(self) -> float:
        """The work of people in sequence."""
        return sum((phase.by_hand for phase in self.phases), 0.0)

    @property
    def saved(self) -> float:
        """The share of the sequential time that the plan saves, from 0 to 1."""
        return 1 - self.parallel / self.sequential if self.sequential else 0.0

    @cached_property
    def items(self) -> dict[str, Item]:
        """The roadmap's items by id."""
        return {item.id: item for item in self.roadmap.items}

    def document(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return {
            "title": self.roadmap.title,
            "claimed": [{"task": task, "why": why} for task, why in self.waiting],
            "workers": self.workers,
            "workers_chosen": self.chosen,
            "phase_barriers": self.roadmap.phase_barriers,
            "sequential_seconds": self.sequential,
            "parallel_seconds": self.parallel,
            "ordered_seconds": self.ordered,
            "seconds_without_barriers": self.without_barriers,
            "manual_seconds": self.by_hand,
            "saved_seconds": self.sequential - self.parallel,
            "saved_percent": round(100 * self.saved, 1),
            "phases": [_phase(phase) for phase in self.phases],
            "conflicts": [_conflict(conflict) for conflict in self.conflicts],
            "harmless_overlaps": self.harmless,
            "waves": [[*wave] for wave in self.waves],
            "critical_path": [*self.critical_path],
            "schedule": [self._slot(slot) for slot in self.slots],
            "curve": [{"workers": step.workers, "seconds": step.seconds} for step in self.curve],
            "enough_workers": self.enough,
            "more_never_help": self.final,
        }

    def _slot(self, slot: Slot) -> dict[str, Any]:
        item = self.items[slot.task]
        return {
            "task": slot.task, "title": item.title, "phase": item.phase + 1, "persona": item.persona,
            "worker": slot.worker, "start": slot.start, "end": slot.end,
            "critical": slot.task in self.critical_path, "branch": self.branches[slot.task],
            **({"when": item.when} if item.when else {}),
        }  # fmt: skip


def _phase(phase: PhasePlan) -> dict[str, Any]:
    return {
        "number": phase.number, "title": phase.title, "note": phase.note, "class": phase.kind, "reason": phase.reason,
        "tasks": [*phase.tasks], "manual": [*phase.manual], "sequential_seconds": phase.sequential,
        "parallel_seconds": phase.parallel, "ordered_seconds": phase.ordered, "manual_seconds": phase.by_hand,
    }  # fmt: skip


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "tasks": [conflict.left, conflict.right], "files": [*conflict.files], "resolution": conflict.resolution,
        "first": conflict.first, "cost_seconds": conflict.cost, "why": conflict.why,
    }  # fmt: skip


@dataclass(frozen=True)
class _Block:
    """Work that is scheduled as a unit, after the block before it; `curve` has its schedules on 1, 2 … workers."""

    work: Work
    curve: Sequence[Schedule]

    @property
    def final(self) -> bool:
        return same(self.curve[-1].makespan, self.work.longest)

    def on(self, workers: int) -> Schedule:
        last = self.curve[min(workers, len(self.curve)) - 1]
        if workers > len(self.curve) and not self.final:
            last = min(last, self.work.schedule(workers), key=lambda candidate: candidate.makespan)
        return replace(last, workers=workers)


def draw(roadmap: Roadmap, overlaps: Sequence[Overlap], workers: int | None = None, most: int = 8) -> WorkPlan:
    """Make the plan for `workers`, or the roadmap's number, or the fewest workers with the shortest duration.

    The curve goes up to `most` workers, and includes the number asked for if that is larger.
    """
    wanted = workers or roadmap.workers
    phases = [_block(work_of(roadmap, number), most) for number in range(max(1, len(roadmap.phases)))]
    barriers = roadmap.phase_barriers and len(phases) > 1
    blocks = phases if barriers or len(phases) == 1 else [_block(work_of(roadmap), most)]
    curve = _curve(blocks, wanted or 1)
    enough = next(step.workers for step in curve if same(step.seconds, curve[-1].seconds))
    number = wanted or enough
    resolved = [settle(block.work, overlaps, number, block.on(number)) for block in blocks]
    parallel = sum(block.plain.makespan for block in resolved)
    by_phase = resolved if blocks is phases else [settle(p.work, overlaps, number, p.on(number)) for p in phases]
    conflicts = tuple(conflict for block in resolved for conflict in block.conflicts)
    return WorkPlan(
        roadmap=roadmap,
        workers=number,
        chosen=ASKED if workers else MEANT if roadmap.workers else ENOUGH,
        phases=tuple(_phases(roadmap, overlaps, phases, by_phase)),
        conflicts=conflicts,
        harmless=len(overlaps) - len(conflicts),
        waves=tuple(wave for block in resolved for wave in block.work.waves()),
        branches=branches(roadmap),
        slots=tuple(_joined(block.plain for block in resolved)),
        critical_path=tuple(task for block in blocks for task in block.work.critical_path),
        parallel=parallel,
        ordered=sum(block.ordered.makespan for block in resolved),
        without_barriers=min(parallel, _without_barriers(roadmap, overlaps, number)) if barriers else None,
        curve=tuple(_no_slower(curve, number, parallel)),
        enough=enough,
        final=same(parallel if number >= enough else curve[-1].seconds, sum(block.work.longest for block in blocks)),
    )


def _block(work: Work, most: int) -> _Block:
    return _Block(work, work.curve(most))


def _curve(blocks: Sequence[_Block], wanted: int) -> list[Step]:
    longest = max(len(block.curve) for block in blocks)
    final = all(block.final for block in blocks)
    numbers = [*range(1, longest + 1), *([wanted] if wanted > longest and not final else [])]
    return [Step(number, sum(block.on(number).makespan for block in blocks)) for number in numbers]


def _no_slower(curve: Iterable[Step], workers: int, seconds: float) -> Iterable[Step]:
    """Apply a shorter schedule, found while conflicts were resolved, to that number of workers and to more."""
    for step in curve:
        yield Step(step.workers, min(step.seconds, seconds)) if step.workers >= workers else step


def _without_barriers(roadmap: Roadmap, overlaps: Iterable[Overlap], workers: int) -> float:
    """Return the duration without phase barriers, if overlapping tasks of two phases still run in order."""
    phase = {item.id: item.phase for item in roadmap.items}
    pairs = [sorted((overlap.left, overlap.right), key=phase.__getitem__) for overlap in overlaps]
    edges = [(first, second) for first, second in pairs if phase[first] < phase[second]]
    return work_of(roadmap).behind(edges).schedule(workers).makespan


def _joined(schedules: Iterable[Schedule]) -> Iterable[Slot]:
    """Append schedules to each other."""
    start = 0.0
    for schedule in schedules:
        for slot in schedule.slots:
            yield slot._replace(start=start + slot.start, end=start + slot.end)
        start += schedule.makespan


def _phases(
    roadmap: Roadmap, overlaps: Sequence[Overlap], blocks: Sequence[_Block], resolved: Sequence[Settled]
) -> Iterable[PhasePlan]:
    for number, (block, phase_work) in enumerate(zip(blocks, resolved, strict=True)):
        phase = roadmap.phases[number] if roadmap.phases else Phase("")
        manual = [item for item in roadmap.items if item.manual and item.phase == number]
        if not manual and not block.work.items:
            continue
        kind, reason = classify(block.work, overlaps)
        yield PhasePlan(
            number=number + 1,
            title=phase.title,
            note=phase.note,
            kind=kind,
            reason=reason,
            tasks=tuple(item.id for item in roadmap.items if item.id in block.work.durations),
            manual=tuple(item.id for item in manual),
            sequential=block.work.total,
            parallel=phase_work.plain.makespan,
            ordered=phase_work.ordered.makespan,
            by_hand=sum((item.estimate for item in manual), 0.0),
        )
