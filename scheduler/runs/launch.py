"""One launch: which persona is to be run, by which agent, for which attempt, and why."""

from __future__ import annotations

from dataclasses import dataclass

from ...mail.log.event import derived_id
from ...personas.agent import Assignment
from ..state.facts import Mail


@dataclass(frozen=True)
class Launch:
    """One persona to be launched. `estimate` is in seconds, from its earlier runs, None if it has none.

    With an `assignment` it is a task of a dispatch and of no sprint; `timeout`, in seconds, is what was said for it.
    """

    persona: str
    agent: str
    attempt: int
    sprint: int
    reason: str
    why: str
    mail: tuple[Mail, ...] = ()
    estimate: float | None = None
    assignment: Assignment | None = None
    timeout: float | None = None

    @property
    def name(self) -> str:
        """The name to show: the task of a dispatch, or the persona."""
        return self.assignment.task if self.assignment else self.persona

    @property
    def run(self) -> str:
        """The run's id, derived: the same attempt at the same work is the same run."""
        told = self.assignment
        work = ("task", told.dispatch, told.task) if told else (str(self.sprint), self.persona)
        return derived_id("run", *work, str(self.attempt))
