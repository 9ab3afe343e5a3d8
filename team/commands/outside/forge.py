"""The commands `scheduler publish` and `scheduler take`."""

from __future__ import annotations

from typing import Annotated

import typer

from ....mail.kinds import ExitCode
from ..common import options as option
from ..common.printing import say

app = typer.Typer()


@app.command()
def publish(
    number: Annotated[int | None, typer.Argument(help="The sprint's number; by default the last.", min=1)] = None,
    as_json: option.Json = False,
) -> None:
    """Push a sprint's branch, open or update its pull request, and mail what reviewers say to the authors."""
    from ....mail import render
    from ... import session
    from ...api.outside import forge
    from ...show.outside import forge as show

    done = forge.publish(session.context(), number)
    if as_json:
        render.document(done.document())
    else:
        say(show.publication(done))


@app.command()
def take(
    issues: Annotated[list[int] | None, typer.Argument(help="The numbers of issues.", min=1)] = None,
    pulls: Annotated[list[int] | None, typer.Option("--pr", help="The number of a pull request.", min=1)] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="All open issues and pull requests with this label.")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="The persona that issues are written to; else [github] to.")] = "",
    as_tasks: Annotated[bool, typer.Option("--task", help="Issues become tasks, for whoever claims them.")] = False,
    anyone: Annotated[bool, typer.Option("--anyone", help="Take those of strangers, too.")] = False,
    as_json: option.Json = False,
) -> None:
    """Take issues and pull requests as work, look for new pushes, and comment below each what became of it."""
    from ....mail import render
    from ....scheduler.forge.taking import Wanted
    from ... import session
    from ...api.outside import forge
    from ...show.outside import forge as show

    context = session.context()
    wanted = Wanted(pulls or (), issues or (), labels or (), to, as_tasks, anyone)
    done = forge.take(context, wanted, session.sender(context))
    if as_json:
        render.document(done.document())
    else:
        say(show.taking(done))
    if done.refused:
        raise typer.Exit(ExitCode.FAILED)
