"""The commands of `team-mail` for the log itself: show, verify, repair, back up, export and query it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kinds import ExitCode
from . import cli_options as option
from . import output

if TYPE_CHECKING:
    from ..log.recovery import Mending

app = typer.Typer()


@app.command()
def log(
    after: Annotated[int, typer.Option("--after", help="Only events after this number.")] = 0,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind, as in mail.sent or run.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Continue as events arrive.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=1, help="Only the last so many of them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list; with --follow one document per line.")] = False,
) -> None:
    """Show the events of the log; lines that do not verify are skipped and counted on stderr."""
    from .. import render
    from ..open import open_log

    render.log(open_log(), after, kind, limit, follow=follow, as_json=as_json)


@app.command()
def stats(as_json: option.Json = False) -> None:
    """Count events by kind and mail by persona, and list overdue mail."""
    from .. import render
    from ..open import open_mailbox

    mailbox = open_mailbox()
    tables = {"kinds": mailbox.stats(), "personas": mailbox.counts(), "overdue": mailbox.overdue()}
    if as_json:
        render.document(tables)
        return
    for name, rows in tables.items():
        if rows:
            output.say(f"{name}:")
            render.table(list(rows[0]), [tuple(row.values()) for row in rows])


@app.command()
def bounce(as_json: option.Json = False) -> None:
    """Return unread mail of personas that have left the team to its senders."""
    from .. import render
    from ..open import open_mailbox

    events = open_mailbox().bounce()
    if as_json:
        render.document([{"id": e.id, "seq": e.seq, "ref": e.ref, "recipient": e.data["recipient"]} for e in events])
    else:
        output.say(f"{len(events)} returned")


@app.command()
def verify(as_json: option.Json = False) -> None:
    """Check every hash, link, number and checksum of the log. Exit 5, listing each place, if there is damage."""
    from .. import render
    from ..open import open_log

    inspection = open_log().verify()
    render.inspection(inspection, as_json=as_json)
    if inspection.corrupt:
        raise typer.Exit(ExitCode.DAMAGED)


@app.command()
def repair(as_json: option.Json = False) -> None:
    """Repair a damaged log: keep every line that verifies, record the gaps, keep a copy of the old files."""
    from .. import render
    from ..open import open_log
    from ..text.units import counted

    done = open_log().repair()
    copies = [str(path) for path in done.copies]
    result = {
        "events": done.events,
        "gaps": [list(gap) for gap in done.gaps],
        "copies": copies,
        "left_out": done.left_out,
        "renamed": [*done.renamed],
    }
    if as_json:
        render.document(result)
    else:
        output.say(_mended(done))
    if done.left_out:
        lines = counted(done.left_out, "line")
        output.say(f"team-mail: {lines} left out that do not belong to the log; see the old files", err=True)


def _mended(done: Mending) -> str:
    """Say what a repair did."""
    from ..text.units import counted

    events, copies = counted(done.events, "event"), ", ".join(map(str, done.copies))
    names = f"{', '.join(done.renamed)}: the name did not fit, and each sealed file has its own again\n"
    kept = f"{events} kept, {counted(len(done.gaps), 'gap')} recorded; the old files: {copies}"
    nothing = f"nothing to repair: {events} verified; checksums and Parquet copies are rewritten"
    return (names if done.renamed else "") + (kept if copies else nothing)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A .tar.gz file or a folder, which must not exist yet.")],
    restore_it: Annotated[bool, typer.Option("--restore", help="Restore the team's mail from it.")] = False,
    as_json: option.Json = False,
) -> None:
    """Copy log and attachments while the team continues to write; with --restore, restore them into an empty team."""
    from .. import render
    from ..archive import backup as archive
    from ..open import first_mail, open_blobs, open_log, team_home
    from ..text.units import counted

    if restore_it:
        with first_mail() as home:
            result: dict[str, Any] = {"events": archive.restore(target, open_log(home))}
        text = f"{counted(result['events'], 'event')} restored from {target}"
    else:
        home = team_home()
        done = archive.backup(open_log(home), open_blobs(home), target)
        result = {"path": str(done.path), "head": done.head, "files": done.files, "bytes": done.bytes}
        result["left_out"] = list(done.left_out)
        sizes = (counted(done.head, "event"), counted(done.files, "file"), counted(done.bytes, "byte"))
        text = f"{', '.join(sizes)} in {done.path}"
        for name in done.left_out:
            output.say(f"team-mail: blob {name} has changed on disk and is left out", err=True)
    if as_json:
        render.document(result)
    else:
        output.say(text)


@app.command()
def export(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="mbox, eml or jsonl.")],
    target: Annotated[Path, typer.Argument(help="A file; for eml a folder. It must not exist yet.")],
    persona: option.Whose = None,
    as_json: option.Json = False,
) -> None:
    """Export the mail for other programs: mbox and eml for mail readers, JSON lines with whole bodies."""
    from .. import render
    from ..open import open_mailbox
    from ..text.units import counted

    count = open_mailbox().export(form, target, persona)
    if as_json:
        render.document({"path": str(target), "messages": count})
    else:
        output.say(f"{counted(count, 'message')} in {target}")


@app.command()
def query(
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="One SELECT over the view `events`.")],
    as_json: option.Json = False,
) -> None:
    """Query the log in DuckDB's SQL, read-only; docs/log.md lists the columns of `events`."""
    from .. import render
    from ..open import open_log
    from ..query.query import select

    columns, rows = select(open_log(), statement)
    if as_json:
        render.document([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        render.table(columns, rows)
