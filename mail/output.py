"""The streams that a command writes to, which may be narrow, closed or full."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def prepare() -> None:
    """Let no character be one that an output cannot take: it is written as an escape instead."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it was closed
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lasts
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
