"""The commands of `team-mail` for the log itself: show, verify, repair, back up, export and query it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from ..kinds import ExitCode
from . import cli_options as option
from . import output

if TYPE_CHECKING:
    from ..archive.witness import Lost
    from ..log.log import EventLog
    from ..log.recovery import Mending
    from ..log.verify import Inspection
    from ..query.copies import Distrusted

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
def verify(
    against: Annotated[
        Path | None, typer.Option("--against", metavar="BACKUP", help="Also look for the last event of a backup.")
    ] = None,
    as_json: option.Json = False,
) -> None:
    """Check every hash, link, number and checksum of the log, and that it has what git knows of it.

    Exit 5, listing each place, if there is damage or something was lost.
    """
    from .. import render
    from ..open import open_log, team_home

    home = team_home()
    log = open_log(home)
    inspection = log.verify()
    copies = _wrong_copies(log)
    losses = _losses(home, log, inspection.lost, against)
    if as_json:
        render.document(_verified(inspection, copies, losses))
    else:
        render.inspection(inspection)
        _tell_losses(losses, log.folder)
        for copy in copies:
            output.say(f"team-mail: {copy}; it is a copy for speed, and the log itself is not affected", err=True)
    if inspection.corrupt or losses or not all(copy.removed for copy in copies):
        raise typer.Exit(ExitCode.DAMAGED)


def _wrong_copies(log: EventLog) -> list[Distrusted]:
    segments = list(log.segments)
    if not segments:  # a small log does not wait for the database
        return []
    from ..query.copies import check_copies

    return check_copies(segments)


def _losses(
    home: Path, log: EventLog, given_up: set[tuple[int, str]], against: Path | None = None
) -> list[tuple[str, Lost]]:
    """Return what the log lacks, each with the name of who knows it."""
    from ..archive.backup import last_in
    from ..archive.witness import Known, NoWitness, is_cut, known_to_git, lost

    losses: list[tuple[str, Lost]] = []
    try:
        named = [event for event in known_to_git(home) if event[:2] not in given_up]
        losses += [("git", each) for each in lost(log, named)]
        if is_cut(home):
            output.say(
                "team-mail: the repository is shallow, so of git only refs/team/ is compared; for branches as well: "
                "git fetch --unshallow",
                err=True,
            )
    except NoWitness as error:
        output.say(f"team-mail: {error}; what it knows of the log is not compared", err=True)
    if against is not None:
        last = last_in(against)
        losses += [(str(against), each) for each in lost(log, [Known(last.seq, last.hash)])]
    return losses


def _tell_losses(losses: list[tuple[str, Lost]], folder: Path) -> None:
    for witness in dict.fromkeys(witness for witness, _ in losses):
        theirs = [each for name, each in losses if name == witness]
        beyond = [each for each in theirs if each.event.seq > each.head]
        output.say((beyond[-1] if beyond else theirs[0]).told(witness))
    if losses:
        output.say(
            f"team-mail: events are missing; move {folder} away, then restore the newest backup with "
            "`team-mail backup --restore BACKUP`, or without a backup `team-mail repair --accept-loss`",
            err=True,
        )


def _verified(inspection: Inspection, copies: list[Distrusted], losses: list[tuple[str, Lost]]) -> dict[str, Any]:
    places = [{"file": d.path.name, "offset": d.offset, "seq": d.seq, "reason": d.reason} for d in inspection.corrupt]
    return {
        "events": inspection.events,
        "head": inspection.place.seq,
        "damage": places,
        "unfinished_bytes": inspection.torn,
        "lost": [
            {"known_to": witness, "seq": each.event.seq, "hash": each.event.hash, "head": each.head}
            for witness, each in losses
        ],
        "copies": [{"file": each.path.name, "reason": each.reason, "removed": each.removed} for each in copies],
    }


@app.command()
def repair(
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Record that events which git knows are lost for good.")
    ] = False,
    as_json: option.Json = False,
) -> None:
    """Repair a damaged log: keep every line that verifies, record the gaps, keep a copy of the old files."""
    from .. import render
    from ..open import open_log, team_home
    from ..text.units import counted

    home = team_home()
    log = open_log(home)
    losses = _losses(home, log, log.verify().lost) if accept_loss else []
    done = log.repair([each.event[:2] for _, each in losses])
    copies = [str(path) for path in done.copies]
    result = {
        "events": done.events,
        "gaps": [list(gap) for gap in done.gaps],
        "copies": copies,
        "left_out": done.left_out,
        "renamed": [*done.renamed],
        "lost": [[*each.event[:2]] for _, each in losses],
    }
    if as_json:
        render.document(result)
    else:
        output.say(_mended(done))
        if losses:
            output.say(f"{counted(len(losses), 'event')} recorded as lost")
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
    values: Annotated[list[str], typer.Option("--param", help="A text for $NAME in it: NAME=TEXT; repeatable.")] = [],  # noqa: B006
    as_json: option.Json = False,
) -> None:
    """Query the log in DuckDB's SQL, read-only; docs/log.md lists the columns of `events`."""
    from .. import render
    from ..open import open_log
    from ..query.query import select

    parameters = dict(_parameter(value) for value in values)
    columns, rows = select(open_log(), statement, parameters)
    if as_json:
        render.document([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        render.table(columns, rows)


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--param {text!r} is not NAME=TEXT")
    return name, value
