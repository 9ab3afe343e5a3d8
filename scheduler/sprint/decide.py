"""What happens next: one pure function from what is known to a plan. No clock, no disk, no process.

Within a tick the weave comes before the launches, and its outcome is news: a plan with patches to weave shows whom it
would launch as things stand, and the tick decides again once they are woven.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ...mail.render import listed
from ..claims.barring import Barred
from ..context import Member
from ..kinds import LaunchReason, Mode, ModeRequest, RunStatus, SprintOutcome
from ..limits.budget import NO_BUDGETS, Budgets, Overspent, day_ends, uses_of
from ..limits.parking import moment_text
from ..limits.routing import NO_ROUTING, Case, Fault, Routing, Work
from ..runs.launch import Launch
from ..state.facts import Patch, Run
from ..state.fold import left_over
from ..state.sprints import State, dead_of, give_up_dead
from .mode import Policy, is_rolling, mode_of
from .plan import Opening, Skip, TickPlan, all_parked, gathered, with_room
from .tries import INCOMPLETE, Tries, end_of, is_asking

ASKED = "asked for"  # the reason of a sprint that a person started


@dataclass(frozen=True)
class StartRequest:
    """What a tick is asked to do.

    `start` is the reason to start a sprint if none is open; None starts none. `mode` overrides the settings.
    `personas` limits a new sprint's first batch; empty means everybody who is scheduled. If nothing is to be started,
    `otherwise` says why, and `until` how long that holds.
    """

    start: str | None = None
    mode: str = ModeRequest.AUTO
    personas: tuple[str, ...] = ()
    otherwise: str = "no sprint is open"
    until: datetime | None = None


def decide(
    state: State,
    roster: Sequence[Member],
    policy: Policy,
    now: datetime,
    request: StartRequest,
    *,
    budgets: Budgets = NO_BUDGETS,
    routing: Routing = NO_ROUTING,
    weaving: bool = False,
    making: Collection[str] = (),
    barred: Mapping[str, Barred] = {},
) -> TickPlan:
    """Decide the next step, which waits for no run. `roster` is who is scheduled, in the order of launching.

    Nor does it wait for the weave that goes on if it is `weaving`, or for what else is in `making` beside the runs.
    Whoever is `barred` waits for somebody's claim.
    """
    if state.halted:
        lost, left = dead_of(state)
        return TickPlan(
            state.tick, state.sprint and state.sprint.number, lost=lost, harvest=left,
            idle=state.halted,
        )  # fmt: skip
    if state.sprint is None and not roster:
        why = "nobody on the roster is scheduled; add a persona to .team/personas"
        return TickPlan(state.tick, idle=why)
    if state.sprint is None and (over := uses_of(state, 0, now).overspent(budgets, now)):  # also if none is due
        return TickPlan(state.tick, idle=f"{over.text}; it begins anew at midnight", idle_until=day_ends(now))
    if state.sprint is None and request.start is None:
        return TickPlan(state.tick, idle=request.otherwise)
    plan = _Decision(
        state, roster, policy, now, request, budgets=budgets, routing=routing, weaving=weaving, making=making,
        barred=barred,
    ).plan()  # fmt: skip
    if plan.opening and plan.wait_until and not _is_worth_waiting(plan.wait_until, policy, now, request):
        return TickPlan(state.tick, skips=plan.skips, idle=all_parked(plan), idle_until=plan.wait_until)
    return plan


def _is_worth_waiting(until: datetime, policy: Policy, now: datetime, request: StartRequest) -> bool:
    """Tell whether a sprint that would begin with everybody parked is waited for: a person did, and it is not long."""
    return request.start == ASKED and until - now < timedelta(seconds=policy.deadline)


class _Decision:
    """One decision while it is being made: the rules, each a method, over facts that do not change.

    Dead runs count as lost already, so that what is planned is what the tick does once they are given up.
    """

    def __init__(
        self,
        state: State,
        roster: Sequence[Member],
        policy: Policy,
        now: datetime,
        request: StartRequest,
        *,
        budgets: Budgets,
        routing: Routing,
        weaving: bool,
        making: Collection[str],
        barred: Mapping[str, Barred],
    ) -> None:
        self.state = give_up_dead(state)
        self.roster = roster
        self.policy = policy
        self.now = now
        self.sprint = state.sprint
        self.number = state.number + (0 if state.sprint else 1)
        self.runs = [run for run in self.state.runs if run.sprint == self.number]
        self.tries = Tries(self.state, self.runs, self.number, policy)
        self.lost, self.left = dead_of(state)
        self.alive = [run for run in self.runs if run.status == RunStatus.OPEN]
        self.rolling = is_rolling(self.number, policy, request.mode, self.sprint)
        self.tick, self.requested = state.tick, request.mode
        self.mode, self.rule = self._mode(self.runs)
        first = request.personas or tuple(member.id for member in roster if not member.by_mail)
        self.first = self.sprint.personas if self.sprint else first
        self.opening = None if self.sprint else Opening(self.number, request.start or "", first)
        self.due: list[datetime] = []
        self.later: set[str] = set()  # personas that have something to do, but not yet
        self.spent: Overspent | None = None  # of an agent without which somebody cannot go on
        self.budgets, self.routing, self.barred, self.weaving, self.making = budgets, routing, barred, weaving, making
        self.uses = uses_of(self.state, self.number, now)
        self.overspent = self.uses.overspent(budgets, now)

    def plan(self) -> TickPlan:
        """Put the parts together."""
        if self.rolling:
            plan = replace(self._parts(), rolling=True, weave=self._gathered())
            return self._step(plan, self._ready(plan.launches))
        batch = {run.persona for run in self.runs if run.tick == self.tick}
        return (self._rest_of(batch) if batch else None) or self._next(batch)

    def _rest_of(self, batch: set[str]) -> TickPlan | None:
        """Plan the rest of a batch that is waited for, None if it is over: who has not run in this tick.

        Nor has anybody whose work they come after, because nothing of that is woven before its end.
        """
        self.mode, self.rule = self._mode([run for run in self.runs if run.tick < self.tick])
        plan = self._parts()
        before = {member.id: member.after for member in self.roster}
        left = [
            launch
            for launch in plan.launches
            if self.mode == Mode.PARALLEL and batch.isdisjoint({launch.persona, *before[launch.persona]})
        ]
        if not (self.alive or left):
            return None
        return self._step(replace(plan, weave=(), aside=(), launches=tuple(left)), left)

    def _next(self, batch: Collection[str]) -> TickPlan:
        """Plan a batch, after the one before has ended."""
        self.tick += bool(batch)
        self.mode, self.rule = self._mode(self.runs)
        plan = replace(self._parts(), over=bool(batch))
        return self._step(plan, plan.launches)

    def _mode(self, runs: Sequence[Run]) -> tuple[str, str]:
        return mode_of(self.number, self.policy, runs, self.requested, self.sprint)

    def _step(self, plan: TickPlan, ready: Sequence[Launch]) -> TickPlan:
        """Add to a plan which launches have room, and what it waits for if there is nothing to do now."""
        starts = with_room(ready, self.runs, self.policy.max_parallel, self.routing.most)
        plan = replace(plan, harvest=self.left, starts=starts)
        if plan.acts or not (self.alive or self.weaving or self.making):
            return plan
        names, files = ", ".join(run.persona for run in self.alive), ", ".join(sorted(self.making))
        beside = "the gates are at work" if self.weaving else f"files are made for {files}"
        return replace(
            plan, idle=f"still running: {names}" if names else beside, wait_until=min(self.due, default=None)
        )

    def _ready(self, launches: Sequence[Launch]) -> Sequence[Launch]:
        """Leave out retries but one at a time while others go on and nobody has ended well: what works is in doubt."""
        ended = [run for run in self.runs if run.status not in INCOMPLETE]
        if not (self.alive and ended and all(self.tries.fruitless(run) for run in ended)):
            return launches
        retries = [each for each in (*self.alive, *launches) if each.reason == LaunchReason.RETRY]
        return [each for each in launches if each not in retries[1:]]

    def _gathered(self) -> tuple[Patch, ...]:
        """Return the patches to weave now, none while others are; note when it is time for them."""
        if self.weaving:
            return ()
        ends = {run.id: run.finished or run.started for run in self.runs} if self.alive else {}
        ready = gathered([ends.get(patch.run, patch.ts) for patch in self.state.pending], self.policy.gather)
        if self.alive and ready and ready > self.now:
            self.due.append(ready)
            return ()
        return self.state.pending

    def _parts(self) -> TickPlan:
        """Decide what is to be done, whatever has room."""
        # Runs that are lost are given up in the same tick. A weave that is on record may still have the branch to move.
        busy = bool(self.alive or self.state.pending or self.making or self.weaving)
        unjudged = self.sprint is not None and self.sprint.is_blind and self.policy.red_base == "stop"
        over = SprintOutcome.UNJUDGED if unjudged else SprintOutcome.BROKEN if self._is_broken() else None
        if over := SprintOutcome.DEADLINE if self._is_late(self.now) else over:
            return self._made(**({} if busy else self._ending(over)))
        if self.overspent:  # what waits is woven, and what goes on may end
            known = (self.overspent.budget, self.number, self.overspent.whose) in self.state.reported
            news = None if known and busy else self.overspent
            return self._made(overspent=news, **({} if busy else self._ending(SprintOutcome.BUDGET)))
        launches, skips, aside = self._sort()
        launches, held = self._after(launches)
        skips += held
        if self.mode == Mode.SEQUENTIAL:
            turn = () if self.alive else launches[:1]
            skips += [
                Skip(launch.persona, "waits its turn: sequential mode") for launch in launches if launch not in turn
            ]
            launches = list(turn)
        if (left := self.uses.runs_left(self.budgets)) is not None:
            skips += [Skip(launch.persona, "the budget has no run left for it") for launch in launches[left:]]
            launches = launches[:left]
        parts: dict[str, Any] = {"launches": tuple(launches), "skips": tuple(skips), "aside": tuple(aside)}
        if not (launches or busy):
            parts |= self._pause_or_end(aside)
        return self._made(**parts)

    def _pause_or_end(self, aside: Sequence[Skip]) -> dict[str, Any]:
        """With nothing to do now, wait for the next retry, unless that is due after the deadline; else end."""
        if not self.due:
            return self._ending(None, aside)
        if not self._is_late(min(self.due)):
            return {"wait_until": min(self.due)}
        if self.spent:
            return self._ending(SprintOutcome.BUDGET, aside) | {"overspent": self.spent}
        return self._ending(SprintOutcome.DEADLINE, aside)

    def _ending(self, outcome: SprintOutcome | None, aside: Sequence[Skip] = ()) -> dict[str, Any]:
        """End the sprint: `spent` if a persona had to be given up, else `converged`, unless the outcome is known."""
        aside = (*aside, *self._unlanded([skip.persona for skip in aside]))
        waits = any(map(is_asking, {run.persona: run for run in self.runs}.values()))
        well = SprintOutcome.UNANSWERED if waits else SprintOutcome.CONVERGED
        well = SprintOutcome.UNJUDGED if self.sprint and self.sprint.unjudged else well
        given_up = aside or self.state.aside or self._failed_at_last()
        return {"aside": aside, "finish": outcome or (SprintOutcome.SPENT if given_up else well)}

    def _failed_at_last(self) -> bool:
        """Tell whether somebody's last run failed, also of those who have left the roster."""
        last = {run.persona: run for run in self.runs}.values()
        return any(self.tries.fruitless(run) and run.status not in INCOMPLETE and not run.stop for run in last)

    def _made(self, **parts: Any) -> TickPlan:
        parts.setdefault("weave", self.state.pending)
        return TickPlan(self.tick, self.number, self.mode, self.rule, self.opening, self.lost, **parts)

    def _is_broken(self) -> bool:
        """Tell whether every run of an agent failed, retries too: then more runs would only cost.

        Where several may play, each of them was tried.
        """
        ended = [run for run in self.runs if run.status not in {*INCOMPLETE, RunStatus.SETUP}]
        names, tried = {run.persona for run in ended}, {run.agent for run in ended}
        expected = {member.id for member in self.roster if member.id in self.first}
        if not (expected <= names and 1 < len(names) < len(ended) and all(self.tries.fruitless(run) for run in ended)):
            return False
        own = {member.id: member.agent for member in self.roster if member.id in {*expected, *names}}
        retries = (Work(persona, LaunchReason.RETRY, own=agent) for persona, agent in own.items())
        agents = {agent for work in retries for agent in self.routing.candidates(work, self.uses.left(self.budgets))[1]}
        return agents <= {*tried, *self.routing.missing}

    def _is_late(self, moment: datetime) -> bool:
        """Tell whether a moment is at or past the open sprint's deadline."""
        if self.sprint is None:
            return False
        return moment - datetime.fromisoformat(self.sprint.started) >= timedelta(seconds=self.policy.deadline)

    def _sort(self) -> tuple[list[Launch], list[Skip], list[Skip]]:
        """Sort everybody into those to launch, those to skip, and those to set aside for the human."""
        launches: list[Launch] = []
        skips: list[Skip] = []
        aside: list[Skip] = []
        running = {run.persona for run in self.alive}
        wakes = sum(run.reason == LaunchReason.MAIL for run in self.runs)
        for member in self.roster:
            if member.id in running:
                skips.append(Skip(member.id, "still running"))
            elif member.id in self.state.aside and self.sprint:
                skips.append(Skip(member.id, f"set aside: {self.state.aside[member.id]}"))
            elif isinstance(launch := self._launch_of(member), str):
                skips.append(Skip(member.id, launch))
            elif skip := self._barred(launch) or self._parked(launch):
                skips.append(skip)
            elif over := self.uses.overspent_by(member.id, self.budgets):
                aside.append(Skip(member.id, over.text))
            elif why := self.tries.unstartable(launch) or self.tries.exhausted(launch, wakes, len(self.roster)):
                aside.append(Skip(member.id, why))
            else:
                wakes += launch.reason == LaunchReason.MAIL
                launches.append(launch)
        return launches, skips, aside

    def _after(self, launches: Sequence[Launch]) -> tuple[list[Launch], list[Skip]]:
        """Hold back first launches until those that they come after have nothing to do; return launches and skips.

        Whoever cannot go on any more, or is in no sprint, holds nobody up.
        """
        waits = {member.id: member.after for member in self.roster}
        busy = {launch.persona for launch in launches} | {run.persona for run in self.alive}
        busy |= {patch.persona for patch in self.state.pending} | self.later
        ready, held = list[Launch](), list[Skip]()
        for launch in launches:
            before = [name for name in waits[launch.persona] if name in busy]
            if launch.attempt == 1 and before:  # whatever woke it
                held.append(Skip(launch.persona, f"starts after the work of {listed(before)} is woven"))
            else:
                ready.append(launch)
        return ready, held

    def _launch_of(self, member: Member) -> Launch | str:
        """Return the launch that a persona has a reason for, else why there is none now."""
        own = [run for run in self.runs if run.persona == member.id]
        mail = self.state.waking(member.id, self.policy.wakes_not)
        last = own[-1] if own else None
        if why := self._not_yet(member.id, own):
            return why
        if last is None and member.id in self.first:
            return self._launch(member, own, LaunchReason.BATCH, "first launch of the sprint")
        if last and (last.status == RunStatus.STOPPED or last.stop):
            return f"stopped by hand: {last.detail}"
        if last and (last.status == RunStatus.LOST or self.tries.fruitless(last)):
            why = f"attempt {last.attempt} {end_of(last)}"
            once = "what it deploys is not tried again by itself"
            return once if member.once else self._launch(member, own, LaunchReason.RETRY, why)
        if mail:
            reason = LaunchReason.REVIEW if all(each.asks_review for each in mail) else LaunchReason.MAIL
            return self._launch(member, own, reason, f"{len(mail)} unread, last from {mail[-1].sender}")
        return self._waiting(member)

    def _not_yet(self, persona: str, own: Sequence[Run]) -> str | None:
        """Say what a persona has to wait for, whatever reason there is to launch it; None if nothing."""
        if self.rolling and any(patch.persona == persona for patch in self.state.pending):
            return "its patch is still to be woven"
        if persona in self.making:
            return "files are made for its review"
        if pause := self.tries.pause(own, self.now):
            self.due.append(pause)
            self.later.add(persona)
            return f"{own[-1].detail or own[-1].status}; next try at {pause:%H:%M:%S}Z"
        return None

    def _waiting(self, member: Member) -> str:
        """Say that a persona has no mail, or none that is a reason to launch it."""
        if mail := self.state.free(member.id):
            types = sorted({each.type for each in mail})
            return f"{len(mail)} unread ({listed(types)}), which waits for its next run"
        taken = len(self.state.unread.get(member.id, ()))
        nothing = "nothing unread; it is launched by mail only" if member.by_mail else "nothing unread"
        return f"{taken} unread, which a run of a dispatch has in its prompt" if taken else nothing

    def _parked(self, launch: Launch) -> Skip | None:
        """Say until when an agent takes no more that is to play a persona; None if it may start."""
        parked = launch.route and launch.route.hindered(Fault.PARKED)
        if not parked or parked.until is None:
            return None
        self.due.append(parked.until)
        self.later.add(launch.persona)
        self.spent = self.spent or parked.spent
        until = moment_text(parked.until, self.now)
        return Skip(launch.persona, f"parked until {until} by agent {launch.agent}: {parked.why}", parked.until)

    def _barred(self, launch: Launch) -> Skip | None:
        """Say who has claimed files that a persona would change; None if nobody has."""
        bar = self.barred.get(launch.persona)
        if bar is None:
            return None
        self.due.append(bar.until)
        self.later.add(launch.persona)
        return Skip(launch.persona, f"waits: {bar.why}", bar.until)

    def _launch(self, member: Member, own: Sequence[Run], reason: LaunchReason, why: str) -> Launch:
        mail = self.state.free(member.id)
        case = Case(self.now, own, self.runs, self.state.served, self.uses, self.budgets, self.tries.fruitless)
        route = self.routing.choose(Work(member.id, reason, own=member.agent), case)
        estimate = self.state.estimate(member.id)
        left = left_over(
            ((run.id, run.status) for run in reversed(own)), {p.run: p for p in self.tries.patches(member.id)}
        )
        why = f"{why}; {route.text}" if route.text else why
        return Launch(
            member.id, route.agent, len(own) + 1, self.number, reason, why, mail, estimate, previous=left, route=route
        )  # fmt: skip

    def _unlanded(self, known: Sequence[str]) -> list[Skip]:
        """Set personas aside whose last patch did not land and of whom the human has not been told yet."""
        names = [member.id for member in self.roster if member.id not in known and member.id not in self.state.aside]
        return [Skip(name, why) for name in names if (why := self.tries.loose_end(name))]
