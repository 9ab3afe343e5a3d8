"""An agent that is one Python function per persona: for tests, ours and users', and for tasks without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..agent import Job, Outcome
from ..kinds import OutcomeStatus
from ..spending.usage import UNKNOWN, Usage

Script = Callable[[Job], Outcome | Mapping[str, Any] | None]


@dataclass(frozen=True)
class ScriptedAgent:
    """Calls the function of the job's persona, which may change files in the workspace.

    A script returns None (the run ended well), a mapping (it ended well, with this output) or an Outcome; one that
    raises has failed. `default` plays personas without a script; without it, they change nothing. `played` lists all
    jobs in order. `usage` is what each run is said to have used, unless its script returns an Outcome.

        >>> agent = ScriptedAgent({"scribe": lambda job: {"pages": 2}})
        >>> agent.play(job).output
        {'pages': 2}
    """

    scripts: Mapping[str, Script]
    played: list[Job] = field(default_factory=list[Job])
    default: Script | None = None
    usage: Usage = UNKNOWN

    def trouble(self) -> str | None:
        """Return None: a function can always be called."""
        return None

    def play(self, job: Job) -> Outcome:
        """Call the persona's script."""
        self.played.append(job)
        job.write_prompt()
        if job.stop.is_set():
            return Outcome.not_begun()
        script = self.scripts.get(job.persona, self.default)
        try:
            result = script(job) if script else None
        except Exception as error:  # noqa: BLE001 - whatever a script raises is how its run ended
            return Outcome(OutcomeStatus.FAILED, 1, 0.0, f"{type(error).__name__}: {error}")
        if isinstance(result, Outcome):
            return result
        output = None if result is None else {**result}
        return Outcome(OutcomeStatus.OK, 0, 0.0, "exit 0", output=output, usage=self.usage)
