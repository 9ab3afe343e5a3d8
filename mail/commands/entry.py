"""Where `team-mail` starts: `check`, which runs at every prompt of every agent, is answered before the rest is loaded.

Whatever is not plain (other options, a run, a persona that has not been looked up before, a log with damage) goes on to
the command line as everybody's, whose `check` gives the same answer. Only `os` is imported, as in `mail/home.py`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from collections.abc import Sequence

_BUDGET = 400


def main() -> None:
    """Run the command; an error is one line on stderr and an exit code."""
    if sys.argv[1:2] == ["check"] and (code := quick_check(sys.argv[2:])) is not None:
        sys.exit(code)
    from .cli import main as run

    run()


def quick_check(words: Sequence[str]) -> int | None:
    """Answer `team-mail check` and return its exit code; None if that takes the command line."""
    persona, budget = os.environ.get("TEAM_PERSONA", ""), _BUDGET
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name not in {"-p", "--persona", "--budget"} or (equals and not name.startswith("--")):
            return None
        value = value if equals else next(rest, "")
        if name == "--budget" and value.isdecimal() and int(value):
            budget = int(value)
        elif name != "--budget" and value and not value.startswith("-"):
            persona = value
        else:
            return None
    try:
        return _answer(persona.removesuffix("@team"), budget)
    except OSError:
        return None


def _answer(persona: str, budget: int) -> int | None:
    from ..ancestors import is_below_keeper
    from ..check.cursor import load, people_of
    from ..check.unread import Uncertain, unread
    from ..home import home_of, run_folder_of

    here = os.getcwd()
    home = home_of(here)
    if not persona or "/" in persona or os.environ.get("TEAM_RUN") or run_folder_of(here) or is_below_keeper():
        return None
    if home is None:
        return 0
    known = None if run_folder_of(os.path.dirname(home)) else load(f"{home}/mail", persona)
    try:
        is_known = known is not None and bool(known.people) and known.people == people_of(home)
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
