"""The commands of `team-mail` that put marks and tags on messages."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import cli_options as option
from . import output

app = typer.Typer()
tags = typer.Typer(help="Add your own tags to messages.", no_args_is_help=True, rich_markup_mode=None)


def _marking(command: str, verb: str, text: str) -> None:
    def mark(names: option.Names, persona: option.Persona = None, as_json: option.Json = False) -> None:
        from .. import render
        from ..process import run_id
        from . import caller

        own, mailbox = caller.own_mailbox(persona)
        messages = mailbox.mark(own, verb, names, run_id())
        listed: list[dict[str, Any]] = []
        for message in messages:
            mark, words = caller.first_mark(mailbox, own, verb, message)
            output.tell(words)
            listed.append(message.listed() | ({"marked_by": mark} if mark else {}))
        if as_json:
            render.document(listed)
        else:
            output.say(f"{verb} {', '.join(str(message.seq) for message in messages)}")

    app.command(command, help=text)(mark)


_marking("ack", "acked", "Acknowledge messages: their senders see that you accepted them.")
_marking("unread", "unread", "Mark messages unread again.")
_marking("archive", "archived", "Move messages from the inbox to the archive; unread stays unread.")
_marking("unarchive", "unarchived", "Move archived messages back to the inbox.")
_marking("trash", "trashed", "Move messages to the trash; nothing is ever deleted.")
_marking("restore", "restored", "Move messages out of the trash.")


@tags.command("add")
def tag_add(name: option.Name, tag: option.Tag, persona: option.Persona = None, as_json: option.Json = False) -> None:
    """Add a tag to a message."""
    _tagged(name, tag, persona, as_json, remove=False)


@tags.command("rm")
def tag_rm(name: option.Name, tag: option.Tag, persona: option.Persona = None, as_json: option.Json = False) -> None:
    """Remove a tag from a message."""
    _tagged(name, tag, persona, as_json, remove=True)


@tags.command("ls")
def tag_ls(
    name: Annotated[str | None, typer.Argument(help="A message; by default all your tags are listed.")] = None,
    persona: option.Persona = None,
    as_json: option.Json = False,
) -> None:
    """List the tags of a message, or all your tags with their number of messages."""
    from .. import render
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    rows = mailbox.tags(own) if name is None else [{"tag": t} for t in mailbox.read(own, name, peek=True).tags]
    if as_json:
        render.document(rows if name is None else [row["tag"] for row in rows])
    else:
        render.table(("tag", "messages"), [tuple(row.values()) for row in rows])


def _tagged(name: str, tag: str, persona: str | None, as_json: bool, *, remove: bool) -> None:
    from .. import render
    from ..process import run_id
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    message = mailbox.tag(own, name, tag, remove=remove, run=run_id())
    if as_json:
        render.document(message.listed())
    else:
        output.say(f"{message.seq}: {', '.join(message.tags) or 'no tags'}")
