"""The commands `team trace`, `team runs` and `team dispatches`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ...mail.commands import cli_options as mail_option
from ...mail.commands import output
from ...mail.errors import UsageError
from .common import options as option
from .common.printing import say

app = typer.Typer()


@app.command()
def trace(
    name: Annotated[
        str | None, typer.Argument(help="A task's id, or a run's id or the beginning of it, from 4 characters on.")
    ] = None,
    whole_output: Annotated[
        bool, typer.Option("--output", help="Print all that the run printed, and no more.")
    ] = False,
    patch: Annotated[bool, typer.Option("--patch", help="Print the run's patch, and no more.")] = False,
    index: Annotated[bool, typer.Option("--index", help="The dispatch's index: all its tasks.")] = False,
    dispatch_id: Annotated[
        str | None, typer.Option("--dispatch", help="A correlation id; by default the last dispatch that has the task.")
    ] = None,
    trace_dir: Annotated[
        str | None, typer.Option("--trace-dir", help="Write all traces and the index into this folder, again.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trace, or the index, as JSON.")] = False,
) -> None:
    """Show what a run or a task was given, what its agent did, and what came of it."""
    if (name is None) == (not index and trace_dir is None):
        raise UsageError("name a task or a run, or ask for --index, which lists the tasks of the last dispatch")
    if sum((whole_output, patch, as_json)) > 1:
        raise UsageError("--output, --patch and --json each print something else; choose one")
    if name is None and (whole_output or patch):
        raise UsageError("--output and --patch are for a run; name one")
    if name is None:
        _show_dispatch(dispatch_id, trace_dir, index=index, as_json=as_json)
    elif whole_output or patch:
        _print_bytes(name, patch=patch)
    else:
        _show(name, dispatch_id, as_json=as_json)


@app.command()
def runs(
    persona: Annotated[str | None, typer.Option("--persona", "-p", help="Only those of this persona.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only with this status: open, ok, failed, …")] = None,
    sprint: Annotated[int | None, typer.Option("--sprint", help="Only those of this sprint.", min=1)] = None,
    dispatch_id: Annotated[str | None, typer.Option("--dispatch", help="Only those of this dispatch.")] = None,
    before: Annotated[
        int | None, typer.Option("--before", help="Only those that began before this event.", min=1)
    ] = None,
    limit: mail_option.Limit = 20,
    as_json: option.Json = False,
) -> None:
    """List runs of sprints and dispatches, the newest first."""
    from ...mail import render
    from .. import session
    from ..api import traces
    from ..show import trace as show

    wanted = traces.RunFilter(persona, status, sprint, dispatch_id)
    found = traces.runs(session.reading_context(), wanted, limit, before)
    if as_json:
        render.document(found.document())
    else:
        render.table(show.RUN_COLUMNS, show.runs(found))
        if found.older:
            output.say(f"there are older ones: --before {found.older}", err=True)


@app.command()
def dispatches(
    before: Annotated[str | None, typer.Option("--before", help="Only those before this dispatch.")] = None,
    limit: mail_option.Limit = 20,
    as_json: option.Json = False,
) -> None:
    """List the last dispatches, the newest last: tasks, result, money, and what asked for each."""
    from ...mail import render
    from .. import session
    from ..api import traces
    from ..show import trace as show

    found = traces.dispatches(session.reading_context(), limit, before)
    if as_json:
        render.document(found.document())
    else:
        render.table(show.DISPATCH_COLUMNS, show.dispatches(found))


def _show(name: str, dispatch_id: str | None, *, as_json: bool) -> None:
    from ...mail import render
    from .. import session
    from ..api import traces
    from ..show import trace as show

    context = session.reading_context()
    shown = traces.trace(context, name, dispatch_id)
    if as_json:
        render.document(shown.document())
    elif isinstance(shown, traces.RunTrace):
        say(show.run(shown))
    else:
        say(show.task(shown))


def _show_dispatch(dispatch_id: str | None, trace_dir: str | None, *, index: bool, as_json: bool) -> None:
    from ...mail import render
    from .. import session
    from ..api import traces
    from ..show import trace as show

    context = session.reading_context()
    dispatch = traces.trace_index(context, dispatch_id)
    if trace_dir is not None:
        output.say(f"wrote {traces.export(context, dispatch, trace_dir)}", err=True)
    if index and as_json:
        render.document(dispatch.document())
    elif index:
        output.say(show.heading(dispatch))
        render.table(show.COLUMNS, show.tasks(dispatch))


def _print_bytes(name: str, *, patch: bool) -> None:
    """Print a run's output or patch unchanged; on a terminal, control characters are escaped."""
    from ...mail.render import clean
    from .. import session
    from ..api import traces

    context = session.reading_context()
    data = traces.patch_of(context, name) if patch else traces.output_of(context, name)
    if sys.stdout.isatty():
        output.say(clean(data.decode(errors="backslashreplace")), nl=not data.endswith(b"\n"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
