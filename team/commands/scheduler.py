"""The command `scheduler`. Nothing may depend on this module: each command parses, calls one thing, and renders.

Exit codes: 0 done; 1 failed; 2 usage; 4 not converged; 5 log damaged; 130 interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...mail.commands import cli_options as mail_option
from ...mail.commands import output
from . import control
from . import scheduler_options as option
from .scheduler_options import Mode

if TYPE_CHECKING:
    from datetime import datetime

    from ...scheduler.context import Context
    from ...scheduler.sprint.decide import StartRequest
    from ...scheduler.state.sprints import State
    from ...scheduler.state.summary import Summary

NOT_CONVERGED = 4
INTERRUPTED = 130

app = typer.Typer(
    name="scheduler",
    help="Sprints of a team of agents: all at once, woven together, run again on mail until they converge.",
    epilog="The team is the nearest .team folder, or TEAM_HOME; `team init` makes one.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say(lines: Iterable[str]) -> None:
    for text in lines:
        typer.echo(text)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    dry_run: option.DryRun = False,
    mode: option.ModeOption = Mode.auto,
    settings: option.Set = [],  # noqa: B006
    as_json: option.Json = False,
    version: Annotated[bool, mail_option.version_of("scheduler")] = False,
) -> None:
    """Sprints of a team of agents: all at once, woven together, run again on mail until they converge."""
    del version
    if context.invoked_subcommand is None and dry_run:
        _look_ahead(mode, settings, as_json, started=False)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def _look_ahead(
    mode: Mode,
    settings: list[str],
    as_json: bool,
    *,
    started: bool,
    replay: Path | None = None,
    repo: Path | None = None,
    base: str | None = None,
) -> None:
    from ...mail import render as mail_render
    from ...scheduler.sprint.decide import ASKED, StartRequest
    from ...scheduler.sprint.preview import look_ahead
    from .. import session
    from ..show import sprint as render
    from ..show.live import Show

    context = session.context(settings, replay=replay, repo=repo)
    ticker = session.ticker(context, Show(quiet=True), base)
    request = StartRequest(ASKED, mode.value) if started else _due(context, context.state(whole=False), mode)
    found = look_ahead(ticker, request)
    if as_json:
        mail_render.document(found.document())
    else:
        _say(render.preview(found))
    if found.troubles:
        raise typer.Exit(2)


def _home() -> Path:
    """Find the team's folder, before anything that is slow to load."""
    from ...mail.errors import NoTeam
    from ...mail.open import team_home
    from ...scheduler.errors import NotReady

    try:
        return team_home()
    except NoTeam:
        raise NotReady("no team in this folder or above; team init makes one") from None


def _due(context: Context, state: State, mode: Mode) -> StartRequest:
    from ...scheduler.sprint.triggers import due

    def following(cron: str, after: datetime) -> datetime:
        from ...scheduler.sprint.daemon import following as first  # APScheduler takes a tenth of a second to load

        return first(cron, after)

    return due(state, context.settings.sprint, context.clock.now(), following, mode.value)


@app.command()
def tick(
    dry_run: option.DryRun = False,
    mode: option.ModeOption = Mode.auto,
    settings: option.Set = [],  # noqa: B006
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Carry out one tick: go on with the open sprint, or start one if it is due. For cron."""
    if dry_run:
        _look_ahead(mode, settings, as_json, started=False)
        return
    from ...mail.clock import SystemClock
    from ...scheduler.sprint import idle

    home = _home()
    digest = idle.seen(home, [mode.value, *settings], os.environ)
    if not as_json and (why := idle.again(home, digest, SystemClock())):
        typer.echo(f"idle: {why}")
        return
    from ...mail import render as mail_render
    from .. import session
    from ..show.live import Show

    context = session.context(settings)
    with Show(quiet=quiet) as show:
        ticker = session.ticker(context, show)
        ticker.seen = digest
        with session.leading(context, ticker.dispatcher.end) as came:
            state = ticker.read()
            done = ticker.tick(_due(context, state, mode), state)
    if as_json:
        mail_render.document(done.plan.document())
    elif done.plan.idle or done.plan.wait_until:
        typer.echo(f"idle: {done.plan.idle or f'next try at {done.plan.wait_until:%H:%M:%S}Z'}")
    if came:
        raise typer.Exit(INTERRUPTED)


@app.command()
def sprint(
    dry_run: option.DryRun = False,
    mode: option.ModeOption = Mode.auto,
    settings: option.Set = [],  # noqa: B006
    replay: option.Replay = None,
    repo: option.Repo = None,
    base: option.Base = None,
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Start a sprint, or go on with the open one, and tick until it has converged or is spent."""
    if dry_run:
        _look_ahead(mode, settings, as_json, started=True, replay=replay, repo=repo, base=base)
        return
    from ...scheduler.sprint.decide import ASKED, StartRequest
    from ...scheduler.sprint.loop import run_sprint
    from .. import session
    from ..show.live import Show

    context = session.context(settings, replay=replay, repo=repo)
    session.ready(context)
    for note in session.notes(context):
        typer.echo(f"scheduler: note: {note}", err=True)
    with Show(quiet=quiet) as show:
        ticker = session.ticker(context, show, base)
        with session.leading(context, ticker.dispatcher.end) as came:
            found = run_sprint(ticker, StartRequest(ASKED, mode.value))
    if came:
        typer.echo("scheduler: interrupted; the runs under way were ended, scheduler sprint goes on", err=True)
        raise typer.Exit(INTERRUPTED)
    if found is None:
        typer.echo(f"scheduler: nothing to do: {ticker.plan(StartRequest(ASKED)).idle}", err=True)
        raise typer.Exit(NOT_CONVERGED)
    _ended(found, as_json)
    if found.outcome is None:
        typer.echo(f"scheduler: the sprint is still open: {ticker.plan(StartRequest()).idle}", err=True)
    if not found.converged:
        raise typer.Exit(NOT_CONVERGED)


def _ended(found: Summary, as_json: bool) -> None:
    from ...mail import render as mail_render
    from ..show import sprint as render

    if as_json:
        mail_render.document(found.document())
    else:
        _say(render.summary(found))


@app.command()
def run(settings: option.Set = [], quiet: option.Quiet = False) -> None:  # noqa: B006
    """Lead the team until SIGTERM: sprints by `every` or `cron` of team.toml, and at once on fresh mail."""
    from ...scheduler.sprint.daemon import Daemon, following
    from .. import session
    from ..show import sprint as render
    from ..show.live import Show

    def say(text: str) -> None:
        typer.echo(f"scheduler: {text}", err=True)

    def ended(found: Summary) -> None:
        for text in render.summary(found):
            typer.echo(text, err=True)

    context = session.context(settings)
    session.ready(context)
    if cron := context.settings.sprint.cron:
        following(cron, context.clock.now())  # one that never comes is refused now
    with Show(quiet=quiet) as show:
        daemon = Daemon(session.ticker(context, show), lambda: session.context(settings), say, ended)
        with session.leading(context, daemon.end):
            say(f"leading {context.home}")
            daemon.run()
    say("ended; nothing is running")


@app.command()
def weave(
    patches: Annotated[
        list[Path], typer.Argument(help="Patch files, in the order in which they came; or fetched refs/pull/N/head.")
    ],
    dry_run: option.DryRun = False,
    base: Annotated[str, typer.Option("--base", help="The commit that the patches were made against.")] = "HEAD",
    onto: Annotated[str | None, typer.Option("--onto", help="The branch that they land on; default the base.")] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="The new branch for the result.")] = None,
    as_json: option.Json = False,
) -> None:
    """Weave patches by hand onto a new branch, and show who stands in whose way and what lands in which order."""
    from ...mail import render as mail_render
    from ...scheduler.landing.manual import weave_by_hand
    from ..show.weave import lines

    found, name = weave_by_hand(Path.cwd(), patches, base, onto or base, None if dry_run else branch or "team/woven")
    if as_json:
        mail_render.document(found.document() | {"branch": name})
    else:
        for text in lines(found):
            typer.echo(text)
        typer.echo("nothing was written" if name is None else f"{name} is at {found.tip[:12]}")
    if found.conflicted or found.refused or found.held:
        raise typer.Exit(NOT_CONVERGED)


@app.command()
def report(
    sprint: Annotated[int | None, typer.Argument(help="The sprint's number; default the last.", min=1)] = None,
    as_json: option.Json = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write report.md, report.json and the pictures (SVG and PNG) into this folder."),
    ] = None,
) -> None:
    """Tell a sprint in figures: ticks, conflicts, patches, time by persona, speed-up; with --out in pictures too."""
    from ...mail import render as mail_render
    from ...scheduler.sprint.history import report as measure
    from .. import session
    from ..show import report as told

    context = session.context()
    found = measure(context, sprint, context.clock.now())
    if as_json:
        mail_render.document(found.document())
    else:
        for text in told.lines(found):
            typer.echo(text)
    if out is not None:
        written, trouble = told.write(found, out)
        typer.echo(f"wrote {', '.join(map(str, written))}", err=True)
        if trouble:
            typer.echo(f"scheduler: {trouble}", err=True)


app.registered_commands += control.app.registered_commands


def command() -> Any:
    """Return the whole tree of commands, for the manual and for tests."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; say in one line on stderr what could not be done."""
    output.run("scheduler", app)


if __name__ == "__main__":
    main()
