"""A sprint in pictures: its runs over time, and its patches in landing order, each a Vega-Lite spec.

The specs are plain data made from `Metrics`. Drawing them as SVG or PNG needs the extra `charts`, but no browser and no
network.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import cos, pi, sin
from typing import Any

from ....scheduler.kinds import PatchStatus, RunStatus
from ....scheduler.state.metrics import NO_CHANGE, Bar, Metrics, Node

VEGA_LITE = "5.17"  # the newest that every vl-convert since 1.7 supports
SCHEMA = f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE}.json"
MISSING = 'no pictures: vl-convert-python is not installed; pip install "team-mail[charts]" brings it'
COLORS = {
    PatchStatus.LANDED: "#2f9e77", PatchStatus.CONFLICTED: "#f0a030", PatchStatus.REJECTED: "#d1495b",
    PatchStatus.PRESENT: "#8fc9a9",
    PatchStatus.REFUSED: "#8f2d56", PatchStatus.HELD: "#7b6fc4", PatchStatus.PENDING: "#9ecae9",
    PatchStatus.DROPPED: "#b08968", NO_CHANGE: "#b9c2cc", RunStatus.OPEN: "#3d8bd4", RunStatus.FAILED: "#a33b20",
    RunStatus.SETUP: "#7f5539", RunStatus.LIMITED: "#e0c36a",
    RunStatus.TIMEOUT: "#6b4c3b", RunStatus.QUOTA: "#c9a227", RunStatus.STOPPED: "#7d8597", RunStatus.LOST: "#343a40",
}  # fmt: skip
INK, FAINT, LINE, PAPER = "#2b3440", "#66717c", "#c3cad1", "#ffffff"
_FONT = "Liberation Sans, Arimo, Arial, Helvetica, sans-serif"
WIDTH, ROW, LONGEST_LABEL = 760, 19, 180  # pixels
_LABEL, _ARC = 46, 36  # pixels; points of an arc
_UNITS = ((7_200.0, 3_600.0, "hours"), (180.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
_SCALE = 2.0  # pixels per unit of a PNG: sharp on today's screens

Spec = dict[str, Any]


def trouble() -> str | None:
    """Return why no picture can be drawn, and what to do; None if nothing is missing."""
    return None if importlib.util.find_spec("vl_convert") else MISSING


def svg(spec: Spec) -> bytes:
    """Draw a spec as SVG."""
    import vl_convert

    return vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE).encode()


def png(spec: Spec) -> bytes:
    """Draw a spec as PNG."""
    import vl_convert

    return vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=_SCALE)


# -- runs over time


def timeline(metrics: Metrics) -> Spec:
    """Return the picture of the runs: a row for each persona, a bar for each run by outcome, a band for each tick."""
    unit, name = next((size, name) for least, size, name in _UNITS if metrics.wall >= least)
    personas = [share.persona for share in metrics.personas]
    end = _end(metrics)
    runs = [_run(bar, unit, 3 / WIDTH * end) for bar in metrics.bars]
    x = {"field": "start", "type": "quantitative", "scale": {"domain": [0, end / unit], "nice": False}}
    row = {"field": "persona", "type": "nominal", "sort": personas, "scale": {"domain": personas}}
    ended = list(dict.fromkeys(bar.outcome for bar in metrics.bars))
    title = title_of(metrics, f"{len(runs)} runs in {metrics.ticks} ticks")
    place = {
        "x": x | {"axis": {"title": f"{name} since the start", "grid": False, "tickCount": 8}},
        "y": row | {"axis": {"title": None, "grid": True, "labelLimit": LONGEST_LABEL}},
    }
    note = {"x": x | {"field": "end"}, "y": row, "text": {"field": "note"}}
    layers = [
        *_bands(metrics, unit),
        layer(
            "bar",
            runs,
            place | {"x2": {"field": "end"}, "color": color_of(ended)},
            cornerRadius=3,
            height={"band": 0.68},
        ),
        layer("text", runs, note, align="left", dx=3, fontSize=9, color=FAINT),
    ]
    return sheet(title, WIDTH, {"step": ROW}, layers)


def _end(metrics: Metrics) -> float:
    return max([metrics.wall, *(bar.end for bar in metrics.bars)]) or 1.0


def _run(bar: Bar, unit: float, least: float) -> Spec:
    """Place a bar; one that is too short to be seen is made longer."""
    return {
        "persona": bar.persona, "outcome": bar.outcome,
        "note": f"attempt {bar.attempt}" if bar.attempt > 1 else "", "start": bar.start / unit,
        "end": max(bar.end, bar.start + least) / unit,
    }  # fmt: skip


def _bands(metrics: Metrics, unit: float) -> Iterator[Spec]:
    """Shade every other tick, and label those with room for it."""
    edges = [(tick, when / unit) for tick, when in metrics.boundaries]
    edges.append((0, _end(metrics) / unit))
    bands = [{"tick": tick, "start": start, "end": end} for (tick, start), (_, end) in pairwise(edges) if end > start]
    x = {"field": "start", "type": "quantitative"}
    shade = {"condition": {"test": "datum.tick % 2", "value": 0.045}, "value": 0}
    yield layer("rect", bands, {"x": x, "x2": {"field": "end"}, "color": {"value": INK}, "opacity": shade})
    yield layer("rule", bands[1:], {"x": x}, color=LINE, strokeDash=[3, 3])
    named = [*_roomy(bands, _LABEL / WIDTH * edges[-1][1])]
    label = {"x": x, "y": {"value": 0}, "text": {"field": "label"}}
    yield layer("text", named, label, align="left", baseline="bottom", dx=2, dy=-4, fontSize=10, color=FAINT)


def _roomy(ticks: Sequence[Spec], room: float, turn: str = "tick") -> Iterator[Spec]:
    """Label the ticks whose label does not overlap the one before."""
    last = -room
    for tick in ticks:
        if tick["start"] - last >= room:
            last = tick["start"]
            yield tick | {"label": f"{turn} {tick['tick']}"}


# -- patches in landing order


def landing(metrics: Metrics) -> Spec:
    """Return the picture of the patches in landing order, tick by tick, with an arc between two that conflicted."""
    count = max(1, len(metrics.nodes))
    step = min(54.0, max(700 / count, min(34.0, max(12.0, 1_500 / count))))
    disc = min(22.0, 0.66 * step)
    places = _places(metrics.nodes, step)
    arcs = [*_arcs(metrics, places)]
    height = max([40.0, *(point["y"] for point in arcs)]) + 14
    depth = 20 + min(0.8 * LONGEST_LABEL, 4.3 * max((len(place["label"]) for place in places), default=0))
    wide = max([300.0, *(place["x"] + step for place in places)])
    x = {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [0, wide], "nice": False}}
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [-depth, height], "nice": False}}
    where = {"x": x, "y": y}
    fates = list(dict.fromkeys(node.status for node in metrics.nodes))
    note = "; an arc joins two that stood in each other's way" if metrics.links else ""
    title = title_of(metrics, f"{len(metrics.landing_order)} of {metrics.offered} patches landed{note}")
    color, number, label = {"color": color_of(fates)}, {"text": {"field": "number"}}, {"text": {"field": "label"}}
    arc = where | color | {"detail": {"field": "arc"}, "order": {"field": "n"}}
    layers = [
        *_groups(places, x, step, height, metrics.turn),
        layer("line", arcs, arc, strokeWidth=1.4, opacity=0.8),
        layer("circle", places, where | color, size=disc**2, opacity=1, stroke=PAPER, strokeWidth=1.5),
        layer("text", places, where | number, color=PAPER, fontSize=0.45 * disc, fontWeight=700),
        layer("text", places, where | label, angle=310, align="right", baseline="middle", dx=-0.64 * disc, dy=4,
               limit=LONGEST_LABEL, color=INK),
    ]  # fmt: skip
    return sheet(title, wide, height + depth, layers)


def _places(nodes: Sequence[Node], step: float) -> list[Spec]:
    """Place the patches, with a gap between ticks, and number those that landed; coordinates are pixels."""
    places: list[Spec] = []
    x, tick, number = 0.0, 0, 0
    for node in nodes:
        x += step if node.tick == tick or not places else 1.8 * step
        tick, number = node.tick, number + (node.status == PatchStatus.LANDED)
        label = node.persona if node.attempt == 1 else f"{node.persona} ({node.attempt})"
        places.append(
            {
                "run": node.run, "x": x, "y": 0, "tick": tick, "outcome": node.status, "label": label,
                "number": str(number) if node.status == PatchStatus.LANDED else "",
            }
        )  # fmt: skip
    return places


def _arcs(metrics: Metrics, places: Sequence[Spec]) -> Iterator[Spec]:
    """Return each arc as points of half an ellipse, in the color of the later patch."""
    by_run = {place["run"]: place for place in places}
    for number, link in enumerate(metrics.links):
        left, right = sorted((by_run[link.run], by_run[link.rival]), key=lambda place: place["x"])
        middle, half = (left["x"] + right["x"]) / 2, (right["x"] - left["x"]) / 2
        for point in range(_ARC + 1):
            angle = pi * point / _ARC
            yield {
                "arc": number, "n": point, "outcome": right["outcome"],
                "x": middle - half * cos(angle), "y": min(half, 12 * half**0.5) * sin(angle),
            }  # fmt: skip


def _groups(places: Sequence[Spec], x: Spec, step: float, height: float, turn: str) -> Iterator[Spec]:
    """Label the ticks, and separate them by lines."""
    firsts = {place["tick"]: place["x"] for place in reversed(places)}
    starts = [{"start": first - 0.9 * step, "tick": tick} for tick, first in sorted(firsts.items())]
    x = x | {"field": "start"}
    line = {"x": x, "y": {"value": 0}, "y2": {"value": height}}
    yield layer("rule", starts[1:], line, color=LINE, strokeDash=[3, 3])
    label = {"x": x, "y": {"value": 0}, "text": {"field": "label"}}
    named = [*_roomy(starts, _LABEL, turn)]
    yield layer("text", named, label, align="left", baseline="top", dx=4, fontSize=10, color=FAINT)


# -- what they share


def title_of(metrics: Metrics, text: str) -> Spec:
    """Return the title of a picture of a sprint, with `text` below it."""
    outcome = metrics.outcome or RunStatus.OPEN
    return {
        "text": f"Sprint {metrics.sprint}", "subtitle": f"{metrics.mode}, {outcome}: {text}", "anchor": "start",
        "frame": "group", "offset": 22,
    }  # fmt: skip


def color_of(outcomes: Sequence[str]) -> Spec:
    """Color by outcome, in the same colors in all pictures, with a legend of those that occur."""
    shown = [outcome for outcome in COLORS if outcome in outcomes]
    shown += [outcome for outcome in outcomes if outcome not in COLORS]
    colors = [COLORS.get(outcome, FAINT) for outcome in shown]
    return {
        "field": "outcome", "type": "nominal", "scale": {"domain": shown, "range": colors},
        "legend": {"title": None, "orient": "bottom"},
    }  # fmt: skip


def layer(kind: str, values: Sequence[Spec], encoding: Spec, **mark: Any) -> Spec:
    """Make one layer of a picture: one mark for each value."""
    return {"data": {"values": values}, "mark": {"type": kind} | mark, "encoding": encoding}


def sheet(title: Spec, width: float, height: Any, layers: Sequence[Spec], **text: Any) -> Spec:
    """Combine layers into a picture in the common style; `text` is the default configuration of text marks."""
    return {
        "$schema": SCHEMA,
        "background": PAPER,
        "padding": 18,
        "title": title,
        "width": width,
        "height": height,
        "layer": layers,
        "config": {
            "view": {"stroke": None},
            "font": _FONT,
            "title": {
                "fontSize": 16, "color": INK, "subtitleFontSize": 12, "subtitleColor": FAINT, "subtitlePadding": 6,
            },
            "axis": {
                "domain": False, "ticks": False, "gridColor": "#edf0f2", "labelColor": INK, "labelPadding": 8,
                "titleColor": FAINT, "titleFontWeight": "normal", "titlePadding": 10,
            },
            "legend": {
                "labelColor": INK, "labelFontSize": 11, "symbolType": "circle", "symbolOpacity": 1,
                "symbolStrokeWidth": 0, "columns": 8, "offset": 12,
            },
            "text": {"font": _FONT, "fontSize": 11} | text,
        },
    }  # fmt: skip
