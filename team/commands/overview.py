"""The commands of `team` that look at all that it does: what is under way, and what needs you."""

from __future__ import annotations

import typer

from . import options as option
from .control import show_overview

app = typer.Typer()


@app.command()
def status(as_json: option.Json = False) -> None:
    """Show what needs you, and all that is under way: as `scheduler status`, also without a repository."""
    from .. import session

    show_overview(session.reading_context(), as_json=as_json)
