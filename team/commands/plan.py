"""The command of `team` that thinks a piece of work through before it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...mail.errors import NoTeam, TeamMailError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...scheduler.planner.item import Roadmap
    from ...scheduler.planner.work_plan import WorkPlan

_STDIN = "stdin"

File = Annotated[
    str | None, typer.Argument(help="A roadmap (YAML, JSON) or a tasks.json; - or a pipe: standard input.")
]
FromSprint = Annotated[
    bool, typer.Option("--from-sprint", help="Foretell the next sprint from what past ones touched and took.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="How many work at once; default the roadmap's.", min=1, max=1000)
]
Most = Annotated[int, typer.Option("--most", help="Up to how many workers to compare.", min=1, max=64)]
Done = Annotated[list[str], typer.Option("--done", help="A task that is done already; repeat it.")]
Tasks = Annotated[bool, typer.Option("--tasks", help="Print the tasks.json for team dispatch instead.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="A page in Markdown instead.")]
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
    as_json: Json = False,
    as_markdown: Markdown = False,
    svg: Svg = None,
    png: Png = None,
) -> None:
    """Plan work before it runs: what can be done at once, where tasks collide, who does what when, what that saves."""
    from ...mail import render
    from ...scheduler.errors import InvalidTasks
    from ..show import plan as told

    if sum((tasks, as_json, as_markdown)) > 1:
        raise UsageError("--tasks, --json and --markdown each print something else; choose one")
    try:
        data, roadmap = (b"", _forecast(file)) if from_sprint else _read(file)
        found = _draw(roadmap, done, workers, most)
        _paint(found, svg, png)
        if tasks:
            _hand_over(found, data)
        elif as_json:
            render.document(found.document())
        elif as_markdown:
            picture = svg or png
            typer.echo(told.markdown(found, str(picture) if picture else None), nl=False)
        else:
            for text in told.lines(found):
                typer.echo(text)
    except InvalidTasks as error:
        for problem in error.problems:
            typer.echo(f"team: {render.clean(problem)}", err=True)
        raise typer.Exit(error.exit_code) from None


def _forecast(file: str | None) -> Roadmap:
    from ...scheduler.planner.forecast import from_sprint
    from .. import session

    if file is not None:
        raise UsageError(f"--from-sprint reads the team's log, and {file} would be planned instead; give one of them")
    context = session.context()
    return from_sprint(context.state(), [member.id for member in context.members])


def _read(file: str | None) -> tuple[bytes, Roadmap]:
    """Return what is to be planned, as it is written and as it is read."""
    from ...scheduler.planner.roadmap_file import read_roadmap
    from ...scheduler.tasks.reader import read_limited

    if file not in {None, "-"}:
        try:
            with Path(str(file)).open("rb") as stream:
                data = read_limited(stream)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}; give a roadmap or a tasks.json") from None
    elif file == "-" or not sys.stdin.isatty():
        data = read_limited(sys.stdin.buffer)
    else:
        raise UsageError("plan what? Give a roadmap or a tasks.json, or --from-sprint")
    return data, read_roadmap(data, _STDIN if file in {None, "-"} else str(file), _personas())


def _personas() -> Sequence[str]:
    """Name whoever can be given a task: the team's own personas, if there is a team, and the bundled ones."""
    from ...mail.open import team_home
    from ...personas.bundled import with_bundled
    from ...personas.roster import Roster, read_roster

    try:
        own = read_roster(team_home() / "personas")
    except NoTeam:
        own = Roster()
    return [persona.id for persona in with_bundled(own).personas]


def _draw(roadmap: Roadmap, done: Sequence[str], workers: int | None, most: int) -> WorkPlan:
    from ...scheduler.planner.overlap import overlaps
    from ...scheduler.planner.to_tasks import without
    from ...scheduler.planner.work_plan import draw

    left = without(roadmap, done)
    return draw(left, overlaps(left), workers, most)


def _paint(found: WorkPlan, svg: Path | None, png: Path | None) -> None:
    """Draw the pictures asked for. Raises TeamMailError where nothing is there to draw them with."""
    if svg is None and png is None:
        return
    from ..show import chart
    from ..show.gantt import gantt

    if trouble := chart.trouble():
        raise TeamMailError(trouble)
    spec = gantt(found)
    for file, paint in ((svg, chart.svg), (png, chart.png)):
        if file is not None:
            file.write_bytes(paint(spec))
            typer.echo(f"wrote {file}", err=True)


def _hand_over(found: WorkPlan, data: bytes) -> None:
    """Print the tasks that can be dispatched, and say on standard error what is for people."""
    from ...mail import render
    from ...scheduler.planner.to_tasks import given_in, work_order
    from ..show.plan import left_out

    order = work_order(found, given_in(data))
    render.document(order.document)
    for text in left_out(order):
        typer.echo(f"team: {text}", err=True)
