"""The commands `team cluster` and `team log`: the log on a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ....mail.errors import UsageError
from ..common import options as option
from ..common.printing import note, say

if TYPE_CHECKING:
    from ...api.outside.cluster import Cluster, Local

Url = Annotated[str | None, typer.Option("--url", help="postgresql://HOST/DATABASE; by default that of [log].")]
Name = Annotated[str | None, typer.Option("--name", help="Of the team's schema; by default that of [log].")]
IsLocal = Annotated[bool, typer.Option("--local", help="An installed PostgreSQL on a socket, to try it.")]
Folder = Annotated[Path | None, typer.Option("--folder", help="Where its data lies; by default with the workspaces.")]

app = typer.Typer(name="cluster", no_args_is_help=True, help="The log of the team on PostgreSQL.")
log = typer.Typer(name="log", no_args_is_help=True, help="The log of the team as a whole.")


@app.command()
def init(url: Url = None, name: Name = None, as_json: option.Json = False) -> None:
    """Make the team's schema and roles in a database, as a login that may create roles."""
    from ...api.outside import cluster as api

    _show(api.init(url, name), as_json=as_json)


@app.command()
def status(url: Url = None, name: Name = None, as_json: option.Json = False) -> None:
    """Show what the server has of the team's log, who leads, and what is not as it should be."""
    from ...api.outside import cluster as api

    _show(api.status(url, name), as_json=as_json)


@app.command()
def upgrade(as_json: option.Json = False) -> None:
    """Bring the team's schema to the version of this program, as the login that made it."""
    from ...api.outside import cluster as api

    _show(api.bring_up_to_date(), as_json=as_json)


@app.command()
def lead(as_json: option.Json = False) -> None:
    """Let this host lead the team from now on; what another one still does is refused by the server."""
    from ...api.outside import cluster as api

    _show(api.lead(), as_json=as_json)


@app.command()
def grant(
    role: Annotated[str, typer.Argument(help="A login of the server, with the role of a worker or a member.")],
    persona: Annotated[str, typer.Option("--persona", metavar="NAME", help="As whom it may write, without a run.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Take it back.")] = False,
    as_json: option.Json = False,
) -> None:
    """Let a login of the server write as a persona, or a person, as the login that made the schema."""
    from ...api.outside import cluster as api

    _show(api.grant(role, persona, revoke=revoke), as_json=as_json)


@app.command()
def up(is_local: IsLocal = False, folder: Folder = None, as_json: option.Json = False) -> None:
    """Start a server to try it with, and make the team's schema there."""
    from ...api.outside import cluster as api

    _check_local(is_local=is_local)
    _show_local(api.start_local(folder), as_json=as_json)


@app.command()
def down(is_local: IsLocal = False, folder: Folder = None, as_json: option.Json = False) -> None:
    """Stop the server that `up` started; its data is kept."""
    from ...api.outside import cluster as api

    _check_local(is_local=is_local)
    _show_local(api.stop_local(folder), as_json=as_json)


@log.command()
def migrate(
    to: Annotated[str, typer.Option("--to", metavar="URL|file", help="postgresql://HOST/DATABASE, or: file.")],
    name: Name = None,
    as_json: option.Json = False,
) -> None:
    """Copy the team's log to a server, or back to files; every event keeps its id, number and hash.

    Interrupted, it goes on the next time. End schedulers and dispatches first.
    """
    from ....mail import render
    from ...api.outside import cluster as api
    from ...show.outside import cluster as show

    done = api.migrate(to, name, told=lambda copied, of: note("team", f"{copied} of {of} events"))
    if as_json:
        render.document(done.document())
    else:
        say(show.moved(done))


def _check_local(*, is_local: bool) -> None:
    if not is_local:
        raise UsageError("only a server to try it with is started here: --local; for all others, see docs/cluster.md")


def _show(done: Cluster, *, as_json: bool) -> None:
    from ....mail import render
    from ...show.outside import cluster as show

    if as_json:
        render.document(done.document())
    else:
        say(show.cluster(done))


def _show_local(done: Local, *, as_json: bool) -> None:
    from ....mail import render
    from ...show.outside import cluster as show

    if as_json:
        render.document(done.document())
    else:
        say(show.local(done))
