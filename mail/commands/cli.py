"""The command `team-mail`. Nothing may depend on this module: each command parses, calls one thing, and renders.

Exit codes: 0 done; 1 failed; 2 usage; 3 unread mail (`check`, `inbox --exit-code`); 5 log damaged; 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ..errors import NoTeam
from . import cli_log, cli_marks, output
from . import cli_options as option

UNREAD = 3

app = typer.Typer(
    name="team-mail",
    help="Mail for teams of AI coding agents: a log that cannot lose a message, an inbox that answers at once.",
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
    """Mail for teams of AI coding agents: a log that cannot lose a message, an inbox that answers at once."""
    del version


def _acknowledged(event: Any, letter: Any, as_json: bool) -> None:
    if letter.key and (event.subject, event.body) != (letter.subject, letter.body[: len(event.body)]):
        typer.echo(f"team-mail: the key was used before: message {event.seq} stands, this one was not sent", err=True)
    if as_json:
        from .. import render

        render.document({"id": event.id, "seq": event.seq})
    else:
        typer.echo(f"sent {event.seq} to {', '.join(event.recipients)}")


@app.command()
def send(
    to: option.To,
    subject: option.Subject = "",
    body: option.Body = None,
    sender: option.Sender = None,
    attach: option.Attach = [],  # noqa: B006 - typer reads the default, nobody changes it
    cc: option.Cc = [],  # noqa: B006
    body_file: option.BodyFile = None,
    kind: option.Kind = "note",
    payload: option.Payload = None,
    priority: option.Priority = "normal",
    due: option.Due = None,
    thread: Annotated[str | None, typer.Option("--thread", help="A message whose thread to send in.")] = None,
    key: option.Key = None,
    as_json: option.Json = False,
) -> None:
    """Send a message. The first one makes the team's .team folder.

    The text comes from --body, --body-file, a pipe or your editor. Without --from and TEAM_PERSONA you are the human.
    """
    from . import caller

    text = caller.body(body, body_file)
    mailbox = caller.open_mailbox(create=True)
    own = caller.identity_or_human(sender, mailbox.directory)
    letter = caller.letter(
        mailbox, own, to, cc, subject=subject, body=text, attachments=attach, type=kind, payload=payload,
        priority=priority, due=due, thread=thread and mailbox.thread_of(thread), key=key,
    )  # fmt: skip
    with caller.settled():
        event = mailbox.send(letter)
    _acknowledged(event, letter, as_json)


@app.command()
def inbox(
    persona: option.Persona = None,
    unread: Annotated[bool, typer.Option("--unread", "-u", help="Only what is not read yet.")] = False,
    limit: option.Limit = 50,
    archived: Annotated[bool, typer.Option("--archived", help="The archived mail instead.")] = False,
    trashed: Annotated[bool, typer.Option("--trashed", help="The trashed mail instead.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Archived and trashed mail too.")] = False,
    tag: Annotated[str | None, typer.Option("--tag", help="Only with this tag.", autocompletion=option.tags)] = None,
    kind: Annotated[str | None, typer.Option("--type", "-t", help="Only of this type.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Only from this sender.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As it was at a message number or a time.")] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if any of it is unread.")] = False,
    as_json: option.Json = False,
) -> None:
    """List a persona's mail, newest first."""
    from .. import render
    from ..clock import ALL, moment
    from . import caller

    seq, time = moment(as_of) if as_of else (ALL, None)
    state = "all" if everything else "trashed" if trashed else "archived" if archived else "inbox"
    own, mailbox = caller.own_mailbox(persona)
    found = mailbox.inbox(
        own, unread=unread, state=state, tag=tag, type=kind, sender=sender and sender.removesuffix("@team"),
        as_of_seq=seq, as_of=time, limit=limit + 1,
    )  # fmt: skip
    if len(found) > limit:
        typer.echo(f"team-mail: only the newest {limit} are shown; --limit shows more", err=True)
        del found[limit:]
    if as_json:
        render.document([message.listed() for message in found])
    else:
        render.messages(found, f"no mail for {own}")
    if exit_code and any(not message.read for message in found):
        raise typer.Exit(UNREAD)


@app.command()
def read(
    name: option.Name,
    persona: option.Persona = None,
    peek: Annotated[bool, typer.Option("--peek", help="Look without marking it read.")] = False,
    as_json: option.Json = False,
) -> None:
    """Show one message whole and mark it read."""
    from .. import render
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    message = mailbox.read(own, name, peek=peek, run=caller.run_id())
    if as_json:
        render.document(message.whole())
    else:
        render.whole(message, mailbox.blobs)


@app.command()
def reply(
    name: option.Name,
    body: option.Body = None,
    subject: option.Subject = "",
    persona: option.Persona = None,
    everybody: Annotated[bool, typer.Option("--all", help="To everybody the message went to.")] = False,
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
    from . import caller

    text, mailbox = caller.body(body, body_file), caller.open_mailbox()
    letter = caller.letter(
        mailbox, caller.identity(persona), to, cc, subject=subject, body=text, attachments=attach, type=kind,
        payload=payload, priority=priority, due=due, key=key,
    )  # fmt: skip
    _acknowledged(mailbox.reply(letter, name, everybody=everybody), letter._replace(key=None), as_json)


@app.command()
def thread(name: option.Name, persona: option.Persona = None, as_json: option.Json = False) -> None:
    """Show the whole thread of a message, oldest first; nothing is marked."""
    from .. import render
    from . import caller

    mailbox = caller.open_mailbox()
    found = mailbox.thread(name, caller.identity_or_none(persona))
    if as_json:
        render.document([message.whole() for message in found])
    else:
        render.thread(found, mailbox.blobs)


@app.command()
def sent(persona: option.Persona = None, limit: option.Limit = 50, as_json: option.Json = False) -> None:
    """List what a persona sent, and how far it got with each recipient: sent, read, acked, answered or bounced."""
    from .. import render
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    found = mailbox.sent(own, limit=limit)
    if as_json:
        render.document([receipt.message.listed() | {"states": receipt.states} for receipt in found])
        return
    rows = [
        (r.message.seq, ", ".join(f"{name}: {state}" for name, state in r.states.items()), r.message.subject)
        for r in found
    ]
    render.table(("no", "to", "subject"), rows)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="Words to look for in subject and body.")],
    persona: option.Whose = None,
    limit: option.Limit = 20,
    as_json: option.Json = False,
) -> None:
    """Find messages by their words, the best first."""
    from .. import render
    from . import caller

    reader, mailbox = caller.identity_or_none(persona), caller.open_mailbox()
    found = mailbox.search(" ".join(words), persona=persona, reader=reader, limit=limit)
    if as_json:
        render.document([message.listed() for message in found])
    else:
        render.messages(found, "nothing found")


@app.command()
def check(
    persona: option.Persona = None,
    budget: Annotated[int, typer.Option("--budget", min=1, help="At most so many characters.")] = 400,
    as_json: option.Json = False,
) -> None:
    """For shell prompts and agent hooks: say nothing and exit 0, or tell of unread mail and exit 3."""
    from .. import render
    from . import caller

    try:
        own, mailbox = caller.own_mailbox(persona)
    except NoTeam:
        return
    found = mailbox.inbox(own, unread=True)
    if as_json:
        render.document([message.listed() for message in found])
    elif found:
        typer.echo(render.digest(found, budget))
    if found:
        raise typer.Exit(UNREAD)


@app.command()
def watch(
    persona: option.Persona = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first message.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
) -> None:
    """Show new mail as it comes, until interrupted."""
    from .. import render
    from . import caller

    own, mailbox = caller.own_mailbox(persona)
    for message in mailbox.watch(own):
        if as_json:
            render.json_line(message.whole())
        else:
            typer.echo(render.listing(message))
            sys.stdout.flush()
        if once:
            return


app.registered_commands += cli_marks.app.registered_commands + cli_log.app.registered_commands
app.add_typer(cli_marks.tags, name="tag")


def command() -> Any:
    """Return the whole tree of commands, for the manual and for tests."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; say in one line on stderr what could not be done."""
    output.run("team-mail", app)
