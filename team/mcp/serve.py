"""Finds out whose mail is asked for, and serves it."""

from __future__ import annotations

from ...mail.commands.caller import own_mailbox
from ...mail.commands.launcher import own_run_folder
from .run_desk import RunDesk
from .server import make_server
from .team_desk import TeamDesk


def serve_stdio(persona: str | None) -> None:
    """Serve one client over standard input and output, until it closes them.

    Raises NoTeam, NoIdentity, UnknownRecipient, and UsageError for a run that is to act as somebody else.
    """
    if folder := own_run_folder():
        of_run = RunDesk(folder, persona or "")
        make_server(lambda _: of_run).run("stdio")
        return
    name, mailbox = own_mailbox(persona)
    own = TeamDesk(mailbox, name)
    make_server(lambda _: own, own).run("stdio")
