"""The pictures by the names that templates call them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .landing import landing
from .timeline import timeline


def outcomes(doc: Mapping[str, Any]) -> list[str]:
    """Name what became of the runs of a sprint's value, for a legend, the most frequent first."""
    found = [bar["outcome"] for bar in doc["report"]["bars"]]
    return sorted({*found}, key=lambda outcome: (-found.count(outcome), outcome))


PICTURES: dict[str, Any] = {"landing": landing, "outcomes": outcomes, "timeline": timeline}
