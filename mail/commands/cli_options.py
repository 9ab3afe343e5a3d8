"""The options that several commands of `team-mail` share, with their help and completion."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import TeamMailError
from . import output


def personas(incomplete: str) -> list[str]:
    """Complete the name of a persona; without a team there are none."""
    from ..open import open_mailbox

    with suppress(TeamMailError):
        mailbox = open_mailbox()
        names = mailbox.directory.names or mailbox.people()
        return sorted(name for name in names if name.startswith(incomplete))
    return []


def tags(context: typer.Context, incomplete: str) -> list[str]:
    """Complete one of the persona's tags; without a persona there are none."""
    from .caller import own_mailbox

    with suppress(TeamMailError):
        own, mailbox = own_mailbox(context.params.get("persona"))
        return [row["tag"] for row in mailbox.tags(own) if row["tag"].startswith(incomplete)]
    return []


def channels(incomplete: str) -> list[str]:
    """Complete the name of a channel; without a team there are none."""
    from ..open import open_mailbox

    with suppress(TeamMailError):
        return sorted(name for name in open_mailbox().directory.channels if name.startswith(incomplete))
    return []


def version_of(command: str) -> Any:
    """Return the option `--version` of a command."""

    def show(wanted: bool) -> None:
        if wanted:
            from importlib.metadata import version

            output.say(f"{command} {version('team-mail')}")
            raise typer.Exit

    return typer.Option("--version", callback=show, is_eager=True, help="Show the version and exit.")


Persona = Annotated[
    str | None,
    typer.Option("--persona", "-p", help="The persona; default TEAM_PERSONA.", autocompletion=personas),
]
Sender = Annotated[
    str | None, typer.Option("--from", "-f", help="The sender; default TEAM_PERSONA.", autocompletion=personas)
]
To = Annotated[
    list[str],
    typer.Option(
        "--to",
        help="A persona, @all, @group or @channel; may be repeated or use commas.",
        autocompletion=personas,
    ),
]
Cc = Annotated[list[str], typer.Option("--cc", help="Who gets a copy; as --to.", autocompletion=personas)]
Subject = Annotated[str, typer.Option("--subject", "-s", help="The subject, one line.")]
Body = Annotated[str | None, typer.Option("--body", "-b", help="The text; - reads standard input.")]
BodyFile = Annotated[Path | None, typer.Option("--body-file", help="A file with the text.")]
Attach = Annotated[list[Path], typer.Option("--attach", "-a", help="A file to attach; may be repeated.")]
Kind = Annotated[str, typer.Option("--type", "-t", help="note, fyi, task, result, review, question, …")]
Payload = Annotated[str | None, typer.Option("--payload", help="JSON for programs, or @FILE.")]
Priority = Annotated[str, typer.Option("--priority", help="low, normal, high or urgent.")]
Due = Annotated[str | None, typer.Option("--due", help="When an answer is due: a time, a date, or +2h.")]
Key = Annotated[str | None, typer.Option("--key", help="Sends with the same key send one message.")]
Name = Annotated[str, typer.Argument(help="A message: its number, its id or the beginning of its id.")]
Names = Annotated[list[str], typer.Argument(help="Messages: numbers, ids or beginnings of ids.")]
Limit = Annotated[int, typer.Option("--limit", "-l", min=1, max=1 << 52, help="The maximum number.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Tag = Annotated[str, typer.Argument(help="The tag.", autocompletion=tags)]
Whose = Annotated[
    str | None, typer.Option("--persona", "-p", help="Only this persona's mail.", autocompletion=personas)
]
