"""A work plan over time: a row for each task, phase by phase, with its worker's number; arcs join tasks in conflict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .axis import Axis
from .svg import Svg, cut, element, picture, text, title

_LABEL, _WIDTH, _ROW, _TOP, _RIGHT = 170.0, 800.0, 22.0, 8.0, 40.0
_BAR, _MIDDLE, _DIGIT, _COLOURS = 14.0, 11.0, 14.0, 8
_LEAST = 3.0  # pixels of a bar
_LETTERS, _PHASE, _MOST, _ARCS = 24, 90, 300, 40  # letters of a name and of a phase's title; rows and arcs drawn

Doc = Mapping[str, Any]


@dataclass(frozen=True)
class _Sheet:
    """The rows by task, the titles of phases by their row, and the lower end."""

    slots: Mapping[str, Doc]
    rows: Mapping[str, float]
    heads: tuple[tuple[float, str], ...]
    bottom: float
    axis: Axis


def plan_over_time(plan: Doc) -> Svg:
    """Draw the value of a plan; tasks of the critical path are outlined."""
    sheet = _sheet(plan)
    parts = [*sheet.axis.marks(_TOP, sheet.bottom)]
    parts += [text(cut(words, _PHASE), 8, y + 15, "phase") for y, words in sheet.heads]
    for task, y in sheet.rows.items():
        parts += _row(sheet.slots[task], y, sheet.axis)
    parts += _conflicts(plan, sheet)
    whole = len(plan["schedule"])
    more = f", the first {len(sheet.rows)} of {whole}" if len(sheet.rows) < whole else ""
    label = f"The plan over time: {len(sheet.rows)} tasks{more} on {plan['workers']} workers"
    return picture(parts, _LABEL + _WIDTH + _RIGHT, sheet.bottom + 22, label, "plan")


def _sheet(plan: Doc) -> _Sheet:
    slots: dict[str, Doc] = {slot["task"]: slot for slot in plan["schedule"][:_MOST]}
    rows: dict[str, float] = {}
    heads: list[tuple[float, str]] = []
    y = _TOP
    for phase in plan["phases"]:
        own = sorted((slots[task] for task in phase["tasks"] if task in slots), key=lambda slot: slot["start"])
        if own and len(plan["phases"]) > 1:
            heads.append((y, phase["title"] or f"phase {phase['number']}"))
            y += _ROW
        for slot in own:
            rows[slot["task"]] = y
            y += _ROW
    return _Sheet(slots, rows, tuple(heads), y + 4, Axis(max(plan["parallel_seconds"], 0.5), _LABEL, _WIDTH))


def _row(slot: Doc, y: float, axis: Axis) -> Iterator[str]:
    start, end = axis.x(slot["start"]), axis.x(slot["end"])
    yield element("rect", x=0, y=y, width=_LABEL + _WIDTH + _RIGHT, height=_ROW, class_="row")
    yield text(cut(slot["task"], _LETTERS), _LABEL - 8, y + 15, text_anchor="end")
    words = f"{slot['task']} on worker {slot['worker']}: {slot['start']:g} s to {slot['end']:g} s"
    words += f", {slot['title']}" if slot["title"] not in {"", slot["task"]} else ""
    kind = f"bar worker-{(slot['worker'] - 1) % _COLOURS + 1}" + (" critical" if slot["critical"] else "")
    yield element("rect", title(words), x=start, y=y + 4, width=max(_LEAST, end - start), height=_BAR, rx=3,
                  class_=kind)  # fmt: skip
    if end - start > _DIGIT:
        yield text(slot["worker"], (start + end) / 2, y + 15, "number", text_anchor="middle")


def _conflicts(plan: Doc, sheet: _Sheet) -> Iterator[str]:
    """Join the bars of tasks that may change the same files, the dearest conflicts first."""
    rows = sheet.rows
    known = [each for each in plan["conflicts"] if each["tasks"][0] in rows and each["tasks"][1] in rows]
    for conflict in known[:_ARCS]:
        first, second = sorted((sheet.slots[task] for task in conflict["tasks"]), key=lambda slot: slot["start"])
        together = min(first["end"], second["end"]) > second["start"]
        ends = (second["start"], second["start"]) if together else (first["end"], second["start"])
        (x, to_x), y, to_y = map(sheet.axis.x, ends), rows[first["task"]] + _MIDDLE, rows[second["task"]] + _MIDDLE
        bend = max(x, to_x) + 24
        path = f"M{x:.1f},{y:.1f} C{bend:.1f},{y:.1f} {bend:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
        both, files = " and ".join(conflict["tasks"]), ", ".join(conflict["files"])
        words = f"{both}: {conflict['resolution']}, both change {files}"
        yield element("path", title(words), d=path, class_="arc")
