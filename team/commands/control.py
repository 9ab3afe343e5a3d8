"""The commands of `scheduler` that inspect and control: status, report, stop, pause, approve, land and more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...mail.commands import cli_options as mail_option
from ...mail.commands import output
from ...mail.errors import UsageError
from ...mail.kinds import ExitCode
from ...mail.text.units import counted
from .common import options as option
from .common.printing import note, say

if TYPE_CHECKING:
    from ...scheduler.context import Context

app = typer.Typer()


@app.command()
def status(as_json: option.Json = False) -> None:
    """Show what needs you, and all that is under way: the sprint, its runs, dispatches, and what waits for whom."""
    from .. import session

    show_overview(session.reading_context(), as_json=as_json)


def show_overview(context: Context, *, as_json: bool) -> None:
    """Print everything under way in a team; `scheduler status` and `team status` are the same."""
    from ...mail import render
    from ..api import records
    from ..show import overview as show

    found = records.status(context)
    if as_json:
        render.document(found.document())
    else:
        say(show.overview(found))


@app.command()
def history(
    limit: mail_option.Limit = 20,
    before: Annotated[int | None, typer.Option("--before", help="Only sprints before this one.", min=1)] = None,
    as_json: option.Json = False,
) -> None:
    """List the last sprints, the newest last."""
    from ...mail import render
    from .. import session
    from ..api import records
    from ..show import sprint as show

    sprints = records.history(session.reading_context(), limit, before)
    if as_json:
        render.document(sprints.document())
    else:
        say(show.history(sprints))


@app.command()
def report(
    sprint: Annotated[int | None, typer.Argument(help="The sprint's number; by default the last.", min=1)] = None,
    as_json: option.Json = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write report.md, report.json and the pictures (SVG and PNG) into this folder."),
    ] = None,
) -> None:
    """Show a sprint in figures: ticks, conflicts, patches, time by persona, speed-up; with --out in pictures too."""
    from ...mail import render
    from .. import session
    from ..api import records
    from ..show import report as show

    metrics = records.report(session.reading_context(), sprint)
    if as_json:
        render.document(metrics.document())
    else:
        say(show.lines(metrics))
    if out is not None:
        written, trouble = show.write(metrics, out)
        output.say(f"wrote {', '.join(map(str, written))}", err=True)
        if trouble:
            note("scheduler", trouble)


@app.command()
def rounds(
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many rounds at most.", min=1)] = 20,
    as_json: option.Json = False,
) -> None:
    """List the last rounds: what landed, the decision with its reasons, and what became of it."""
    from ...mail import render
    from .. import session
    from ..api import records
    from ..show import sprint as show

    found = records.rounds(session.reading_context(), limit)
    if as_json:
        render.document(found.document())
    else:
        say(show.rounds(found))


@app.command()
def stop(
    run: Annotated[str, typer.Argument(help="A run: its id, the beginning of it, or its persona's name.")],
) -> None:
    """End one run; it is not tried again in this sprint, nor in its dispatch."""
    from .. import session
    from ..api import control

    context = session.context()
    stopping = control.stop(context, run, session.sender(context)).run
    output.say(f"stopping {stopping.persona}, attempt {stopping.attempt} ({stopping.id})")


@app.command()
def pause() -> None:
    """Start nothing more until `scheduler resume`; runs under way go on to their end."""
    from .. import session
    from ..api import control

    context = session.context()
    control.pause(context, session.sender(context))
    output.say("paused; scheduler resume goes on")


@app.command()
def resume() -> None:
    """Go on after `scheduler pause`."""
    from .. import session
    from ..api import control

    context = session.context()
    control.resume(context, session.sender(context))
    output.say("resumed")


@app.command()
def approve(
    run: Annotated[str, typer.Argument(help="The run whose patch is held, or its persona's name; or the word deploy.")],
    number: Annotated[
        int | None, typer.Option("--round", help="With deploy: the round, by default the last one decided.", min=1)
    ] = None,
) -> None:
    """Let a patch to sensitive files land, or deploy what was approved. Only a person may: a run is refused."""
    from .. import session
    from ..api import control

    context = session.context()
    if run == control.DEPLOY:
        sender = session.sender(context)
        done = control.approve_deploy(
            context, sender, number, listener=lambda progress: output.say(progress.text), interrupts=session.ending
        )
        if done.has_failed:
            raise typer.Exit(ExitCode.FAILED)
        return
    if number is not None:
        raise UsageError("--round is for scheduler approve deploy")
    patch = control.approve(context, run, session.sender(context)).patch
    output.say(f"approved: {patch.persona}'s patch to {', '.join(patch.files)}; the next tick of a sprint weaves it")


@app.command()
def refuse(
    run: Annotated[str, typer.Argument(help="The run whose patch is held, or its persona's name.")],
    why: Annotated[str, typer.Option("--why", help="The reason, which the author is told.")] = "",
) -> None:
    """Refuse a held patch: its author has mail with the reason, and may try again. Only a person may."""
    from .. import session
    from ..api import control

    context = session.context()
    patch = control.refuse(context, run, session.sender(context), why).patch
    output.say(f"refused: {patch.persona}'s patch to {', '.join(patch.files)}")


@app.command()
def land(
    number: Annotated[int, typer.Argument(help="The sprint's number; 0 is the last one.", min=0)] = 0,
) -> None:
    """Fast-forward the base branch to what a sprint has woven; refuse if the base has moved."""
    from .. import session
    from ..api import control

    landed = control.land(session.context(), number)
    further = f"{counted(landed.gained, 'commit')} further" if landed.gained else "as it was before"
    output.say(f"{landed.branch} is at {landed.commit[:12]} now, {further}")
    if landed.blocked:
        note("scheduler", f"the decision about it was {landed.blocked}; scheduler rounds tells why")


@app.command()
def gates(
    number: Annotated[int, typer.Argument(help="The sprint's number; 0 is the last one.", min=0)] = 0,
    again: Annotated[
        bool,
        typer.Option("--again", help="Run those again that have not passed on its result, or are red on its base."),
    ] = False,
    as_json: option.Json = False,
) -> None:
    """Tell what the gates say of a sprint, or have them judge it again; auto_land moves the base if all pass."""
    from ...mail import render
    from .. import session
    from ..api import control
    from ..show.tables import columns

    found = control.gates(
        session.context(), number, again=again, listener=lambda progress: note("scheduler", progress.text),
        interrupts=session.ending,
    )  # fmt: skip
    if as_json:
        render.document(found.document())
    else:
        rows = [(each.gate, each.status, each.commit[:12], "the base" * each.on_base) for each in found.found.gates]
        say(columns(rows) if rows else ["no gates; [gates.NAME] of team.toml makes one"])
        say(found.found.landing)
    if again and not found.are_green:
        raise typer.Exit(ExitCode.NOT_CONVERGED)


@app.command()
def abandon(
    number: Annotated[int, typer.Argument(help="The number of the open sprint.", min=1)],
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")] = "",
    as_json: option.Json = False,
) -> None:
    """End a sprint that cannot go on, and keep what it did: its commits, and its patches."""
    from ...mail import render
    from ...scheduler.kinds import PatchStatus
    from .. import session
    from ..api import control

    context = session.context()
    done = control.abandon(context, number, session.sender(context), why)
    if as_json:
        render.document(done.document())
        return
    kept = f"what it landed is kept: git log {done.kept}" if done.kept else "no commit of it is there"
    output.say(f"sprint {number} is abandoned; {kept}")
    for patch in done.patches:
        held = patch.status == PatchStatus.HELD
        then = f"scheduler approve {patch.run[:8]} lets it land" if held else "the next sprint weaves it"
        output.say(f"  {patch.persona}'s patch to {', '.join(patch.files)}: {then}")


@app.command("install-cron")
def install_cron(
    form: Annotated[str, typer.Argument(help="systemd, crontab, github or all.")] = "all",
) -> None:
    """Print what starts sprints without you: a systemd unit, a crontab line, a GitHub Actions workflow."""
    from .. import session
    from ..api import team

    say(team.install_texts(session.context(), form).lines)
