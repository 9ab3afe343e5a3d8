"""The commands of `team-mail` that look after the log itself: show, check, mend, copy and question it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import cli_options as option

app = typer.Typer()


@app.command()
def log(
    after: Annotated[int, typer.Option("--after", help="Only events behind this number.")] = 0,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind, as in mail.sent or run.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as events come.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=1, help="Only the last so many.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list; with --follow a document a line.")] = False,
) -> None:
    """Show the log's events; those that do not verify are skipped and counted on stderr."""
    from .. import render
    from . import caller

    render.log(caller.event_log(), after, kind, limit, follow=follow, as_json=as_json)


@app.command()
def stats(as_json: option.Json = False) -> None:
    """Count events by kind, each persona's mail, and what is overdue."""
    from .. import render
    from . import caller

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
def bounce(as_json: option.Json = False) -> None:
    """Return unread mail of personas that left the team to its senders."""
    from .. import render
    from . import caller

    events = caller.open_mailbox().bounce()
    if as_json:
        render.document([{"id": e.id, "seq": e.seq, "ref": e.ref, "recipient": e.data["recipient"]} for e in events])
    else:
        typer.echo(f"{len(events)} returned")


@app.command()
def verify(as_json: option.Json = False) -> None:
    """Check every hash, link, number and checksum of the log. Exit 5, naming each place, if one does not hold."""
    from .. import render
    from . import caller

    found = caller.event_log().verify()
    render.inspection(found, as_json=as_json)
    if found.corrupt:
        raise typer.Exit(5)


@app.command()
def repair(as_json: option.Json = False) -> None:
    """Mend a damaged log: keep every line that verifies, put gaps on record, keep a copy of what was."""
    from .. import render
    from . import caller

    done = caller.event_log().repair()
    copies = [str(path) for path in done.copies]
    told = {
        "events": done.events,
        "gaps": [list(gap) for gap in done.gaps],
        "copies": copies,
        "left_out": done.left_out,
    }
    if as_json:
        render.document(told)
    elif copies:
        typer.echo(f"{done.events} events kept, {len(done.gaps)} gaps on record; the old files: {', '.join(copies)}")
    else:
        typer.echo(f"nothing to repair: {done.events} events hold; checksums and Parquet copies are made anew")
    if done.left_out:
        typer.echo(f"team-mail: {done.left_out} lines have no place in the log; they are in the old files", err=True)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A .tar.gz file or a folder, which must not exist yet.")],
    restore_it: Annotated[
        bool, typer.Option("--restore", help="The other way: bring the team's mail back from it.")
    ] = False,
    as_json: option.Json = False,
) -> None:
    """Copy log and attachments while the team goes on writing; with --restore bring them back into an empty team."""
    from .. import render
    from ..archive.backup import backup as write
    from ..archive.backup import restore as bring_back
    from . import caller

    if restore_it:
        with caller.settled() as folder:
            told: dict[str, Any] = {"events": bring_back(target, folder / "mail")}
        text = f"{told['events']} events restored from {target}"
    else:
        mailbox = caller.open_mailbox()
        done = write(caller.event_log(), mailbox.blobs, target)
        told = {"path": str(done.path), "head": done.head, "files": done.files, "bytes": done.bytes}
        told["left_out"] = list(done.left_out)
        text = f"{done.head} events, {done.files} files, {done.bytes} bytes in {done.path}"
        for name in done.left_out:
            typer.echo(f"team-mail: blob {name} has changed on disk and is left out", err=True)
    if as_json:
        render.document(told)
    else:
        typer.echo(text)


@app.command()
def export(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="mbox, eml or jsonl.")],
    target: Annotated[Path, typer.Argument(help="A file; for eml a folder. It must not exist yet.")],
    persona: option.Whose = None,
    as_json: option.Json = False,
) -> None:
    """Write the mail for other programs: mbox and eml for mail readers, JSON lines with whole bodies."""
    from .. import render
    from . import caller

    mailbox = caller.open_mailbox()
    count = mailbox.export(form, target, persona)
    if as_json:
        render.document({"path": str(target), "messages": count})
    else:
        typer.echo(f"{count} messages in {target}")


@app.command()
def query(
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT over the view `events`.")],
    as_json: option.Json = False,
) -> None:
    """Ask the log in SQL (DuckDB's), read-only; docs/log.md names the columns of `events`."""
    from .. import render
    from ..query.query import select
    from . import caller

    columns, rows = select(caller.event_log(), statement)
    if as_json:
        render.document([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        render.table(columns, rows)
