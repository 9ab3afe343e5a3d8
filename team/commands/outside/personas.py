"""The commands `team personas`, its import and its export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ....mail.kinds import ExitCode
from ....personas.foreign.sheet import Format
from ..common import options as option
from ..common.printing import note, say

if TYPE_CHECKING:
    from ...api.outside.personas import Transfer

app = typer.Typer(name="personas", help="List the roster; import and export personas.", invoke_without_command=True)
_FORMAT = typer.Option("--format", "-f", help="Whose files they are; by default what names and keys say.")
_DRY = typer.Option("--dry-run", help="Write nothing; tell what would be written, and what would get lost.")
_FORCE = typer.Option("--force", help="Overwrite files that are there already, and say something else.")


@app.callback()
def personas(context: typer.Context, as_json: option.Json = False) -> None:
    """List the roster: who plays whom, and who takes part; then teams and channels.

    Files that are no personas are named, with exit code 1, and what of other tools' files has no effect.
    """
    if context.invoked_subcommand:
        return
    from ....mail import render
    from ....mail.open import team_home
    from ...api import team
    from ...show import team as show

    roster = team.personas(team_home())
    if as_json:
        render.document(roster.document())
    else:
        render.table(show.PERSONA_COLUMNS, show.personas(roster))
        say(show.groups(roster))
        for text in (*show.lost(roster.notes), *map(render.line, roster.unread)):
            note("team", text)
        for problem in roster.problems:
            note("team", render.line(problem))
    if roster.problems:
        raise typer.Exit(ExitCode.FAILED)


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files of other tools, or folders with what is below them.")],
    form: Annotated[Format | None, _FORMAT] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The folder to write into; default .team/personas.")] = None,
    dry: Annotated[bool, _DRY] = False,
    force: Annotated[bool, _FORCE] = False,
    as_json: option.Json = False,
) -> None:
    """Write personas of ours for the agents of other tools, and tell what of them has no effect here.

    None of them takes part in sprints unless its file says so. Exit code 1 if a file cannot be read, or is there
    already.
    """
    from ....mail.open import team_home
    from ...api.outside import personas as api

    home = team_home(create=True)
    _show(api.import_personas(paths, home, form=form, to=to, dry=dry, force=force), as_json=as_json)


@app.command()
def export(
    form: Annotated[Format, typer.Option("--format", "-f", help="Whose files they become.")],
    names: Annotated[list[str] | None, typer.Argument(help="Which personas; by default all of the roster.")] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="The folder to write into; by default where that tool looks for them.")
    ] = None,
    dry: Annotated[bool, _DRY] = False,
    force: Annotated[bool, _FORCE] = False,
    as_json: option.Json = False,
) -> None:
    """Write personas as files of another tool, and tell what these cannot say.

    Exit code 1 if a file is there already, and says something else.
    """
    from ....mail.open import team_home
    from ...api.outside import personas as api

    _show(api.export_personas(team_home(), form, names or [], to=to, dry=dry, force=force), as_json=as_json)


def _show(transfer: Transfer, *, as_json: bool) -> None:
    from ....mail import render
    from ...show import team as show

    if as_json:
        render.document(transfer.document())
    else:
        say(show.transfer(transfer))
        for text in show.troubles(transfer):
            note("team", text)
    if transfer.failed:
        raise typer.Exit(ExitCode.FAILED)
