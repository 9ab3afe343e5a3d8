"""The pictures by the names that templates call them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .landing import landing
from .plan import plan_over_time
from .tasks import tasks_over_time
from .timeline import timeline


def outcomes(doc: Mapping[str, Any]) -> list[str]:
    """Name what became of the runs of a sprint's value, for a legend, the most frequent first."""
    found = [bar["outcome"] for bar in doc["report"]["bars"]]
    return sorted({*found}, key=lambda outcome: (-found.count(outcome), outcome))


def task_outcomes(doc: Mapping[str, Any]) -> list[str]:
    """Name what became of the attempts of a dispatch's value, and of tasks that nobody began, the most frequent first.

    They are those that the picture has.
    """
    found: list[str] = []
    for task in doc["tasks"]:
        found += [attempt["outcome"] for attempt in task["attempts"]] or [task["status"]]
    return sorted({*found}, key=lambda outcome: (-found.count(outcome), outcome))


PICTURES: dict[str, Any] = {
    "landing": landing, "outcomes": outcomes, "plan_over_time": plan_over_time, "task_outcomes": task_outcomes,
    "tasks_over_time": tasks_over_time, "timeline": timeline,
}  # fmt: skip
