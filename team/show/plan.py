"""A work plan as text: plain lines for a terminal or a pipe, Markdown for a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...mail.render import line
from ...mail.text.units import and_more, counted, duration
from ...scheduler.kinds import PhaseKind
from ...scheduler.planner.conflict import ORDER
from ...scheduler.planner.item import Item
from ...scheduler.planner.schedule import Slot, same
from ...scheduler.planner.to_tasks import DispatchTasks
from ...scheduler.planner.work import named
from ...scheduler.planner.work_plan import ASKED, ENOUGH, MEANT, PhasePlan, WorkPlan
from .tables import cell, columns, markdown_table

_CHOSEN = {ASKED: "as asked for", MEANT: "from the roadmap", ENOUGH: "the fewest needed"}
_BAR = 40  # characters of a bar that spans the whole plan
_FILES = 3
_CHAIN = 12
_CONFLICTS = 40


class Section(NamedTuple):
    """A table with its title, and a note below it; the first one has no title."""

    title: str
    rows: Sequence[Sequence[str]]
    note: str = ""


def lines(plan: WorkPlan) -> Iterator[str]:
    """Write a work plan for a terminal or a pipe."""
    yield line(heading(plan))
    for section in _sections(plan, drawn=True):
        yield ""
        if section.title:
            yield f"{section.title}:"
        yield from columns(section.rows)
        if section.note:
            yield f"  {section.note}"
    if plan.waiting:
        yield ""
        yield "these wait until their files are given back:"
        yield from columns(plan.waiting)


def heading(plan: WorkPlan) -> str:
    """Summarize the plan in one line."""
    agents = sum(len(phase.tasks) for phase in plan.phases)
    phases = f", in {counted(len(plan.phases), 'phase')}" if len(plan.roadmap.phases) > 1 else ""
    manual = len(plan.items) - agents
    people = f" and {manual} for people" if manual else ""
    return f"{plan.roadmap.title or 'plan'}: {counted(agents, 'task')} for agents{people}{phases}"


def markdown(plan: WorkPlan, picture: str | None = None) -> str:
    """Write a work plan as a page; `picture` is the file name of its chart, if there is one."""
    parts = [f"# {cell(plan.roadmap.title or 'Plan')}", f"{cell(heading(plan))}."]
    for section in _sections(plan, drawn=False):
        if section.title:
            parts.append(f"## {section.title[0].upper()}{section.title[1:]}")
        parts.append(markdown_table(section.rows if section.title else [("", ""), *section.rows]))
        if section.note:
            parts.append(f"{cell(section.note)}.")
        if not section.title and picture:
            parts.append(f"![Schedule]({picture})")
    if plan.waiting:
        parts += ["## These wait until their files are given back", markdown_table([("task", "why"), *plan.waiting])]
    return "\n\n".join(parts) + "\n"


def left_out(order: DispatchTasks) -> Iterator[str]:
    """Tell what a person has to do, and which items were left out because of it."""
    if order.first:
        yield f"do these first: {_named(order.first)}"
    causes: dict[str, list[Item]] = {}
    for item, cause in order.left:
        causes.setdefault(cause.id, []).append(item)
    for item in order.later:
        if waiting := causes.get(item.id):
            yield (
                f"left out: {_named(waiting)}; do {line(item.id)} by hand when its turn has come, "
                f"then plan the rest with --done {line(item.id)}"
            )
        elif not any(manual is not item and manual.id in causes for manual in order.later):
            yield f"do this last, by hand: {_named([item])}"


def _named(items: Sequence[Item]) -> str:
    return ", ".join(
        line(f"{item.id} ({item.title})" if item.title not in {"", item.id} else item.id) for item in items
    )


# -- the tables of both


def _sections(plan: WorkPlan, *, drawn: bool) -> Iterator[Section]:
    yield Section("", [*figures(plan)])
    if len(plan.roadmap.phases) > 1:
        yield Section("phases", _phases(plan))
    if manual := [item for item in plan.items.values() if item.manual]:
        rows = [(item.id, duration(item.estimate), item.title) for item in manual]
        yield Section("by hand", [("task", "takes", "what"), *rows])
    if conditional := [(item.id, item.when) for item in plan.items.values() if item.when]:
        note = "the times are those of a dispatch that skips none of them"
        yield Section("conditions", [("task", "runs"), *conditional], note)
    if plan.conflicts:
        yield _conflicts(plan)
    if plan.slots:
        yield _schedule(plan, drawn=drawn)
        rows = [(str(number), ", ".join(wave)) for number, wave in enumerate(plan.waves, 1)]
        yield Section("waves", [("", "tasks"), *rows])
        yield Section("workers", _workers(plan))


def figures(plan: WorkPlan) -> Iterator[tuple[str, str]]:
    """Yield the figures, each with its name."""
    yield "in sequence", duration(plan.sequential)
    saved = f", saves {duration(plan.sequential - plan.parallel)} ({plan.saved:.0%})" if plan.saved else ""
    yield f"{counted(plan.workers, 'worker')} ({_CHOSEN[plan.chosen]})", f"{duration(plan.parallel)}{saved}"
    if not same(plan.ordered, plan.parallel):
        yield "", f"{duration(plan.ordered)} with conflicting tasks in order, as --tasks has them"
    if plan.without_barriers is not None and not same(plan.without_barriers, plan.parallel):
        yield "", f"{duration(plan.without_barriers)} if no phase waited for the one before it"
    if plan.by_hand:
        yield "by hand", f"{duration(plan.by_hand)}, which is not counted"
    if plan.critical_path:
        yield "critical path", " -> ".join(_chain(plan.critical_path))
    if len(plan.roadmap.phases) <= 1:
        yield from (("class", f"{phase.kind}: {phase.reason}") for phase in plan.phases)
    yield "conflicts", _counted(plan)


def _counted(plan: WorkPlan) -> str:
    text = counted(len(plan.conflicts), "pair") + " of tasks" if plan.conflicts else "none"
    return text + (f"; {plan.harmless} more never run at once" if plan.harmless else "")


def _chain(chain: Sequence[str]) -> list[str]:
    end = _CHAIN // 3
    return [*chain] if len(chain) <= _CHAIN else [*chain[:end], f"… {len(chain) - 2 * end} more …", *chain[-end:]]


def _phases(plan: WorkPlan) -> Sequence[Sequence[str]]:
    rows = [_phase(phase) for phase in plan.phases]
    return [("", "phase", "class", "in sequence", f"on {plan.workers}", "why"), *rows]


def _phase(phase: PhasePlan) -> tuple[str, ...]:
    by_hand = f" and {duration(phase.by_hand)} by hand" if phase.manual else ""
    if phase.kind == PhaseKind.MANUAL:
        return str(phase.number), phase.title, phase.kind, f"{duration(phase.by_hand)} by hand", "", phase.reason
    ordered = "" if same(phase.ordered, phase.parallel) else f", {duration(phase.ordered)} in order"
    return (
        str(phase.number), phase.title, phase.kind, duration(phase.sequential) + by_hand,
        duration(phase.parallel) + ordered, phase.reason,
    )  # fmt: skip


def _conflicts(plan: WorkPlan) -> Section:
    dearest = sorted(plan.conflicts, key=lambda conflict: (conflict.resolution == ORDER, -conflict.cost))[:_CONFLICTS]
    rows = [
        (f"{conflict.left}, {conflict.right}", named(conflict.files, _FILES), conflict.resolution, conflict.why)
        for conflict in dearest
    ]
    more = and_more(len(plan.conflicts) - len(rows), "pair")
    note = f"{more}, which --json tells" if more else ""
    return Section("conflicts", [("tasks", "files", "resolve", "how"), *rows], note)


def _schedule(plan: WorkPlan, *, drawn: bool) -> Section:
    loose = {
        task for conflict in plan.conflicts if conflict.resolution != ORDER for task in (conflict.left, conflict.right)
    }
    whole = max(slot.end for slot in plan.slots)
    rows: list[tuple[str, ...]] = []
    for slot in sorted(plan.slots, key=lambda slot: (slot.start, slot.worker)):
        marks = ("*" if slot.task in plan.critical_path else "") + ("!" if slot.task in loose else "")
        bar = [_drawn(slot, whole)] if drawn else []
        times = duration(slot.start), duration(slot.end)
        rows.append((slot.task, marks, str(slot.worker), *times, *bar, plan.branches[slot.task]))
    head = ("task", "", "worker", "from", "to", *([""] if drawn else []), "branch")
    clash = "; ! in conflict, and side by side" if loose else ""
    return Section("schedule", [head, *rows], f"* on the critical path{clash}")


def _drawn(slot: Slot, whole: float) -> str:
    """Draw a slot as a bar within the whole plan, at least one character long."""
    if not whole:
        return ""
    start = min(round(_BAR * slot.start / whole), _BAR - 1)
    return " " * start + "█" * max(1, round(_BAR * slot.end / whole) - start)


def _workers(plan: WorkPlan) -> Sequence[Sequence[str]]:
    rows: list[tuple[str, ...]] = []
    for step in plan.curve:
        saved = 1 - step.seconds / plan.sequential if plan.sequential else 0.0
        notes = ["as planned"] if step.workers == plan.workers else []
        notes += ["more do not help"] if step.workers == plan.enough and plan.final else []
        rows.append((str(step.workers), duration(step.seconds), f"{saved:.0%}", ", ".join(notes)))
    return [("workers", "time", "saved", ""), *rows]
