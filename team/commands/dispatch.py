"""The commands of `team` that carry out tasks, for the first time or again.

What `team dispatch` prints is a format: JSON on standard output wherever that is no terminal, and what is refused
before the start as JSON on standard error.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...mail.errors import TeamMailError, UsageError
from . import options as option
from .trace import open_shop, say

if TYPE_CHECKING:
    from collections.abc import Generator

    from ...scheduler.tasks.task import DispatchInput, Task
    from ..dispatcher import ParallelDispatcher

INTERRUPTED = 130
_NOT_FOR_RESUME = (
    "--dry-run and --base are not for --resume, which goes on from what is there; "
    "team trace --index --dispatch ID lists what is left"
)

app = typer.Typer()


@app.command()
def dispatch(
    file: option.File = None,
    max_workers: option.Workers = None,
    timeout: option.Timeout = None,
    trace_dir: option.TraceDir = None,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with a dispatch, by its correlation id; skip what succeeded.")
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Tasks from a template: code-review, research, build, your own.")
    ] = None,
    values: Annotated[list[str], typer.Option("--set", help="A value for the template: key=value; repeat it.")] = [],  # noqa: B006
    agent: option.Agent = None,
    base: option.Base = None,
    dry_run: option.DryRun = False,
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Carry out tasks that depend on each other, each as soon as it can: tasks.json in, results and traces out."""
    as_json = as_json or not sys.stdout.isatty()
    with _refusals(as_json):
        _check_source(resume, template, values, file)
        if resume is not None and (dry_run or base is not None):
            raise UsageError(_NOT_FOR_RESUME)
        asked = _asked(max_workers, timeout, trace_dir)
        if resume is not None:
            _carry_out(_dispatcher(asked, agent, base), None, resume, quiet=quiet, as_json=as_json)
            return
        given = _given(_template(template, values) if template is not None else _text(file))
        _start(given, asked, agent, base, dry_run=dry_run, quiet=quiet, as_json=as_json)


@app.command()
def replay(
    correlation_id: option.Id,
    max_workers: option.Workers = None,
    timeout: option.Timeout = None,
    trace_dir: option.TraceDir = None,
    agent: option.Agent = None,
    base: option.Base = None,
    dry_run: option.DryRun = False,
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Dispatch the same tasks again, all of them, played by the same agents or by another."""
    as_json = as_json or not sys.stdout.isatty()
    with _refusals(as_json):
        from ...scheduler.state.dispatches import read_dispatch
        from ..dispatcher import given_to
        from ..open import GIVEN

        context = open_shop()
        found = read_dispatch(context.mailbox.projections, correlation_id)
        agent = agent or (found.agent if found.agent != GIVEN else None)
        asked = _asked(max_workers, timeout, trace_dir)
        _start(given_to(context, found), asked, agent, base, dry_run=dry_run, quiet=quiet, as_json=as_json)


@app.command()
def templates(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """List the templates that team dispatch --template knows, with what each has to be told."""
    from ...mail import render
    from ..templates import templates as listed

    found = listed(_home_or_none())
    if as_json:
        render.document([{**one._asdict(), "parameters": [each._asdict() for each in one.parameters]} for one in found])
        return
    for one in found:
        typer.echo(f"{one.name}{' (your own)' if one.own else ''}: {render.line(one.problem or one.description)}")
        for each in one.parameters:
            default = "" if each.default is None else f" [{render.line(each.default)}]"
            typer.echo(f"  --set {each.name}=…  {render.line(each.description)}{default}")


def _home_or_none() -> Path | None:
    from ...mail.errors import NoTeam
    from ...mail.open import team_home

    try:
        return team_home()
    except NoTeam:
        return None


def _start(
    given: DispatchInput, asked: dict[str, Any], agent: str | None, base: str | None, *, dry_run: bool, quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    dispatcher = _dispatcher(given.config.model_dump(exclude_unset=True) | asked, agent, base)
    if not dry_run:
        _carry_out(dispatcher, given.tasks, None, quiet=quiet, as_json=as_json)
        return
    from ...mail import render
    from ...scheduler.dispatch.preview import DispatchPreview
    from ..show import dispatch as show

    preview = DispatchPreview(given.tasks, dispatcher.config, dispatcher.look_ahead(given.tasks))
    if as_json:
        render.document(preview.document())
    else:
        say(show.preview(preview))


def _carry_out(
    dispatcher: ParallelDispatcher, tasks: tuple[Task, ...] | None, resume: str | None, *, quiet: bool, as_json: bool
) -> None:
    """Dispatch, or go on; print what came of it, also after an interrupt, and exit by it."""
    from ...mail import render
    from .. import session
    from ..show.dispatch import DispatchShow, summary

    with DispatchShow(tasks or _left(resume), quiet=quiet) as show:
        dispatcher.listener = show.on_progress
        with session.ending(dispatcher.end) as came:
            done = dispatcher.resume(resume) if resume is not None else dispatcher.dispatch(tasks or ())
    if as_json:
        render.document(done.document())
    else:
        say(summary(done))
    if came:
        with suppress(OSError):  # the result is out, whoever still reads the rest
            typer.echo(f"team: interrupted; team dispatch --resume {done.correlation_id} goes on", err=True)
        raise typer.Exit(INTERRUPTED)
    if done.status != "success":
        raise typer.Exit(1)


def _left(resume: str | None) -> list[Task]:
    """List what is left of a dispatch that is gone on with, for the table on a terminal."""
    if resume is None or sys.stderr is None or not sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        return []
    from ...scheduler.state.dispatches import SUCCESS, read_dispatch
    from ..dispatcher import given_to

    context = open_shop()
    found = read_dispatch(context.mailbox.projections, resume)
    return [task for task in given_to(context, found).tasks if found.status(task.task_id) != SUCCESS]


def _dispatcher(config: dict[str, Any], agent: str | None, base: str | None) -> ParallelDispatcher:
    from ...scheduler.errors import InvalidTasks
    from ...scheduler.problems import Problems
    from ...scheduler.tasks.task import DispatchConfig, read_table
    from ..dispatcher import ParallelDispatcher

    problems = Problems()
    told = read_table(DispatchConfig, config, ("config",), problems, "the config")
    if told is None:
        raise InvalidTasks(problems.messages())
    return ParallelDispatcher(told, agent=agent, base=base)


def _asked(max_workers: int | None, timeout: str | None, trace_dir: str | None) -> dict[str, Any]:
    """Return the parts of the config that were asked for on the command line. Raises UsageError."""
    from ...mail.units import seconds

    asked: dict[str, Any] = {"max_workers": max_workers, "trace_dir": trace_dir}
    if timeout is not None:
        try:
            asked["timeout_seconds"] = seconds(float(timeout) if timeout.replace(".", "", 1).isdigit() else timeout)
        except ValueError as error:
            raise UsageError(f"--timeout {timeout!r} {error}") from None
    return {name: value for name, value in asked.items() if value is not None}


def _check_source(resume: str | None, template: str | None, values: list[str], file: str | None) -> None:
    sources = {"FILE": file, "--resume": resume, "--template": template}
    named = [name for name, told in sources.items() if told is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} are both given; the tasks come from one of them")
    if values and template is None:
        raise UsageError("--set is for --template; team dispatch --template code-review --set key=value")


def _text(file: str | None) -> bytes:
    """Read what is to be dispatched, no more of it than is taken. Raises UsageError."""
    from ...scheduler.tasks.reader import read_limited

    if file not in {None, "-"}:
        try:
            with Path(str(file)).open("rb") as opened:
                return read_limited(opened)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}; give a tasks.json") from None
    if sys.stdin is None or (file is None and sys.stdin.isatty()):  # pyright: ignore[reportUnnecessaryComparison]
        raise UsageError("no tasks: team dispatch tasks.json, or pipe them in, or --template code-review")
    return read_limited(sys.stdin.buffer)


def _template(name: str, values: list[str]) -> bytes:
    from ..templates import template

    return template(name, dict(_pair(word) for word in values), _home_or_none())


def _pair(word: str) -> tuple[str, str]:
    key, found, value = word.partition("=")
    if not found or not key:
        raise UsageError(f"--set {word!r} is not KEY=VALUE")
    return key, value


def _given(text: bytes) -> DispatchInput:
    """Read tasks and check all that can be checked of them. Raises InvalidTasks."""
    from ...mail.open import team_home
    from ...personas.bundled import with_bundled
    from ...personas.roster import read_roster
    from ...scheduler.tasks.reader import read_input

    roster = with_bundled(read_roster(team_home(create=True) / "personas"))
    return read_input(text, [persona.id for persona in roster.personas])


@contextmanager
def _refusals(as_json: bool) -> Generator[None]:
    """Tell what was refused or went wrong as JSON; on a terminal, each problem in a line of its own."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (TeamMailError, OSError) as error:
        from ...mail.log.disk import reason_of
        from ...mail.render import clean
        from ...scheduler.errors import NotLeader

        told = reason_of(error) if isinstance(error, OSError) else str(error)
        told = f"{error.filename}: {told}" if isinstance(error, OSError) and error.filename else told
        problems: list[str] = [*getattr(error, "problems", ())] or [told]
        if as_json:
            document = {"status": "failure", "error": "; ".join(problems), "errors": problems}
            typer.echo(json.dumps(document, indent=2), err=True)
        else:
            for problem in problems:
                typer.echo(f"team: {clean(problem)}", err=True)
        code = UsageError.exit_code if isinstance(error, NotLeader) else getattr(error, "exit_code", 1)
        raise typer.Exit(code) from None
