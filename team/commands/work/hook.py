"""The commands `team hook`: the check before a commit, and the hooks of agents that show mail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ....mail.commands import output
from ....mail.kinds import ExitCode
from ..common import options as option
from ..common.printing import note

As = Annotated[str | None, typer.Option("--as", help="Who commits; by default TEAM_PERSONA, else the human.")]
Program = Annotated[str, typer.Argument(help="git, claude, codex, gemini, opencode or copilot.", metavar="PROGRAM")]
Agent = Annotated[str, typer.Argument(help="The agent that calls it.", metavar="AGENT")]
Event = Annotated[str, typer.Argument(help="When it calls it: start, prompt or stop.", metavar="EVENT")]
ForUser = Annotated[bool, typer.Option("--user", help="In the agent's own file in your home, for all your projects.")]
Whose = Annotated[
    str, typer.Option("--persona", "-p", help="Whose mail it shows; by default that of `team join` in the session.")
]

app = typer.Typer(name="hook", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def hook(context: typer.Context, persona: As = None, as_json: option.Json = False) -> None:
    """Refuse a commit of files that somebody else has claimed: exit code 1, with the files and who has them.

    Git calls it before a commit, once `team hook install git` has told it to.
    """
    if context.invoked_subcommand:
        return
    from ....mail import render
    from ... import session
    from ...api import hook as api
    from ...home import home_if_any
    from ...show.claims import claimed_files

    claims = session.claims() if home_if_any() else None
    guard = api.guard(claims, Path.cwd(), session.owner(claims, persona) if claims else "")
    if as_json:
        render.document(guard.document())
    else:
        for text in claimed_files(guard):
            note("team", text)
    if guard.files:
        raise typer.Exit(ExitCode.FAILED)


@app.command("install")
def install(program: Program, persona: Whose = "", for_user: ForUser = False, as_json: option.Json = False) -> None:
    """Write the hooks of an agent into its own file, so that your sessions are shown mail; or git's, of commits.

    All else in the file stays as it is; installing again changes nothing.
    """
    from ....mail import render
    from ...api import hook as api

    installed = api.install(program, Path.cwd(), persona, for_user=for_user)
    if as_json:
        render.document(installed.document())
        return
    output.say(f"{'wrote' if installed.changed else 'there is'} {installed.path}")
    for text in installed.notes:
        note("team", text)


@app.command("uninstall")
def uninstall(program: Program, for_user: ForUser = False, as_json: option.Json = False) -> None:
    """Remove exactly what `team hook install` wrote."""
    from ....mail import render
    from ...api import hook as api

    removed = api.uninstall(program, Path.cwd(), for_user=for_user)
    if as_json:
        render.document(removed.document())
    else:
        output.say(f"{'removed it from' if removed.changed else 'there is none in'} {removed.path}")


@app.command("status")
def status(as_json: option.Json = False) -> None:
    """List the hooks of agents: in this checkout and in your home, whether they are installed, and for whom."""
    from ....mail import render
    from ...api import hook as api

    hooks = api.states(Path.cwd())
    if as_json:
        render.document(hooks.document())
        return
    rows = [
        (state.agent, state.problem or ("installed" if state.installed else "-"), state.persona, str(state.file))
        for state in hooks.states
    ]
    render.table(("agent", "hooks", "persona", "file"), rows)


@app.command("show")
def show(agent: Agent, event: Event, persona: Whose = "") -> None:
    """Show a session its unread mail, and mark it read: what the hooks of agents call.

    It prints nothing without mail, and nothing within a run; it always ends with exit code 0.
    """
    from ...hooks.show import main

    del agent, event, persona  # they are read from the command line, without Typer
    main()
