"""The command `team console`."""

from __future__ import annotations

from typing import Annotated

import typer

from ...mail.commands import output
from ...mail.errors import UsageError

Port = Annotated[int, typer.Option("--port", help="The port to listen on; 0 for any that is free.", min=0, max=65535)]
Host = Annotated[str, typer.Option("--host", help="The address to listen on; by default only this machine reaches it.")]
Open = Annotated[bool, typer.Option("--open", help="Open it in the browser, too.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")]

app = typer.Typer()


@app.command()
def console(
    port: Port = 8420, host: Host = "127.0.0.1", open_browser: Open = False, read_only: ReadOnly = False
) -> None:
    """Serve the web console: ask many personas at once, watch and steer the team, until you end it.

    It prints an address that logs you in once. Needs the extra `console`: pip install 'team-mail[console]'.
    """
    try:
        from ..console.server import serve
    except ModuleNotFoundError as error:
        raise UsageError(f"the console needs {error.name}: pip install 'team-mail[console]'") from None
    from .. import session
    from ..console.common.console import Console, ConsoleOptions

    def ready(address: str) -> None:
        output.say(f"team console: open {address}\nThe address works once. Control-C ends the console.")
        if open_browser:
            typer.launch(address)

    serve(Console(session.reading_context, ConsoleOptions(host, port, read_only), session.context), ready)
