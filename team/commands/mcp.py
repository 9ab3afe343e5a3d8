"""The command `team mcp`."""

from __future__ import annotations

from typing import Annotated

import typer

from ...mail.commands import output
from ...mail.errors import UsageError

Persona = Annotated[
    str | None,
    typer.Option("--persona", "-p", help="Whose mail it is; by default TEAM_PERSONA, and within a run always its own."),
]
Http = Annotated[bool, typer.Option("--http", help="By HTTP on this machine, for programs with a token of scope mail.")]
Port = Annotated[int, typer.Option("--port", help="With --http: where; 0 for any that is free.", min=0, max=65535)]

app = typer.Typer()


@app.command()
def mcp(persona: Persona = None, http: Http = False, port: Port = 8421) -> None:
    """Serve the team's mail to an agent by MCP, on standard input and output.

    Needs the extra `mcp`: pip install 'team-mail[mcp]'.
    """
    try:
        from ..mcp.serve import serve_http, serve_stdio
    except ModuleNotFoundError as error:
        raise UsageError(f"team mcp needs {error.name}: pip install 'team-mail[mcp]'") from None
    if http:
        serve_http(persona, port, output.say)
    else:
        serve_stdio(persona)
