"""The asks of a console, which all its requests share."""

from __future__ import annotations

from ..common.console import Console
from .asks import Asks


def asks_of(console: Console) -> Asks:
    """Return the asks of a console, made when they are first needed."""
    return console.part(_made)


def _made(console: Console) -> Asks:
    asks = Asks(lambda: console.context, console.context.settings.console.max_runs)
    console.on_stop.append(asks.close)
    return asks
