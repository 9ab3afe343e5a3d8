"""A command with its diagnostics, which end with the error that ends it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from ...mail.errors import TeamMailError
from ...mail.kinds import ExitCode
from .common.options import LogFormatName, LogLevelName
from .common.printing import note

if TYPE_CHECKING:
    from ...scheduler.settings.settings import Settings
    from ..diagnostics.diagnostics import Diagnostics


def tell(diagnostics: Diagnostics, program: str, text: str) -> None:
    """Write a line about what a person may want to know; where diagnostics are not shown, as `note` does."""
    import logging

    diagnostics.write(logging.INFO, text, event="note")
    if not diagnostics.on_stderr:
        note(program, text)


@contextmanager
def diagnosed(
    program: str, settings: Settings, format: LogFormatName | None, level: LogLevelName | None
) -> Generator[Diagnostics]:
    """Write diagnostics while a block runs, and a last line about the error that ends it.

    Where they are on standard error, nothing else is: the error then ends the command with its exit code alone.
    """
    import logging

    from ..diagnostics.diagnostics import Diagnostics, Wanted

    wanted = Wanted(format.value if format else "", level.value if level else "")
    with Diagnostics(program, settings.logging, wanted, os.environ.get("TEAM_SESSION", "")) as diagnostics:
        diagnostics.write(logging.DEBUG, "begins", event="command.begun")
        try:
            yield diagnostics
        except (TeamMailError, OSError) as error:
            diagnostics.write(
                logging.ERROR, str(error), event="command.failed", error=f"{type(error).__name__}: {error}"
            )
            if not diagnostics.on_stderr:
                raise
            code = error.exit_code if isinstance(error, TeamMailError) else ExitCode.FAILED
            raise typer.Exit(code) from None
        diagnostics.write(logging.DEBUG, "ended", event="command.ended")
