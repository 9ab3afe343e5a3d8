"""The command `team hook`, which git calls before a commit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ....mail.commands import output
from ....mail.kinds import ExitCode
from ..common import options as option
from ..common.printing import note

Install = Annotated[bool, typer.Option("--install", help="Write it as the pre-commit hook of this repository.")]
As = Annotated[str | None, typer.Option("--as", help="Who commits; by default TEAM_PERSONA, else the human.")]

app = typer.Typer()


@app.command()
def hook(install: Install = False, persona: As = None, as_json: option.Json = False) -> None:
    """Refuse a commit of files that somebody else has claimed: exit code 1, with the files and who has them."""
    from ....mail import render
    from ... import session
    from ...api import hook as api
    from ...home import home_if_any
    from ...show.claims import claimed_files

    if install:
        installed = api.install(Path.cwd())
        if as_json:
            render.document(installed.document())
        else:
            output.say(f"{'wrote' if installed.new else 'there is'} {installed.path}")
        return
    claims = session.claims() if home_if_any() else None
    guard = api.guard(claims, Path.cwd(), session.owner(claims, persona) if claims else "")
    if as_json:
        render.document(guard.document())
    else:
        for text in claimed_files(guard):
            note("team", text)
    if guard.files:
        raise typer.Exit(ExitCode.FAILED)
