"""The options that several commands of `scheduler` and `team` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ....scheduler.kinds import ModeRequest
from .printing import note


class LogFormatName(StrEnum):
    """The forms of diagnostics on standard error."""

    TEXT = "text"
    JSON = "json"


class LogLevelName(StrEnum):
    """The levels of diagnostics, each with those behind it."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _explained(mode: ModeRequest) -> ModeRequest:
    """Say what a mode by another name is."""
    if mode == ModeRequest.CYCLE:
        note("scheduler", "--mode cycle is --mode auto: [sprint] parallel chooses the mode of each sprint")
    return mode


ModeOption = Annotated[
    ModeRequest, typer.Option("--mode", help="Instead of what [sprint] parallel says.", callback=_explained)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress on standard error.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and say what would be done, and why; start nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing before the first sprint on an agent that costs.")]
Base = Annotated[str | None, typer.Option("--base", help="The branch or commit to start from; by default [team] base.")]
NoRepository = Annotated[
    bool, typer.Option("--no-repository", help="Let tasks work in empty folders, without a repository; nothing lands.")
]

LogFormat = Annotated[
    LogFormatName | None,
    typer.Option("--log-format", help="Write diagnostics on standard error, as text or JSON, instead of progress."),
]
LogLevel = Annotated[
    LogLevelName | None, typer.Option("--log-level", help="The least level of diagnostics; by default [logging] level.")
]

Session = Annotated[
    str | None, typer.Option("--session", help="The session that this belongs to; by default TEAM_SESSION.")
]

# Of sprints
Set = Annotated[
    list[str], typer.Option("--set", help="A setting for this call, as in --set sprint.max_parallel=4; repeatable.")
]
Replay = Annotated[
    Path | None,
    typer.Option("--replay", help="A folder of recorded patches, <persona>.patch, to use instead of agents."),
]
Repo = Annotated[Path | None, typer.Option("--repo", help="The repository to work on; by default the team's.")]

# Of dispatches
File = Annotated[str | None, typer.Argument(help="tasks.json; without it, or with -, standard input.")]
MaxWorkers = Annotated[
    int | None, typer.Option("--max-workers", "-w", min=1, max=1000, help="How many tasks may run at once.")
]
Timeout = Annotated[str | None, typer.Option("--timeout", help="How long each task may take: seconds, or 30m.")]
TraceDir = Annotated[
    str | None, typer.Option("--trace-dir", help="The folder for traces and their index; by default ./traces.")
]
DispatchJson = Annotated[bool, typer.Option("--json", help="Print JSON on a terminal, too.")]
Agent = Annotated[
    str | None, typer.Option("--agent", help='The agent that plays every task: one of team.toml, or "scripted".')
]
CorrelationId = Annotated[
    str,
    typer.Argument(
        help="A correlation id, the beginning of it, or its last eight characters.", metavar="CORRELATION_ID"
    ),
]
