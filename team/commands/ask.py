"""The command `team ask`: a request in plain words becomes tasks, which are shown, dispatched and reported on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...mail.commands import output
from ...mail.errors import UsageError
from ...mail.kinds import ExitCode
from .common import options as option
from .common.printing import ask_to_go_on, has_terminal, note, say
from .dispatch import config_of, refusals

if TYPE_CHECKING:
    from ..api.ask import Asking, AskPlan
    from ..api.dispatches import DispatchResult

_LONG = "30m"  # for a task, unless --timeout says otherwise: planners and coders read before they write
_LOOK = "the tasks are shown before they run: add --yes to go on at once, or --dry-run to stop there"

app = typer.Typer()


@app.command()
def ask(
    request: Annotated[list[str], typer.Argument(help="What is to be done, in plain words.")],
    agent: option.Agent = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Run the tasks without asking.")] = False,
    max_workers: option.MaxWorkers = None,
    timeout: option.Timeout = _LONG,
    trace_dir: option.TraceDir = None,
    base: option.Base = None,
    session_name: option.Session = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Have the tasks made and show them; run none.")] = False,
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Have a request turned into tasks, carried out and answered: "Debug the login, then write a fixed version"."""
    with refusals(as_json):
        if not (yes or dry_run or has_terminal()):
            raise UsageError(_LOOK)
        config = config_of(max_workers, timeout, trace_dir)
        from ...mail import render
        from .. import session
        from ..api import ask as asks
        from ..api import dispatches
        from ..show import dispatch as show

        how = dispatches.DispatchRequest(agent, base, session=session_name)
        asking = asks.Asking(" ".join(request).strip(), how, dispatches.read_config(config))
        if not asking.request:
            raise UsageError("ask for what? say it in plain words")
        act: Any = partial(_shown, quiet=quiet, interrupts=session.ending)
        plan = act(partial(asks.plan_of, asking))
        if not as_json:
            say(show.asked(plan, dispatches.preview(plan.tasks, how)))
        if dry_run:
            render.document(plan.document()) if as_json else note("team", "nothing was started")
            return
        if not yes:
            ask_to_go_on("team")
        done = act(partial(asks.carry_out, plan))
        _answered(asking, plan, done, act, as_json=as_json)


def _answered(asking: Asking, plan: AskPlan, done: DispatchResult, act: Any, *, as_json: bool) -> None:
    """Print the result and the answer, and exit with the code of both."""
    from ...mail import render
    from ..api import ask as asks
    from ..show import dispatch as show

    if not as_json:
        output.say("")
        say(show.summary(done.output))
    try:
        answer = None if done.interrupted else act(partial(asks.answer, asking, done.output))
    except asks.AskInterrupted:
        answer = None
    if as_json:
        document = {"tasks": plan.document()["tasks"], "dispatch": done.document()}
        render.document(document | (answer.document() if answer else {"answer": None}))
    elif answer:
        output.say("")
        say(show.answered(answer))
    if answer is None:
        again = f"team dispatch --resume {done.output.correlation_id} goes on"
        note("team", f"interrupted, without an answer; {again if done.interrupted else 'all tasks are done'}")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not done.succeeded or answer.missing:
        raise typer.Exit(ExitCode.FAILED)


def _shown(act: Any, *, quiet: bool, interrupts: Any) -> Any:
    """Call an act of the API while its progress is shown."""
    from ..show.dispatch import DispatchShow

    with DispatchShow(quiet=quiet) as show:
        return act(listener=show.on_progress, interrupts=interrupts)
