"""The command of `scheduler` that tells a sprint in figures and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import cli_options as option

app = typer.Typer()


@app.command()
def report(
    sprint: Annotated[int | None, typer.Argument(help="The sprint's number; default the last.", min=1)] = None,
    as_json: option.Json = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write report.md, report.json and the pictures (SVG and PNG) into this folder."),
    ] = None,
) -> None:
    """Tell a sprint in figures: ticks, conflicts, patches, time by persona, speed-up; with --out in pictures too."""
    from ..mail import render as mail_render
    from . import report as told
    from . import session
    from .metrics import measure

    shop = session.workshop()
    state = shop.state()
    chosen = told.choose(state, sprint)
    found = measure(state, chosen, shop.clock.now(), told.mails_during(shop.mailbox.log, state, chosen))
    if as_json:
        mail_render.document(found.document())
    else:
        for text in told.lines(found):
            typer.echo(text)
    if out is not None:
        written, trouble = told.write(found, out)
        typer.echo(f"wrote {', '.join(map(str, written))}", err=True)
        if trouble:
            typer.echo(f"scheduler: {trouble}", err=True)
