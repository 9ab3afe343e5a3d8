"""Which agent plays a run, where the team may choose: by the rules of `[route]`, the first that can. Pure.

An agent gives way to the next one while it is missing, while its service takes no more, while what it may use is spent,
and while its runs fail. Of several that cannot, the one is chosen that may be able to soonest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from fnmatch import fnmatchcase
from statistics import median
from typing import NamedTuple

from ...personas.spending.usage import Usage
from ..kinds import RunStatus
from ..state.facts import Run
from ..state.usage import Used
from .budget import Budgets, Overspent, Uses, day_ends
from .parking import moment_text, parked_until

LATELY = timedelta(days=30)  # the past by which costs are compared
_MOST_PAST = 20  # runs
_TYPICAL = Usage(50_000, 0, 2_000)  # of a run, where none told its tokens
_IN_A_ROW = 3  # failures of an agent, whoever's, by which it gives way
_NO_FAILURE = frozenset({RunStatus.OPEN, RunStatus.LOST, RunStatus.STOPPED, RunStatus.SETUP, RunStatus.LIMITED})


class Fault(IntEnum):
    """Why an agent gives way, from what hinders it least."""

    FAILING = 1
    PARKED = 2  # also if what it may use is spent
    HOPELESS = 3
    MISSING = 4


class Unfit(NamedTuple):
    """What hinders an agent: `why` as it was told, `text` for after its name, and until when if that is known."""

    fault: Fault
    why: str
    text: str
    until: datetime | None = None
    spent: Overspent | None = None


class Work(NamedTuple):
    """What is to be done: for which persona, for which `LaunchReason`, and the id of the task if it is one.

    `own` is the agent that the persona's file names.
    """

    persona: str
    reason: str
    task: str = ""
    own: str | None = None


@dataclass(frozen=True)
class Rule:
    """A table `[route.NAME]`: `agents` in the order in which they are asked, for the work that all its parts fit.

    An empty part fits everything. `tasks` are patterns of ids, and `budget_left` fits once less than this share of the
    sprint's or the day's budget is left. Without `agents` they are those of the team, and `cheapest` asks the cheapest
    of them first.
    """

    name: str
    agents: tuple[str, ...] = ()
    personas: frozenset[str] = frozenset()
    tasks: tuple[str, ...] = ()
    reasons: frozenset[str] = frozenset()
    budget_left: float | None = None
    cheapest: bool = False

    def fits(self, work: Work, left: float) -> bool:
        """Tell whether the rule is for some work, with this share of the budget left."""
        return (
            (not self.personas or work.persona in self.personas)
            and (not self.tasks or any(fnmatchcase(work.task, pattern) for pattern in self.tasks))
            and (not self.reasons or work.reason in self.reasons)
            and (self.budget_left is None or left < self.budget_left)
        )


@dataclass(frozen=True)
class Choice:
    """Which agent plays: the rule that says so, the agents that went before it and gave way, and all there were.

    `unfit` is what hinders the one that was chosen, if all are hindered.
    """

    agent: str
    rule: str = ""
    passed: tuple[tuple[str, str], ...] = ()  # agent and why
    agents: tuple[str, ...] = ()
    unfit: Unfit | None = None

    @property
    def text(self) -> str:
        """Say by which rule the agent plays, and why the others gave way; "" if it is the team's first."""
        return f"{self.agent}{how}" if (how := routed(self.rule, self.passed)) else ""

    @property
    def instead_of(self) -> list[dict[str, str]]:
        """The agents that gave way, as a JSON array of objects with `agent` and `why`."""
        return [{"agent": agent, "why": why} for agent, why in self.passed]

    def hindered(self, fault: Fault) -> Unfit | None:
        """Return what hinders the agent that was chosen if it is this fault."""
        return self.unfit if self.unfit and self.unfit.fault == fault else None


@dataclass(frozen=True)
class Routing:
    """The agents of a team, and its rules in the order in which they are looked at; the first that fits counts.

    `missing` says of agents why they cannot be started. `costs` is what a run of each agent costs, in US dollars, as
    far as that is known, and `most` how many of its runs may go on at once. With `only`, that agent plays everything.
    """

    agents: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    costs: Mapping[str, float] = field(default_factory=dict[str, float])
    most: Mapping[str, int] = field(default_factory=dict[str, int])
    only: str | None = None

    def candidates(self, work: Work, left: float = 1.0) -> tuple[str, tuple[str, ...]]:
        """Return the name of the rule that counts, and the agents in the order in which they are asked."""
        if fixed := self.only or work.own:
            return "", (fixed,)
        rule = next((rule for rule in self.rules if rule.fits(work, left)), None)
        if rule is None:
            return "", self.agents
        agents = rule.agents or self.agents
        if rule.cheapest:
            agents = tuple(sorted(agents, key=lambda agent: self.costs.get(agent, float("inf"))))
        return rule.name, agents

    def choose(self, work: Work, case: Case) -> Choice:
        """Choose the agent for some work: the first that nothing hinders, else the one that is hindered least."""
        rule, agents = self.candidates(work, case.left)
        if len(agents) == 1:
            return Choice(agents[0], rule, (), agents, case.unable(agents[0]))
        hindrances = {agent: self._unfit(agent, case) for agent in agents}
        order = {agent: number for number, agent in enumerate(agents)}

        def rank(agent: str) -> tuple[float, ...]:
            unfit = hindrances[agent]
            if unfit is None:
                return 0.0, 0.0, order[agent]
            later = unfit.until.timestamp() if unfit.until else float(case.failures(agent))
            return float(unfit.fault), later, order[agent]

        chosen = min(agents, key=rank)
        before = agents[: order[chosen]]
        passed = tuple((agent, unfit.text) for agent in before if (unfit := hindrances[agent]))
        return Choice(chosen, rule, passed, agents, hindrances[chosen])

    def _unfit(self, agent: str, case: Case) -> Unfit | None:
        if why := self.missing.get(agent):
            return Unfit(Fault.MISSING, why, f"is missing ({why})")
        return case.unable(agent) or case.failing(agent)


NO_ROUTING = Routing()


@dataclass(frozen=True)
class Case:
    """What is known when a run is about to start.

    `own` are the earlier runs at the same work, `runs` all of the sprint or dispatch, `served` those that tell which
    services take no more, each the oldest first. `failed` tells whether a run came to nothing by its agent's fault.
    Without `pauses`, a refusal without a time counts as a failure.
    """

    now: datetime
    own: Sequence[Run]
    runs: Sequence[Run]
    served: Sequence[Run]
    uses: Uses
    budgets: Budgets
    failed: Callable[[Run], bool]
    pauses: bool = True

    @property
    def left(self) -> float:
        """The share of the budget that is left."""
        return self.uses.left(self.budgets)

    def unable(self, agent: str) -> Unfit | None:
        """Return why an agent that is there cannot do the work now."""
        last = self._last(agent)
        if last and last.hopeless:
            return Unfit(Fault.HOPELESS, last.detail, f"cannot do it ({last.detail})")
        if over := self.uses.overspent_on(agent, self.budgets):
            why = f"{over.text}; it begins anew at midnight"
            return Unfit(Fault.PARKED, why, f"may use no more ({over.text})", day_ends(self.now), over)
        if parked := parked_until(agent, self.own if self.pauses else (), self.served, self.now):
            text = f"is parked until {moment_text(parked[0], self.now)} ({parked[1]})"
            return Unfit(Fault.PARKED, parked[1], text, parked[0])
        return None

    def failing(self, agent: str) -> Unfit | None:
        """Return why another agent should rather do the work, if there is one."""
        last = self._last(agent)
        if last and self._is_failure(last):
            return Unfit(Fault.FAILING, last.detail, f"failed at it ({last.detail or last.status})")
        row = self._row(agent)
        return Unfit(Fault.FAILING, "", f"failed {row} times in a row") if row >= _IN_A_ROW else None

    def failures(self, agent: str) -> int:
        """Return how often an agent has failed at the same work."""
        return sum(run.agent == agent and self._is_failure(run) for run in self.own)

    def _last(self, agent: str) -> Run | None:
        return next((run for run in reversed(self.own) if run.agent == agent), None)

    def _row(self, agent: str) -> int:
        ended = [run for run in self.runs if run.agent == agent and run.finished and run.status not in _NO_FAILURE]
        ended.sort(key=lambda run: run.finished or "")
        return next((number for number, run in enumerate(reversed(ended)) if not self.failed(run)), len(ended))

    def _is_failure(self, run: Run) -> bool:
        refused = run.status == RunStatus.LIMITED and not self.pauses
        return refused or (run.status not in _NO_FAILURE and not run.stop and self.failed(run))


def routed(rule: str, passed: Sequence[tuple[str, str]]) -> str:
    """Say after the name of an agent by which rule it plays, and which ones gave way, each with the reason."""
    by = f" by [route.{rule}]" if rule else ""
    return by + (f", as {'; '.join(f'{agent} {why}' for agent, why in passed)}" if passed else "")


def costs_of(agents: Sequence[str], past: Sequence[Used], priced: Callable[[Usage, str], Usage]) -> dict[str, float]:
    """Return what a run of each agent costs in US dollars, as far as that is known.

    That is the median of its last runs that told money, else the price of its model for as many tokens as runs of any
    agent used; `priced` computes it for an agent.
    """
    whole = [used for used in past if not used.usage.partial]
    counted = [used.usage for used in whole if used.usage.tokens is not None][-_MOST_PAST:]
    given, written = ([getattr(usage, name) or 0 for usage in counted] for name in ("input", "output"))
    typical = Usage(int(median(given)), 0, int(median(written))) if counted else _TYPICAL
    costs: dict[str, float] = {}
    for agent in agents:
        known = [used.usage.usd for used in whole if used.agent == agent and used.usage.usd is not None]
        cost = median(known[-_MOST_PAST:]) if known else priced(typical, agent).usd
        if cost is not None:
            costs[agent] = cost
    return costs
