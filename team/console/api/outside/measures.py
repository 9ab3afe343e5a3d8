"""Routes of the team's figures, for a monitoring system and for people."""

from __future__ import annotations

from typing import Any

from ...common.console import Console
from ...common.route import Asked, Reply, Route

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def figures(console: Console, asked: Asked) -> dict[str, Any]:
    """Return the figures, as `team metrics --json`."""
    from ....api.outside import metrics

    del asked
    return metrics.metrics(console.context).document()


def prometheus(console: Console, asked: Asked) -> Reply:
    """Return the figures as Prometheus reads them, as `team metrics`."""
    from ....api.outside import metrics

    del asked
    lines = "\n".join(metrics.metrics(console.context).prometheus())
    return Reply(f"{lines}\n".encode(errors="replace"), media=_TEXT)


ROUTES = (
    Route("GET", "/metrics", "The figures of the team, as Prometheus reads them.", prometheus),
    Route("GET", "/api/metrics", "The same as JSON.", figures),
)
