"""The blueprint of a roadmap: what can be done at once, where tasks collide, who does what when, and what that saves.

Pure: a roadmap, its overlaps and a number of workers give one blueprint, always the same. People's work is kept apart:
it takes no worker, no time of the plan, and is taken to be done when it is needed.
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

    `tasks` are those of agents, `manual` those of people, who need `by_hand` seconds one after the other.
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
    """How many seconds the plan takes on so many workers."""

    workers: int
    seconds: float


@dataclass(frozen=True)
class WorkPlan:
    """A roadmap thought through, on `workers` workers for the reason `chosen`. All times are in seconds.

    `parallel` is what the schedule `slots` takes, `ordered` what it takes when tasks in conflict never run at once,
    `unwalled` when no phase waits for another (None if none does). `curve` is `parallel` for 1, 2 … workers, `enough`
    the fewest with which it is fastest, and `final` says that no number above can make it faster, for that is what the
    critical path takes. `harmless` counts the overlaps of tasks that never run at once.
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
    unwalled: float | None
    curve: tuple[Step, ...]
    enough: int
    final: bool

    @property
    def sequential(self) -> float:
        """The work of all agents' items, one after the other."""
        return sum((phase.sequential for phase in self.phases), 0.0)

    @property
    def by_hand(self) -> float:
        """The work of people."""
        return sum((phase.by_hand for phase in self.phases), 0.0)

    @property
    def saved(self) -> float:
        """The part of the time in sequence that the workers save, from 0 to 1."""
        return 1 - self.parallel / self.sequential if self.sequential else 0.0

    @cached_property
    def items(self) -> dict[str, Item]:
        """The roadmap's items by id."""
        return {item.id: item for item in self.roadmap.items}

    def document(self) -> dict[str, Any]:
        """Return the blueprint as JSON has it."""
        return {
            "title": self.roadmap.title,
            "workers": self.workers,
            "workers_chosen": self.chosen,
            "phase_barriers": self.roadmap.phase_barriers,
            "sequential_seconds": self.sequential,
            "parallel_seconds": self.parallel,
            "ordered_seconds": self.ordered,
            "unwalled_seconds": self.unwalled,
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
        }  # fmt: skip


def _phase(phase: PhasePlan) -> dict[str, Any]:
    return {
        "number": phase.number, "title": phase.title, "note": phase.note, "class": phase.kind, "reason": phase.reason,
        "tasks": [*phase.tasks], "manual": [*phase.manual], "sequential_seconds": phase.sequential,
        "parallel_seconds": phase.parallel, "ordered_seconds": phase.ordered, "manual_seconds": phase.by_hand,
    }  # fmt: skip


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "tasks": [conflict.one, conflict.other], "files": [*conflict.files], "resolution": conflict.resolution,
        "first": conflict.first, "cost_seconds": conflict.cost, "why": conflict.why,
    }  # fmt: skip


@dataclass(frozen=True)
class _Block:
    """Work that is scheduled as one, behind the block before it; `curve` are its schedules on 1, 2 … workers."""

    work: Work
    curve: Sequence[Schedule]

    @property
    def final(self) -> bool:
        return same(self.curve[-1].makespan, self.work.longest)

    def on(self, workers: int) -> Schedule:
        last = self.curve[min(workers, len(self.curve)) - 1]
        if workers > len(self.curve) and not self.final:
            last = min(last, self.work.schedule(workers), key=lambda found: found.makespan)
        return replace(last, workers=workers)


def draw(roadmap: Roadmap, overlaps: Sequence[Overlap], workers: int | None = None, most: int = 8) -> WorkPlan:
    """Draw the blueprint; without `workers` the roadmap's number counts, else the fewest that are as fast as can be.

    The curve goes up to `most` workers, and has those asked for beside, if they are more.
    """
    wanted = workers or roadmap.workers
    phases = [_block(work_of(roadmap, number), most) for number in range(max(1, len(roadmap.phases)))]
    walled = roadmap.phase_barriers and len(phases) > 1
    blocks = phases if walled or len(phases) == 1 else [_block(work_of(roadmap), most)]
    curve = _curve(blocks, wanted or 1)
    enough = next(step.workers for step in curve if same(step.seconds, curve[-1].seconds))
    number = wanted or enough
    settled = [settle(block.work, overlaps, number, block.on(number)) for block in blocks]
    parallel = sum(one.plain.makespan for one in settled)
    shown = settled if blocks is phases else [settle(one.work, overlaps, number, one.on(number)) for one in phases]
    conflicts = tuple(conflict for one in settled for conflict in one.conflicts)
    return WorkPlan(
        roadmap=roadmap,
        workers=number,
        chosen=ASKED if workers else MEANT if roadmap.workers else ENOUGH,
        phases=tuple(_phases(roadmap, overlaps, phases, shown)),
        conflicts=conflicts,
        harmless=len(overlaps) - len(conflicts),
        waves=tuple(wave for one in settled for wave in one.work.waves()),
        branches=branches(roadmap),
        slots=tuple(_joined(one.plain for one in settled)),
        critical_path=tuple(task for block in blocks for task in block.work.critical_path),
        parallel=parallel,
        ordered=sum(one.ordered.makespan for one in settled),
        unwalled=min(parallel, _unwalled(roadmap, overlaps, number)) if walled else None,
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
    """Let a better schedule, found while conflicts were settled, count for as many workers and for more."""
    for step in curve:
        yield Step(step.workers, min(step.seconds, seconds)) if step.workers >= workers else step


def _unwalled(roadmap: Roadmap, overlaps: Iterable[Overlap], workers: int) -> float:
    """Tell how long it takes if phases do not wait, but for tasks that touch what one of an earlier phase touches."""
    place = {item.id: item.phase for item in roadmap.items}
    pairs = [sorted((one.one, one.other), key=place.__getitem__) for one in overlaps]
    edges = [(one, other) for one, other in pairs if place[one] < place[other]]
    return work_of(roadmap).behind(edges).schedule(workers).makespan


def _joined(schedules: Iterable[Schedule]) -> Iterable[Slot]:
    """Put schedules one behind the other."""
    start = 0.0
    for found in schedules:
        for slot in found.slots:
            yield slot._replace(start=start + slot.start, end=start + slot.end)
        start += found.makespan


def _phases(
    roadmap: Roadmap, overlaps: Sequence[Overlap], blocks: Sequence[_Block], settled: Sequence[Settled]
) -> Iterable[PhasePlan]:
    for number, (block, found) in enumerate(zip(blocks, settled, strict=True)):
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
            parallel=found.plain.makespan,
            ordered=found.ordered.makespan,
            by_hand=sum((item.estimate for item in manual), 0.0),
        )
