"""The command `team mcp`."""

from __future__ import annotations

from typing import Annotated

import typer

from ...mail.errors import UsageError

Persona = Annotated[
    str | None,
    typer.Option("--persona", "-p", help="Whose mail it is; by default TEAM_PERSONA, and within a run always its own."),
]

app = typer.Typer()


@app.command()
def mcp(persona: Persona = None) -> None:
    """Serve the team's mail to an agent by MCP, on standard input and output.

    Needs the extra `mcp`: pip install 'team-mail[mcp]'.
    """
    try:
        from ..mcp.serve import serve_stdio
    except ModuleNotFoundError as error:
        raise UsageError(f"team mcp needs {error.name}: pip install 'team-mail[mcp]'") from None
    serve_stdio(persona)
