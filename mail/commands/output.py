"""How a command runs: its streams, which may be narrow, closed or full, and how it says what it could not do."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import TeamMailError
from ..log.disk import reason_of


def run(name: str, app: Any) -> None:
    """Run the Typer application of a command; say in one line on stderr what could not be done, and exit."""
    _leave_only(app, sys.argv[1:2])
    prepare()
    try:
        flushed(app)
    except BrokenPipeError:
        silence()
        sys.exit(1)
    except (TeamMailError, OSError) as error:
        from ..render import clean

        silence()
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        told = where + reason_of(error) if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"{name}: {clean(told)}\n")
        sys.exit(error.exit_code if isinstance(error, TeamMailError) else 1)


def _leave_only(app: Any, asked: list[str]) -> None:
    """Build no command but the one asked for: two dozen parsers are a fifth of a cold start."""
    found = [c for c in app.registered_commands if [c.name or getattr(c.callback, "__name__", "")] == asked]
    if found:
        app.registered_commands, app.registered_groups = found, []


def prepare() -> None:
    """Let no character be one that an output cannot take: it is written as an escape instead."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it was closed
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lasts
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - else the next file would be taken for it
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flushed(run: Callable[[], object]) -> None:
    """Run something and write out what it printed, so that an output that is full is an error here, not at exit."""
    try:
        run()
    finally:
        sys.stdout.flush()


def silence() -> None:
    """Let nothing more be written to standard output if it cannot take what it holds: not even at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
