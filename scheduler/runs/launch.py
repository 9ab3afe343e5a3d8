"""One launch: which persona is to be run, by which agent, for which attempt, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ...mail.log.event import derived_id
from ...personas.agent import Assignment
from ..limits.routing import Choice
from ..state.facts import Mail, Patch

MOST_SETUPS = 3  # set-ups that may fail for one persona in a sprint, or for one task of a dispatch


@dataclass(frozen=True)
class Launch:
    """One persona to be launched.

    `estimate` is in seconds, from its earlier runs, None if it has none. A launch with an `assignment` is a task of a
    dispatch and belongs to no sprint; `timeout`, in seconds, overrides the persona's and the agent's. The
    `last_attempt` of a task ends it, however the run ends. `previous` is what an earlier attempt left that did not end
    well, and `route` how its agent was chosen. Of a launch with `answer_only` what it changed is dropped.
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
    last_attempt: bool = False
    previous: Patch | None = None
    route: Choice | None = None
    answer_only: bool = False

    @property
    def name(self) -> str:
        """The name to show: the task of a dispatch, or the persona."""
        return self.assignment.task if self.assignment else self.persona

    @cached_property
    def run(self) -> str:
        """The run's id, derived: the same attempt at the same work is the same run."""
        return self._run(self.attempt)

    @property
    def runs(self) -> frozenset[str]:
        """The ids of this run and of the earlier attempts at the same work."""
        return frozenset(map(self._run, range(1, self.attempt + 1)))

    def _run(self, attempt: int) -> str:
        task = self.assignment
        work = ("task", task.dispatch, task.task) if task else (str(self.sprint), self.persona)
        return derived_id("run", *work, str(attempt))
