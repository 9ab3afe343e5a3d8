"""What a dispatch that was cut off goes on with: its tasks, the commit it began from, and the runs it left open."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ...personas.agent import Assignment
from ..context import Context
from ..errors import NotReady
from ..payload import held
from ..runs.launch import Launch
from ..runs.run import Batch
from ..state.dispatches import Attempt, DispatchState
from ..tasks.task import DispatchInput


def input_of(context: Context, state: DispatchState) -> DispatchInput:
    """Return the tasks and the config of a recorded dispatch. Raises BlobMissing, LogError."""
    tasks: Any = held(context.mailbox.blobs, state.given, "tasks")
    return DispatchInput.model_validate({"tasks": tasks, "config": state.given["config"]})


def check_base(context: Context, state: DispatchState) -> None:
    """Raise NotReady if nothing has landed yet, and the commit to start from is gone."""
    sprint = state.work.sprints[0]
    if state.base and not sprint.commits and not context.git.has_commit(sprint.base):
        raise NotReady(
            f"commit {sprint.base[:12]} is gone, where dispatch {state.short} began; team replay starts anew"
        )


def open_launches(state: DispatchState, questions: Collection[str]) -> tuple[list[Launch], list[Batch]]:
    """Return the launches of the runs that a dispatch left open, and where each began.

    `questions` are the tasks of which only the answer is kept.
    """
    batches = [Batch(0, 0, attempt.start["base"], state.branch) for attempt in state.open]
    return [_launch(state, attempt, questions) for attempt in state.open], batches


def _launch(state: DispatchState, attempt: Attempt, questions: Collection[str]) -> Launch:
    start = attempt.start
    assignment = Assignment(state.id, start["task"], "")
    return Launch(
        start["persona"], attempt.agent, attempt.number, 0, start["reason"], "taken over", assignment=assignment,
        answer_only=start["task"] in questions,
    )  # fmt: skip
