"""The command `team`. Nothing may depend on this module: each command parses, calls one thing, and renders.

Exit codes: 0 done; 1 failed, or a persona that cannot be read; 2 usage; 4 a demo that did not converge; 130
interrupted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...mail.commands import cli_options as mail_option
from ...mail.commands import output
from . import dispatch as cli_dispatch
from . import plan as cli_plan
from . import trace as cli_trace

if TYPE_CHECKING:
    from ...scheduler.settings.settings import Loaded
    from ..init import Made

NOT_CONVERGED = 4

app = typer.Typer(
    name="team",
    help="The team itself: make one, see who is on it, plan tasks, dispatch them to it, watch one at work.",
    epilog="The team is that of the nearest .team folder, or of TEAM_HOME.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.callback()
def root(
    version: Annotated[bool, mail_option.version_of("team")] = False,
) -> None:
    """The team itself: make one, see who is on it, plan tasks, dispatch them to it, watch one at work."""  # noqa: D401
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
    from ..init import make_team

    made = make_team(Path.cwd(), [name.strip() for name in personas.split(",") if name.strip()])
    _tell(made)


def _tell(made: Made) -> None:
    """Say what was made, what it will cost, and what comes next."""
    from ...personas.roster import read_roster

    home = os.path.relpath(made.home)
    roster = read_roster(made.home / "personas")
    count = len(roster.scheduled)
    print(
        f"{home}/team.toml   {'new, every setting with its default' if made.settings else 'was there and is as it was'}"
    )
    new = f"{len(made.personas)} new" if made.personas else "as it was (--personas NAMES adds bundled ones, or all)"
    print(f"{home}/personas/   {new}; {count} of {len(roster.personas)} take part in a sprint")
    print("\nNext")
    print(f"  1. put your agent's command into {home}/team.toml, under [agents.shell]")
    if made.agents:
        print(f"     found here: {', '.join(made.agents)}; the lines for each are in that file")
    print("  2. scheduler --dry-run             what would be started, and why; nothing is")
    print(f"  3. scheduler sprint                from {made.base}, onto a branch of its own")
    print("  4. team-mail inbox --persona you   what the team has to tell you")
    if count > 1:
        print(f"\nA sprint starts {count} runs of your agent, and again whoever gets mail.")
        print(f"For fewer, remove files from {home}/personas, or write `scheduled: false` in")
        print("their heads; `team personas` shows who is left.")


@app.command()
def config(
    origin: Annotated[bool, typer.Option("--origin", help="Where each value comes from, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the settings in force; with --origin the flag, variable or line that each one comes from."""
    import json

    from ...mail import render

    loaded = _settings()
    if as_json:
        render.document(loaded.document())
        return
    rows = [
        (key, "" if found.value is None else json.dumps(found.value, ensure_ascii=False, default=str), found.where)
        for key, found in loaded.origins.items()
    ]
    columns = 3 if origin else 2
    render.table(("setting", "value", "from")[:columns], [row[:columns] for row in rows])


@app.command()
def personas(as_json: Json = False) -> None:
    """List the roster: who plays whom, and who takes part. Files that are no personas are named, with exit code 1."""
    from ...mail import render
    from ...mail.open import team_home
    from ...personas.prompt import fault_of
    from ...personas.roster import read_roster

    roster, settings = read_roster(team_home() / "personas"), _settings().settings
    default = settings.team.agent
    problems = [*roster.problems, *(fault for one in roster.personas if (fault := fault_of(one)))]
    problems += [
        f"{one.id}: agent {one.agent!r} is none of [agents] in team.toml"
        for one in roster.personas
        if one.agent and one.agent not in settings.agents
    ]
    if as_json:
        listed = [_persona(one, default) for one in roster.personas]
        render.document({"personas": listed, "problems": problems})
    else:
        rows = [
            (one.emoji, one.id, one.agent or default, "" if one.scheduled else "not in sprints", one.description)
            for one in roster.personas
        ]
        render.table(("", "persona", "agent", "", "what for"), rows)
        for problem in problems:
            typer.echo(f"team: {render.line(problem)}", err=True)
    if problems:
        raise typer.Exit(1)


def _persona(one: Any, default: str) -> dict[str, Any]:
    told = {
        name: getattr(one, name) for name in ("id", "name", "emoji", "description", "role", "scheduled", "priority")
    }
    return told | {
        "agent": one.agent or default, "paths": [*one.paths], "timeout": one.timeout, "file": str(one.source),
    }  # fmt: skip


def _settings() -> Loaded:
    from ...mail.open import team_home
    from ...scheduler.settings.settings import read_settings

    return read_settings(team_home(), os.environ)


@app.command()
def demo(
    folder: Annotated[Path | None, typer.Argument(help="An empty or new folder; else a temporary one.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small team, only all at once: some seconds.")] = False,
) -> None:
    """Watch a team at work on a project made for it: one after the other, then all at once. It takes a minute."""
    from ..demo.demo import demo as play

    if not play(folder, quick=quick):
        raise typer.Exit(NOT_CONVERGED)


for more in (cli_dispatch, cli_trace, cli_plan):
    app.registered_commands += more.app.registered_commands


def command() -> Any:
    """Return the whole tree of commands, for the manual and for tests."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; say in one line on stderr what could not be done."""
    output.run("team", app)


if __name__ == "__main__":
    main()
