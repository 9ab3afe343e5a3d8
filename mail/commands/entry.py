"""Where `team-mail` starts: what agents ask for all day is answered before Typer is loaded.

`check`, which runs at every prompt of every agent, even before anything else is, unless there is more to it (a run, a
persona that has not been looked up before, a log with damage). Only `os` is imported, as in `mail/home.py`.
"""

from __future__ import annotations

import os
import sys

from .quick import BUDGET, parsed

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from typing import Any, NoReturn


def main() -> None:
    """Run the command; an error is one line on stderr and an exit code."""
    values = parsed(sys.argv[1:])
    if values is None:
        from .cli import main as run

        run()
        return
    if sys.argv[1] == "check" and (code := quick_check(values)) is not None:
        sys.exit(code)
    from . import daily, output
    from .launcher import become_launcher

    command = {"check": daily.check, "inbox": daily.inbox, "send": daily.send}[sys.argv[1]]
    try:
        output.run("team-mail", lambda: sys.exit(command(**values)), before=become_launcher)
    except SystemExit as ended:
        _leave(ended.code if isinstance(ended.code, int) else int(ended.code is not None))


def _leave(code: int) -> NoReturn:
    """End the process without taking down the database, which would take a tenth of the time of the whole command."""
    import atexit

    atexit._run_exitfuncs()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - temporary files are removed there
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def quick_check(values: dict[str, Any]) -> int | None:
    """Answer `team-mail check` and return its exit code; None if that takes more than the look at a cursor."""
    persona = values.get("persona", os.environ.get("TEAM_PERSONA", ""))
    if values.get("as_json") or values.get("persona") == "":
        return None
    try:
        return _answer(persona.removesuffix("@team"), values.get("budget", BUDGET))
    except OSError:
        return None


def _answer(persona: str, budget: int) -> int | None:
    from ..ancestors import is_below_keeper
    from ..check.cursor import load, people_of
    from ..check.unread import Uncertain, unread
    from ..home import home_of, run_folder_of

    named = os.environ.get("TEAM_HOME", "")
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was deleted
        if not os.path.isabs(named):
            raise
        here = named
    home = home_of(here)
    if not persona or "/" in persona or os.environ.get("TEAM_RUN") or run_folder_of(here) or is_below_keeper():
        return None
    if home is None:
        return 0
    known = None if run_folder_of(os.path.dirname(home)) else load(f"{home}/mail", persona)
    try:
        is_known = known is not None and bool(known.people) and known.people == people_of(home, persona)
        listed = unread(f"{home}/mail", persona, known.people) if known and is_known else None
    except Uncertain:
        return None
    if not listed:
        return None if listed is None else 0
    from ..check.digest import digest
    from ..text.escape import clean

    return _say(clean(digest(listed, budget)))


def _say(text: str) -> int:
    """Print a summary of unread mail; return the exit code."""
    from ..kinds import ExitCode

    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it was closed
        return ExitCode.UNREAD
    data = f"{text}\n".encode(sys.stdout.encoding, "backslashreplace")
    try:
        while data:
            data = data[os.write(sys.stdout.fileno(), data) :]
    except BrokenPipeError:
        return ExitCode.FAILED
    return ExitCode.UNREAD
