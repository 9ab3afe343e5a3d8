"""The agent that is a function: for tests, of ours and of users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .agent import Job, Outcome

Script = Callable[[Job], Outcome | None]


@dataclass(frozen=True)
class ScriptedAgent:
    """Calls a function per persona, which may change the workspace; None from it is a good end.

    A persona without a script changes nothing. A script that raises is a run that failed. `played` has all jobs.
    """

    scripts: Mapping[str, Script]
    played: list[Job] = field(default_factory=list[Job])

    def trouble(self) -> str | None:
        """Say nothing: a function can always be called."""
        return None

    def play(self, job: Job) -> Outcome:
        """Call the persona's script."""
        self.played.append(job)
        job.write_prompt()
        if job.stop.is_set():
            return Outcome("stopped", None, 0.0, "stopped before it began")
        script = self.scripts.get(job.persona)
        try:
            ended = script(job) if script else None
        except Exception as error:  # noqa: BLE001 - whatever a script raises is how its run ended
            return Outcome("failed", 1, 0.0, f"{type(error).__name__}: {error}")
        return ended or Outcome("ok", 0, 0.0, "exit 0")
