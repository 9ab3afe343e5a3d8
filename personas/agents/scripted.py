"""The agent that is a function per persona: for tests, of ours and of users, and for tasks played without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..agent import Job, Outcome

Script = Callable[[Job], Outcome | Mapping[str, Any] | None]


@dataclass(frozen=True)
class ScriptedAgent:
    """Calls a function per persona, which may change the workspace; None from it is a good end, a mapping its result.

    A persona without a script is played by `default`; without that, it changes nothing. A script that raises is a run
    that failed. `played` has all jobs.
    """

    scripts: Mapping[str, Script]
    played: list[Job] = field(default_factory=list[Job])
    default: Script | None = None

    def trouble(self) -> str | None:
        """Say nothing: a function can always be called."""
        return None

    def play(self, job: Job) -> Outcome:
        """Call the persona's script."""
        self.played.append(job)
        job.write_prompt()
        if job.stop.is_set():
            return Outcome("stopped", None, 0.0, "stopped before it began")
        script = self.scripts.get(job.persona, self.default)
        try:
            ended = script(job) if script else None
        except Exception as error:  # noqa: BLE001 - whatever a script raises is how its run ended
            return Outcome("failed", 1, 0.0, f"{type(error).__name__}: {error}")
        if isinstance(ended, Outcome):
            return ended
        return Outcome("ok", 0, 0.0, "exit 0", output=None if ended is None else {**ended})
