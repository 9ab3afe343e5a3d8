"""The commands of `team` that look at all that it does, and clean up after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from ...mail.commands import cli_options as mail_option
from ...mail.errors import UsageError
from ...mail.kinds import ExitCode
from .common import options as option
from .common.printing import note, say
from .control import show_overview

app = typer.Typer()


@app.command()
def status(as_json: option.Json = False) -> None:
    """Show what needs you, and all that is under way: as `scheduler status`, also without a repository."""
    from .. import session

    show_overview(session.reading_context(), as_json=as_json)


@app.command()
def agents(as_json: option.Json = False) -> None:
    """List who works in the team: status, runs, last sign of life, last result, unread mail, what each can do."""
    from ...mail import render
    from .. import session
    from ..api import agents as api
    from ..show import overview as show

    context = session.reading_context()
    found = api.registry(context)
    if as_json:
        render.document(found.document())
    else:
        say(show.agents(found, context.clock.now()))


@app.command()
def history(limit: mail_option.Limit = 20, as_json: option.Json = False) -> None:
    """List what the team did last: sprints, dispatches and asks, with result, money, and the line that repeats each."""
    from ...mail import render
    from .. import session
    from ..api import records
    from ..show import overview as show

    found = records.past(session.reading_context(), limit)
    if as_json:
        render.document(found.document())
    else:
        say(show.past(found))


@app.command()
def clean(
    dry_run: option.DryRun = False,
    older: Annotated[
        str | None,
        typer.Option(
            "--older", help="Also folders of runs, sessions, refs, and dispatches that were cut off, of this age: 30d."
        ),
    ] = None,
    as_json: option.Json = False,
) -> None:
    """Clean up what crashes and time left: ends that nobody put on record, clones, folders. Mail is never touched."""
    from ...mail import render
    from ..api import team
    from ..home import home_if_any
    from ..show import overview as show

    cleaned = team.clean(home_if_any(), keep=dry_run, older=_age(older))
    if as_json:
        render.document(cleaned.document())
    else:
        say(show.cleaned(cleaned))
    for trouble in cleaned.troubles:
        note("team", trouble)
    if cleaned.troubles:
        raise typer.Exit(ExitCode.FAILED)


def _age(text: str | None) -> timedelta | None:
    """Read an age. Raises UsageError."""
    from ...mail.text.units import seconds

    if text is None:
        return None
    try:
        age = seconds(text)
    except ValueError as error:
        raise UsageError(f"--older {text!r} {error}") from None
    if not age:
        raise UsageError("--older 0 would take the folders of runs that have just ended; write an age, such as 30d")
    return timedelta(seconds=age)
