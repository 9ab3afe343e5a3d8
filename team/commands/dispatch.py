"""The commands of `team` that carry out tasks, for the first time or again.

The output of `team dispatch` is stable: unless on a terminal, results are JSON on standard output, and errors before
the start JSON on standard error.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...mail.commands import output
from ...mail.errors import TeamMailError, UsageError
from ...mail.kinds import ExitCode
from .common import options as option
from .common.printing import note, say
from .diagnosing import diagnosed, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ...scheduler.tasks.task import DispatchInput
    from ..api.dispatches import DispatchRequest, DispatchResult

_NOT_FOR_RESUME = (
    "--dry-run and --base are not for --resume, which goes on from what is there; "
    "team trace --index --dispatch ID lists what is left"
)

Logs = tuple[option.LogFormatName | None, option.LogLevelName | None]
_NO_LOGS: Logs = (None, None)

app = typer.Typer()


@app.command()
def dispatch(
    file: option.File = None,
    max_workers: option.MaxWorkers = None,
    timeout: option.Timeout = None,
    trace_dir: option.TraceDir = None,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with a dispatch, by its correlation id; skip what succeeded.")
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Tasks from a template: code-review, research, build, your own.")
    ] = None,
    values: Annotated[list[str], typer.Option("--set", help="A value for the template: key=value; repeatable.")] = [],  # noqa: B006
    agent: option.Agent = None,
    base: option.Base = None,
    session_name: option.Session = None,
    no_repository: option.NoRepository = False,
    dry_run: option.DryRun = False,
    quiet: option.Quiet = False,
    log_format: option.LogFormat = None,
    log_level: option.LogLevel = None,
    as_json: option.DispatchJson = False,
) -> None:
    """Carry out tasks that depend on each other, each as soon as it can: tasks.json in, results and traces out."""
    as_json = as_json or not sys.stdout.isatty()
    with refusals(as_json):
        _check_source(resume, template, values, file)
        if resume is not None and (dry_run or base is not None):
            raise UsageError(_NOT_FOR_RESUME)
        config = config_of(max_workers, timeout, trace_dir)
        from ..api import dispatches

        request = dispatches.DispatchRequest(
            agent, base, session=session_name, repository=False if no_repository else None
        )
        logs = log_format, log_level
        if resume is not None:
            _run(partial(dispatches.resume, resume, config, request), quiet=quiet, as_json=as_json, logs=logs)
            return
        tasks = dispatches.read_tasks(_template(template, values) if template is not None else _text(file), config)
        _start(tasks, request, dry_run=dry_run, quiet=quiet, as_json=as_json, logs=logs)


@app.command()
def replay(
    correlation_id: option.CorrelationId,
    max_workers: option.MaxWorkers = None,
    timeout: option.Timeout = None,
    trace_dir: option.TraceDir = None,
    agent: option.Agent = None,
    base: option.Base = None,
    session_name: option.Session = None,
    dry_run: option.DryRun = False,
    quiet: option.Quiet = False,
    as_json: option.DispatchJson = False,
) -> None:
    """Dispatch the same tasks again, all of them, played by the same agents or by another."""
    as_json = as_json or not sys.stdout.isatty()
    with refusals(as_json):
        config = config_of(max_workers, timeout, trace_dir)
        from ..api import dispatches

        tasks, request = dispatches.replayed(
            correlation_id, config, dispatches.DispatchRequest(agent, base, session=session_name)
        )
        _start(tasks, request, dry_run=dry_run, quiet=quiet, as_json=as_json)


@app.command()
def templates(as_json: option.Json = False) -> None:
    """List the templates that team dispatch --template knows, with the values that each one needs."""
    from ...mail import render
    from ..api import team
    from ..home import home_if_any
    from ..show.dispatch import templates as lines

    listed = team.templates(home_if_any())
    if as_json:
        render.document(listed.document())
    else:
        say(lines(listed.templates))


def _start(
    tasks: DispatchInput, request: DispatchRequest, *, dry_run: bool, quiet: bool, as_json: bool, logs: Logs = _NO_LOGS
) -> None:
    from ..api import dispatches

    if not dry_run:
        _run(partial(dispatches.dispatch, tasks, request), quiet=quiet, as_json=as_json, logs=logs)
        return
    from ...mail import render
    from ..show import dispatch as show

    preview = dispatches.preview(tasks, request)
    if as_json:
        render.document(preview.document())
    else:
        say(show.preview(preview))


def _run(act: Callable[..., DispatchResult], *, quiet: bool, as_json: bool, logs: Logs = _NO_LOGS) -> None:
    """Dispatch or resume; print the result, also after an interrupt, and exit with its code."""
    from ...mail import render
    from .. import session
    from ..show.dispatch import DispatchShow, summary

    with diagnosed("team", session.settings_if_any(), *logs) as diagnostics:
        with DispatchShow(quiet=quiet or diagnostics.on_stderr) as show:
            done = act(listener=diagnostics.listener(show.on_progress), interrupts=session.ending)
        if as_json:
            render.document(done.document())
        else:
            say(summary(done.output))
        if done.interrupted:
            with suppress(OSError):  # the result is printed; a reader may be gone
                text = f"interrupted; team dispatch --resume {done.output.correlation_id} goes on"
                tell(diagnostics, "team", text)
            raise typer.Exit(ExitCode.INTERRUPTED)
    if not done.succeeded:
        raise typer.Exit(ExitCode.FAILED)


def config_of(max_workers: int | None, timeout: str | None, trace_dir: str | None) -> dict[str, Any]:
    """Return the parts of the config that the command line sets. Raises UsageError."""
    from ...mail.text.units import seconds

    config: dict[str, Any] = {"max_workers": max_workers, "trace_dir": trace_dir}
    if timeout is not None:
        try:
            config["timeout_seconds"] = seconds(float(timeout) if timeout.replace(".", "", 1).isdigit() else timeout)
        except ValueError as error:
            raise UsageError(f"--timeout {timeout!r} {error}") from None
    return {name: value for name, value in config.items() if value is not None}


def _check_source(resume: str | None, template: str | None, values: list[str], file: str | None) -> None:
    sources = {"FILE": file, "--resume": resume, "--template": template}
    named = [name for name, source in sources.items() if source is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} are both given; the tasks come from one of them")
    if values and template is None:
        raise UsageError("--set is for --template; team dispatch --template code-review --set key=value")


def _text(file: str | None) -> bytes:
    """Read the tasks, up to the size limit. Raises UsageError."""
    from ...scheduler.given import open_given
    from ...scheduler.tasks.reader import read_limited

    if file not in {None, "-"}:
        try:
            with open_given(Path(str(file))) as stream:
                return read_limited(stream)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}; give a tasks.json") from None
    if sys.stdin is None or (file is None and output.are_terminals(sys.stdin)):  # pyright: ignore[reportUnnecessaryComparison]
        raise UsageError("no tasks: team dispatch tasks.json, or pipe them in, or --template code-review")
    return read_limited(sys.stdin.buffer)


def _template(name: str, values: list[str]) -> bytes:
    from ..api import team
    from ..home import home_if_any

    return team.template(name, dict(_pair(word) for word in values), home_if_any())


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {word!r} is not KEY=VALUE")
    return key, value


@contextmanager
def refusals(as_json: bool) -> Generator[None]:
    """Print problems: as JSON, or on a terminal one a line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (TeamMailError, OSError) as error:
        from ...mail.log.disk import reason_of
        from ...mail.render import clean
        from ...scheduler.errors import NotLeader
        from ...scheduler.kinds import DispatchStatus

        why = reason_of(error) if isinstance(error, OSError) else str(error)
        why = f"{error.filename}: {why}" if isinstance(error, OSError) and error.filename else why
        problems: list[str] = [*getattr(error, "problems", ())] or [why]
        if as_json:
            document = {"status": DispatchStatus.FAILURE, "error": "; ".join(problems), "errors": problems}
            output.say(json.dumps(document, indent=2), err=True)
        else:
            for problem in problems:
                note("team", clean(problem))
        code = ExitCode.USAGE if isinstance(error, NotLeader) else getattr(error, "exit_code", ExitCode.FAILED)
        raise typer.Exit(code) from None
