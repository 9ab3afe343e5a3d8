"""The command `team join`."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from ....mail.commands import output
from ..common.printing import note

if TYPE_CHECKING:
    from ....mail.message import Message

Persona = Annotated[str, typer.Option("--persona", "-p", help="Who you are on the team: a persona, or its human.")]
Shell = Annotated[bool, typer.Option("--shell", help='Print what makes a shell join: eval "$(team join ... --shell)".')]

app = typer.Typer()


@app.command()
def join(persona: Persona, shell: Shell = False) -> None:
    """Join the team as a persona: see its mail as it comes, marked as read, until you leave with Ctrl-C.

    With --shell, the agents that you start in a shell get the mail instead, if they have hooks (team hook install).
    """
    from ....mail import render
    from ....mail.open import open_mailbox, team_home
    from ... import session
    from ...hooks import join as hooks

    home = team_home()
    mailbox = open_mailbox(home)
    if shell:
        for line in hooks.shell_lines(mailbox, home, persona):
            output.say(line)
        return
    stop = Event()

    def show(message: Message) -> None:
        render.whole(message)
        output.say("")
        sys.stdout.flush()

    with session.ending(stop.set):
        note("team", f"you are {persona}; Ctrl-C leaves")
        hooks.follow(mailbox, Path(home), persona, show, stop)
