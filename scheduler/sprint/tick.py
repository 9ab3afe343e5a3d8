"""One step of the loop: take over runs whose scheduler is gone, weave, judge, consolidate mailboxes, launch.

It waits for no run. The state is read again after each part that changed it, so a step that was interrupted anywhere
can be continued.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from ...mail.log.event import Draft, derived_id
from ..context import Context
from ..errors import NotReady, Stopped
from ..forge.entering import entries
from ..hosts.pushing import Pushes
from ..hosts.regaining import regaining
from ..kinds import Kind, RunStatus
from ..landing.base_gates import BaseJudging, base_gates
from ..landing.branch import keep, open_sprint, standing, weave_until_there
from ..landing.integrate import Integration, PatchesWoven, integrate
from ..landing.judging import gates_of
from ..landing.record import record
from ..leader import check_log, myself
from ..limits.budget import Uses, uses_of
from ..liveness import liveness
from ..progress import Listener, Progress, silent
from ..runs.batch import BatchRunner, OpenRuns
from ..runs.launch import Launch
from ..runs.run import Batch
from ..setup import setup_troubles
from ..state.facts import Patch, Run, Sprint
from ..state.reading import with_past
from ..state.sprints import State
from . import escalation, idle
from .decide import StartRequest, decide
from .mode import is_rolling
from .plan import TickPlan, planned, tick_done, waiting
from .start import set_faulty_aside, start_commit
from .supervision import Supervision, unsupervised


@dataclass(frozen=True)
class Done:
    """What a tick did: the plan it carried out, what was woven before the launches, and the state it left."""

    plan: TickPlan
    state: State
    integration: Integration | None = None


@dataclass
class Ticker:
    """Carries out steps, while its `dispatcher` is open.

    `base` is the branch or commit that a new sprint starts from, by default that of the settings. `listener` is told
    of plans and weaves as they happen. `seen` is a digest of settings and roster and `head` the seq of the log's last
    event before the state was read; both are for `idle`. One that is `passing` carries out a single step, and leaves
    alone what goes on. `supervision` makes what adds a review, a decision and a deployment to a sprint.
    """

    context: Context
    dispatcher: BatchRunner
    base: str | None = None
    listener: Listener = silent
    seen: str = ""
    head: int = -1
    passing: bool = False
    supervision: Supervision = unsupervised
    past: tuple[int, tuple[Run, ...]] | None = field(default=None, init=False, repr=False)
    base_gates: BaseJudging | None = field(default=None, init=False, repr=False)
    _unreadable: set[str] = field(default_factory=set[str], init=False, repr=False)  # pull requests, by their events
    _pushes: Pushes = field(default_factory=Pushes, init=False, repr=False)
    _asked: bool = field(default=False, init=False, repr=False)
    _wove: bool = field(default=False, init=False, repr=False)
    _made: frozenset[str] = field(default=frozenset(), init=False, repr=False)

    def __enter__(self) -> Self:
        """Let the gates judge what a sprint starts from while its first runs work."""
        self.base_gates = BaseJudging(self.context, self.listener)
        self._pushes.say = lambda text: self.listener(Progress(text))
        return self

    def __exit__(self, *_: object) -> None:
        """End what judges the base."""
        if self.base_gates:
            self.base_gates.end()
        self._pushes.end()

    def read(self) -> State:
        """Return the state for the process that leads: its own open runs are dead, too, but for those that go on."""
        self.head, me, open_runs = self.context.mailbox.log.head().seq, myself(), self.dispatcher.open
        running = self.dispatcher.running  # before the state: one that ends in between is not dead
        self._wove, self._made = self.weaving, self.making  # likewise: what is done in between is not in this state
        state = self.context.state(whole=False)
        if entering := entries(self.context, state, self._unreadable):
            self.context.append(entering)
            self.head, state = self.context.mailbox.log.head().seq, self.context.state(whole=False)
        self._pushes.follow(self.context, state)
        own = {run.id for run in state.runs if run.status == RunStatus.OPEN and run.supervisor == me}
        if open_runs is None:
            return replace(state, dead=state.dead | own)
        used = open_runs.used
        if self.passing:
            running |= {e.id for e in state.runs if e.id in state.left and liveness(self.context.home, e).going}
        runs = {run.id: run for run in (*self._past(state), *state.runs)}
        runs |= {
            run: replace(runs[run], usage=usage)
            for run, usage in used.items()
            if run in runs and not runs[run].finished
        }
        return replace(state, runs=tuple(runs.values()), dead=(state.dead | own) - running, left=state.left - running)

    def _past(self, state: State) -> tuple[Run, ...]:
        """Return the last runs of all personas, by which is expected how long one takes; read once for a sprint."""
        if self.past is None or self.past[0] != state.number:
            names = [member.id for member in self.context.members]
            self.past = state.number, with_past(self.context.mailbox.projections, State(), names).runs
        return self.past[1]

    def plan(self, request: StartRequest, state: State | None = None) -> TickPlan:
        """Decide what is next, and change nothing. This is what `--dry-run` prints.

        A `state` that is given is the last one that `read` returned, or one from before anything was woven here.
        """
        weaving, making = (self._wove, self._made) if state else (self.weaving, self.making)
        state = state or self.context.state(whole=False)
        policy, now = self.context.settings.sprint, self.context.clock.now()
        if self.passing or not self.dispatcher.open:  # nobody will be here when the patches have gathered
            policy = policy.model_copy(update={"gather": 0.0})
        return decide(
            state, self.context.members, policy, now, request,
            budgets=self.context.budgets, routing=self.context.routing(), weaving=weaving, making=making,
            barred=self.context.barred(),
        )  # fmt: skip

    @property
    def weaving(self) -> bool:
        """Whether a weave goes on beside the runs."""
        return self.dispatcher.open is not None and self.dispatcher.open.weaving

    @property
    def making(self) -> frozenset[str]:
        """What else is made beside the runs."""
        return self.dispatcher.open.making if self.dispatcher.open else frozenset()

    def is_rolling(self, state: State, request: StartRequest) -> bool:
        """Tell whether the open sprint, or the next one, goes on as its runs end."""
        number = state.number + (0 if state.sprint else 1)
        return is_rolling(number, self.context.settings.sprint, request.mode, state.sprint)

    def tick(self, request: StartRequest, state: State | None = None, plan: TickPlan | None = None) -> Done:
        """Carry out one step, which waits for no run.

        Raises NotReady, before anything is started, if something is missing, and LogBehind.

        `state` is what `read` returned and `plan` what was decided from it; without them, both are made now.
        """
        state = state or self.read()
        plan = plan or self.plan(request, state)
        if plan.acts:
            self._check_log()
        if plan.lost or plan.harvest:
            plan, state = self._harvest(plan, state, request)
        if plan.over:
            self.context.append([tick_done(plan, state)])
            return Done(TickPlan(state.tick, plan.sprint, plan.mode, plan.rule, over=True), self.read())
        if plan.idle or (plan.wait_until and not plan.acts):
            return self._idle(plan, state, request)
        self._check(plan)
        if plan.opening:
            state = self._open(plan, state)
        integration = self._weave(plan, state)
        if integration or plan.opening or (plan.weave and self.weaving):
            state = self.read()
            plan = self._plan_again(request, state, plan)
        state, plan = self.supervise(request, state, plan)
        state, plan = self._conclude(request, state, plan)
        plan, known = set_faulty_aside(self.context, plan), self.head
        self.context.append(escalation.drafts(self.context, state, plan))
        self.context.mailbox.bounce()
        self.listener(planned(plan))
        self._launch(plan, state)
        state = self.read()
        closing = escalation.closing(self.context, state, plan, known) if plan.finish else []
        if plan.rolling or closing:
            self.context.append([tick_done(plan, state), *closing])
            state = self.read()
        return Done(plan, state, integration)

    def supervise(self, request: StartRequest, state: State, plan: TickPlan) -> tuple[State, TickPlan]:
        """Have reports asked for, and authors told of them; return the state and the plan after that."""
        rounds, runs = self.supervision(self.context, self.listener), self.dispatcher.open
        beside, stop = (runs.make if runs and not self.passing else None), self.dispatcher.stop
        while rounds and rounds.tell(state, plan, stop=stop, weaving=self.weaving, making=self._made, beside=beside):
            state = self.read()  # who was told has something to do now
            plan = self._plan_again(request, state, plan)
        return state, plan

    def _conclude(self, request: StartRequest, state: State, plan: TickPlan) -> tuple[State, TickPlan]:
        """Have a sprint decided that is about to end; who deploys it may have to run before that."""
        rounds = self.supervision(self.context, self.listener)
        while plan.finish and rounds and rounds.conclude(state, self.dispatcher.stop):
            state = self.read()
            plan = self._plan_again(request, state, plan)
        return state, plan

    def _plan_again(self, request: StartRequest, state: State, before: TickPlan) -> TickPlan:
        """Decide again what to launch, now that the patches are woven and the mail about them is sent."""
        plan = replace(self.plan(request, state), opening=before.opening, weave=before.weave)
        plan = replace(plan, lost=before.lost, harvest=before.harvest)
        self._check(plan)
        return plan

    def _check_log(self) -> None:
        """Raise LogBehind if git knows more than the log; it is asked once."""
        if not self._asked:
            check_log(self.context.home, self.context.mailbox.log, self.context.settings.team.base)
            self._asked = True

    def _check(self, plan: TickPlan) -> None:
        agents = [launch.agent for launch in plan.starts or plan.launches]
        standing = self.context.standing_troubles()
        if troubles := [*self.context.troubles(agents), *setup_troubles(self.context), *standing]:
            raise NotReady("; ".join(troubles))

    def _idle(self, plan: TickPlan, state: State, request: StartRequest) -> Done:
        self.listener(waiting(plan) if plan.wait_until else planned(plan))
        if state.sprint is None or (state.halted and not self._goes_on(state)):
            until = plan.idle_until or plan.wait_until or request.until
            done = idle.idle(
                plan.idle or f"next try at {until:%H:%M:%S}Z", None if state.halted else until, self.seen, self.head
            )
        else:
            why = plan.idle or f"next try at {plan.wait_until:%H:%M:%S}Z"
            done = Draft(Kind.TICK_DONE, "scheduler", data={"idle": why})
        self.context.append([done])
        return Done(plan, state)

    def _goes_on(self, state: State) -> bool:
        """Tell whether a run of the sprint goes on: no event tells of its end, so the next tick has to look."""
        return any(run.status == RunStatus.OPEN and run.sprint == state.number for run in state.runs)

    def _open(self, plan: TickPlan, state: State) -> State:
        """Start a sprint: the event first, then its branch."""
        opening, context = plan.opening, self.context
        assert opening is not None  # noqa: S101 - `tick` calls this only for a plan with an opening
        base = start_commit(context, state, opening, self.base)
        branch = f"team/sprint-{opening.number}"
        if trouble := context.branch_trouble(branch):
            raise NotReady(trouble)
        own = derived_id("sprint", str(opening.number), base)
        data: dict[str, Any] = {
            "sprint": opening.number, "id": own, "base_branch": self.base or context.settings.team.base, "base": base,
            "branch": branch, "mode": plan.mode, "rule": plan.rule, "reason": opening.reason,
            "personas": [*opening.personas], "rolling": plan.rolling,
        }  # fmt: skip
        context.mirror.discard()
        keep(context, branch, base)
        context.append([Draft(Kind.SPRINT_STARTED, "scheduler", data=data)])
        self._judge_base(context.state(whole=False))
        return context.state(whole=False)

    def _judge_base(self, state: State) -> None:
        """Let the gates judge what the sprint starts from, while its first runs work.

        Before them only where one failed there before, and nothing is to be started if it still does.
        """
        if judging := self.base_gates:
            sprint, stops = open_sprint(state), self.context.settings.sprint.red_base == "stop"
            gates = base_gates(self.context, state, sprint.base)
            waits = stops and any(each.is_red for each in gates)
            judging.start(sprint, state.tick, gates, later=self.passing and not waits)
            if waits:
                judging.wait(self.dispatcher.stop)

    def _weave(self, plan: TickPlan, state: State) -> Integration | None:
        """Weave the pending patches; else only bring the branch to where the log says.

        In a rolling sprint with gates that goes on beside the runs, and nothing is returned.
        """
        if not plan.weave:  # the branch has one writer
            return None if self.weaving else self._integrate(plan, state, self.dispatcher.stop)
        if self.base_gates:  # what is woven tells more; if it fails, the base is judged again
            self.base_gates.end()
            state = self.context.state(whole=False)
        if plan.rolling and gates_of(self.context) and not self.passing:
            self._runs.weave(lambda stop: self._integrate(plan, state, stop))
            return None
        return self._integrate(plan, state, self.dispatcher.stop)

    def _integrate(self, plan: TickPlan, state: State, stop: threading.Event) -> Integration | None:
        done: list[Integration] = []

        def weave(state: State, patches: Sequence[Patch]) -> bool:
            done.append(integrate(self.context, state, patches, stop, self.listener, self._record))
            return self._record(done[-1])

        def read() -> tuple[State, Sequence[Patch]]:
            state = self.context.state(whole=False)
            return state, state.pending

        regain = regaining(self.context, plan.weave, self.listener)
        weave_until_there(self.context, state, plan.weave, read, weave, regain)
        return done[-1] if done else None

    def _record(self, integration: Integration) -> bool:
        there = record(self.context, integration)
        self.listener(PatchesWoven(f"weave: {len(integration.woven.landed)} landed", integration))
        return there

    def _harvest(self, plan: TickPlan, state: State, request: StartRequest) -> tuple[TickPlan, State]:
        """Take over the runs of schedulers that are gone; return what is next, and the state. Raises Stopped.

        Without a rolling sprint that is once their ends are on record.
        """
        self.take_over(plan, state)
        if self.dispatcher.stop.is_set():
            raise Stopped("stopped while the runs of an earlier scheduler were taken over")
        state = self.read()
        return replace(self.plan(request, state), lost=plan.lost, harvest=plan.harvest), state

    def take_over(self, plan: TickPlan, state: State) -> None:
        """Take over the runs of schedulers that are gone, and give up those that are lost."""
        runs = [*plan.lost, *plan.harvest]
        if not runs:
            return
        self._check_log()
        sprint = open_sprint(state)
        launches = [Launch(run.persona, run.agent, run.attempt, run.sprint, run.reason, "taken over") for run in runs]
        uses = self._used_before(state, sprint)
        batches = [Batch(run.sprint, run.tick, run.base, sprint.branch, uses=uses) for run in runs]
        stops = [run.id for run in runs if run.stop]
        self._runs.take_over(launches, batches, stops)

    @property
    def _runs(self) -> OpenRuns:
        assert self.dispatcher.open  # noqa: S101 - see the class
        return self.dispatcher.open

    def _used_before(self, state: State, sprint: Sprint) -> Uses:
        """Return what the runs used that have ended."""
        ended = replace(state, runs=tuple(run for run in state.runs if run.status != RunStatus.OPEN))
        return uses_of(ended, sprint.number, self.context.clock.now())

    def _launch(self, plan: TickPlan, state: State) -> None:
        if not plan.starts:
            return
        sprint = open_sprint(state)
        spent = (self.context.clock.now() - datetime.fromisoformat(sprint.started)).total_seconds()
        left = max(1.0, self.context.settings.sprint.deadline - spent)
        base = standing(self.context.git, sprint)[0]  # moved there already, or by the weave that goes on
        uses = self._used_before(state, sprint)
        batch = Batch(sprint.number, plan.tick, base, sprint.branch, left, uses)
        deploying = [launch for launch in plan.starts if launch.persona == self.context.settings.deploy.persona]
        begun = next((deploy for deploy in reversed(state.deploys) if deploy.outcome is None), None)
        if begun and deploying:  # in a clone of exactly what was approved, whatever has landed since
            self._runs.start(deploying, replace(batch, base=begun.commit))
        self._runs.start([launch for launch in plan.starts if not (begun and launch in deploying)], batch)
