"""A work plan as a picture: a Gantt chart with a row for each task, phase by phase, as a Vega-Lite spec.

The number in a bar is its worker. The critical path is outlined; a line joins conflicting tasks and names the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ....mail.render import line
from ....mail.text.units import counted, duration
from ....scheduler.planner.conflict import ORDER, Conflict
from ....scheduler.planner.schedule import Slot
from ....scheduler.planner.work import named
from ....scheduler.planner.work_plan import PhasePlan, WorkPlan
from . import chart
from .chart import FAINT, INK, PAPER, Spec, layer

_WORKERS = ("#4c8fd0", "#3aa17e", "#8577c9", "#cf9236", "#4fa6b3", "#b8708f", "#7f9148", "#8c7464")
_CLASH = "#d1495b"
_LABEL, _WIDTH, _NOTES = 190, 720, 260  # pixels: of the names, of the time axis, of the notes on conflicts
_DIGIT = 14  # width in pixels from which a bar shows its worker's number
_ROW, _FLAT, _MANY = 24, 12, 120  # height of a row in pixels, and with many rows
_HEAD = 1.35  # height of a phase's title in rows
_FIGURES = 200  # width in pixels of its class and times, on the same line
_THICK = 0.36  # half the height of a bar, in rows
_CLASHES = 40
_ASIDE = 0.15  # position of the line between two bars, as a share of the time that they overlap
_UNITS = ((7_200.0, 3_600.0, "hours"), (180.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))


@dataclass(frozen=True)
class _Sheet:
    """The layout: the row of each item and of each phase's title, and the unit of time in seconds."""

    plan: WorkPlan
    rows: dict[str, float]
    heads: tuple[tuple[PhasePlan, float, float], ...]
    height: float
    unit: float
    unit_name: str
    end: float

    @property
    def step(self) -> float:
        return _ROW if len(self.rows) <= _MANY else _FLAT

    @property
    def wide(self) -> float:
        return _LABEL + _WIDTH + (_NOTES if self.plan.conflicts else 0)

    @property
    def letter(self) -> float:
        return 11 if self.step == _ROW else 9

    def x(self, field: str = "x") -> Spec:
        scale = {"domain": [0, self.end], "range": [_LABEL, _LABEL + _WIDTH], "nice": False}
        title = f"{self.unit_name} since the start"
        axis = {"title": title, "titleX": _LABEL + _WIDTH / 2, "grid": True, "tickCount": 10}
        return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}

    def y(self, field: str = "y") -> Spec:
        scale = {"domain": [0, self.height], "range": [0, self.height * self.step], "nice": False}
        return {"field": field, "type": "quantitative", "scale": scale, "axis": None}

    def at(self, **more: Any) -> Spec:
        return {"x": self.x(), "y": self.y()} | more


def gantt(plan: WorkPlan) -> Spec:
    """Draw the schedule of a work plan."""
    sheet = _sheet(plan)
    parallel, sequential = duration(plan.parallel), duration(plan.sequential)
    times = f"{parallel} on {counted(plan.workers, 'worker')}, {sequential} in sequence"
    saved = f": {plan.saved:.0%} saved" if plan.saved else ""
    joined = "; a line joins tasks that change the same files" if plan.conflicts else ""
    title = {
        "text": line(plan.roadmap.title or "Plan"),
        "subtitle": [f"{times}{saved}", f"a bar bears its worker's number; outlined: the critical path{joined}"],
        "anchor": "start", "frame": "group", "offset": 16, "limit": sheet.wide,
    }  # fmt: skip
    layers = [
        *_bands(sheet), *_heads(sheet), *_bars(sheet), *_names(sheet), *_titles(sheet), *_clashes(sheet),
    ]  # fmt: skip
    shown = [drawn for drawn in layers if drawn["data"]["values"]]
    return chart.sheet(title, sheet.wide, sheet.height * sheet.step, shown, baseline="middle")


def _sheet(plan: WorkPlan) -> _Sheet:
    starts = {slot.task: slot.start for slot in plan.slots}
    rows: dict[str, float] = {}
    heads: list[tuple[PhasePlan, float, float]] = []
    y = 0.0
    for phase in plan.phases:
        top = y
        y += _HEAD if len(plan.roadmap.phases) > 1 else 0.2
        for task in (*phase.manual, *sorted(phase.tasks, key=lambda task: starts[task])):
            rows[task] = y + 0.5
            y += 1
        y += 0.3
        heads.append((phase, top, y))
    unit, name = next((size, name) for least, size, name in _UNITS if plan.parallel >= least)
    return _Sheet(plan, rows, tuple(heads), y or 1.0, unit, name, plan.parallel / unit or 1.0)


# -- the background


def _bands(sheet: _Sheet) -> Iterator[Spec]:
    """Shade every other phase."""
    bands = [{"y": top, "y2": end} for _, top, end in sheet.heads[1::2]]
    where = {"x": {"value": 0}, "x2": {"value": sheet.wide}, "y": sheet.y(), "y2": {"field": "y2"}}
    yield layer("rect", bands, where, color=INK, opacity=0.035)


def _heads(sheet: _Sheet) -> Iterator[Spec]:
    """Write each phase's title, its class and its times above its rows."""
    if len(sheet.plan.roadmap.phases) <= 1:
        return
    heads = [{"y": top + 0.75, "text": line(phase.title), "figures": _figures(phase)} for phase, top, _ in sheet.heads]
    title = {"x": {"value": 8}, "y": sheet.y(), "text": {"field": "text"}}
    yield layer(
        "text", heads, title, align="left", limit=_LABEL + _WIDTH - _FIGURES, fontWeight=700, fontSize=12, color=INK
    )
    figures = {"x": {"value": _LABEL + _WIDTH - 8}, "y": sheet.y(), "text": {"field": "figures"}}
    yield layer("text", heads, figures, align="right", color=FAINT)


def _figures(phase: PhasePlan) -> str:
    if not phase.tasks:
        return f"{phase.kind}, {duration(phase.by_hand)} by hand"
    times = duration(phase.sequential)
    return f"{phase.kind}, {times}" + (f" in {duration(phase.parallel)}" if phase.parallel < phase.sequential else "")


# -- the tasks


def _bars(sheet: _Sheet) -> Iterator[Spec]:
    bars = [_bar(sheet, slot) for slot in sheet.plan.slots]
    colors = {"field": "color", "type": "nominal", "scale": None}
    where = sheet.at(x2={"field": "x2"}, y2={"field": "y2"}, color=colors)
    plain, critical = ([bar for bar in bars if bar["critical"] is outlined] for outlined in (False, True))
    yield layer("rect", plain, where, cornerRadius=3)
    yield layer("rect", critical, where, cornerRadius=3, stroke=INK, strokeWidth=2)
    if sheet.step == _ROW:
        wide = [bar for bar in bars if bar["wide"]]
        number = {"x": sheet.x("middle"), "y": sheet.y("row"), "text": {"field": "worker"}}
        yield layer("text", wide, number, color=PAPER, fontWeight=700)


def _bar(sheet: _Sheet, slot: Slot) -> Spec:
    """Place a bar; one that is too short to be seen is made longer."""
    start, row = slot.start / sheet.unit, sheet.rows[slot.task]
    end = max(slot.end / sheet.unit, start + 3 / _WIDTH * sheet.end)
    return {
        "task": slot.task, "worker": str(slot.worker), "color": _WORKERS[(slot.worker - 1) % len(_WORKERS)],
        "critical": slot.task in sheet.plan.critical_path, "x": start, "x2": end, "middle": (start + end) / 2,
        "row": row, "y": row - _THICK, "y2": row + _THICK, "wide": (end - start) / sheet.end * _WIDTH > _DIGIT,
    }  # fmt: skip


def _names(sheet: _Sheet) -> Iterator[Spec]:
    """Write each item's id in front of its row, those of the critical path in bold."""
    where = {"x": {"value": _LABEL - 10}, "y": sheet.y(), "text": {"field": "text"}}
    names = [(task in sheet.plan.critical_path, {"y": row, "text": line(task)}) for task, row in sheet.rows.items()]
    for critical, weight in ((False, 400), (True, 700)):
        some = [name for is_critical, name in names if is_critical is critical]
        yield layer(
            "text", some, where, align="right", limit=_LABEL - 18, color=INK, fontWeight=weight, fontSize=sheet.letter
        )


def _titles(sheet: _Sheet) -> Iterator[Spec]:
    """Write each task's title beside its bar, on the side with more room, and manual work into its row."""
    items = {task: replace(item, title="") if item.title == task else item for task, item in sheet.plan.items.items()}
    starts = dict(zip((phase.number for phase in sheet.plan.phases), _starts(sheet.plan), strict=True))
    right: list[Spec] = []
    left: list[Spec] = []
    for slot in sheet.plan.slots:
        room = sheet.end - slot.end / sheet.unit, slot.start / sheet.unit
        side, at = (right, slot.end) if room[0] >= room[1] else (left, slot.start)
        side.append({"x": at / sheet.unit, "y": sheet.rows[slot.task], "text": line(items[slot.task].title)})
    for item in items.values():
        if item.manual:
            at = starts[item.phase + 1] / sheet.unit
            label = f"by hand, {duration(item.estimate)}" + (f": {line(item.title)}" if item.title else "")
            right.append({"x": at, "y": sheet.rows[item.id], "text": label})
    where = sheet.at(text={"field": "text"})
    for texts, align, dx in ((right, "left", 7), (left, "right", -7)):
        yield layer("text", texts, where, align=align, dx=dx, color=FAINT, fontSize=sheet.letter - 1, limit=_WIDTH / 2)


def _starts(plan: WorkPlan) -> Iterator[float]:
    """Yield the start of each phase: the end of the one before it, if there are phase barriers."""
    start = 0.0
    for phase in plan.phases:
        yield start
        start += phase.parallel if plan.roadmap.phase_barriers else 0.0


# -- conflicts


def _clashes(sheet: _Sheet) -> Iterator[Spec]:
    """Join the bars of conflicting tasks: by a solid line if they overlap in time, by a dashed one if not."""
    slots = {slot.task: slot for slot in sheet.plan.slots}
    dearest = sorted(sheet.plan.conflicts, key=lambda conflict: (conflict.resolution == ORDER, -conflict.cost))[
        :_CLASHES
    ]
    joined = [_joined(sheet, conflict, slots) for conflict in dearest]
    where = sheet.at(x2={"field": "x2"}, y2={"field": "y2"})
    for ordered, dash in ((False, [1, 0]), (True, [4, 3])):
        some = [link for link in joined if link["ordered"] is ordered]
        width = 1.2 if ordered else 1.8
        yield layer("rule", some, where, color=_CLASH, strokeWidth=width, strokeDash=dash)
        yield layer("circle", some, sheet.at(), color=_CLASH, size=34, opacity=1)
        yield layer("circle", some, {"x": sheet.x("x2"), "y": sheet.y("y2")}, color=_CLASH, size=34, opacity=1)
    notes: dict[float, list[str]] = {}
    for link in joined:
        notes.setdefault(max(link["y"], link["y2"]), []).append(link["text"])
    texts = [{"y": row, "text": "; ".join(shared)} for row, shared in notes.items()]
    note = {"x": {"value": _LABEL + _WIDTH + 12}, "y": sheet.y(), "text": {"field": "text"}}
    yield layer("text", texts, note, align="left", color=_CLASH, fontSize=sheet.letter - 1, limit=_NOTES - 20)


def _joined(sheet: _Sheet, conflict: Conflict, slots: dict[str, Slot]) -> Spec:
    """Place the line between two bars, and the resolution in the lower one's row."""
    first, second = sorted((slots[conflict.left], slots[conflict.right]), key=lambda slot: slot.start)
    together = min(first.end, second.end) - second.start
    side_by_side = second.start + _ASIDE * together
    ends = (side_by_side, side_by_side) if together > 0 else (first.end, second.start)
    rows = sheet.rows[first.task], sheet.rows[second.task]
    upper = (first if rows[0] < rows[1] else second).task
    behind = "with" if together > 0 else "behind" if upper == first.task else "before"
    return {
        "x": ends[0] / sheet.unit, "x2": ends[1] / sheet.unit, "y": rows[0], "y2": rows[1], "ordered": together <= 0,
        "text": f"{conflict.resolution} {behind} {line(upper)}: {line(named(conflict.files, 1))}",
    }  # fmt: skip
