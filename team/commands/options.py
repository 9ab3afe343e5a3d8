"""The options that several commands of `team` share."""

from __future__ import annotations

from typing import Annotated

import typer

File = Annotated[str | None, typer.Argument(help="tasks.json; without it, or with -, standard input.")]
Workers = Annotated[int | None, typer.Option("--max-workers", "-w", min=1, max=1000, help="At most so many at once.")]
Timeout = Annotated[str | None, typer.Option("--timeout", help="How long each task may take: seconds, or 30m.")]
TraceDir = Annotated[str | None, typer.Option("--trace-dir", help="The folder for traces and index; ./traces.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say who would do what; start nothing.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on a terminal, too.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]
Agent = Annotated[
    str | None, typer.Option("--agent", help='Who plays every task: an agent of team.toml, or "scripted".')
]
Base = Annotated[str | None, typer.Option("--base", help="The branch or commit to start from.")]
Id = Annotated[
    str, typer.Argument(help="A correlation id, its beginning, or its last eight.", metavar="CORRELATION_ID")
]
