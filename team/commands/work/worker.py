"""The command `team worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from ....mail.commands import output
from ....mail.kinds import ExitCode
from ..common import options as option
from ..common.printing import note

Personas = Annotated[
    str, typer.Option("--personas", help="Whose tasks, with commas between; by default those of everybody.")
]
Slots = Annotated[int, typer.Option("--slots", help="How many tasks at once.", min=1, max=64)]
Agents = Annotated[
    str, typer.Option("--agents", help="Whose offered runs, with commas between; by default all that can start here.")
]
Labels = Annotated[str, typer.Option("--labels", help="What this host says of itself, as in gpu,big.")]
Drain = Annotated[bool, typer.Option("--drain", help="End once there is nothing to claim.")]
Lease = Annotated[str, typer.Option("--lease", help="How long a claim lasts; it is renewed in time.")]
Timeout = Annotated[str, typer.Option("--timeout", help="How long each task may take: seconds, or 30m.")]

app = typer.Typer()


@app.command()
def worker(
    personas: Personas = "",
    slots: Slots = 1,
    agents: Agents = "",
    labels: Labels = "",
    drain: Drain = False,
    agent: option.Agent = None,
    timeout: Timeout = "30m",
    lease: Lease = "2m",
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Claim tasks and have their personas play them, each in a clone of its own, until you end it.

    With `[workers] offer = true` in team.toml it takes the runs that the leader offers instead, unless you name
    personas; a first SIGTERM or Ctrl-C lets those that go on come to their ends.

    Exit code 1 if a task failed, 130 if it was ended.
    """
    from ....mail import render
    from ....scheduler.progress import Progress
    from ... import session
    from ...api import worker as api
    from ...show.claims import worked

    def listen(progress: Progress) -> None:
        if not quiet:
            note("team", progress.text)

    names, played, own = map(_listed, (personas, agents, labels))
    request = api.WorkRequest(names, slots, drain, agent, timeout, lease, agents=played, labels=own)
    done = api.work(request, listener=listen, interrupts=session.ending)
    if as_json:
        render.document(done.document())
    else:
        output.say(worked(done))
    if done.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not done.succeeded:
        raise typer.Exit(ExitCode.FAILED)


def _listed(text: str) -> list[str]:
    """Return the names in an option, between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
