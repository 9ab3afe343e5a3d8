"""The commands `team console` and `team console token`."""

from __future__ import annotations

import os
import sys
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...mail.commands import output
from ...mail.errors import UsageError
from .common import options as option
from .common.printing import note

if TYPE_CHECKING:
    from ..console.common.console import Console

Port = Annotated[int, typer.Option("--port", help="The port to listen on; 0 for any that is free.", min=0, max=65535)]
Host = Annotated[str, typer.Option("--host", help="The address to listen on; by default only this machine reaches it.")]
Open = Annotated[bool, typer.Option("--open", help="Open it in the browser, too.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")]
Tls = Annotated[
    tuple[str, str] | None, typer.Option("--tls", help="Speak HTTPS, with these PEM files.", metavar="CERT KEY")
]
Qr = Annotated[
    bool | None,
    typer.Option("--qr/--no-qr", help="Show the address as a QR code, too; by default if --host is not this machine."),
]
Name = Annotated[str, typer.Argument(help="The name of the token: who uses it.")]

app = typer.Typer(name="console", no_args_is_help=False)
tokens = typer.Typer(name="token", no_args_is_help=True, help="Tokens by which programs ask the console.")
app.add_typer(tokens)


@app.callback(invoke_without_command=True)
def console(
    context: typer.Context,
    port: Port = 8420,
    host: Host = "127.0.0.1",
    open_browser: Open = False,
    read_only: ReadOnly = False,
    tls: Tls = None,
    qr: Qr = None,
) -> None:
    """Serve the web console: ask many personas at once, watch and steer the team, until you end it.

    It prints an address that logs you in once. Needs the extra `console`: pip install 'team-mail[console]'.
    """
    if context.invoked_subcommand:
        return
    try:
        from ..console.server import serve
    except ModuleNotFoundError as error:
        raise UsageError(f"the console needs {error.name}: pip install 'team-mail[console]'") from None
    from .. import session
    from ..console.common.console import Console, ConsoleOptions
    from ..console.common.terminal import serving

    options = ConsoleOptions(host, port, read_only, tls, qr)

    def ready(address: str) -> None:
        for text in serving(options, address):
            output.say(text)
        if open_browser:
            typer.launch(address)

    served = Console(session.reading_context, options, session.context)
    if sys.stdin and sys.stdin.isatty():
        Thread(target=_print_more, args=[served], daemon=True).start()
    serve(served, ready)


def _print_more(console: Console) -> None:
    """Print another address whenever somebody presses Enter."""
    from ..console.common.address import login_address

    while os.read(0, 1024):  # not by sys.stdin, whose lock the end of the program would wait for
        output.say(login_address(console, console.logins.new_key()))


@tokens.command("create")
def create(
    name: Name,
    scope: Annotated[
        str, typer.Option("--scope", help="What it is for, with commas between: chat, commands, mail, read.")
    ],
    sender: Annotated[
        str | None, typer.Option("--sender", help="In whose name it acts; by default the human's.")
    ] = None,
    as_json: option.Json = False,
) -> None:
    """Make a token for a program, and print it once. No token may approve, land, deploy or stop anything."""
    from ...mail import render
    from ...mail.directory import no_program
    from ...mail.open import open_mailbox, team_home
    from ..console.access.tokens import Tokens

    directory = open_mailbox().directory
    own = no_program(directory.checked(sender)) if sender else directory.human
    text = Tokens(team_home()).create(name, [each.strip() for each in scope.split(",") if each.strip()], own)
    if as_json:
        render.document({"name": name, "token": text})
    else:
        output.say(text)
        note("team", "nobody can read it later; send it as the header `Authorization: Bearer TOKEN`")


@tokens.command("list")
def all_tokens(as_json: option.Json = False) -> None:
    """List the tokens: what each is for, in whose name it acts, when it was made and last used."""
    from ...mail import render
    from ...mail.open import team_home
    from ..console.access.tokens import Tokens

    every = Tokens(team_home()).all()
    if as_json:
        render.document([token.document() for token in every])
        return
    rows: list[list[Any]] = [
        [token.name, ", ".join(token.scopes), token.sender, token.created, token.used or "never"] for token in every
    ]
    render.table(["name", "for", "acts as", "made", "last used"], rows)


@tokens.command("revoke")
def revoke(name: Name) -> None:
    """End a token: it is refused from now on."""
    from ...mail.open import team_home
    from ..console.access.tokens import Tokens

    Tokens(team_home()).revoke(name)
    output.say(f"revoked {name}")
