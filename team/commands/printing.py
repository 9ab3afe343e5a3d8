"""How commands print lines: results on standard output, notes on standard error with the command's name."""

from __future__ import annotations

from collections.abc import Iterable

from ...mail.commands import output


def say(lines: Iterable[str]) -> None:
    """Print lines on standard output, each as soon as it is available."""
    for text in lines:
        output.say(text)


def note(command: str, text: str) -> None:
    """Print a line on standard error, after the name of the command."""
    output.say(f"{command}: {text}", err=True)
