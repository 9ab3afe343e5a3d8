"""A dry run of a dispatch: who would do which task, after which others, and how long it may take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...mail.clock import rfc3339
from ...personas.agents.command import CommandAgent
from ..context import Context
from ..kinds import LaunchReason
from ..limits.budget import NOTHING_USED, Uses
from ..limits.routing import Case, Choice, Routing, Work
from ..planner.schedule import critical_path, schedule
from ..setup import NO_SETUP, SetUpPreview
from ..state.reading import read_refused
from ..tasks.graph import waves
from ..tasks.task import DispatchConfig, Task


@dataclass(frozen=True)
class DispatchPreview:
    """A dispatch as it would be carried out. `choices` maps each task to the agent that would play it.

    `setup` is what each workspace would get, and `notes` is what to know of the agents.
    """

    tasks: tuple[Task, ...]
    config: DispatchConfig
    choices: Mapping[str, Choice]
    setup: SetUpPreview = NO_SETUP
    notes: tuple[str, ...] = ()

    @property
    def waves(self) -> Sequence[tuple[str, ...]]:
        """The tasks by the length of the longest chain before them. No task waits for the rest of a wave."""
        return waves(self.tasks)

    @property
    def seconds(self) -> float | None:
        """The duration on `max_workers` workers if no task is skipped, by their estimates; None if a task has none."""
        if not all(task.estimate for task in self.tasks):
            return None
        return schedule(self._durations, self._after, self.config.max_workers).makespan

    @property
    def critical_path(self) -> tuple[str, ...]:
        """The longest chain of tasks: by their estimates, or by their number if a task has none."""
        return critical_path(self._durations, self._after)

    @property
    def _durations(self) -> dict[str, float]:
        known = all(task.estimate for task in self.tasks)
        return {task.task_id: task.estimate if known and task.estimate else 1.0 for task in self.tasks}

    @property
    def _after(self) -> dict[str, tuple[str, ...]]:
        return {task.task_id: task.dependencies for task in self.tasks}

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team dispatch --dry-run`."""
        wave = {name: number for number, names in enumerate(self.waves, 1) for name in names}
        return {
            "tasks": [
                {
                    "task_id": task.task_id, "agent": task.agent, "played_by": self.choices[task.task_id].agent,
                    "route": self.choices[task.task_id].rule or None,
                    "instead_of": self.choices[task.task_id].instead_of,
                    "wave": wave[task.task_id], "dependencies": [*task.dependencies], "priority": task.priority,
                    "estimate": task.estimate, **({"when": task.when.model_dump(mode="json")} if task.when else {}),
                }
                for task in self.tasks
            ],
            "waves": [[*names] for names in self.waves],
            "critical_path": [*self.critical_path],
            "config": self.config.model_dump(mode="json"),
            "estimated_seconds": self.seconds,
            "setup": self.setup.document(),
            "notes": [*self.notes],
        }  # fmt: skip


def choices_of(context: Context, routing: Routing, tasks: Sequence[Task]) -> dict[str, Choice]:
    """Return the agent that would play the first attempt at each task, as things stand."""
    now, budgets = context.clock.now(), context.budgets
    refused = read_refused(context.mailbox.projections, rfc3339(now))
    uses = Uses(day=tuple(context.used_today().values())) if budgets.daily else NOTHING_USED
    case = Case(now, (), (), refused, uses, replace(budgets, sprint=None), lambda _: False, pauses=False)
    return {task.task_id: routing.choose(work_of(context, task), case) for task in tasks}


def agents_for(context: Context, routing: Routing, task: Task) -> Iterator[tuple[str, ...]]:
    """Yield the agents that may be asked for a task: for its first attempt and for others, whatever budget is left."""
    for reason in (LaunchReason.TASK, LaunchReason.RETRY):
        for left in (1.0, 0.0):
            yield routing.candidates(work_of(context, task, reason), left)[1]


def starts_process(context: Context, routing: Routing, tasks: Iterable[Task]) -> bool:
    """Tell whether the first of some tasks is played by a process, if the first agent that may play it does."""
    first = next(iter(tasks), None)
    agents = routing.candidates(work_of(context, first))[1] if first else ()
    return bool(agents) and isinstance(context.agents.get(agents[0]), CommandAgent)


def work_of(context: Context, task: Task, reason: LaunchReason = LaunchReason.TASK) -> Work:
    """Return an attempt at a task as the rules of routing see it."""
    return Work(task.agent, reason, task.task_id, context.persona(task.agent).agent)
