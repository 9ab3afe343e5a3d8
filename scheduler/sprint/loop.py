"""A sprint: ticks until it converges or is spent."""

from __future__ import annotations

from dataclasses import replace

from ..errors import Stopped
from ..state.summary import Summary, summary
from .decide import StartRequest
from .plan import waiting
from .tick import Ticker


def run_sprint(ticker: Ticker, request: StartRequest) -> Summary | None:
    """Go on with the open sprint, or start one, and tick until it ends; None if there was nothing to start.

    A pause for a retry is waited for; `end` of the dispatcher ends the loop after the tick under way. Raises NotReady
    before anything is started, BranchMoved, LogError.
    """
    number: int | None = None
    while not ticker.dispatcher.stop.is_set():
        state = ticker.read()
        plan = ticker.plan(request, state)
        if plan.wait_until and not plan.idle:
            ticker.listener(waiting(plan))
            pause = (plan.wait_until - ticker.context.clock.now()).total_seconds()
            if ticker.dispatcher.stop.wait(max(0.0, pause)):
                break
            continue
        try:
            done = ticker.tick(replace(request, start=None) if number else request, state)
        except Stopped:
            break
        number = done.plan.sprint
        if done.plan.idle or done.plan.finish:
            break
    state = ticker.context.state(whole=False)
    found = next((sprint for sprint in state.sprints if sprint.number == number), None)
    return summary(state, found, ticker.context.clock.now()) if found else None
