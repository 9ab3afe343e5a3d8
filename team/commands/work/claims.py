"""The commands of `team` about claims: `task add`, `task list` and `task show`, `claim`, `renew`, `release`, `done`."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ....mail.commands import caller, output
from ....mail.commands.launcher import become_launcher
from ....mail.errors import TeamMailError, UsageError
from ....mail.kinds import ExitCode
from ..common import options as option
from ..common.printing import note, say

if TYPE_CHECKING:
    from ...api.claims import Taken

TaskName = Annotated[str, typer.Argument(help="The task's name.", metavar="TASK")]
TaskIfAny = Annotated[str | None, typer.Argument(help="The task's name; none for paths and names.", metavar="[TASK]")]
As = Annotated[str | None, typer.Option("--as", help="Who has it then; by default TEAM_PERSONA, else the human.")]
Token = Annotated[int, typer.Option("--token", help="The token that team claim printed.", min=1)]
Lease = Annotated[str, typer.Option("--lease", help="How long, from 1s to 24h, unless it is renewed.")]
Pid = Annotated[
    int | None, typer.Option("--pid", help="A process that holds the claim as long as it runs, as in --pid $$.", min=1)
]
Expect = Annotated[
    int | None, typer.Option("--expect", help="Refuse unless the task is at this version, see team task list.", min=1)
]
After = Annotated[list[str], typer.Option("--after", help="A task that must succeed before; repeatable.")]
Changed = Annotated[list[str], typer.Option("--path", help="A glob of files that it changes; repeatable.")]
Paths = Annotated[list[str], typer.Option("--path", help="A glob of paths to take, as in 'src/**'; repeatable.")]
Names = Annotated[list[str], typer.Option("--name", help="A name to take, of whatever you like; repeatable.")]
Whole = Annotated[bool, typer.Option("--all", help="Also those that are done.")]
InputJson = Annotated[str | None, typer.Option("--input", help="What it works on: JSON, or @FILE.")]
OutputJson = Annotated[str | None, typer.Option("--output", help="What came of it: JSON, or @FILE.")]

app = typer.Typer()
tasks = typer.Typer(name="task", no_args_is_help=True, help="Tasks that wait for whoever claims them: add, list, show.")


@tasks.command("add")
def add(
    name: TaskName,
    title: Annotated[str, typer.Option("--title", help="What is to be done, in one line.")] = "",
    to: Annotated[str, typer.Option("--to", help="The persona that it is for; by default anybody.")] = "",
    priority: Annotated[str, typer.Option("--priority", help="low, normal, high or urgent.")] = "normal",
    after: After = [],  # noqa: B006
    paths: Changed = [],  # noqa: B006
    given: InputJson = None,
    session_name: option.Session = None,
    as_json: option.Json = False,
) -> None:
    """Add a task, for whoever claims it."""
    with refusals(as_json):
        from ....mail import render
        from ... import session
        from ...api import claims as api

        claims = session.claims(session_name)
        task = api.NewTask(name, title, to, priority, after, paths, caller.payload(given))
        view = api.add_task(claims, task, session.owner(claims, None))
        if as_json:
            render.document(view.document())
        else:
            output.say(f"added {view.task.name} (version {view.task.version}); team claim {view.task.name}")


@tasks.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The JSON, as team dispatch reads it.", metavar="FILE")],
    session_name: option.Session = None,
    as_json: option.Json = False,
) -> None:
    """Add all tasks of a dispatch's JSON, each after those that it depends on; the same JSON again adds nothing."""
    with refusals(as_json):
        from ....mail import render
        from ....mail.log.disk import reason_of
        from ....mail.text.units import counted
        from ....scheduler.tasks.reader import read_limited
        from ... import session
        from ...api import claims as api

        try:
            with file.open("rb") as opened:
                data = read_limited(opened)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {reason_of(error)}") from None
        context = session.reading_context()
        claims = session.claims(session_name, context.mailbox)
        personas = [persona.id for persona in context.roster.personas]
        board = api.import_tasks(claims, data, personas, session.owner(claims, None))
        if as_json:
            render.document(board.document())
        else:
            output.say(f"added {counted(len(board.tasks), 'task')}; team worker, or team claim --next, takes them")


@tasks.command("list")
def list_(whole: Whole = False, as_json: option.Json = False) -> None:
    """List the tasks, the next one first, with who has them; then paths and names that are taken."""
    from ....mail import render
    from ... import session
    from ...api import claims as api
    from ...show import claims as show

    board = api.list_tasks(session.claims(), whole=whole)
    if as_json:
        render.document(board.document())
    else:
        say(show.board(board))


@tasks.command("show")
def show_(name: TaskName, as_json: option.Json = False) -> None:
    """Show a task: its input, every claim of it, how it ended, and what came too late."""
    from ....mail import render
    from ... import session
    from ...api import claims as api
    from ...show import claims as show

    view = api.show_task(session.claims(), name)
    if as_json:
        render.document(view.document())
    else:
        say(show.task(view))


@app.command()
def claim(
    name: TaskIfAny = None,
    following: Annotated[bool, typer.Option("--next", help="The next one for you: by priority, then by age.")] = False,
    paths: Annotated[
        list[str], typer.Option("--path", help="A glob of paths to take, as in 'src/**'; repeatable.")
    ] = [],  # noqa: B006
    names: Annotated[list[str], typer.Option("--name", help="A name to take, of whatever you like; repeatable.")] = [],  # noqa: B006
    persona: As = None,
    lease: Lease = "15m",
    pid: Pid = None,
    expect: Expect = None,
    session_name: option.Session = None,
    as_json: option.Json = False,
) -> None:
    """Take a task, or paths and names, so that nobody else does; print the token that renews, releases and ends it.

    Exit code 3 if --next finds nothing to claim.
    """
    with refusals(as_json):
        become_launcher()
        from ... import session
        from ...api import claims as api

        if sum((name is not None, following, bool(paths or names))) != 1:
            raise UsageError("claim what? Name one task, or --next, or --path and --name")
        if expect is not None and name is None:
            raise UsageError("--expect is for a task that is named")
        claims = session.claims(session_name)
        owner = session.owner(claims, persona)
        if following:
            taken = api.claim_next(claims, owner, lease, pid=pid).taken
        elif name is not None:
            taken = api.claim_task(claims, name, owner, lease, pid=pid, expect=expect)
        else:
            taken = api.claim_paths(claims, paths, names, owner, lease, pid=pid)
        _claimed(taken, owner, as_json=as_json)


def _claimed(taken: Taken | None, owner: str, *, as_json: bool) -> None:
    """Show what was taken; exit with 3 if there was nothing to take."""
    from ....mail import render
    from ...show import claims as show

    if as_json:
        render.document(taken.document() if taken else {})
    elif taken:
        say(show.taken(taken))
    if taken is None:
        note("team", f"there is nothing to claim for {owner}")
        raise typer.Exit(ExitCode.UNREAD)


@app.command()
def renew(
    token: Token,
    name: TaskIfAny = None,
    lease: Annotated[str | None, typer.Option("--lease", help="How long from now; by default as before.")] = None,
    expect: Expect = None,
    as_json: option.Json = False,
) -> None:
    """Let the time of a claim begin anew."""
    with refusals(as_json):
        become_launcher()
        from ....mail import render
        from ... import session
        from ...api import claims as api
        from ...show import claims as show

        claims = session.claims()
        taken = api.renew(claims, name, token, session.owner(claims, None), lease, expect=expect)
        if as_json:
            render.document(taken.document())
        else:
            output.say(show.renewed(taken))


@app.command()
def release(
    name: TaskIfAny = None,
    token: Annotated[int | None, typer.Option("--token", help="The token of your claim.", min=1)] = None,
    force: Annotated[bool, typer.Option("--force", help="Take it away from whoever has it; needs --reason.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    expect: Expect = None,
    as_json: option.Json = False,
) -> None:
    """Give a claim back by its token. Without one, end a claim that is over; with --force one that goes on."""
    with refusals(as_json):
        become_launcher()
        from ....mail import render
        from ... import session
        from ...api import claims as api
        from ...show import claims as show

        if name is None and token is None:
            raise UsageError("release what? Name the task, or the --token of paths")
        claims = session.claims()
        sender = session.owner(claims, None)
        ended = api.release(claims, name, token, sender, reason, force=force, expect=expect)
        if as_json:
            render.document(ended.document())
        else:
            output.say(show.released(ended))


@app.command()
def done(
    name: TaskName,
    token: Token,
    result: OutputJson = None,
    failed: Annotated[str | None, typer.Option("--failed", help="It failed, and why.")] = None,
    expect: Expect = None,
    as_json: option.Json = False,
) -> None:
    """End a task that you have claimed. If the claim was lost, what you made is kept as late, and never used."""
    with refusals(as_json):
        become_launcher()
        from ....mail import render
        from ... import session
        from ...api import claims as api
        from ...show import claims as show

        if failed is not None and not failed.strip():
            raise UsageError("--failed needs a reason")
        claims, value = session.claims(), caller.payload(result)
        sender = session.owner(claims, None)
        ended = api.finish(claims, name, token, sender, output=value, error=failed, expect=expect)
        if as_json:
            render.document(ended.document())
        else:
            output.say(show.finished(ended))


@contextmanager
def refusals(as_json: bool) -> Generator[None]:
    """With `--json`, print why something is refused as JSON on standard error, with a code for programs."""
    try:
        yield
    except TeamMailError as error:
        if not as_json:
            raise
        document: dict[str, Any] = {"code": getattr(error, "code", "REFUSED"), "error": str(error)}
        output.say(json.dumps(document, indent=2), err=True)
        raise typer.Exit(error.exit_code) from None
