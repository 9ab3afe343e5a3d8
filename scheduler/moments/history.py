"""The sprints of a team: the last of them in a line each, and one of them in figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..context import Context
from ..state.metrics import Metrics, measure
from ..state.reading import LAST, Span, count_mails, read_rival, read_spans
from ..state.sprints import State, sprint_numbered
from ..state.summary import Summary


@dataclass(frozen=True)
class History:
    """Some sprints of a team, the newest last. `older` tells that there are sprints before them."""

    sprints: tuple[Summary, ...]
    older: bool = False

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `scheduler history --json`."""
        return [sprint.document() | {"outcome": sprint.outcome} for sprint in self.sprints]


def history(context: Context, now: datetime, most: int = LAST, before: int | None = None) -> History:
    """Sum up the last sprints: at most so many, of those with a number below `before`.

    `now` stands in for the end of one that is open.
    """
    spans = read_spans(context.mailbox.projections, most + 1, before)
    shown = spans[-most:]
    if not shown:
        return History(())
    return History(context.ended.summed(shown, context.sprints, now), len(spans) > most)


def report(context: Context, number: int | None, now: datetime) -> Metrics:
    """Return the figures of sprint `number`, of the last one if it is None. Raises NoSuchRun."""
    span, projections = _span(context, number), context.mailbox.projections
    state = context.sprints([span]) if span else State()
    sprint = sprint_numbered(state, number)
    rival = read_rival(projections, sprint.base, sprint.personas)
    compared = replace(state, sprints=(rival,)) if rival else state
    return measure(compared, sprint, now, count_mails(projections, span, sprint.ended) if span else {})


def state_at(context: Context, number: int | None) -> State:
    """Return the state of sprint `number`, or of the last one if the number is None or there is no such sprint."""
    span = _span(context, number)
    return context.sprints([span]) if span else State()


def _span(context: Context, number: int | None) -> Span | None:
    """Return where a sprint is in the log; the last one if there is none of that number."""
    projections = context.mailbox.projections
    spans = read_spans(projections, 1, None if number is None else number + 1)
    if spans and number in {None, spans[0].number}:
        return spans[0]
    return next(iter(read_spans(projections, 1)), None)
