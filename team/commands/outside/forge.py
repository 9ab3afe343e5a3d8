"""The commands `scheduler publish` and `scheduler take`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..common import options as option
from ..common.printing import say

app = typer.Typer()


@app.command()
def publish(
    number: Annotated[int | None, typer.Argument(help="The sprint's number; by default the last.", min=1)] = None,
    as_json: option.Json = False,
) -> None:
    """Push a sprint's branch, open or update its pull request, and tell the authors what is said of it there."""
    from ....mail import render
    from ... import session
    from ...api.outside import forge
    from ...show.outside import forge as show

    done = forge.publish(session.context(), number)
    if as_json:
        render.document(done.document())
    else:
        say(show.publication(done))
