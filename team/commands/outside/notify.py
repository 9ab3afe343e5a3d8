"""The command `team notify`."""

from __future__ import annotations

from typing import Annotated

import typer

from ....mail.commands import output
from ....mail.kinds import ExitCode
from ..common import options as option
from ..common.printing import say

app = typer.Typer(name="notify", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def root(context: typer.Context, as_json: option.Json = False) -> None:
    """Send the notices that are due; `scheduler run` does so by itself. For cron, beside `scheduler tick`."""
    if context.invoked_subcommand:
        return
    from ....mail import render
    from ... import session
    from ...api.outside import notices
    from ...show import notices as show

    done = notices.send_due(session.reading_context())
    if as_json:
        render.document(done.document())
    else:
        say(show.delivered(done))
    if not done.arrived:
        raise typer.Exit(ExitCode.FAILED)


@app.command("test")
def try_endpoint(
    name: Annotated[str, typer.Argument(help="The NAME of [notify.NAME] in team.toml.")],
    as_json: option.Json = False,
) -> None:
    """Send a test to one endpoint, now; say whether it arrived, or why not."""
    from ....mail import render
    from ... import session
    from ...api.outside import notices
    from ...show import notices as show

    done = notices.try_endpoint(session.reading_context(), name)
    if as_json:
        render.document(done.document())
    else:
        output.say(show.tested(done))
    if not done.arrived:
        raise typer.Exit(ExitCode.FAILED)
