"""The runs of a sprint over time: a row for each persona, a bar for each run by its outcome; gates and weaves below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from .....scheduler.kinds import Kind
from .axis import Axis
from .svg import Svg, cut, element, link, picture, text, title

_LABEL, _WIDTH, _ROW, _TOP = 130.0, 800.0, 22.0, 8.0
_BAR = 14.0
_LEAST = 3.0  # pixels of a bar
_LETTERS = 18

Doc = Mapping[str, Any]


def timeline(doc: Doc) -> Svg:
    """Draw the value of a sprint as of a moment; the axis is that of the whole sprint, so that nothing jumps."""
    report = doc["report"]
    length = max([seconds(doc["moments"][0]["ts"], doc["moments"][-1]["ts"]), report["wall"], 0.5])
    axis = Axis(length, _LABEL, _WIDTH)
    names: list[str] = [*doc["personas"]]
    rows = {name: _TOP + place * _ROW for place, name in enumerate(names)}
    below = _TOP + len(names) * _ROW
    lines = [("gates", doc["gates"], _gate), ("weaves", _weaves(doc), _weave)]
    lines = [(name, shown, draw) for name, shown, draw in lines if shown]
    bottom = below + len(lines) * _ROW + 4
    parts = [*axis.marks(_TOP, bottom), *_names(rows)]
    parts += [_bar(bar, axis, rows[bar["persona"]], doc["sprint"]["sprint"]) for bar in report["bars"]]
    for place, (name, shown, draw) in enumerate(lines):
        y = below + place * _ROW
        parts.append(text(name, _LABEL - 8, y + 15, "faint", text_anchor="end"))
        parts += [draw(each, axis, y, doc) for each in shown]
    if not doc["is_last"]:
        x = axis.x(report["wall"])
        parts.append(element("line", x1=x, x2=x, y1=_TOP - 4, y2=bottom, class_="now"))
    label = f"Runs of sprint {doc['sprint']['sprint']} over time: {len(report['bars'])} runs of {len(names)} personas"
    return picture(parts, _LABEL + _WIDTH + 24, bottom + 22, label, "timeline")


def seconds(since: str, until: str) -> float:
    """Return the seconds between two timestamps of the log."""
    return max(0.0, (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds())


def _names(rows: Mapping[str, float]) -> Iterator[str]:
    for name, y in rows.items():
        yield element("rect", x=0, y=y, width=_LABEL + _WIDTH + 24, height=_ROW, class_="row")
        yield text(cut(name, _LETTERS), _LABEL - 8, y + 15, text_anchor="end")


def _bar(bar: Doc, axis: Axis, y: float, _: int) -> str:
    start, end = axis.x(bar["start"]), axis.x(bar["end"])
    attempt = f", attempt {bar['attempt']}" if bar["attempt"] > 1 else ""
    took = f"{bar['seconds']:.1f} s" if bar["seconds"] is not None else "nobody knows how long"
    words = f"{bar['persona']}{attempt} ({bar['reason']}): {bar['outcome']}, {took}"
    drawn = element("rect", title(words), x=start, y=y + 4, width=max(_LEAST, end - start), height=_BAR, rx=3,
                    class_=f"bar {kind_of(bar['outcome'])}")  # fmt: skip
    return link(f"/runs/{bar['run']}", drawn)


def kind_of(outcome: str) -> str:
    """Return the class of an outcome."""
    return "is-" + outcome.replace(" ", "-")


def _gate(gate: Doc, axis: Axis, y: float, doc: Doc) -> str:
    began = seconds(doc["moments"][0]["ts"], gate["ts"])
    end = axis.end if gate["passed"] is None else began
    end = min(end, doc["report"]["wall"]) if gate["passed"] is None else end
    start = began if gate["passed"] is None else began - (gate["seconds"] or 0.0)
    word = "at work" if gate["passed"] is None else "passed" if gate["passed"] else "failed"
    x = axis.x(start)
    words = f"gate {gate['gate']} at {gate['commit'][:12]}: {word}"
    return element("rect", title(words), x=x, y=y + 6, width=max(_LEAST, axis.x(end) - x), height=10, rx=2,
                   class_=f"bar {kind_of(word)}")  # fmt: skip


def _weaves(doc: Doc) -> Sequence[Doc]:
    return [each for each in doc["moments"] if each["kind"] == Kind.WEAVE_DONE and each["seq"] <= doc["seq"]]


def _weave(moment: Doc, axis: Axis, y: float, doc: Doc) -> str:
    x, middle = axis.x(seconds(doc["moments"][0]["ts"], moment["ts"])), y + 11
    points = f"{x:.1f},{middle - 6} {x + 6:.1f},{middle} {x:.1f},{middle + 6} {x - 6:.1f},{middle}"
    drawn = element("polygon", title(moment["text"]), points=points, class_="weave")
    return link(f"/sprint/{doc['sprint']['sprint']}?at={moment['seq']}", drawn)
