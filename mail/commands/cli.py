"""The command `team-mail`. Each command parses, calls one function of the package, and renders its value.

The exit codes are those of `kinds.ExitCode`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import LogUnavailable, UsageError
from ..kinds import ExitCode
from . import cli_log, cli_marks, daily, output
from . import cli_options as option
from .launcher import become_launcher
from .quick import BUDGET

app = typer.Typer(
    name="team-mail",
    help="Mail for teams of AI coding agents: acknowledged mail is not lost, and an inbox answers at once.",
    epilog="Who you are comes from --persona or TEAM_PERSONA, the team from the nearest .team folder or TEAM_HOME.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    version: Annotated[bool, option.version_of("team-mail")] = False,
) -> None:
    """Mail for teams of AI coding agents: acknowledged mail is not lost, and an inbox answers at once."""
    del version


@app.command()
def send(
    to: option.To,
    subject: option.Subject = "",
    body: option.Body = None,
    sender: option.Sender = None,
    attach: option.Attach = [],  # noqa: B006 - typer reads the default, and no one changes it
    cc: option.Cc = [],  # noqa: B006
    body_file: option.BodyFile = None,
    kind: option.Kind = "note",
    payload: option.Payload = None,
    priority: option.Priority = "normal",
    due: option.Due = None,
    thread: Annotated[str | None, typer.Option("--thread", help="Send as part of this message's thread.")] = None,
    key: option.Key = None,
    session: Annotated[
        str | None, typer.Option("--session", help="The session that it belongs to; default TEAM_SESSION.")
    ] = None,
    as_json: option.Json = False,
) -> None:
    """Send a message. The first one creates the team's .team folder.

    The text comes from --body, --body-file, a pipe or your editor. Without --from and TEAM_PERSONA you are the human.
    """
    daily.send(
        to, subject, body, sender, attach=attach, cc=cc, body_file=body_file, kind=kind, payload=payload,
        priority=priority, due=due, thread=thread, key=key, session=session, as_json=as_json,
    )  # fmt: skip


@app.command()
def inbox(
    persona: option.Persona = None,
    unread: Annotated[bool, typer.Option("--unread", "-u", help="Only unread mail.")] = False,
    limit: option.Limit = daily.SHOWN,
    archived: Annotated[bool, typer.Option("--archived", help="List archived mail instead.")] = False,
    trashed: Annotated[bool, typer.Option("--trashed", help="List trashed mail instead.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Include archived and trashed mail.")] = False,
    tag: Annotated[str | None, typer.Option("--tag", help="Only with this tag.", autocompletion=option.tags)] = None,
    kind: Annotated[str | None, typer.Option("--type", "-t", help="Only of this type.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Only from this sender.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As of a message number or a time.")] = None,
    channel: Annotated[
        str | None,
        typer.Option("--channel", help="All that was said in this channel.", autocompletion=option.channels),
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if any of it is unread.")] = False,
    bodies: Annotated[bool, typer.Option("--bodies", help="With --json, whole messages; none is marked read.")] = False,
    as_json: option.Json = False,
) -> None:
    """List a persona's mail, or what was said in a channel, newest first."""
    _exit(
        daily.inbox(
            persona, unread=unread, limit=limit, archived=archived, trashed=trashed, everything=everything, tag=tag,
            kind=kind, sender=sender, as_of=as_of, channel=channel, exit_code=exit_code, bodies=bodies, as_json=as_json,
        )
    )  # fmt: skip


@app.command()
def read(
    name: option.Name,
    persona: option.Persona = None,
    peek: Annotated[bool, typer.Option("--peek", help="Do not mark it read.")] = False,
    as_json: option.Json = False,
) -> None:
    """Show one whole message and mark it read."""
    from .. import render
    from ..open import open_mailbox
    from ..process import identity_or_none, run_id
    from . import caller

    first = None
    if peek and not identity_or_none(persona):
        message = open_mailbox().peek(name)
    else:
        own, mailbox = caller.own_mailbox(persona)
        message = mailbox.peek(name, own)
        try:
            message = message if peek else mailbox.seen(own, message, run_id())
        except LogUnavailable as error:  # as on a file system that is read-only: the message is there all the same
            output.say(f"team-mail: not marked as read: {error}", err=True)
        if not peek:
            first, words = caller.first_mark(mailbox, own, "read", message)
            output.tell(words)
    if as_json:
        render.document(message.whole() | ({"marked_by": first} if first else {}))
    else:
        render.whole(message)


@app.command()
def attachment(
    message: Annotated[str, typer.Argument(help="A message: its number or id; or the id of a run that it is about.")],
    name: Annotated[str | None, typer.Argument(help="The attachment: its name or its number in the message.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file instead of stdout.")] = None,
    list_only: Annotated[bool, typer.Option("--list", help="List the attachments instead.")] = False,
    persona: option.Persona = None,
    as_json: Annotated[bool, typer.Option("--json", help="List the attachments as one JSON document.")] = False,
) -> None:
    """Write the bytes of an attachment to standard output or to a file.

    A run's id, or the first 8 or more characters of it, means your newest message with attachments about that run.
    """
    from .. import render
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    letter = mailbox.attached(own, message)
    if as_json:
        render.document(list(letter.attachments))
    elif list_only:
        render.attachments(letter)
    else:
        output.write_bytes(mailbox.attachment(letter, name), out)


@app.command()
def reply(
    name: option.Name,
    body: option.Body = None,
    subject: option.Subject = "",
    persona: option.Persona = None,
    everybody: Annotated[bool, typer.Option("--all", help="Send to all recipients of the message, too.")] = False,
    to: option.To = [],  # noqa: B006
    attach: option.Attach = [],  # noqa: B006
    cc: option.Cc = [],  # noqa: B006
    body_file: option.BodyFile = None,
    kind: option.Kind = "note",
    payload: option.Payload = None,
    priority: option.Priority = "normal",
    due: option.Due = None,
    key: option.Key = None,
    as_json: option.Json = False,
) -> None:
    """Answer a message in its thread, and mark it read."""
    from ..open import open_mailbox
    from ..process import identity
    from . import caller

    text, mailbox = caller.body(body, body_file), open_mailbox()
    letter = caller.letter(
        mailbox, identity(persona), to, cc, subject=subject, body=text, attachments=attach, type=kind,
        payload=payload, priority=priority, due=due, key=key,
    )  # fmt: skip
    repeats: list[Any] = []
    event = mailbox.reply(letter, name, repeats, everybody=everybody)
    daily.acknowledge(event, text, repeated=bool(repeats), as_json=as_json)


@app.command()
def thread(name: option.Name, persona: option.Persona = None, as_json: option.Json = False) -> None:
    """Show the whole thread of a message, oldest first; nothing is marked read."""
    from .. import render
    from ..open import open_mailbox
    from ..process import identity_or_none

    messages = open_mailbox().thread(name, identity_or_none(persona))
    if as_json:
        render.document([message.whole() for message in messages])
    else:
        render.thread(messages)


@app.command()
def sent(persona: option.Persona = None, limit: option.Limit = daily.SHOWN, as_json: option.Json = False) -> None:
    """List what a persona sent, with its state for each recipient: sent, read, acked, answered or bounced."""
    from .. import render
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    receipts = mailbox.sent(own, limit=limit)
    if as_json:
        render.document([receipt.message.listed() | {"states": receipt.states} for receipt in receipts])
        return
    rows = [
        (r.message.seq, ", ".join(f"{name}: {state}" for name, state in r.states.items()), r.message.subject)
        for r in receipts
    ]
    render.table(("no", "to", "subject"), rows)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="Words to search for in subject and body.")],
    persona: option.Whose = None,
    limit: option.Limit = 20,
    as_json: option.Json = False,
) -> None:
    """Find messages by their words, best match first."""
    from .. import render
    from ..open import open_mailbox
    from ..process import identity_or_none

    reader = identity_or_none(persona)
    matches = open_mailbox().search(" ".join(words), persona=persona, reader=reader, limit=limit)
    if as_json:
        render.document([message.listed() for message in matches])
    else:
        render.messages(matches, "nothing found")


@app.command()
def check(
    persona: option.Persona = None,
    budget: Annotated[int, typer.Option("--budget", min=1, help="The maximum number of characters.")] = BUDGET,
    as_json: option.Json = False,
) -> None:
    """Summarize unread mail for shell prompts and agent hooks: exit 3 if there is any, else 0 without output."""
    _exit(daily.check(persona, budget, as_json=as_json))


@app.command()
def watch(
    persona: option.Persona = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first message.")] = False,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Begin after this message number.")] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0, help="Stop after so many seconds.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document per line.")] = False,
) -> None:
    """Show new mail as it arrives, until interrupted or until the timeout; with --once, exit 1 if none has come."""
    import threading

    from .. import render
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    stop = threading.Event()
    if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
        raise UsageError(f"--timeout {timeout} is no number of seconds; leave it out to wait for ever")
    if timeout is not None:
        timer = threading.Timer(timeout, stop.set)
        timer.daemon = True
        timer.start()
    for message in mailbox.watch(own, after, stop):
        if as_json:
            render.json_line(message.whole())
        else:
            output.say(render.listing(message))
            sys.stdout.flush()
        if once:
            return
    if once:
        raise typer.Exit(ExitCode.FAILED)


app.registered_commands += cli_marks.app.registered_commands + cli_log.app.registered_commands
app.add_typer(cli_marks.tags, name="tag")


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)


def command() -> Any:
    """Return the tree of commands, for the manual page and for tests."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; an error is one line on stderr and an exit code."""
    output.run_app("team-mail", app, before=become_launcher)
