"""The command `team-mail`. Nothing may depend on this module: each command parses, calls one thing, and renders.

Exit codes: 0 done; 1 failed; 2 usage; 3 unread mail (`check`, `inbox --exit-code`); 5 log damaged; 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import NoTeam, TeamMailError, UsageError

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
tags = typer.Typer(help="Put tags of your own on messages.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tags, name="tag")


def _personas(incomplete: str) -> list[str]:
    from .caller import open_mailbox

    mailbox = open_mailbox()
    names = mailbox.directory.names or mailbox.people()
    return sorted(name for name in names if name.startswith(incomplete))


def _tags(incomplete: str) -> list[str]:
    from .caller import identity, open_mailbox

    return [row["tag"] for row in open_mailbox().tags(identity(None)) if row["tag"].startswith(incomplete)]


Persona = Annotated[
    str | None,
    typer.Option("--persona", "-p", help="Whose mail; default TEAM_PERSONA.", autocompletion=_personas),
]
Sender = Annotated[
    str | None, typer.Option("--from", "-f", help="Who sends; default TEAM_PERSONA.", autocompletion=_personas)
]
To = Annotated[
    list[str],
    typer.Option("--to", help="A persona, @all or @group; repeat it or use commas.", autocompletion=_personas),
]
Cc = Annotated[list[str], typer.Option("--cc", help="Who gets a copy; as --to.", autocompletion=_personas)]
Subject = Annotated[str, typer.Option("--subject", "-s", help="One line on what it is about.")]
Body = Annotated[str | None, typer.Option("--body", "-b", help="The text; - reads standard input.")]
BodyFile = Annotated[Path | None, typer.Option("--body-file", help="A file with the text.")]
Attach = Annotated[list[Path], typer.Option("--attach", "-a", help="A file to attach; may be repeated.")]
Kind = Annotated[str, typer.Option("--type", "-t", help="note, task, result, review, question, veto, …")]
Payload = Annotated[str | None, typer.Option("--payload", help="JSON for programs, or @FILE.")]
Priority = Annotated[str, typer.Option("--priority", help="low, normal, high or urgent.")]
Due = Annotated[str | None, typer.Option("--due", help="When an answer is due: a time, a date, or +2h.")]
Key = Annotated[str | None, typer.Option("--key", help="Repeating a send with the same key sends once.")]
Name = Annotated[str, typer.Argument(help="A message: its number, its id or the beginning of its id.")]
Names = Annotated[list[str], typer.Argument(help="Messages: numbers, ids or beginnings of ids.")]
Limit = Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Tag = Annotated[str, typer.Argument(help="The tag.", autocompletion=_tags)]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"team-mail {version('team-mail')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Mail for teams of AI coding agents: a log that cannot lose a message, an inbox that answers at once."""
    del version


def _acknowledged(event: Any, as_json: bool) -> None:
    if as_json:
        from . import render

        render.document({"id": event.id, "seq": event.seq})
    else:
        typer.echo(f"sent {event.seq} to {', '.join(event.recipients)}")


def _payload(text: str | None) -> Any:
    from .event import strict_json

    if text is not None and text.startswith("@"):
        try:
            text = Path(text[1:]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {text[1:]}: {error}") from None
    return None if text is None else strict_json(text)


def _letter(mailbox: Any, sender: str, to: list[str], cc: list[str], **told: Any) -> Any:
    from .caller import run_id
    from .clock import SystemClock
    from .letter import Letter, due_date

    due = told.pop("due")
    told["due"] = due_date(due, SystemClock().now()) if due else None
    told["payload"] = _payload(told["payload"])
    split = [[name for names in addresses for name in names.split(",")] for addresses in (to, cc)]
    return Letter(mailbox.directory.checked(sender), split[0], cc=split[1], run=run_id(), **told)


@app.command()
def send(
    to: To,
    subject: Subject = "",
    body: Body = None,
    sender: Sender = None,
    attach: Attach = [],  # noqa: B006 - typer reads the default, nobody changes it
    cc: Cc = [],  # noqa: B006
    body_file: BodyFile = None,
    kind: Kind = "note",
    payload: Payload = None,
    priority: Priority = "normal",
    due: Due = None,
    thread: Annotated[str | None, typer.Option("--thread", help="The id of a thread to send in.")] = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Send a message. The first one makes the team's .team folder.

    The text comes from --body, --body-file, a pipe or your editor. Without --from and TEAM_PERSONA you are the human
    of team.toml, "you".
    """
    from . import caller

    text = caller.body(body, body_file)
    mailbox = caller.open_mailbox(create=True)
    own = caller.identity_or_human(sender, mailbox.directory)
    letter = _letter(
        mailbox, own, to, cc, subject=subject, body=text, attachments=attach, type=kind, payload=payload,
        priority=priority, due=due, thread=thread, key=key,
    )  # fmt: skip
    _acknowledged(mailbox.send(letter), as_json)


@app.command()
def inbox(
    persona: Persona = None,
    unread: Annotated[bool, typer.Option("--unread", "-u", help="Only what is not read yet.")] = False,
    limit: Limit = 50,
    archived: Annotated[bool, typer.Option("--archived", help="The archived mail instead.")] = False,
    trashed: Annotated[bool, typer.Option("--trashed", help="The trashed mail instead.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Archived and trashed mail too.")] = False,
    tag: Annotated[str | None, typer.Option("--tag", help="Only with this tag.", autocompletion=_tags)] = None,
    kind: Annotated[str | None, typer.Option("--type", "-t", help="Only of this type.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Only from this sender.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As it was at a message number or a time.")] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if any of it is unread.")] = False,
    as_json: Json = False,
) -> None:
    """List a persona's mail, newest first."""
    from . import caller, render
    from .mailbox import ALL, moment

    seq, time = moment(as_of) if as_of else (ALL, None)
    state = "all" if everything else "trashed" if trashed else "archived" if archived else "inbox"
    own = caller.identity(persona)
    found = caller.open_mailbox().inbox(
        own, unread=unread, state=state, tag=tag, type=kind, sender=sender, as_of_seq=seq, as_of=time, limit=limit
    )
    if as_json:
        render.document([message.listed() for message in found])
    else:
        render.messages(found, f"no mail for {own}")
    if exit_code and any(not message.read for message in found):
        raise typer.Exit(UNREAD)


@app.command()
def read(
    name: Name,
    persona: Persona = None,
    peek: Annotated[bool, typer.Option("--peek", help="Look without marking it read.")] = False,
    as_json: Json = False,
) -> None:
    """Show one message whole and mark it read."""
    from . import caller, render

    mailbox = caller.open_mailbox()
    message = mailbox.read(caller.identity(persona), name, peek=peek, run=caller.run_id())
    if as_json:
        render.document(message.whole())
    else:
        render.whole(message, mailbox.blobs)


@app.command()
def reply(
    name: Name,
    body: Body = None,
    subject: Subject = "",
    persona: Persona = None,
    everybody: Annotated[bool, typer.Option("--all", help="To everybody the message went to.")] = False,
    to: To = [],  # noqa: B006
    attach: Attach = [],  # noqa: B006
    cc: Cc = [],  # noqa: B006
    body_file: BodyFile = None,
    kind: Kind = "note",
    payload: Payload = None,
    priority: Priority = "normal",
    due: Due = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Answer a message in its thread, and mark it read."""
    from . import caller

    text, mailbox = caller.body(body, body_file), caller.open_mailbox()
    letter = _letter(
        mailbox, caller.identity(persona), to, cc, subject=subject, body=text, attachments=attach, type=kind,
        payload=payload, priority=priority, due=due, key=key,
    )  # fmt: skip
    _acknowledged(mailbox.reply(letter, name, everybody=everybody), as_json)


@app.command()
def thread(name: Name, persona: Persona = None, as_json: Json = False) -> None:
    """Show the whole thread of a message, oldest first; nothing is marked."""
    from . import caller, render

    mailbox = caller.open_mailbox()
    found = mailbox.thread(name, caller.identity_or_none(persona))
    if as_json:
        render.document([message.whole() for message in found])
        return
    for message in found:
        render.whole(message, mailbox.blobs)
        typer.echo()


@app.command()
def sent(persona: Persona = None, limit: Limit = 50, as_json: Json = False) -> None:
    """List what a persona sent, and how far it got with each recipient: sent, read, acked, answered or bounced."""
    from . import caller, render

    found = caller.open_mailbox().sent(caller.identity(persona), limit=limit)
    if as_json:
        render.document([receipt.message.listed() | {"states": receipt.states} for receipt in found])
        return
    rows = [
        (r.message.seq, ", ".join(f"{name}: {state}" for name, state in r.states.items()), r.message.subject)
        for r in found
    ]
    render.table(("no", "to", "subject"), rows)


def _marking(command: str, verb: str, text: str) -> None:
    def mark(names: Names, persona: Persona = None, as_json: Json = False) -> None:
        from . import caller, render

        found = caller.open_mailbox().mark(caller.identity(persona), verb, names, caller.run_id())
        if as_json:
            render.document([message.listed() for message in found])
        else:
            typer.echo(f"{verb} {', '.join(str(message.seq) for message in found)}")

    app.command(command, help=text)(mark)


_marking("ack", "acked", "Acknowledge messages: their senders see that you took them on.")
_marking("unread", "unread", "Mark messages unread again.")
_marking("archive", "archived", "Put messages out of the inbox; unread stays unread.")
_marking("unarchive", "unarchived", "Bring archived messages back to the inbox.")
_marking("trash", "trashed", "Put messages into the trash; nothing is ever deleted.")
_marking("restore", "restored", "Take messages out of the trash.")


@tags.command("add")
def tag_add(name: Name, tag: Tag, persona: Persona = None, as_json: Json = False) -> None:
    """Put a tag on a message."""
    _tagged(name, tag, persona, as_json, remove=False)


@tags.command("rm")
def tag_rm(name: Name, tag: Tag, persona: Persona = None, as_json: Json = False) -> None:
    """Take a tag off a message."""
    _tagged(name, tag, persona, as_json, remove=True)


@tags.command("ls")
def tag_ls(
    name: Annotated[str | None, typer.Argument(help="A message; without one, all your tags.")] = None,
    persona: Persona = None,
    as_json: Json = False,
) -> None:
    """List the tags of a message, or all tags with the number of messages that bear them."""
    from . import caller, render

    own, mailbox = caller.identity(persona), caller.open_mailbox()
    rows = mailbox.tags(own) if name is None else [{"tag": t} for t in mailbox.read(own, name, peek=True).tags]
    if as_json:
        render.document(rows if name is None else [row["tag"] for row in rows])
    else:
        render.table(("tag", "messages"), [tuple(row.values()) for row in rows])


def _tagged(name: str, tag: str, persona: str | None, as_json: bool, *, remove: bool) -> None:
    from . import caller, render

    own = caller.identity(persona)
    message = caller.open_mailbox().tag(own, name, tag, remove=remove, run=caller.run_id())
    if as_json:
        render.document(message.listed())
    else:
        typer.echo(f"{message.seq}: {', '.join(message.tags) or 'no tags'}")


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="Words to look for in subject and body.")],
    persona: Annotated[
        str | None, typer.Option("--persona", "-p", help="Only this one's mail.", autocompletion=_personas)
    ] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """Find messages by their words, the best first."""
    from . import caller, render

    found = caller.open_mailbox().search(" ".join(words), persona=persona, limit=limit)
    if as_json:
        render.document([message.listed() for message in found])
    else:
        render.messages(found, "nothing found")


@app.command()
def check(
    persona: Persona = None,
    budget: Annotated[int, typer.Option("--budget", min=1, help="At most so many characters.")] = 400,
    as_json: Json = False,
) -> None:
    """For shell prompts and agent hooks: say nothing and exit 0, or tell of unread mail and exit 3."""
    from . import caller, render

    try:
        mailbox = caller.open_mailbox()
    except NoTeam:
        return
    found = mailbox.inbox(caller.identity(persona), unread=True)
    if as_json:
        render.document([message.listed() for message in found])
    elif found:
        typer.echo(render.digest(found, budget))
    if found:
        raise typer.Exit(UNREAD)


@app.command()
def watch(
    persona: Persona = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after the first message.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
) -> None:
    """Show new mail as it comes, until interrupted."""
    from . import caller, render

    own, mailbox = caller.identity(persona), caller.open_mailbox()
    for message in mailbox.watch(own):
        if as_json:
            render.json_line(message.whole())
        else:
            typer.echo(render.listing(message))
            sys.stdout.flush()
        if once:
            return


@app.command()
def log(
    after: Annotated[int, typer.Option("--after", help="Only events behind this number.")] = 0,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind, as in mail.sent or run.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as events come.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=1, help="Only the last so many.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list; with --follow a document a line.")] = False,
) -> None:
    """Show the log's events; those that do not verify are skipped and counted on stderr."""
    from . import caller, render

    render.log(caller.event_log(), after, kind, limit, follow=follow, as_json=as_json)


@app.command()
def stats(as_json: Json = False) -> None:
    """Count events by kind, each persona's mail, and what is overdue."""
    from . import caller, render

    mailbox = caller.open_mailbox()
    found = {"kinds": mailbox.stats(), "personas": mailbox.counts(), "overdue": mailbox.overdue()}
    if as_json:
        render.document(found)
        return
    for name, rows in found.items():
        if rows:
            typer.echo(f"{name}:")
            render.table(list(rows[0]), [tuple(row.values()) for row in rows])


@app.command()
def bounce(as_json: Json = False) -> None:
    """Return unread mail of personas that left the team to its senders."""
    from . import caller, render

    events = caller.open_mailbox().bounce()
    if as_json:
        render.document([{"id": e.id, "seq": e.seq, "ref": e.ref, "recipient": e.data["recipient"]} for e in events])
    else:
        typer.echo(f"{len(events)} returned")


@app.command()
def verify(as_json: Json = False) -> None:
    """Check every hash, link, number and checksum of the log. Exit 5, naming each place, if one does not hold."""
    from . import caller, render

    found = caller.event_log().verify()
    render.inspection(found, as_json=as_json)
    if found.corrupt:
        raise typer.Exit(5)


@app.command()
def repair(as_json: Json = False) -> None:
    """Mend a damaged log: keep every line that verifies, put gaps on record, keep a copy of what was."""
    from . import caller, render

    done = caller.event_log().repair()
    copies = [str(path) for path in done.copies]
    if as_json:
        render.document({"events": done.events, "gaps": [list(gap) for gap in done.gaps], "copies": copies})
    elif copies:
        typer.echo(f"{done.events} events kept, {len(done.gaps)} gaps on record; the old files: {', '.join(copies)}")
    else:
        typer.echo(f"nothing to repair: {done.events} events hold")


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A .tar.gz file or a folder, which must not exist yet.")],
    restore_it: Annotated[
        bool, typer.Option("--restore", help="The other way: bring the team's mail back from it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy log and attachments while the team goes on writing; with --restore bring them back into an empty team."""
    from . import caller, render
    from .backup import backup as write, restore as bring_back

    if restore_it:
        told: dict[str, Any] = {"events": bring_back(target, caller.home(create=True) / "mail")}
        text = f"{told['events']} events restored from {target}"
    else:
        mailbox = caller.open_mailbox()
        done = write(caller.event_log(), mailbox.blobs, target)
        told = {"path": str(done.path), "head": done.head, "files": done.files, "bytes": done.bytes}
        text = f"{done.head} events, {done.files} files, {done.bytes} bytes in {done.path}"
    if as_json:
        render.document(told)
    else:
        typer.echo(text)


@app.command()
def export(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="mbox, eml or jsonl.")],
    target: Annotated[Path, typer.Argument(help="A file; for eml a folder. It must not exist yet.")],
    persona: Annotated[
        str | None, typer.Option("--persona", "-p", help="Only what this one got or sent.", autocompletion=_personas)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the mail for other programs: mbox and eml for mail readers, JSON lines with whole bodies."""
    from . import caller, render

    mailbox = caller.open_mailbox()
    count = mailbox.export(form, target, persona)
    if as_json:
        render.document({"path": str(target), "messages": count})
    else:
        typer.echo(f"{count} messages in {target}")


@app.command()
def query(
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT over the view `events`.")],
    as_json: Json = False,
) -> None:
    """Ask the log in SQL (DuckDB's), read-only; docs/log.md names the columns of `events`."""
    from . import caller, render
    from .query import select

    columns, rows = select(caller.event_log(), statement)
    if as_json:
        render.document([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        render.table(columns, rows)


def main() -> None:
    """Run the command; say in one line on stderr what could not be done."""
    _leave_only(sys.argv[1:2])
    try:
        app()
    except TeamMailError as error:
        from .render import clean

        print(f"team-mail: {clean(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def _leave_only(asked: list[str]) -> None:
    """Build no command but the one asked for: two dozen parsers are a fifth of a cold start."""
    found = [c for c in app.registered_commands if [c.name or getattr(c.callback, "__name__", "")] == asked]
    if found:
        app.registered_commands, app.registered_groups = found, []
