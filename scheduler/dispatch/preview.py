"""A dry run of a dispatch: who would do which task, after which others, and how long it may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..planner.schedule import critical_path, schedule
from ..setup import NO_SETUP, SetUpPreview
from ..tasks.graph import waves
from ..tasks.task import DispatchConfig, Task


@dataclass(frozen=True)
class DispatchPreview:
    """A dispatch as it would be carried out. `agents` maps each persona to the agent that would play it.

    `setup` is what each workspace would get, and `notes` is what to know of the agents.
    """

    tasks: tuple[Task, ...]
    config: DispatchConfig
    agents: Mapping[str, str]
    setup: SetUpPreview = NO_SETUP
    notes: tuple[str, ...] = ()

    @property
    def waves(self) -> Sequence[tuple[str, ...]]:
        """The tasks by the length of the longest chain before them. No task waits for the rest of a wave."""
        return waves(self.tasks)

    @property
    def seconds(self) -> float | None:
        """The duration on `max_workers` workers by the tasks' estimates; None if a task has none."""
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
                    "task_id": task.task_id, "agent": task.agent, "played_by": self.agents[task.agent],
                    "wave": wave[task.task_id], "dependencies": [*task.dependencies], "priority": task.priority,
                    "estimate": task.estimate,
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
