"""The commands of `team` for monitoring systems."""

from __future__ import annotations

from typing import Annotated

import typer

from ....mail.commands import output
from ....mail.text.units import counted
from ..common import options as option

app = typer.Typer()


@app.command()
def metrics(as_json: option.Json = False) -> None:
    """Print the team's figures as Prometheus reads them: runs, money, gates, patches, unread mail, the log."""
    from ....mail import render
    from ... import session
    from ...api.outside import metrics as api

    figures = api.metrics(session.reading_context())
    if as_json:
        render.document(figures.document())
    else:
        output.say("\n".join(figures.prometheus()))


export = typer.Typer(name="export", help="Write what is in the log in the form of other systems.", no_args_is_help=True)


@export.callback()
def root() -> None:
    """Write what is in the log in the form of other systems."""


@export.command()
def otel(
    since: Annotated[int, typer.Option("--since", min=0, help="Only what ended after this event, by its number.")] = 0,
    to: Annotated[str | None, typer.Option("--to", help="Send it to the collector at this URL instead.")] = None,
) -> None:
    """Print the traces of sprints and dispatches as OTLP/JSON, a request a line."""
    from ....mail import render
    from ... import session
    from ...api.outside import exports as api

    context = session.reading_context()
    if to is None:
        for request in api.requests(context, since):
            render.json_line(request)
    else:
        output.say(f"{counted(api.send(context, to, since), 'span')} sent")
