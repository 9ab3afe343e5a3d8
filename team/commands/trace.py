"""The command of `team` that tells from the log what became of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from ...mail.errors import TeamMailError, UsageError

if TYPE_CHECKING:
    from ...scheduler.context import Context
    from ...scheduler.state.dispatches import DispatchState
    from ...scheduler.tasks.task import DispatchInput, Task

app = typer.Typer()


@app.command()
def trace(
    task: Annotated[str | None, typer.Argument(help="A task's id.")] = None,
    index: Annotated[bool, typer.Option("--index", help="The dispatch's index: all its tasks.")] = False,
    dispatch_id: Annotated[
        str | None, typer.Option("--dispatch", help="A correlation id; default the last dispatch that had the task.")
    ] = None,
    trace_dir: Annotated[
        str | None, typer.Option("--trace-dir", help="Write all traces and the index into this folder, again.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The trace, or the index, as JSON.")] = False,
) -> None:
    """Tell from the log what a task was given, what its agent did, and what came of it."""
    from ...mail import render
    from ...scheduler.dispatch.output import index as index_of
    from ...scheduler.dispatch.output import trace as trace_of
    from ...scheduler.state.dispatches import read_dispatch
    from ..dispatcher import given_to

    if (task is None) == (not index and trace_dir is None):
        raise UsageError("name a task, or ask for --index; team trace --index lists the tasks of the last dispatch")
    context = open_shop()
    found = read_dispatch(context.mailbox.projections, dispatch_id, task)
    given = given_to(context, found)
    if trace_dir is not None:
        _export(context, found, given, trace_dir)
    if index and as_json:
        render.document(index_of(found, given.tasks, given.config, lambda _: None))
    elif index:
        _list(found, given)
    elif task is not None and as_json:
        render.document(trace_of(found, _task(found, given, task), context.mailbox.blobs))
    elif task is not None:
        from ..show.dispatch import traced

        say(traced(found, _task(found, given, task), context.mailbox.blobs))


def _task(found: DispatchState, given: DispatchInput, name: str) -> Task:
    for task in given.tasks:
        if task.task_id == name:
            return task
    raise UsageError(
        f"dispatch {found.id} has no task {name!r}; team trace --index --dispatch {found.short} lists them"
    )


def _export(context: Context, found: DispatchState, given: DispatchInput, folder: str) -> None:
    from ...scheduler.dispatch.traces import Traces

    traces = Traces(folder, context.mailbox.blobs)
    traces.prepare()
    for task in given.tasks:
        traces.write(found, task)
    typer.echo(f"wrote {traces.write_index(found, given.tasks, given.config)}", err=True)
    if traces.problems:
        raise TeamMailError("; ".join(traces.problems))


def _list(found: DispatchState, given: DispatchInput) -> None:
    from ...mail import render
    from ..show.dispatch import standing_of, state_of
    from ..show.sprint import span

    typer.echo(f"dispatch {found.id}, {found.started[:19]}Z, {span(found.seconds)}{state_of(found)}")
    rows = [
        (one.task_id, one.agent, standing_of(found, one.task_id), str(len(found.of(one.task_id))), one.description)
        for one in given.tasks
    ]
    render.table(("task", "persona", "status", "attempts", "what"), rows)


def open_shop() -> Context:
    """Open the workshop of the team that is here, for looking. Raises NoTeam."""
    from ...mail.open import team_home
    from ..open import open_for_dispatch

    return open_for_dispatch(team_home())[0]


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    for text in lines:
        typer.echo(text)
