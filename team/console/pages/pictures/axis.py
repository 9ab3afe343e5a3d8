"""A time axis: seconds to pixels, and the marks at round times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .svg import element, text

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
_MARKS = 9  # at most
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True)
class Axis:
    """Seconds from 0 to `end` on pixels from `left` on, over a `width`."""

    end: float
    left: float
    width: float

    def x(self, seconds: float) -> float:
        """Return where a time is, within the axis."""
        return self.left + min(max(seconds, 0.0), self.end) / self.end * self.width

    @property
    def step(self) -> float:
        """The time from one mark to the next."""
        whole = self.end / _MARKS
        return next((step for step in _STEPS if step >= whole), (whole // _DAY + 1) * _DAY)

    def marks(self, top: float, bottom: float) -> Iterator[str]:
        """Draw a line and a time at each mark."""
        for number in range(int(self.end / self.step) + 1):
            at = number * self.step
            x = self.x(at)
            yield element("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid")
            yield text(named(at), x, bottom + 14, "faint", text_anchor="middle" if number else "start")


def named(seconds: float) -> str:
    """Write a time of an axis: `0`, `0.5 s`, `30 s`, `1:30`, `2 h`, `1:30 h`, `3 d`."""
    if seconds < _MINUTE:
        return f"{seconds:g} s" if seconds else "0"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)}:{int(seconds % _MINUTE):02} min"
    if seconds < 2 * _DAY:
        return f"{int(seconds // _HOUR)}:{int(seconds % _HOUR // _MINUTE):02} h"
    return f"{seconds / _DAY:g} d"
