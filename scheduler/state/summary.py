"""What came of a sprint, open or finished, in the few figures that people and programs ask for first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .facts import Sprint
from .sprints import State

CONVERGED = "converged"
_APART = {"outcome", "patches", "held", "started"}


@dataclass(frozen=True)
class Summary:
    """A sprint's result, as `scheduler sprint --json` ends with it. `seconds` is wall time.

    `landed` names personas, `patches` counts what landed of theirs; `held` names those whose patch waits for approval.
    """

    sprint: int
    mode: str
    ticks: int
    converged: bool
    branch: str
    landed: tuple[str, ...]
    set_aside: tuple[str, ...]
    conflicts: int
    runs: int
    seconds: float
    outcome: str | None
    patches: int = 0
    held: tuple[str, ...] = ()
    started: str = ""

    def document(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _APART}
        return told | {"landed": [*self.landed], "set_aside": [*self.set_aside]}


def summary(state: State, sprint: Sprint, now: datetime) -> Summary:
    """Sum up a sprint, open or finished."""
    patches = [patch for patch in state.patches if patch.sprint == sprint.number]
    landed = [patch for patch in patches if patch.status == "landed"]
    runs = [run for run in state.runs if run.sprint == sprint.number]
    own = {patch.persona for patch in landed}
    open_ends = {p.persona for p in patches if p.status in {"conflicted", "refused", "rejected"}} - own
    held = sorted({patch.persona for patch in patches if patch.status == "held"})
    aside = sorted({*state.aside, *open_ends} if sprint is state.sprints[-1] else open_ends)
    end = datetime.fromisoformat(sprint.finished) if sprint.finished else now.astimezone(UTC)
    seconds = round((end - datetime.fromisoformat(sprint.started)).total_seconds(), 3)
    return Summary(
        sprint.number, sprint.mode, sprint.ticks, sprint.outcome == CONVERGED, sprint.branch,
        tuple(dict.fromkeys(patch.persona for patch in landed)), tuple(aside),
        sum(patch.status == "conflicted" for patch in patches), len(runs), seconds, sprint.outcome,
        len(landed), tuple(held), sprint.started,
    )  # fmt: skip
