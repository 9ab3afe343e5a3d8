"""The commands `scheduler schedules`: list what is done at which times, carry one out now, pause one."""

from __future__ import annotations

from typing import Annotated

import typer

from ...mail.commands import output
from ...mail.kinds import ExitCode
from .common import options as option
from .common.printing import say

Name = Annotated[str, typer.Argument(help="The schedule: NAME of [schedules.NAME] in team.toml.")]

app = typer.Typer(name="schedules", help="What is done at set times, as [schedules] of team.toml says.")


@app.command("list")
def list_(as_json: option.Json = False) -> None:
    """List the schedules: what each does, when it is next, how the last one ended, how many times were missed."""
    from ...mail import render
    from .. import session
    from ..api import schedules as api
    from ..show import overview as show

    found = api.listed(session.reading_context())
    if as_json:
        render.document(found.document())
    else:
        say(show.schedules(found.schedules))


@app.command()
def run(
    name: Annotated[
        str | None, typer.Argument(help="The schedule to carry out now, whatever its times; by default all due ones.")
    ] = None,
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Carry out a schedule now, or all that are due: for cron, where no `scheduler run` leads the team."""
    from ...mail import render
    from .. import session
    from ..api import schedules as api
    from ..show import overview as show
    from ..show.dispatch import DispatchShow

    context = session.reading_context()
    with DispatchShow(quiet=quiet) as live:
        ran = api.run(
            context, name, session.sender(context), listener=live.on_progress, interrupts=session.ending
        )  # fmt: skip
    if as_json:
        render.document(ran.document())
    else:
        say(show.ran(ran.ends))
    if not ran.succeeded:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def pause(name: Name) -> None:
    """Let no time of a schedule count until `scheduler schedules resume`."""
    from .. import session
    from ..api import schedules as api

    context = session.reading_context()
    api.pause(context, name, session.sender(context))
    output.say(f"{name} is paused; scheduler schedules resume {name} goes on")


@app.command()
def resume(name: Name) -> None:
    """Let the times of a schedule count again; those in between are neither made up for nor missed."""
    from .. import session
    from ..api import schedules as api

    context = session.reading_context()
    api.resume(context, name, session.sender(context))
    output.say(f"{name} goes on")
