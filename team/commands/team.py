"""The command `team`. Nothing may depend on this module: each command parses, calls the API, and renders.

Exit codes: 0 done; 1 failed, or a persona that cannot be read; 2 usage; 4 a demo that did not converge, or deployed
nothing; 130 interrupted.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ...mail.commands import cli_options as mail_option
from ...mail.commands import output
from ...mail.errors import UsageError
from ...mail.kinds import ExitCode
from . import agents, ask, console, dispatch, mcp, overview, plan, trace
from .common import options as option
from .common.printing import say
from .outside import cluster, jules, measures, notify, personas
from .work import claims, hook, join, sessions, worker


class DemoTeam(StrEnum):
    """The teams of the demo, beside that of the kiosk."""

    ORION = "orion"


app = typer.Typer(
    name="team",
    help="Make a team, see who is on it, plan tasks, dispatch them to it, watch one at work.",
    epilog="The team is that of the nearest .team folder, or of TEAM_HOME.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    version: Annotated[bool, mail_option.version_of("team")] = False,
) -> None:
    """Make a team, see who is on it, plan tasks, dispatch them to it, watch one at work."""
    del version


@app.command()
def init(
    personas: Annotated[
        str, typer.Option("--personas", "-p", help="Only these of the bundled ones, with commas between.")
    ] = "",
) -> None:
    """Make a team in this git repository: .team/team.toml to edit and .team/personas/ to choose from.

    Nothing that is there already is overwritten.
    """
    from ..api import team
    from ..show import team as show

    say(show.made(team.init(Path.cwd(), [name.strip() for name in personas.split(",") if name.strip()])))


@app.command()
def config(
    origin: Annotated[bool, typer.Option("--origin", help="Show where each value comes from, too.")] = False,
    as_json: option.Json = False,
) -> None:
    """Show the settings in force; with --origin the flag, variable or line that each one comes from."""
    from ...mail import render
    from ...mail.open import team_home
    from ..api import team
    from ..show import team as show

    loaded = team.config(team_home())
    if as_json:
        render.document(loaded.document())
        return
    columns = 3 if origin else 2
    render.table(show.SETTING_COLUMNS[:columns], [row[:columns] for row in show.settings(loaded)])


@app.command()
def demo(
    folder: Annotated[Path | None, typer.Argument(help="An empty or new folder; by default a temporary one.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small team, only all at once; takes seconds.")] = False,
    team: Annotated[
        DemoTeam | None, typer.Option("--team", help="Another team: orion, which works under a supervisor.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option("--speed", help="With --team orion: how many times as fast as real work; by default 10."),
    ] = None,
) -> None:
    """Watch a team at work on a project made for it: one after the other, then all at once. It takes a minute.

    With --team orion, watch one under a supervisor: what lands is reported on, decided and deployed, by four kinds of
    rounds that are measured. It takes half a minute, with --speed 1 two minutes and a half.
    """
    if team is None and speed is not None:
        raise UsageError("--speed is for --team orion")
    if team is not None and quick:
        raise UsageError("--quick is for the demo without --team; --speed 100 makes this one quick")
    from ..demo import demo as kiosk
    from ..demo import orion as shop

    chosen = shop.SPEED if speed is None else speed
    well = kiosk.demo(folder, quick=quick) if team is None else shop.orion(folder, speed=chosen)
    if not well:
        raise typer.Exit(ExitCode.NOT_CONVERGED)


for more in (overview, agents, dispatch, ask, trace, plan, claims, worker, join, mcp, measures):
    app.registered_commands += more.app.registered_commands
app.registered_commands += sessions.commands.registered_commands
app.add_typer(claims.tasks)
app.add_typer(notify.app)
app.add_typer(measures.export)
app.add_typer(sessions.app)
app.add_typer(hook.app)
app.add_typer(jules.app)
app.add_typer(console.app)
app.add_typer(cluster.app)
app.add_typer(cluster.log)
app.add_typer(personas.app)


def command() -> Any:
    """Return the whole tree of commands, for the manual and for tests."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; say in one line on standard error what could not be done."""
    output.run_app("team", app)


if __name__ == "__main__":
    main()
