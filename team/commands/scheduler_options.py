"""The options that several commands of `scheduler` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Mode(StrEnum):
    """How a sprint runs: as the settings say, all at once, or one after the other."""

    auto = "auto"
    parallel = "parallel"
    sequential = "sequential"


ModeOption = Annotated[Mode, typer.Option("--mode", help="Instead of what [sprint] parallel says.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on standard error.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and why; write nothing.")]
Set = Annotated[
    list[str], typer.Option("--set", help="A setting for this call, as in --set sprint.max_parallel=4; repeat it.")
]
Replay = Annotated[
    Path | None, typer.Option("--replay", help="A folder of recorded patches, <persona>.patch, to play.")
]
Repo = Annotated[Path | None, typer.Option("--repo", help="The repository to work on; by default the team's.")]
Base = Annotated[str | None, typer.Option("--base", help="The branch or commit to start from; default [team] base.")]
