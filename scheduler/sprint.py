"""A sprint: ticks until it converges or is spent, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from .decide import Wish
from .facts import Sprint
from .state import State
from .tick import Ticker

CONVERGED = "converged"


@dataclass(frozen=True)
class Summary:
    """A sprint's result, as `scheduler sprint --json` ends with it. `seconds` is wall time."""

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

    def document(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "outcome"}
        return told | {"landed": [*self.landed], "set_aside": [*self.set_aside]}


def summary(state: State, sprint: Sprint, now: datetime) -> Summary:
    """Sum up a sprint, open or finished."""
    patches = [patch for patch in state.patches if patch.sprint == sprint.number]
    landed = [patch for patch in patches if patch.status == "landed"]
    runs = [run for run in state.runs if run.sprint == sprint.number]
    own = {patch.persona for patch in landed}
    open_ends = {p.persona for p in patches if p.status in {"conflicted", "refused", "rejected", "held"}} - own
    aside = sorted({*state.aside, *open_ends} if sprint is state.sprints[-1] else open_ends)
    end = datetime.fromisoformat(sprint.finished) if sprint.finished else now.astimezone(UTC)
    seconds = round((end - datetime.fromisoformat(sprint.started)).total_seconds(), 3)
    return Summary(
        sprint.number, sprint.mode, sprint.ticks, sprint.outcome == CONVERGED, sprint.branch,
        tuple(dict.fromkeys(patch.persona for patch in landed)), tuple(aside),
        sum(patch.status == "conflicted" for patch in patches), len(runs), seconds, sprint.outcome,
    )  # fmt: skip


def run_sprint(ticker: Ticker, wish: Wish) -> Summary | None:
    """Go on with the open sprint, or start one, and tick until it ends; None if there was nothing to start.

    A pause for a retry is waited for; `end` of the dispatcher ends the loop after the tick under way.
    """
    number: int | None = None
    while not ticker.dispatcher.stop.is_set():
        plan = ticker.plan(wish)
        if plan.wait_until and not plan.idle:
            pause = (plan.wait_until - ticker.shop.clock.now()).total_seconds()
            if ticker.dispatcher.stop.wait(max(0.0, pause)):
                break
            continue
        done = ticker.tick(replace(wish, start=None) if number else wish)
        number = done.plan.sprint
        if done.plan.idle or done.plan.finish:
            break
    state = ticker.shop.state()
    found = next((sprint for sprint in state.sprints if sprint.number == number), None)
    return summary(state, found, ticker.shop.clock.now()) if found else None
