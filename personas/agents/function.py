"""The agent that is one function, called in process: no prompt, no paper, no process, so a run costs microseconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...mail.clock import Clock, SystemClock
from ...mail.render import line
from ...mail.units import span
from ..agent import Job, Outcome


@dataclass(frozen=True)
class FunctionAgent:
    """Calls a function with the job; what it returns is the run's output, what it raises is why the run failed.

    Nobody can end a function from outside: one that takes long looks at `job.stop` itself, and raises when told to
    end. What it returns beyond `job.timeout` comes too late, and is thrown away.
    """

    function: Callable[[Job], Any]
    clock: Clock = field(default_factory=SystemClock)

    def trouble(self) -> str | None:
        """Say nothing: a function can always be called."""
        return None

    def play(self, job: Job) -> Outcome:
        """Call the function."""
        if job.stop.is_set():
            return Outcome("stopped", None, 0.0, "stopped before it began")
        began = self.clock.monotonic()
        try:
            output = self.function(job)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is how its run ended
            took, told = self.clock.monotonic() - began, line(str(error))
            detail = f"{type(error).__name__}: {told}" if told else type(error).__name__
            status, code = ("stopped", None) if job.stop.is_set() else ("failed", 1)
            return Outcome(status, code, took, detail)
        took = self.clock.monotonic() - began
        if took > job.timeout:
            return Outcome("timeout", None, took, f"no end within {span(job.timeout)}")
        return Outcome("ok", 0, took, "exit 0", output=output)
