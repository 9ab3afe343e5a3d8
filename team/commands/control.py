"""The commands of `scheduler` that look and steer: status, history, stop, pause, approve, land and the like."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import scheduler_options as option

app = typer.Typer()


def _echo(lines: Any) -> None:
    for text in lines:
        typer.echo(text)


@app.command()
def status(as_json: option.Json = False) -> None:
    """Say where things stand: who leads, the sprint, the runs that are open, what waits for whom."""
    from ...mail import render as mail_render
    from ...scheduler.sprint.status import status as read
    from .. import session
    from ..show import sprint as render

    context = session.context()
    found = read(context, context.clock.now())
    if as_json:
        mail_render.document(found.document())
    else:
        _echo(render.status(found))


@app.command()
def history(as_json: option.Json = False) -> None:
    """List the sprints, the newest last."""
    from ...mail import render as mail_render
    from ...scheduler.sprint.history import history as read
    from .. import session
    from ..show import sprint as render

    context = session.context()
    found = read(context, context.clock.now())
    if as_json:
        mail_render.document(found.document())
    else:
        _echo(render.history(found))


@app.command()
def stop(
    run: Annotated[str, typer.Argument(help="A run: its id, the beginning of it, or its persona's name.")],
) -> None:
    """End one run; it is not tried again in this sprint, nor in its dispatch."""
    from ...mail.commands import caller
    from ...scheduler.sprint.control import by_people_only, stop_run
    from .. import session

    by_people_only("scheduler stop")
    context = session.context()
    found = stop_run(context, run, caller.identity_or_human(None, context.mailbox.directory))
    typer.echo(f"stopping {found.persona}, attempt {found.attempt} ({found.id})")


@app.command()
def pause() -> None:
    """Start nothing more until `scheduler resume`; runs under way go on to their end."""
    from ...mail.commands import caller
    from ...scheduler.sprint.control import by_people_only
    from ...scheduler.sprint.control import pause as start_nothing
    from .. import session

    by_people_only("scheduler pause")
    context = session.context()
    start_nothing(context, caller.identity_or_human(None, context.mailbox.directory))
    typer.echo("paused; scheduler resume goes on")


@app.command()
def resume() -> None:
    """Go on after `scheduler pause`."""
    from ...mail.commands import caller
    from ...scheduler.sprint.control import by_people_only
    from ...scheduler.sprint.control import resume as go_on
    from .. import session

    by_people_only("scheduler resume")
    context = session.context()
    go_on(context, caller.identity_or_human(None, context.mailbox.directory))
    typer.echo("resumed")


@app.command()
def approve(run: Annotated[str, typer.Argument(help="The run whose patch is held, or its persona's name.")]) -> None:
    """Let a patch to sensitive files land with the next weave. Only a person may: a run is refused."""
    from ...mail.commands import caller
    from ...scheduler.sprint.control import approve_patch, by_people_only
    from .. import session

    by_people_only("scheduler approve")
    context = session.context()
    patch = approve_patch(context, run, caller.identity_or_human(None, context.mailbox.directory))
    typer.echo(f"approved: {patch.persona}'s patch to {', '.join(patch.files)}; the next tick of a sprint weaves it")


@app.command()
def land(number: Annotated[int, typer.Argument(help="The sprint's number; 0 is the last one.", min=0)] = 0) -> None:
    """Fast-forward the base branch to what a sprint has woven; refuse if the base has moved."""
    from ...mail.units import counted
    from ...scheduler.landing.base import fast_forward_base
    from ...scheduler.sprint.control import by_people_only
    from .. import session

    by_people_only("scheduler land")
    context = session.context()
    state = context.state()
    branch, commit, gained = fast_forward_base(context, state, number or state.number)
    further = f"{counted(gained, 'commit')} further" if gained else "as it was before"
    typer.echo(f"{branch} is at {commit[:12]} now, {further}")


@app.command("install-cron")
def install_cron(
    form: Annotated[str, typer.Argument(help="systemd, crontab, github or all.")] = "all",
) -> None:
    """Print what starts sprints without you: a systemd unit, a crontab line, a GitHub Actions workflow."""
    from .. import session
    from ..install import texts

    context = session.context()
    _echo(texts(context.top, context.settings, form))
