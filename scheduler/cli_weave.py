"""The commands of `scheduler` about patches and results: weave and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import cli_options as option

NOT_CONVERGED = 4

app = typer.Typer()


@app.command()
def weave(
    patches: Annotated[
        list[Path], typer.Argument(help="Patch files, in the order in which they came; or fetched refs/pull/N/head.")
    ],
    dry_run: option.DryRun = False,
    base: Annotated[str, typer.Option("--base", help="The commit that the patches were made against.")] = "HEAD",
    onto: Annotated[str | None, typer.Option("--onto", help="The branch that they land on; default the base.")] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="The new branch for the result.")] = None,
    as_json: option.Json = False,
) -> None:
    """Weave patches by hand onto a new branch, and show who stands in whose way and what lands in which order."""
    from ..mail import render as mail_render
    from .by_hand import weave_by_hand
    from .weave_report import described, lines

    found, name = weave_by_hand(Path.cwd(), patches, base, onto or base, None if dry_run else branch or "team/woven")
    if as_json:
        mail_render.document(described(found) | {"branch": name})
    else:
        for text in lines(found):
            typer.echo(text)
        typer.echo("nothing was written" if name is None else f"{name} is at {found.tip[:12]}")
    if found.conflicted or found.refused or found.held:
        raise typer.Exit(NOT_CONVERGED)
