"""The commands of `team` about sessions: `session create`, `list`, `show`, `summary`, `pause`, `resume` and so on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ....mail.commands import caller, output
from ....mail.errors import UsageError
from ....mail.kinds import ExitCode
from ....scheduler.kinds import SessionStatus
from ..common import options as option
from ..common.printing import note
from .claims import refusals

if TYPE_CHECKING:
    from ....scheduler.context import Context
    from ...api.sessions import SessionView

Name = Annotated[str, typer.Argument(help="The session's name.", metavar="ID")]
To = Annotated[list[str], typer.Option("--to", help="Who is sent it, too; repeatable. By default nobody.")]

commands = typer.Typer()
app = typer.Typer(
    name="session",
    no_args_is_help=True,
    help="Sessions: names under which mail, asks, dispatches, sprints, claims, memories and files are gathered.",
)


@app.command()
def create(
    name: Name,
    title: Annotated[str, typer.Option("--title", help="What it is about, in one line.")] = "",
    participants: Annotated[str, typer.Option("--participants", help="Who takes part, with commas between.")] = "",
    as_json: option.Json = False,
) -> None:
    """Create a session."""
    with refusals(as_json):
        from ....mail import render
        from ...api import sessions as api

        context, sender = _opened()
        people = [each.strip() for each in participants.split(",") if each.strip()]
        made = api.create(context, name, sender, title=title, participants=people)
        if as_json:
            render.document(made.document())
        else:
            output.say(f"session {name} is created; --session {name}, or TEAM_SESSION={name}, gathers under it")


@app.command("list")
def list_(
    status: Annotated[SessionStatus | None, typer.Option("--status", help="Only those with this status.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-l", help="At most so many.", min=1)] = None,
    whole: Annotated[bool, typer.Option("--all", help="Also those that were deleted.")] = False,
    as_json: option.Json = False,
) -> None:
    """List the sessions, the newest first."""
    with refusals(as_json):
        from ....mail import render
        from ...api import sessions as api
        from ...show import sessions as show

        listed = api.list_sessions(_opened()[0], status, limit, whole=whole)
        if as_json:
            render.document(listed.document())
        else:
            render.table(show.COLUMNS, show.rows(listed), colours=show.COLOURS)


@app.command("show")
def show_(name: Name, as_json: option.Json = False) -> None:
    """Show a session: what was done, what is under way, what needs you, and how it is gone on with."""
    _print(name, "session", as_json=as_json)


@app.command()
def summary(name: Name, as_json: option.Json = False) -> None:
    """Show a session with what is remembered and kept in it, and its last messages: to come back to it."""
    _print(name, "summary", as_json=as_json)


@app.command()
def pause(name: Name, as_json: option.Json = False) -> None:
    """Start nothing more of a session; runs under way go on to their end."""
    _change(name, "pause", "paused", as_json=as_json)


@app.command()
def resume(
    name: Name,
    again: Annotated[bool, typer.Option("--again", help="Also one that is completed or deleted.")] = False,
    status_only: Annotated[
        bool, typer.Option("--status-only", help="Do not go on with its dispatches that were cut off.")
    ] = False,
    quiet: option.Quiet = False,
    as_json: option.Json = False,
) -> None:
    """Let a session go on, and go on with its dispatches that were cut off."""
    with refusals(as_json):
        from ....mail import render
        from ... import session
        from ...api import sessions as api
        from ...show import sessions as show
        from ...show.dispatch import DispatchShow
        from ...show.dispatch import summary as lines

        context, sender = _opened()
        act = partial(api.resume, context, name, sender, again=again, dispatches=not status_only)
        with DispatchShow(quiet=quiet) as progress:
            done = act(listener=progress.on_progress, interrupts=session.ending)
        if as_json:
            render.document(done.document())
        else:
            output.say(show.changed(done.change, SessionStatus.ACTIVE))
            for each in done.dispatches:
                for text in lines(each.output):
                    output.say(text)
        for trouble in done.troubles:
            note("team", trouble)
    if done.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if not done.succeeded:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def complete(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Even while runs of it are open.")] = False,
    as_json: option.Json = False,
) -> None:
    """Put on record that a session is done; refused while runs of it are open."""
    _change(name, "complete", "completed", as_json=as_json, force=force)


@app.command()
def delete(name: Name, as_json: option.Json = False) -> None:
    """Hide a session; its mail and all else that was gathered stays. Refused while runs of it are open."""
    _change(name, "delete", "deleted", as_json=as_json)


@app.command()
def export(name: Name) -> None:
    """Print all that is on record of a session as one JSON document, mail with its texts."""
    from ....mail import render
    from ...api import sessions as api

    render.document(api.show(_opened()[0], name).export())


@app.command()
def remember(
    name: Name,
    key: Annotated[str, typer.Argument(help="The key; the newest text of a key counts.")],
    text: Annotated[str | None, typer.Argument(help="What to remember; without it, or with -, standard input.")] = None,
    tags: Annotated[list[str], typer.Option("--tag", help="A tag; repeatable.")] = [],  # noqa: B006
    to: To = [],  # noqa: B006
    as_json: option.Json = False,
) -> None:
    """Remember a text by a key in a session."""
    with refusals(as_json):
        from ...api import sessions as api

        context, sender = _opened()
        body = caller.body(text, None)
        kept = api.remember(context, name, sender, api.NewMemory(key, body, tags, to))
        _kept(kept.document(), f"{name} remembers {key} (message {kept.message.seq})", as_json=as_json)


@app.command()
def attach(
    name: Name,
    file: Annotated[Path, typer.Argument(help="The file to keep.")],
    text: Annotated[str, typer.Option("--text", help="A few words on it.")] = "",
    to: To = [],  # noqa: B006
    as_json: option.Json = False,
) -> None:
    """Keep a file in a session."""
    with refusals(as_json):
        from ...api import sessions as api

        context, sender = _opened()
        kept = api.attach(context, name, sender, api.NewArtifact(file, text, to))
        _kept(kept.document(), f"{name} keeps {file.name} (message {kept.message.seq})", as_json=as_json)


@commands.command("command")
def command(
    key: Annotated[
        str | None, typer.Option("--key", help="The idempotency key: a command with the same one is done once.")
    ] = None,
) -> None:
    """Carry out a command that a program sends as JSON on standard input, and print the answer, also a refusal."""
    import sys

    from ....mail import render
    from ... import webhooks

    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise UsageError("standard input is closed: there is no command to read")
    context, sender = _opened()
    given = webhooks.read_payload(sys.stdin.buffer.read())
    answer = webhooks.answer(context, given, sender, key)
    render.document(answer.document())
    if answer.exit_code:
        raise typer.Exit(answer.exit_code)


def _kept(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    from ....mail import render

    if as_json:
        render.document(document)
    else:
        output.say(text)


def _opened() -> tuple[Context, str]:
    """Return the team found from here, and who acts."""
    from ... import session

    context = session.reading_context()
    return context, session.sender(context)


def _print(name: str, form: str, *, as_json: bool) -> None:
    with refusals(as_json):
        from ....mail import render
        from ...api import sessions as api
        from ...show import sessions as show

        view: SessionView = api.show(_opened()[0], name)
        if as_json:
            render.document(view.document())
        else:
            render.lines(getattr(show, form)(view), show.COLOURS)


def _change(name: str, act: str, word: str, *, as_json: bool, **options: Any) -> None:
    with refusals(as_json):
        from ....mail import render
        from ...api import sessions as api
        from ...show import sessions as show

        context, sender = _opened()
        done = getattr(api, act)(context, name, sender, **options)
        if as_json:
            render.document(done.document())
        else:
            output.say(show.changed(done, word))
