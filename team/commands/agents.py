"""The commands of `team` about agents: look whether they could work here, and try one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ...mail.errors import UsageError
from ...mail.kinds import ExitCode
from .common import options as option
from .common.printing import ask_to_go_on, has_terminal, note, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..api.agents import Candidate

app = typer.Typer()


@app.command()
def doctor(as_json: option.Json = False) -> None:
    """Look whether a team could work here, without a run: git, agents with version and login, personas, sandbox."""
    from ...mail import render
    from ..api import agents
    from ..home import home_if_any
    from ..show import agents as show

    diagnosis = agents.doctor(home_if_any())
    if as_json:
        render.document(diagnosis.document())
    else:
        say(show.diagnosis(diagnosis))
    if not diagnosis.healthy:
        raise typer.Exit(ExitCode.FAILED)


@app.command("try")
def try_(
    agent: Annotated[
        str | None, typer.Argument(help="One of team.toml, or a known one; by default the team's, or one in PATH.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Try each known agent that is in PATH.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the run, which may cost money.")] = False,
    timeout: Annotated[str, typer.Option("--timeout", help="How long a run may take: seconds, or 5m.")] = "5m",
    as_json: option.Json = False,
) -> None:
    """Make one real run of an agent in a scratch repository: it must write, mail, read, settle a conflict, and end."""
    from ...mail import render
    from .. import session
    from ..api import agents
    from ..home import home_if_any
    from ..show import agents as show

    if agent and every:
        raise UsageError(f"--all tries every agent in PATH; leave out {agent}, or --all")
    seconds, home = _seconds(timeout), home_if_any()
    wanted = agents.candidates(home, agent, every=every)
    if not wanted:
        say(show.installable())
        raise typer.Exit(ExitCode.USAGE)
    if not yes:
        _ask(wanted)

    def listen(name: str) -> None:
        note("team", f"trying {name}, for {timeout} at most")

    done = agents.try_agents(wanted, home, timeout=seconds, listener=listen, interrupts=session.ending)
    if as_json:
        render.document(done.document())
    else:
        for trial in done.trials:
            say(show.trial(trial))
    if not done.works:
        raise typer.Exit(ExitCode.FAILED)


def _ask(wanted: Sequence[Candidate]) -> None:
    """Ask before something may cost money. Raises UsageError where nobody can be asked."""
    names = ", ".join(each.name for each in wanted)
    what = f"one run each of {names}" if len(wanted) > 1 else f"one run of {names}"
    if not has_terminal():
        raise UsageError(f"this starts {what}, which may cost money, and nobody can be asked here; add --yes")
    ask_to_go_on("team", f"This starts {what} in a scratch repository, which may cost money.")


def _seconds(text: str) -> float:
    from ...mail.text.units import seconds

    try:
        given = seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise UsageError(f"--timeout {text!r} {error}") from None
    if not given:
        raise UsageError("--timeout 0 leaves no time for a run")
    return given
