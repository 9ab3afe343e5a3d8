"""Everything that a step of the scheduler works with: mail, repository, roster, settings, agents, clock."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ..mail.clock import Clock, SystemClock, rfc3339
from ..mail.log.event import Draft, Event
from ..mail.mailbox import Mailbox
from ..personas.agent import Agent
from ..personas.agents.command import CommandAgent
from ..personas.environment import unfilled
from ..personas.git import Git
from ..personas.persona import Persona
from ..personas.roster import Roster
from ..personas.running.process import read_usage
from ..personas.setup.preparation import PLACEHOLDERS
from ..personas.spending.amount import amount
from ..personas.spending.prices import priced
from ..personas.spending.usage import Usage
from ..personas.workspace import Mirror
from .approval import ApprovalKey
from .claims.barring import Barred, all_barred
from .claims.claims import Claims
from .errors import NotReady
from .kinds import LaunchReason, PatchStatus, RunStatus
from .limits.budget import Budgets, day_began, uses_of
from .limits.parking import Parked
from .limits.routing import LATELY, Case, Fault, Routing, Work, costs_of
from .liveness import liveness, unled
from .routes import routing_of
from .sessions.sessions import held
from .settings.settings import Settings
from .state.ended import EndedSprints
from .state.facts import Fact, Patch, Run
from .state.reading import Span, fold_with_later, read_ended, read_going, read_sprints, state_of
from .state.recent import RecentState
from .state.sprints import State
from .state.usage import Used

UNSIGNED = "an approval that is on record was not made by `scheduler approve` here, and does not count"


class Member(NamedTuple):
    """A persona that takes part in sprints: its id, the agent that its file names, and whose work it waits for.

    One that comes `by_mail` is launched by mail only, and one that runs `once` is not tried again in its sprint.
    """

    id: str
    agent: str | None = None
    after: tuple[str, ...] = ()
    by_mail: bool = False
    once: bool = False


@dataclass(frozen=True)
class Context:
    """A team at work on a repository: what every step of the scheduler is given.

    `home` is the team's `.team` folder, `top` the checkout, of which only the path is used. `on_append` is called with
    the events that were written here, once they are durable, and `timed` with the seconds that took.
    """

    home: Path
    git: Git
    top: Path
    mailbox: Mailbox
    roster: Roster
    settings: Settings
    agents: Mapping[str, Agent]
    mirror: Mirror
    clock: Clock = field(default_factory=SystemClock)
    on_append: Callable[[Sequence[Event]], object] = lambda _: None
    timed: Callable[[float], object] = lambda _: None
    ended: EndedSprints = field(default_factory=EndedSprints, init=False, repr=False, compare=False)
    _recent: RecentState = field(default_factory=RecentState, init=False, repr=False, compare=False)
    _claims: list[Claims] = field(default_factory=list[Claims], repr=False, compare=False)  # shared with its variants

    @property
    def members(self) -> tuple[Member, ...]:
        """The personas that take part in sprints; never the human."""
        human = self.settings.team.human
        personas = (persona for persona in self.roster.scheduled if persona.id != human)
        once = self.settings.deploy.persona
        return tuple(
            Member(persona.id, persona.agent, persona.after, persona.by_mail, persona.id == once)
            for persona in personas
        )

    @property
    def session(self) -> str | None:
        """The session in whose name all is written here, and by the runs that are started here; None for none."""
        return self.mailbox.log.session

    def persona(self, id: str) -> Persona:
        """Return a persona of the roster. Raises NotReady if it has left the roster."""
        if persona := self.roster.get(id):
            return persona
        raise NotReady(f"no persona {id!r} on the roster; it was there when the sprint began: restore its file")

    def sparse_of(self, id: str) -> tuple[str, ...]:
        """Return the folders that workspaces of a persona hold, its own or those of all; none for everything."""
        persona = self.roster.get(id)
        own = persona.sparse if persona else None
        return tuple(self.mirror.sparse) if own is None else own

    def state(self, *, whole: bool = True, sprints: int | None = None) -> State:
        """Return where things stand: since the team's beginning, or as much of it as a tick needs to know.

        What a tick needs is read from the log once, and again only after somebody else has written. With `sprints`, it
        is read since the last of so many sprints began; no command reads the whole log, whose cost has no end.
        """
        names = [member.id for member in self.members]
        projections, log = self.mailbox.projections, self.mailbox.log
        now = rfc3339(self.clock.now())
        if whole or sprints:
            state = state_of(projections, names, now, sprints)
        else:
            state = self._recent.read(projections, log, names, now)
        patches = self._all_checked(state)
        dead, left = unled(self.home, (run for run in state.runs if run.status == RunStatus.OPEN))
        taken = frozenset(self.taken([*state.unread])) if state.unread else frozenset[str]()
        of_dispatches = [name for name, run in self.reachable([*state.unread]).items() if not run.sprint]
        taken |= {mail.id for name in of_dispatches for mail in state.unread[name] if not mail.is_of_program}
        today = tuple(self.used_today().items()) if self.budgets.daily else ()
        paused = held(self.mailbox.projections, self.session)
        return replace(state, patches=patches, dead=dead, left=left, taken=taken, today=today, held=paused)

    def sprints(self, spans: Sequence[Span]) -> State:
        """Return the state of some sprints in a row, of the past or not, without what waits now; see `read_sprints`."""
        state = read_sprints(self.mailbox.projections, spans)
        return replace(state, patches=self._all_checked(state))

    def folded(self, facts: Sequence[Fact], until: int | None = None) -> State:
        """Return the state as of the last of some facts, such as those of a sprint up to a moment of it.

        With `until`, what became later, from that seq on, of what they leave undecided is part of it.
        """
        state = fold_with_later(self.mailbox.projections, facts, until)
        return replace(state, patches=self._all_checked(state))

    @property
    def claims(self) -> Claims:
        """The claims of the team, which are read when they are asked for."""
        if not self._claims:
            self._claims.append(Claims(self.mailbox, self.clock))
        return self._claims[0]

    def barred(self) -> dict[str, Barred]:
        """Return the personas that may not run now, because somebody has claimed files that are theirs to change.

        Whoever may change any file is barred by nobody: the weaver settles it.
        """
        paths = {persona.id: persona.paths for persona in self.roster.scheduled if persona.paths}
        return all_barred(self.claims.moment(), paths) if paths else {}

    @property
    def budgets(self) -> Budgets:
        """The budgets of the settings."""
        table = self.settings.budget
        limits = (amount(text) if text else None for text in (table.sprint, table.day, table.persona, table.run))
        agents = {name: amount(each.budget) for name, each in self.settings.agents.items() if each.budget}
        return Budgets(*limits, hard=table.hard, agents=agents)

    def routing(self, base: str | None = None, only: str | None = None) -> Routing:
        """Return which agents may play, as the settings say; `only` plays everything if it is given.

        Which of several agents cannot be started is looked at now; see `troubles` for `base`.
        """
        routing = routing_of(self.settings)
        if only:
            return Routing(routing.agents, only=only)
        several = [agents for agents in (routing.agents, *(rule.agents for rule in routing.rules)) if len(agents) > 1]
        troubles = {name: self._trouble(name, base) for agents in several for name in agents}
        missing = {name: trouble for name, trouble in troubles.items() if trouble}
        costs = self._costs([*troubles]) if any(rule.cheapest for rule in routing.rules) else {}
        return replace(routing, missing=missing, costs=costs)

    def _trouble(self, agent: str, base: str | None) -> str | None:
        try:
            return next(iter(self.troubles([agent], base)), None)
        except NotReady as error:
            return str(error)

    def _costs(self, agents: Sequence[str]) -> dict[str, float]:
        since = rfc3339(self.clock.now() - LATELY)
        return costs_of(agents, [used for _, used in read_ended(self.mailbox.projections, since)], self.estimated) | {
            name: 0.0 for name in agents if (table := self.settings.agents.get(name)) and table.command is None
        }

    def used_today(self, before: str | None = None) -> dict[str, Used]:
        """Return what each run of the team used that counts for this day, by its id: read from the log, now.

        Those count that ended on it, in whatever process, and those that go on, with what they have told so far. Of the
        latter, `before` leaves out that run, and those whose start stands after its start in the log.
        """
        since, projections = day_began(self.clock.now()), self.mailbox.projections
        going = read_going(projections, None)  # first: a run that ends meanwhile is in both, and not in neither
        until = next((at for at, run in enumerate(going) if run.id == before), len(going))
        used = {
            run.id: Used(self._used_so_far(run), run.persona, run.agent)
            for run in going[:until]
            if self._goes_on(run, since)
        }
        return used | dict(read_ended(projections, rfc3339(since)))

    def _goes_on(self, run: Run, since: datetime) -> bool:
        """Tell whether an open run counts for a day: one that was cut off on an earlier day does not."""
        began = datetime.fromisoformat(run.started) >= since
        return began or liveness(self.home, run).goes_on

    def _used_so_far(self, run: Run) -> Usage:
        return self.estimated(read_usage(self.home / "runs" / run.id), run.agent)

    def estimated(self, usage: Usage, agent: str) -> Usage:
        """Estimate the money of a run whose agent told its tokens alone."""
        table = self.settings.agents.get(agent)
        return priced(usage, self.settings.price_list, table.model if table else None)

    def taken(self, personas: Sequence[str], *, sprints: bool = False) -> dict[str, str]:
        """Return which mail of some personas is in the prompt of a live run: message to run, in the order of the log.

        Of two runs with the same message the first on record has it. A run is live as long as its scheduler is, or its
        keeper. Those of dispatches count, and with `sprints` those of sprints too.
        """
        runs = (run for run in read_going(self.mailbox.projections, personas) if run.mail)
        taken: dict[str, str] = {}
        for run in runs:
            if (sprints or not run.sprint) and liveness(self.home, run).goes_on:
                taken = dict.fromkeys(run.mail, run.id) | taken
        return taken

    def reachable(self, personas: Sequence[str], over: Collection[str] = ()) -> dict[str, Run]:
        """Return the run that gets the mail of each persona that runs, with `deliver = "running"`; none without it.

        Of several it is the one that began first and goes on. Runs that are `over` have ended, if not on record.
        """
        reached = self.roster.reached(personas, self.settings.sprint.deliver)
        if not reached:
            return {}
        live = (run for run in read_going(self.mailbox.projections, reached) if run.id not in over)
        reachable: dict[str, Run] = {}
        for run in live:
            if run.persona not in reachable and liveness(self.home, run).goes_on:
                reachable[run.persona] = run
        return reachable

    def parked(self, state: State, now: datetime) -> dict[str, Parked]:
        """Return until when personas are parked, in the open sprint if there is one, and what their service said."""
        runs = [run for run in state.runs if state.sprint and run.sprint == state.number]
        uses, routing = uses_of(state, state.number if state.sprint else 0, now), self.routing()
        until: dict[str, Parked] = {}
        for member in self.members:
            own = [run for run in runs if run.persona == member.id]
            case = Case(now, own, runs, state.served, uses, self.budgets, lambda _: False)
            reason = LaunchReason.RETRY if own else LaunchReason.MAIL
            choice = routing.choose(Work(member.id, reason, own=member.agent), case)
            if (parked := choice.hindered(Fault.PARKED)) and parked.until:
                until[member.id] = Parked(parked.until, parked.why, choice.agent)
        return until

    def most_parallel(self, agent: str) -> int:
        """Return how many runs of an agent the settings let go on at once."""
        table, most = self.settings.agents.get(agent), self.settings.sprint.max_parallel
        return min(most, table.max_parallel) if table and table.max_parallel else most

    def _all_checked(self, state: State) -> tuple[Patch, ...]:
        return tuple(self._checked(patch) for patch in state.patches)

    def _checked(self, patch: Patch) -> Patch:
        """Return a patch as it is if nobody approved it but a person, see `ApprovalKey`."""
        if not patch.approvals or patch.status != PatchStatus.PENDING:
            return patch
        key = ApprovalKey(self.home)
        if any(key.verifies(patch.run, patch.sha256, code) for code in patch.approvals):
            return replace(patch, approved=True)
        return replace(patch, status=PatchStatus.HELD, why=UNSIGNED)

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Append events to the log in one go; they are durable when this returns. Raises LogError."""
        events = self._recent.append(lambda: self._written(drafts))
        self.on_append(events)
        return events

    def _written(self, drafts: Sequence[Draft]) -> list[Event]:
        """Write events, and tell how long that took."""
        began = time.perf_counter()
        events = self.mailbox.log.append(drafts)
        self.timed(time.perf_counter() - began)
        return events

    def troubles(self, agents: Sequence[str], base: str | None = None) -> list[str]:
        """Return one line for each agent that cannot start.

        `base` is the commit that workspaces are cloned from, the team's base by default, empty outside a repository.
        """
        troubles, is_here = list[str](), not self.settings.workers.offer  # else it is started by workers
        for name in dict.fromkeys(agents):
            if name not in self.agents:
                troubles.append(f"no agent {name!r}: write [agents.{name}] with its command into team.toml")
            elif trouble := (is_here and self.agents[name].trouble()) or self._missing_in_base(name, base):
                troubles.append(trouble)
        return troubles

    def _missing_in_base(self, name: str, base: str | None) -> str | None:
        """Name a command of the repository's own that is not in the commit that workspaces are cloned from."""
        agent = self.agents[name]
        program = agent.command[0] if isinstance(agent, CommandAgent) and agent.command else ""
        if "/" not in program or Path(program).is_absolute() or "{" in program or base == "":
            return None
        if self.git.run("cat-file", "-e", f"{base or self.base()}:{os.path.normpath(program)}").returncode == 0:
            return None
        where = base[:12] if base else self.settings.team.base
        return f"agent {name}: {program} is not in {where}: commit it, or give a full path"

    def branch_trouble(self, branch: str) -> str | None:
        """Name what keeps a sprint's branch from being created."""
        names = (branch, branch.partition("/")[0])
        asked = "".join(f"refs/heads/{name}\n" for name in names)
        answers = self.git.run("cat-file", "--batch-check", stdin=os.fsencode(asked)).stdout.splitlines()
        for name, answer in zip(names, answers, strict=False):
            if not answer.endswith(b" missing"):
                return f"there is already a branch {name}, which this team's sprints did not make; rename it"
        return None

    def standing_troubles(self) -> list[str]:
        """Name what lets no sprint start whoever is due: personas that wait for each other, gates that cannot run."""
        circle = [circle] if (circle := self.roster.circle) else []
        return [*circle, *self._troubles_of_oracle(), *self.gate_troubles(), *self._troubles_of_rounds()]

    def _troubles_of_oracle(self) -> list[str]:
        """Say that nobody would answer for the team."""
        oracle = self.settings.team.oracle
        persona = self.roster.get(oracle) if oracle else None
        if oracle in {None, self.settings.team.human} or (persona and persona.scheduled):
            return []
        why = "is not scheduled: write scheduled: mail in its file" if persona else "is no persona: correct team.toml"
        return [f"[team] oracle = {oracle!r} {why}, or leave it out, and the human answers"]

    def _troubles_of_rounds(self) -> list[str]:
        """Name the personas that could not report, or would change what they deploy."""
        troubles = [
            f"{name} is to report on what lands, and is not scheduled: write scheduled: mail in its file"
            for name in self.settings.reporters
            if (persona := self.roster.get(name)) and not persona.scheduled
        ]
        deployer = self.roster.get(self.settings.deploy.persona or "")
        if deployer and deployer.paths != ():
            troubles.append(f"{deployer.id} deploys, and may change files: write paths: [] in its file")
        deploy, reviews = self.settings.deploy, self.settings.review
        commands = {f"[review.{name}] before": review.before for name, review in reviews.items()}
        commands |= {"[deploy] command": deploy.command or (), "[deploy] check": deploy.check or ()}
        return [
            *troubles,
            *(f"{where}: {command[0]!r} is not in PATH" for where, command in commands.items() if _is_missing(command)),
        ]

    def gate_troubles(self) -> list[str]:
        """Name the gates whose command cannot run, one line each."""
        troubles: list[str] = []
        for name, gate in self.settings.gates.items():
            if gate.command is None:
                continue
            if _is_missing(gate.command):
                program = gate.command[0]
                troubles.append(f"gate {name}: {program!r} is not in PATH; install it, or correct [gates.{name}]")
            if why := unfilled(gate.command, PLACEHOLDERS):
                troubles.append(f"gate {name}: {why}")
        return troubles

    def base(self, branch: str | None = None) -> str:
        """Return the commit that a new sprint starts from. Raises NotReady if there is no such branch.

        A tag may have the name of the branch, and git alone would take the tag.
        """
        name = branch or self.settings.team.base
        for each in (name,) if name == "HEAD" else (f"refs/heads/{name}", name):
            parsed = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{each}^{{commit}}")
            if parsed.returncode == 0:
                return parsed.stdout.decode().strip()
        branches = self.git.line("for-each-ref", "--count=5", "--format=%(refname:short)", "refs/heads").split("\n")
        known = f"there are {', '.join(branches)}" if branches != [""] else "commit something first"
        raise NotReady(f"no branch {name!r} to start from; {known}; set base in [team] of team.toml")


def _is_missing(command: Sequence[str]) -> bool:
    """Tell whether the program of a command, if it has any, is not in PATH."""
    return bool(command) and "/" not in command[0] and shutil.which(command[0]) is None
