"""The commands `team jules`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ....mail.commands import output
from ..common import options as option
from ..common.printing import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...api.outside.jules import Looked, Shown

app = typer.Typer(name="jules", help="Sessions of Jules, by hand.", no_args_is_help=True)
Agent = Annotated[
    str | None, typer.Option("--agent", help="Speak to Jules as this agent of team.toml; by default the first of it.")
]
Id = Annotated[str, typer.Argument(help="A session: its id, or its address.")]
_COLUMNS = ("session", "state", "for", "title")


@app.callback()
def root() -> None:
    """Sessions of Jules, by hand: those that runs play, and your own."""


@app.command()
def create(
    prompt: Annotated[str, typer.Argument(help="What Jules is to do.")],
    title: Annotated[str, typer.Option("--title", help="Its title; by default the beginning of the prompt.")] = "",
    agent: Agent = None,
    as_json: option.Json = False,
) -> None:
    """Create a session on the repository and branch of the agent; no run waits for it."""
    from ....mail import render
    from ... import session
    from ...api.outside import jules as api

    made = api.create(session.reading_context(), prompt, title, agent)
    if as_json:
        render.document(made.document())
    else:
        output.say(f"session {made.session.id}{f': {made.session.url}' if made.session.url else ''}")


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One session, in full; by default the newest ones.")] = None,
    patch: Annotated[bool, typer.Option("--patch", help="Print its change as a patch, and nothing else.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="How many, without a session.")] = 20,
    agent: Agent = None,
    as_json: option.Json = False,
) -> None:
    """List sessions with their states, and whose run each plays; or show one: what was said, and what it came to."""
    from ....mail import render
    from ....mail.errors import UsageError
    from ... import session
    from ...api.outside import jules as api

    context = session.reading_context()
    if name is None:
        if patch:
            raise UsageError("--patch is for one session: name it")
        found = [*api.sessions(context, limit, agent)]
        if as_json:
            render.document([each.document() for each in found])
        else:
            render.table(_COLUMNS, [_row(each) for each in found])
        return
    looked = api.look(context, name, agent)
    if patch:
        if looked.change is None:
            raise UsageError(f"session {looked.shown.session.id} has no change set")
        output.write_bytes(looked.change.patch.encode(errors="replace"), None)
    elif as_json:
        render.document(looked.document())
    else:
        say(_lines(looked))


@app.command()
def send(
    name: Id,
    text: Annotated[str, typer.Argument(help="What to say.")],
    agent: Agent = None,
    as_json: option.Json = False,
) -> None:
    """Say something in a session, such as the answer to a question."""
    from ....mail import render
    from ... import session
    from ...api.outside import jules as api

    api.send(session.reading_context(), name, text, agent)
    if as_json:
        render.document({"session": name, "sent": True})
    else:
        output.say(f"sent to session {name}")


@app.command()
def approve(name: Id, agent: Agent = None, as_json: option.Json = False) -> None:
    """Approve the plan of a session that waits for that."""
    from ....mail import render
    from ... import session
    from ...api.outside import jules as api

    api.approve(session.reading_context(), name, agent)
    if as_json:
        render.document({"session": name, "approved": True})
    else:
        output.say(f"the plan of session {name} is approved")


def _row(shown: Shown) -> Sequence[str]:
    whose = f"{shown.record.persona}, run {shown.record.run[:8]}" if shown.record else "-"
    return shown.session.id, shown.session.state, whose, shown.session.title


def _lines(looked: Looked) -> Iterator[str]:
    session, record = looked.shown.session, looked.shown.record
    yield session.shown
    yield f"  {session.title}"
    if record:
        yield f"  for {record.persona}, run {record.run}"
    for activity in looked.activities:
        if activity.text:
            first, *more = activity.text.splitlines()
            yield f"{activity.kind}: {first}"
            yield from (f"  {row}" for row in more)
    if session.pull_request:
        yield f"pull request: {session.pull_request}"
    if looked.change:
        size = looked.change.patch.count("\n")
        yield f"change set of {size} lines at {looked.change.base[:12] or 'no commit that it names'}"
    elif session.is_over:
        yield "no change set"
