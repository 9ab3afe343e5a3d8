"""The command `scheduler`. Nothing may depend on this module: each command parses, calls the API, and renders.

Exit codes: 0 done; 1 failed; 2 usage; 4 not converged, or blocked; 5 log damaged; 130 interrupted.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...mail.commands import cli_options as mail_option
from ...mail.commands import output
from ...mail.errors import TeamMailError, UsageError
from ...mail.kinds import ExitCode
from ...scheduler.kinds import ModeRequest
from . import control, schedules
from .common import options as option
from .common.printing import ask_to_go_on, has_terminal, note, say
from .diagnosing import diagnosed, tell
from .outside import forge

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...scheduler.context import Context
    from ...scheduler.progress import Progress
    from ...scheduler.sprint.preview import Preview
    from ..api.sprints import SprintResult, TickResult
    from ..diagnostics.diagnostics import Diagnostics

app = typer.Typer(
    name="scheduler",
    help="Run sprints of a team of agents: all at once, patches woven together, repeated on mail until they converge.",
    epilog="The team is the nearest .team folder, or TEAM_HOME; `team init` makes one.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    dry_run: option.DryRun = False,
    mode: option.ModeOption = ModeRequest.AUTO,
    settings: option.Set = [],  # noqa: B006
    as_json: option.Json = False,
    version: Annotated[bool, mail_option.version_of("scheduler")] = False,
) -> None:
    """Run sprints of a team of agents: all at once, patches woven together, repeated on mail until they converge."""
    del version
    if context.invoked_subcommand:
        _refuse_in_front(context)
    elif dry_run:
        _preview_tick(mode, settings, as_json)
    else:
        output.say(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def _refuse_in_front(context: typer.Context) -> None:
    """Refuse options that stand before a command, which would not see them: a dry run would be a real one."""
    given = [
        max(param.opts, key=len)
        for param in context.command.params
        if param.name and (source := context.get_parameter_source(param.name)) and source.name == "COMMANDLINE"
    ]
    if given:
        command = context.invoked_subcommand
        raise UsageError(
            f"{' and '.join(given)} before {command} would not count, so nothing was done; "
            f"write options behind the command: scheduler {command} {given[0]}"
        )


def _preview_tick(mode: ModeRequest, settings: list[str], as_json: bool) -> None:
    from .. import session
    from ..api import sprints

    _show_preview(sprints.preview_tick(session.context(settings), mode.value), as_json)


def _show_preview(preview: Preview, as_json: bool) -> None:
    from ...mail import render
    from ..show import tick as show

    if as_json:
        render.document(preview.document())
    else:
        say(show.preview(preview))
    if preview.troubles:
        raise typer.Exit(ExitCode.USAGE)


@app.command()
def tick(
    dry_run: option.DryRun = False,
    mode: option.ModeOption = ModeRequest.AUTO,
    settings: option.Set = [],  # noqa: B006
    quiet: option.Quiet = False,
    log_format: option.LogFormat = None,
    log_level: option.LogLevel = None,
    as_json: option.Json = False,
) -> None:
    """Carry out one tick: go on with the open sprint, or start one if it is due. For cron."""
    if dry_run:
        _preview_tick(mode, settings, as_json)
        return
    from ...mail.clock import SystemClock
    from ...scheduler.sprint import idle  # answers an idle tick before the API, the settings and a database load
    from ..home import home_of

    home = home_of()
    seen = idle.seen(home, [mode.value, *settings], os.environ)
    if not as_json and (why := idle.again(home, seen, SystemClock())):
        output.say(f"idle: {why}")
        return
    from .. import session
    from ..api import sprints
    from ..show.live import Show

    context = session.context(settings)
    with diagnosed("scheduler", context.settings, log_format, log_level) as diagnostics:
        with Show(quiet=quiet or diagnostics.on_stderr) as show:
            listener = diagnostics.listener(show.on_progress)
            done = sprints.tick(context, mode.value, seen=seen, listener=listener, interrupts=session.ending)
        _ticked(done, diagnostics, as_json=as_json)
    if done.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _ticked(done: TickResult, diagnostics: Diagnostics, *, as_json: bool) -> None:
    """Show what a tick came to."""
    from ...mail import render
    from ..show.sprint import summary as sprint_lines

    if as_json:
        render.document(done.document())
    elif done.idle:
        output.say(f"idle: {done.idle}")
    elif done.ended:
        say(sprint_lines(done.ended))
    if done.left:
        cut = "interrupted; " if done.interrupted else ""
        tell(diagnostics, "scheduler", f"{cut}still running: {', '.join(done.left)}; the next tick takes over")


@app.command()
def sprint(
    dry_run: option.DryRun = False,
    mode: option.ModeOption = ModeRequest.AUTO,
    settings: option.Set = [],  # noqa: B006
    replay: option.Replay = None,
    repo: option.Repo = None,
    base: option.Base = None,
    session_name: option.Session = None,
    yes: option.Yes = False,
    quiet: option.Quiet = False,
    log_format: option.LogFormat = None,
    log_level: option.LogLevel = None,
    as_json: option.Json = False,
) -> None:
    """Start a sprint, or go on with the open one, and tick until it converges or its attempts are spent."""
    from .. import session
    from ..api import sprints

    context = session.context(settings, replay=replay, repo=repo, session=session_name)
    if dry_run:
        _show_preview(sprints.preview_sprint(context, mode.value, base), as_json)
        return
    from ..show.live import Show

    with diagnosed("scheduler", context.settings, log_format, log_level) as diagnostics:
        sprints.check_members(context)
        for left_out in session.notes(context):
            tell(diagnostics, "scheduler", f"note: {left_out}")
        if not yes and has_terminal():
            _agreed(context, mode, base)
        with Show(quiet=quiet or diagnostics.on_stderr) as show:
            listener = diagnostics.listener(show.on_progress)
            done = sprints.run_sprint(context, mode.value, base=base, listener=listener, interrupts=session.ending)
        if done.summary and done.summary.outcome and context.settings.github.publish == "pr":
            _publish(context, partial(tell, diagnostics, "scheduler"))
        _show_sprint(done, as_json, partial(tell, diagnostics, "scheduler"))


def _publish(context: Context, tell: Callable[[str], object]) -> None:
    """Do what is due at the forge, now that a sprint has ended; what hinders it does not undo the sprint."""
    from ..api.outside import forge

    try:
        for told in forge.look(context):
            tell(told)
    except (TeamMailError, OSError) as error:
        tell(f"not published: {error}")


def _agreed(context: Context, mode: ModeRequest, base: str | None) -> None:
    """Ask before the first sprint of a team on an agent that costs; end if the answer is no."""
    from ..api import sprints
    from .common.paid import first_on_paid

    if question := first_on_paid(context, sprints.preview_sprint(context, mode.value, base).plan):
        ask_to_go_on("scheduler", f"{question}.", "; scheduler sprint --yes does not ask")


def _show_sprint(done: SprintResult, as_json: bool, tell: Callable[[str], object]) -> None:
    from ...mail import render
    from ..show import sprint as show

    if done.interrupted:
        tell("interrupted; the runs under way were ended, scheduler sprint goes on")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if done.summary is None:
        tell(f"nothing to do: {done.idle}")
    elif as_json:
        render.document(done.document())
    else:
        say(show.summary(done.summary))
    if done.summary and done.idle:
        tell(f"the sprint is still open: {done.idle}")
    if not done.converged:
        raise typer.Exit(ExitCode.NOT_CONVERGED)


@app.command()
def run(
    continuous: Annotated[
        bool, typer.Option("--continuous", help="Start a round as soon as something calls for one, see [supervisor].")
    ] = False,
    settings: option.Set = [],  # noqa: B006
    quiet: option.Quiet = False,
    log_format: option.LogFormat = None,
    log_level: option.LogLevel = None,
) -> None:
    """Lead the team until SIGTERM: sprints by `every` or `cron` of team.toml, and at once on new mail."""
    from .. import session
    from ..api import sprints
    from ..api.schedules import Starter
    from ..show import sprint as show
    from ..show.live import Show

    def listen(progress: Progress) -> None:
        if isinstance(progress, sprints.Notice):
            note("scheduler", progress.text)
        elif isinstance(progress, sprints.SprintEnded):
            for text in show.summary(progress.summary):
                output.say(text, err=True)
        else:
            live.on_progress(progress)

    context = session.context(settings)
    with (
        diagnosed("scheduler", context.settings, log_format, log_level) as diagnostics,
        Show(quiet=quiet or diagnostics.on_stderr) as live,
    ):
        sprints.run(
            context, lambda: session.context(settings), continuous=continuous,
            listener=diagnostics.listener(listen), interrupts=session.ending, starter=Starter(),
        )  # fmt: skip


@app.command()
def weave(
    patches: Annotated[
        list[Path], typer.Argument(help="Patch files, in the order in which they came; or fetched refs/pull/N/head.")
    ],
    dry_run: option.DryRun = False,
    base: Annotated[str, typer.Option("--base", help="The commit that the patches were made against.")] = "HEAD",
    onto: Annotated[
        str | None, typer.Option("--onto", help="The branch that they land on; by default the base.")
    ] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="The new branch for the result.")] = None,
    approve: Annotated[
        list[str],
        typer.Option(
            "--approve", help="A patch whose sensitive files you have read, or all; repeatable.", metavar="NAME"
        ),
    ] = [],  # noqa: B006
    as_json: option.Json = False,
) -> None:
    """Weave patches by hand onto a new branch; show which of them conflict, and in which order they land."""
    from ...mail import render
    from ..api import weaving
    from ..show import weave as show

    kept = None if dry_run else branch or weaving.DEFAULT_BRANCH
    done = weaving.weave(Path.cwd(), patches, base, onto, kept, approve=approve)
    if as_json:
        render.document(done.document())
    else:
        say(show.lines(done.woven))
        if done.woven.held:
            output.say("what is held lands with --approve NAME, or --approve all, once you have read it")
        output.say(f"{done.branch} is at {done.woven.tip[:12]}" if done.branch else "nothing was written")
    if not done.complete:
        raise typer.Exit(ExitCode.NOT_CONVERGED)


app.registered_commands += control.app.registered_commands + forge.app.registered_commands
app.add_typer(schedules.app)


def command() -> Any:
    """Return the whole tree of commands, for the manual and for tests."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; say in one line on standard error what could not be done."""
    output.run_app("scheduler", app)


if __name__ == "__main__":
    main()
