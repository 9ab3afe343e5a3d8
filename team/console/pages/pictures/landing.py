"""The patches of a sprint in landing order, weave by weave; an arc joins two that were in each other's way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .svg import Svg, cut, element, link, picture, text, title
from .timeline import kind_of

_STEP, _GAP, _DISC, _LEFT = 38.0, 26.0, 12.0, 76.0
_LEAST, _LETTERS, _BELOW = 300.0, 16, 92.0

Doc = Mapping[str, Any]


class _Place(NamedTuple):
    x: float
    patch: Doc


def landing(weaves: Sequence[Doc]) -> Svg:
    """Draw the weaves of a sprint's value."""
    places: list[_Place] = []
    starts: list[tuple[float, int]] = []
    x = _LEFT
    arcs: list[tuple[float, float, Doc]] = []
    for weave in weaves:
        if not weave["patches"]:
            continue
        starts.append((x, weave["weave"]))
        at: dict[str, float] = {}
        for patch in weave["patches"]:
            at[patch["run"]] = x
            places.append(_Place(x, patch))
            x += _STEP
        for conflict in weave["conflicts"]:
            ends = [at[run] for run in (conflict["run"], conflict["rival"]) if run in at]
            if len(ends) == 2:  # noqa: PLR2004
                arcs.append((min(ends), max(ends), conflict))
        x += _GAP
    top = 26 + max((_height(left, right) for left, right, _ in arcs), default=10.0)
    landed = sum(place.patch["place"] is not None for place in places)
    parts = [*_weaves(starts, top), *(_arc(left, right, top, conflict) for left, right, conflict in arcs)]
    parts += [_disc(place, top) for place in places]
    label = f"{landed} of {len(places)} patches landed, in this order; {len(arcs)} pairs were in each other's way"
    return picture(parts, max(_LEAST, x), top + _BELOW, label, "landing")


def _height(left: float, right: float) -> float:
    return min((right - left) / 2, 8 * (right - left) ** 0.5 / 2 + 8)


def _weaves(starts: Sequence[tuple[float, int]], top: float) -> Iterator[str]:
    for x, number in starts:
        yield text(f"weave {number}", x - _DISC, 14, "faint")
        if number > 1:
            line = x - _DISC - _GAP / 2
            yield element("line", x1=line, x2=line, y1=4, y2=top + _DISC, class_="grid")


def _arc(left: float, right: float, top: float, conflict: Doc) -> str:
    height = _height(left, right)
    path = f"M{left:.1f},{top:.1f} A{(right - left) / 2:.1f},{height:.1f} 0 0 1 {right:.1f},{top:.1f}"
    return element("path", title("in each other's way: " + ", ".join(conflict["files"])), d=path, class_="arc")


def _disc(place: _Place, top: float) -> str:
    x, patch = place
    number = str(patch["place"] or "")
    circle = element("circle", title(f"{patch['persona']}: {patch['status']}; {patch['why']}"), cx=x, cy=top, r=_DISC,
                     class_=f"bar {kind_of(patch['status'])}")  # fmt: skip
    label = text(cut(patch["persona"], _LETTERS), 0, 0, text_anchor="end",
                 transform=f"translate({x + 4:.1f},{top + 24:.1f}) rotate(-45)")  # fmt: skip
    return link(f"/runs/{patch['run']}", circle + text(number, x, top + 4, "number", text_anchor="middle")) + label
