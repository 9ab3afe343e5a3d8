"""The tasks of a dispatch over time: a row for each, a bar for each attempt, lines to those after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .axis import Axis
from .svg import Svg, cut, element, link, picture, text, title
from .timeline import kind_of

_LABEL, _WIDTH, _ROW, _TOP = 170.0, 800.0, 22.0, 8.0
_BAR, _MIDDLE, _DOT = 14.0, 11.0, 5.0
_LEAST = 3.0  # pixels of a bar
_LETTERS, _MOST = 24, 200  # rows drawn
_EDGES = 600

Doc = Mapping[str, Any]


def tasks_over_time(doc: Doc) -> Svg:
    """Draw the value of a dispatch; a task that nobody has begun is a dot where its dependencies end."""
    shown: Sequence[Doc] = doc["tasks"][:_MOST]
    axis = Axis(max(doc["seconds"], 0.5), _LABEL, _WIDTH)
    rows = {task["task"]: _TOP + place * _ROW for place, task in enumerate(shown)}
    spans = _spans(shown)
    bottom = _TOP + len(rows) * _ROW + 4
    parts = [*axis.marks(_TOP, bottom)]
    for task in shown:
        parts += _row(task, rows[task["task"]])
    parts += [*_edges(shown, axis, rows, spans)][:_EDGES]
    for task in shown:
        parts += _marks(task, axis, rows[task["task"]], spans[task["task"]][0])
    more = f", the first {len(shown)} of {doc['task_count']}" if doc["task_count"] > len(shown) else ""
    label = f"Tasks of dispatch {doc['short']} over time: {len(shown)} tasks{more}"
    return picture(parts, _LABEL + _WIDTH + 24, bottom + 22, label, "timeline")


def _spans(shown: Sequence[Doc]) -> dict[str, tuple[float, float]]:
    """Return the start and end of each task; those of one that was not begun are where its dependencies end."""
    spans = {
        task["task"]: (task["attempts"][0]["start"], task["attempts"][-1]["end"]) for task in shown if task["attempts"]
    }
    left = [task for task in shown if task["task"] not in spans]
    names = {task["task"] for task in shown}
    while left:
        ready = [task for task in left if all(each in spans or each not in names for each in task["dependencies"])]
        for task in ready or left:
            at = max((spans[each][1] for each in task["dependencies"] if each in spans), default=0.0)
            spans[task["task"]] = (at, at)
        left = [task for task in left if task["task"] not in spans]
    return spans


def _row(task: Doc, y: float) -> Iterator[str]:
    yield element("rect", x=0, y=y, width=_LABEL + _WIDTH + 24, height=_ROW, class_="row")
    words = f"{task['task']} ({task['persona']}): {task['status']}"
    yield text(cut(task["task"], _LETTERS), _LABEL - 12, y + 15, text_anchor="end", aria_label=words)


def _marks(task: Doc, axis: Axis, y: float, at: float) -> Iterator[str]:
    """Draw the attempts at a task, or a dot for one that nobody has begun."""
    for attempt in task["attempts"]:
        yield _bar(task, attempt, axis, y)
    if not task["attempts"]:
        why = task["why"] or task["error"] or ", ".join(task["waits_for"])
        words = f"{task['task']}: {task['status']}" + (f" ({why})" if why else "")
        yield element("circle", title(words), cx=axis.x(at), cy=y + _MIDDLE, r=_DOT,
                      class_=f"bar {kind_of(task['status'])}")  # fmt: skip


def _bar(task: Doc, attempt: Doc, axis: Axis, y: float) -> str:
    start, end = axis.x(attempt["start"]), axis.x(attempt["end"])
    number = f", attempt {attempt['attempt']}" if attempt["attempt"] > 1 else ""
    took = attempt["end"] - attempt["start"]
    words = f"{task['task']}{number} by {task['persona']}: {attempt['outcome']}, {took:.1f} s"
    drawn = element("rect", title(words), x=start, y=y + 4, width=max(_LEAST, end - start), height=_BAR, rx=3,
                    class_=f"bar {kind_of(attempt['outcome'])}")  # fmt: skip
    return link(f"/runs/{attempt['run']}", drawn)


def _edges(shown: Sequence[Doc], axis: Axis, rows: Mapping[str, float], spans: Mapping[str, tuple[float, float]]
           ) -> Iterator[str]:  # fmt: skip
    """Draw a line from the end of each task to the start of each one that depends on it."""
    for task in shown:
        for name in task["dependencies"]:
            if name in rows:
                start, end = axis.x(spans[name][1]), axis.x(spans[task["task"]][0])
                yield edge(start, rows[name] + _MIDDLE, end, rows[task["task"]] + _MIDDLE)


def edge(x: float, y: float, to_x: float, to_y: float) -> str:
    """Draw a bent line from the end of a bar to the start of another one."""
    bend = max(12.0, abs(to_x - x) / 2)
    path = f"M{x:.1f},{y:.1f} C{x + bend:.1f},{y:.1f} {to_x - bend:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
    return element("path", d=path, class_="edge")
