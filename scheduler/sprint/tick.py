"""One step of the loop: give up lost runs, weave, judge, consolidate mailboxes, launch.

State is read anew after each part that changed it, so a tick that was cut off anywhere is simply gone on with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ...mail.log.event import Draft, derived_id
from ...personas.running.sweep import sweep
from ..context import Context
from ..errors import NotReady
from ..landing.integrate import Integration, PatchesWoven, ensure_branch, integrate
from ..landing.record import record
from ..leader import myself
from ..progress import Listener, silent
from ..runs.batch import BatchRunner
from ..runs.run import Batch
from ..state.facts import OPEN, Sprint
from ..state.sprints import State
from . import escalation, idle
from .decide import StartRequest, decide
from .plan import TickPlan, planned, waiting
from .start import beginning, rehearsed


@dataclass(frozen=True)
class Done:
    """What a tick did: the plan it carried out, what was woven before the launches, and the state it left."""

    plan: TickPlan
    state: State
    integration: Integration | None = None


@dataclass
class Ticker:
    """Carries ticks out. `listener` is told of plans and weaves as they happen; `seen` digests settings and roster.

    `head` is the log's last event before the state was read, for `idle`.
    """

    context: Context
    dispatcher: BatchRunner
    base: str | None = None
    listener: Listener = silent
    seen: str = ""
    head: int = -1

    def read(self) -> State:
        """Read where things stand for whoever leads: between two batches a run of this very process is a dead one."""
        self.head = self.context.mailbox.log.head().seq
        state, me = self.context.state(whole=False), myself()
        own = {run.id for run in state.runs if run.status == OPEN and run.supervisor == me}
        return replace(state, dead=state.dead | own)

    def plan(self, request: StartRequest, state: State | None = None) -> TickPlan:
        """Decide what is next, and change nothing. This is what `--dry-run` prints."""
        context = self.context
        return decide(
            state or context.state(whole=False), context.members, context.settings.sprint, context.clock.now(), request
        )

    def tick(self, request: StartRequest, state: State | None = None) -> Done:
        """Carry out one tick. Raises NotReady before anything is started where something is missing.

        `state` is what was read since this process leads; without it, it is read now.
        """
        state = state or self.read()
        plan = self.plan(request, state)
        if plan.idle or plan.wait_until:
            return self._idle(plan, state, request)
        self._check(plan)
        if plan.opening:
            state = self._open(plan, state)
        integration = self._settle(plan, state)
        if plan.lost or integration or plan.opening:
            state = self.read()
            plan = self._after(request, state, plan)
        plan = rehearsed(self.context, plan)
        self.context.append(escalation.drafts(self.context, state, plan))
        self.context.mailbox.bounce()
        self.listener(planned(plan))
        self._launch(plan, state)
        closing = escalation.closing(self.context, self.context.state(whole=False), plan) if plan.finish else []
        self.context.append([_ticked(plan), *closing])
        return Done(plan, self.context.state(whole=False), integration)

    def _after(self, request: StartRequest, state: State, before: TickPlan) -> TickPlan:
        """Decide again what to launch, now that the patches are woven and the mail about them is out."""
        plan = replace(self.plan(request, state), opening=before.opening, lost=before.lost, weave=before.weave)
        self._check(plan)
        return plan

    def _check(self, plan: TickPlan) -> None:
        if troubles := [*self.context.troubles([one.agent for one in plan.launches]), *self.context.gate_troubles()]:
            raise NotReady("; ".join(troubles))

    def _idle(self, plan: TickPlan, state: State, request: StartRequest) -> Done:
        self.listener(waiting(plan) if plan.wait_until else planned(plan))
        if state.paused or state.sprint is None:
            done = idle.idle(plan.idle or "", None if state.paused else request.until, self.seen, self.head)
        else:
            why = plan.idle or f"next try at {plan.wait_until:%H:%M:%S}Z"
            done = Draft("tick.done", "scheduler", data={"idle": why})
        self.context.append([done])
        return Done(plan, state)

    def _open(self, plan: TickPlan, state: State) -> State:
        """Start a sprint: on record first, then its branch."""
        opening, context = plan.opening, self.context
        assert opening is not None  # noqa: S101 - asked for by `tick`
        base = beginning(context, state, opening, self.base)
        branch = f"team/sprint-{opening.number}"
        if trouble := context.branch_trouble(branch):
            raise NotReady(trouble)
        own = derived_id("sprint", str(opening.number), base)
        data: dict[str, Any] = {
            "sprint": opening.number, "id": own, "base_branch": self.base or context.settings.team.base, "base": base,
            "branch": branch, "mode": plan.mode, "rule": plan.rule, "reason": opening.reason,
            "personas": [*opening.personas],
        }  # fmt: skip
        context.mirror.discard()
        context.append([Draft("sprint.started", "scheduler", data=data)])
        return context.state(whole=False)

    def _settle(self, plan: TickPlan, state: State) -> Integration | None:
        """Give up what was lost, and weave what is pending."""
        sprint = _open_sprint(state)
        if plan.lost:
            self._lose(plan)
        if not plan.weave:
            ensure_branch(self.context, sprint)
            return None
        integration = integrate(self.context, state, plan.weave, self.dispatcher.stop, self.listener)
        record(self.context, integration)
        self.listener(PatchesWoven(f"weave: {len(integration.woven.landed)} landed", integration))
        return integration

    def _lose(self, plan: TickPlan) -> None:
        sweep([run.id for run in plan.lost])
        self.context.mirror.discard()
        self.context.append(
            [
                Draft(
                    "run.lost", "scheduler", run=run.id, data=_gone(run.persona),
                    id=derived_id("run.lost", run.id),
                )
                for run in plan.lost
            ]
        )  # fmt: skip

    def _launch(self, plan: TickPlan, state: State) -> None:
        if not plan.launches:
            return
        sprint = _open_sprint(state)
        spent = (self.context.clock.now() - datetime.fromisoformat(sprint.started)).total_seconds()
        left = max(1.0, self.context.settings.sprint.deadline - spent)
        base = ensure_branch(self.context, sprint)
        self.dispatcher.run(plan.launches, Batch(sprint.number, plan.tick, base, sprint.branch, left))


def _gone(persona: str) -> dict[str, Any]:
    return {"persona": persona, "why": "its scheduler is gone", "orderly": False}


def _ticked(plan: TickPlan) -> Draft:
    data = {"sprint": plan.sprint, "tick": plan.tick, "mode": plan.mode, "launched": len(plan.launches)}
    return Draft("tick.done", "scheduler", data=data, id=derived_id("tick", str(plan.sprint), str(plan.tick)))


def _open_sprint(state: State) -> Sprint:
    sprint = state.sprint
    assert sprint is not None  # noqa: S101 - a plan that is not idle has a sprint
    return sprint
