"""A sprint: ticks until it converges or is spent."""

from __future__ import annotations

from dataclasses import replace

from ..errors import NoProgress, Stopped
from ..state.sprints import State
from ..state.summary import Summary, summary
from .decide import StartRequest
from .plan import TickPlan, waiting
from .tick import Ticker


def run_sprint(ticker: Ticker, request: StartRequest) -> Summary | None:
    """Continue the open sprint, or start one, and tick until it ends; return None if there was nothing to start.

    It waits for retries. `end` of the ticker's dispatcher ends the loop after the current tick. Raises NotReady before
    anything is started, BranchMoved, LogError, and NoProgress if a tick changed nothing.
    """
    number: int | None = None
    while not ticker.dispatcher.stop.is_set():
        state = ticker.read()
        plan = ticker.plan(request, state)
        if plan.wait_until and not (plan.idle or plan.lost):
            ticker.listener(waiting(plan))
            pause = (plan.wait_until - ticker.context.clock.now()).total_seconds()
            if ticker.context.clock.wait(ticker.dispatcher.stop, max(0.0, pause)):
                break
            continue
        try:
            done = ticker.tick(request, state, plan)
        except Stopped:
            break
        number, request = done.plan.sprint, replace(request, start=None)
        if done.plan.idle or done.plan.finish:
            break
        if not ticker.dispatcher.stop.is_set():
            _check_progress(state, done.state, done.plan)
    state = ticker.context.state(whole=False)
    sprint = next((sprint for sprint in state.sprints if sprint.number == number), None)
    return summary(state, sprint, ticker.context.clock.now()) if sprint else None


def _check_progress(before: State, after: State, plan: TickPlan) -> None:
    """Raise NoProgress if a tick left the state as it was, apart from its own number."""
    if _without_ticks(before) != _without_ticks(after):
        return
    work = {
        "weave": [patch.persona for patch in plan.weave],
        "launch": [launch.persona for launch in plan.launches],
        "give up": [run.persona for run in plan.lost],
        "take over": [run.persona for run in plan.harvest],
        "set aside": [skip.persona for skip in plan.aside],
    }
    planned = "; ".join(f"{verb} {', '.join(names)}" for verb, names in work.items() if names) or "nothing"
    raise NoProgress(
        f"tick {plan.tick} of sprint {plan.sprint} changed nothing, so the next would repeat it ({planned}): the log "
        "does not keep what a tick writes; check it with team-mail verify, then scheduler sprint continues the sprint"
    )


def _without_ticks(state: State) -> State:
    sprints = tuple(replace(sprint, ticks=0) for sprint in state.sprints)
    return replace(state, sprints=sprints, dead=frozenset(), taken=frozenset())
