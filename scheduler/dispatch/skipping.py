"""Skipping: which tasks of a dispatch are not to be run, by their conditions and by what was skipped before them.

The decision rests on outputs that are on record and never change, so a dispatch that is resumed comes to the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..kinds import TaskStatus
from ..progress import Progress
from ..state.dispatches import DispatchState
from ..tasks.references import references
from ..tasks.task import Task


@dataclass(frozen=True)
class TaskSkipped(Progress):
    """A task was skipped, and why."""

    task: str
    why: str


def why_skipped(task: Task, dispatch: DispatchState, outputs: Mapping[str, Any]) -> str:
    """Return why a task is not to be run; "" if it is. All its dependencies are done.

    It is skipped if its condition is not met, and if its condition or its input asks for the output of a task that was
    skipped. A task that only waits for a skipped one runs. Raises Undecided, BlobMissing.
    """
    when = task.when
    if when and dispatch.status(when.task) == TaskStatus.SKIPPED:
        return f"task '{when.task}' was skipped, and its condition asks for the output of that"
    for name in sorted(references(task.input_data)):
        if dispatch.status(name) == TaskStatus.SKIPPED:
            return f"task '{name}' was skipped, and its input asks for the output of that"
    return when.unmet(outputs[when.task]) if when else ""
