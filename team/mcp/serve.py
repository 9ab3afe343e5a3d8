"""Finds out whose mail is asked for, and serves it."""

from __future__ import annotations

import signal
from collections.abc import Callable

from ...mail.commands.caller import own_mailbox
from ...mail.commands.launcher import own_run_folder
from ...mail.errors import UsageError
from ...mail.open import open_mailbox, team_home
from .run_desk import RunDesk
from .server import make_server
from .team_desk import TeamDesk


def serve_stdio(persona: str | None) -> None:
    """Serve one client over standard input and output, until it closes them.

    Raises NoTeam, NoIdentity, UnknownRecipient, and UsageError for a run that is to act as somebody else.
    """
    _end_at_once()
    if folder := own_run_folder():
        of_run = RunDesk(folder, persona or "")
        make_server(lambda _: of_run).run("stdio")
        return
    name, mailbox = own_mailbox(persona)
    own = TeamDesk(mailbox, name)
    make_server(lambda _: own, own).run("stdio")


def _end_at_once() -> None:
    """Let Ctrl-C, and a client that reads no more, end this process: as exceptions, both would wait for a next line."""
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def serve_http(persona: str | None, port: int, ready: Callable[[str], object]) -> None:
    """Serve whoever has a token over HTTP, until a signal ends it. Raises NoTeam, NotFromRun, UsageError."""
    if persona is not None:
        raise UsageError("--http serves all who have a token, each as its sender; leave --persona out")
    from .http import serve_http as serve

    home = team_home()
    serve(open_mailbox(home), home, port, ready)
