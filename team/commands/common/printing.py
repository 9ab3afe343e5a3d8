"""How commands speak: results on standard output, notes and questions on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import typer

from ....mail.commands import output
from ....mail.kinds import ExitCode


def say(lines: Iterable[str]) -> None:
    """Print lines on standard output, each as soon as it is available."""
    for text in lines:
        output.say(text)


def note(command: str, text: str) -> None:
    """Print a line on standard error, after the name of the command."""
    output.say(f"{command}: {text}", err=True)


def has_terminal() -> bool:
    """Tell whether somebody can be asked."""
    return output.are_terminals(sys.stdin, sys.stderr)


def ask_to_go_on(command: str, question: str = "", otherwise: str = "") -> None:
    """Ask whether to go on, after a question about what; unless the answer is yes, say `otherwise` and end."""
    output.say(f"{question} Go on? [y/N] ".lstrip(), err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        note(command, f"nothing was started{otherwise}")
        raise typer.Exit(ExitCode.FAILED)
