"""An agent that is one Python function, called in process: no prompt, no files, no subprocess, microseconds a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...mail.clock import Clock, SystemClock
from ...mail.render import line
from ...mail.text.units import span
from ..agent import Job, Outcome
from ..kinds import OutcomeStatus


@dataclass(frozen=True)
class FunctionAgent:
    """Calls a function with the job. Its return value is the run's output; if it raises, the run has failed.

    A function cannot be ended from outside: one that takes long should look at `job.stop`, and raise when it is set.
    A value that is returned after `job.timeout` seconds is dropped, and the run has timed out.

        >>> agent = FunctionAgent(lambda job: {"total": sum(job.assignment.input["prices"])})
        >>> agent.play(job).output
        {'total': 7}
    """

    function: Callable[[Job], Any]
    clock: Clock = field(default_factory=SystemClock)

    def trouble(self) -> str | None:
        """Return None: a function can always be called."""
        return None

    def play(self, job: Job) -> Outcome:
        """Call the function."""
        if job.stop.is_set():
            return Outcome.not_begun()
        began = self.clock.monotonic()
        try:
            output = self.function(job)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is how its run ended
            return self._raised(error, job, began)
        seconds = self.clock.monotonic() - began
        if seconds > job.timeout:
            return Outcome(OutcomeStatus.TIMEOUT, None, seconds, f"no end within {span(job.timeout)}")
        return Outcome(OutcomeStatus.OK, 0, seconds, "exit 0", output=output)

    def _raised(self, error: BaseException, job: Job, began: float) -> Outcome:
        seconds, text = self.clock.monotonic() - began, line(str(error))
        detail = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if job.stop.is_set():
            return Outcome(OutcomeStatus.STOPPED, None, seconds, detail)
        return Outcome(OutcomeStatus.FAILED, 1, seconds, detail)
