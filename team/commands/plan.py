"""The command `team plan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...mail.commands import output
from ...mail.errors import TeamMailError, UsageError
from .common import options as option
from .common.printing import note, say

if TYPE_CHECKING:
    from ...scheduler.claims.claims import Claims
    from ...scheduler.planner.item import Roadmap
    from ...scheduler.planner.work_plan import WorkPlan

_STDIN = "stdin"

File = Annotated[
    str | None, typer.Argument(help="A roadmap (YAML, JSON) or a tasks.json; - or a pipe: standard input.")
]
FromSprint = Annotated[
    bool, typer.Option("--from-sprint", help="Forecast the next sprint from what past ones changed and how long.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="How many work at once; by default as the roadmap says.", min=1, max=1000),
]
Most = Annotated[int, typer.Option("--most", help="Up to how many workers to compare.", min=1, max=64)]
Done = Annotated[list[str], typer.Option("--done", help="A task that is done already; repeatable.")]
Tasks = Annotated[bool, typer.Option("--tasks", help="Print the tasks.json for team dispatch instead.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a page in Markdown instead.")]
Svg = Annotated[Path | None, typer.Option("--svg", help="Draw the schedule into this file.")]
Png = Annotated[Path | None, typer.Option("--png", help="Draw the schedule into this file.")]

app = typer.Typer()


@app.command()
def plan(
    file: File = None,
    from_sprint: FromSprint = False,
    workers: Workers = None,
    most: Most = 8,
    done: Done = [],  # noqa: B006
    tasks: Tasks = False,
    as_json: option.Json = False,
    as_markdown: Markdown = False,
    svg: Svg = None,
    png: Png = None,
) -> None:
    """Plan work before it runs: what can be done at once, where tasks conflict, who does what when, what that saves."""
    from ...mail import render
    from ...scheduler.errors import InvalidTasks
    from ..api import plans
    from ..show import plan as show

    if sum((tasks, as_json, as_markdown)) > 1:
        raise UsageError("--tasks, --json and --markdown each print something else; choose one")
    try:
        data, roadmap = (b"", _forecast(file)) if from_sprint else _read(file)
        work = plans.plan(roadmap, done, workers, most, claims=_claims())
        _draw(work, svg, png)
        if tasks:
            _print_tasks(work, data)
        elif as_json:
            render.document(work.document())
        elif as_markdown:
            picture = svg or png
            output.say(show.markdown(work, str(picture) if picture else None), nl=False)
        else:
            say(show.lines(work))
    except InvalidTasks as error:
        for problem in error.problems:
            note("team", render.clean(problem))
        raise typer.Exit(error.exit_code) from None


def _claims() -> Claims | None:
    """Open the claims of the team, if there is one with a log: a plan needs none."""
    from .. import session
    from ..home import home_if_any

    home = home_if_any()
    return session.claims() if home and (home / "mail").is_dir() else None


def _forecast(file: str | None) -> Roadmap:
    from .. import session
    from ..api import plans

    if file is not None:
        raise UsageError(f"--from-sprint reads the team's log, and {file} would be planned instead; give one of them")
    return plans.forecast(session.reading_context())


def _read(file: str | None) -> tuple[bytes, Roadmap]:
    """Return the input, as bytes and as a roadmap."""
    from ...scheduler.given import open_given
    from ...scheduler.tasks.reader import read_limited
    from ..api import plans
    from ..home import home_if_any

    if file not in {None, "-"}:
        try:
            with open_given(Path(str(file))) as stream:
                data = read_limited(stream)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}; give a roadmap or a tasks.json") from None
    elif sys.stdin is None or (file is None and output.are_terminals(sys.stdin)):  # pyright: ignore[reportUnnecessaryComparison]
        raise UsageError("plan what? Give a roadmap or a tasks.json, or --from-sprint")
    else:
        data = read_limited(sys.stdin.buffer)
    return data, plans.read_roadmap(data, _STDIN if file in {None, "-"} else str(file), home_if_any())


def _draw(work: WorkPlan, svg: Path | None, png: Path | None) -> None:
    """Draw the requested pictures. Raises TeamMailError if the drawing library is missing."""
    if svg is None and png is None:
        return
    from ..show.charts import chart
    from ..show.charts.gantt import gantt

    if trouble := chart.trouble():
        raise TeamMailError(trouble)
    spec = gantt(work)
    for file, paint in ((svg, chart.svg), (png, chart.png)):
        if file is not None:
            file.write_bytes(paint(spec))
            output.say(f"wrote {file}", err=True)


def _print_tasks(work: WorkPlan, data: bytes) -> None:
    """Print the dispatchable tasks, and on standard error the work of people."""
    from ...mail import render
    from ..api import plans
    from ..show.plan import left_out

    tasks = plans.tasks_of(work, data)
    render.document(tasks.document())
    for text in left_out(tasks.tasks):
        note("team", text)
