"""Looks whether a team could work here, without a run: git, places, agents, settings, personas, sandbox."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..mail.errors import TeamMailError, UsageError
from ..mail.render import line
from ..personas.acp.agent import INSTALL, can_speak
from ..personas.agents.presets.preset import presets
from ..personas.agents.sandbox import check
from ..personas.chat.agent import ChatAgent
from ..personas.chat.orders import ChatError
from ..personas.errors import GitTooOld, NotARepository
from ..personas.git import check_version
from ..personas.prompt import fault_of
from ..scheduler.context import Context
from ..scheduler.kinds import LaunchReason
from ..scheduler.limits.routing import Work
from ..scheduler.routes import routing_of
from .checks import AgentState, agent_state, can_be_tried, installed_agents
from .init import PROPOSED
from .open import open_team, roster_of
from .place import place_trouble

_AGAIN = "then team doctor"


class Finding(StrEnum):
    """How a check came out: fine, worth knowing, or in the way of every run."""

    FINE = "ok"
    NOTE = "note"
    TROUBLE = "wrong"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: a word for it, how it came out, and one line; `mend` says what to do about it."""

    what: str
    finding: Finding
    text: str
    mend: str = ""

    def document(self) -> dict[str, Any]:
        """Return the check as a JSON object."""
        return {"what": self.what, "finding": str(self.finding), "text": self.text, "mend": self.mend or None}


@dataclass(frozen=True)
class Diagnosis:
    """All checks, and the agent that could be tried next; None if there is none.

    `starts` tells that an agent of the team can be started that cannot be tried elsewhere.
    """

    checks: tuple[Check, ...]
    agent: str | None
    starts: bool = False

    @property
    def healthy(self) -> bool:
        """Whether nothing is in the way of a run."""
        return all(check.finding != Finding.TROUBLE for check in self.checks)

    @property
    def next(self) -> str:
        """What to do next: what mends the first thing that is in the way, else what shows that it works."""
        mend = next((check.mend for check in self.checks if check.finding == Finding.TROUBLE and check.mend), "")
        if mend:
            return mend
        if self.agent:
            mend = next((check.mend for check in self._about(self.agent) if check.mend), "")
            tried = f"team try {line(self.agent)}"
            return f"{mend}; then {tried}" if mend else f"{tried}   one small run shows whether it works here"
        if self.starts:
            return "scheduler --dry-run   shows what a sprint would do"
        return "install an agent, or name a command in team.toml"

    def _about(self, agent: str) -> list[Check]:
        """Return the checks of an agent: those of its table if the team has one, else those of what is in PATH."""
        of_table = [check for check in self.checks if check.what == f"[agents.{agent}]"]
        return of_table or [check for check in self.checks if check.what == agent]

    def document(self) -> dict[str, Any]:
        """Return the diagnosis as a JSON object."""
        checks = [each.document() for each in self.checks]
        return {"healthy": self.healthy, "checks": checks, "try": self.agent, "next": self.next}


def examine(home: Path | None) -> Diagnosis:
    """Look at this machine, and at the team in `home` if there is one."""
    checks = [_git()]
    context: Context | None = None
    try:
        context = open_team(home) if home else None
    except TeamMailError as error:
        checks.append(Check("team", Finding.TROUBLE, str(error), _mend_of(error)))
    if home is None:
        checks.append(Check("team", Finding.NOTE, "none here; team init makes one"))
    root = context.settings.workspace.root if context else None
    states = installed_agents(root=root)
    checks += [*_installed(states), _sandbox()]
    first = states[0].name if states else None
    if context is None:
        return Diagnosis(tuple(checks), first)
    checks += _team(context)
    used = _used(context)
    checks += [each for name in used for each in _agent(context, name)]
    fine = [name for name in used if not _troubles(context, name)]
    commands = [name for name in fine if can_be_tried(context.settings.agents[name])]
    return Diagnosis(tuple(checks), next(iter(commands), None if fine else first), starts=bool(fine))


def _git() -> Check:
    try:
        return Check("git", Finding.FINE, check_version())
    except GitTooOld as error:
        return Check("git", Finding.TROUBLE, str(error), f"install git 2.38 or later, {_AGAIN}")


def _mend_of(error: TeamMailError) -> str:
    """Say what to do where a team cannot be opened."""
    if isinstance(error, NotARepository):
        return f'make it a repository with a commit: git init && git add . && git commit -m "Begin", {_AGAIN}'
    if isinstance(error, GitTooOld):
        return ""  # the check of git says it
    return f"correct that in team.toml, {_AGAIN}"


def _installed(states: list[AgentState]) -> Iterator[Check]:
    """Say of each agent in PATH what is seen of it; if there is none, what could be installed."""
    for state in states:
        tried = state.preset.seen if state.preset else None
        how = f"tried in {tried.version} on {tried.on}" if tried else "never tried"
        notes = [note.partition(": ")[2] for note in state.notes]
        text = "; ".join([f"{state.version or 'of an unknown version'}, {how}", *notes])
        yield Check(state.name, Finding.NOTE if notes else Finding.FINE, text, state.mend)
    if not states:
        yield Check(
            "agents",
            Finding.NOTE,
            "none of the known ones is in PATH; install one of these, use a command, or a chat model",
        )
        for each in presets():
            yield Check(each.name, Finding.NOTE, f"{each.title}: {each.install}")


def _sandbox() -> Check:
    try:
        check(network=True)
    except UsageError as error:
        return Check("sandbox", Finding.NOTE, f'none can be made, which sandbox = "bwrap" needs: {error}')
    return Check("sandbox", Finding.FINE, 'sandbox = "bwrap" works here')


def _team(context: Context) -> Iterator[Check]:
    """Check places and personas of a team."""
    if trouble := place_trouble(context.home, context.settings.workspace.root):
        mend = f"set root in [workspace] of team.toml, {_AGAIN}"
        yield Check("workspaces", Finding.TROUBLE, trouble, mend)
    roster = roster_of(context.home, context.settings)
    faults = [fault for persona in roster.personas if (fault := fault_of(persona))]
    mend = "correct that file, or start its name with _; then team personas   shows who is there"
    yield from (Check("personas", Finding.TROUBLE, problem, mend) for problem in (*roster.problems, *faults))
    if not context.members:
        text = "nobody takes part in sprints; team init adds some"
        yield Check("personas", Finding.TROUBLE, text, f"team init --personas {','.join(PROPOSED)}")
    elif not roster.problems and not faults:
        yield Check("personas", Finding.FINE, f"{len(context.members)} of {len(roster.personas)} take part in sprints")


def _used(context: Context) -> list[str]:
    """Return the agents that play somebody, the one of the most personas first."""
    routing = routing_of(context.settings)
    works = [Work(member.id, LaunchReason.BATCH, own=member.agent) for member in context.members]
    names = [name for work in works for name in routing.candidates(work)[1]]
    names += [name for rule in routing.rules for name in rule.agents]
    return sorted(dict.fromkeys(names), key=lambda name: -names.count(name)) or [*context.settings.team.agents]


def _agent(context: Context, name: str) -> Iterator[Check]:
    """Check an agent that the team names."""
    what = f"[agents.{name}]"
    if troubles := _troubles(context, name):
        mend = _mend_of_agent(context, name)
        yield from (Check(what, Finding.TROUBLE, trouble, mend) for trouble in troubles)
        return
    table = context.settings.agents[name]
    state = agent_state(name, table, context.settings.workspace.root) if can_be_tried(table) else None
    notes = [*state.notes] if state else []
    yield from (Check(what, Finding.NOTE, note, state.mend if state else "") for note in notes)
    if isinstance(agent := context.agents[name], ChatAgent):
        yield _asked(what, agent)
    elif not notes:
        yield Check(what, Finding.FINE, "it can be started")


def _mend_of_agent(context: Context, name: str) -> str:
    """Say what to do about an agent that cannot be started."""
    table, agent = context.settings.agents.get(name), context.agents.get(name)
    if table is None or agent is None:
        return f"write [agents.{name}] into team.toml, {_AGAIN}"
    if table.kind == "acp" and not can_speak():
        return INSTALL
    state = agent_state(name, table, context.settings.workspace.root)
    if state.program is None and state.preset:
        return f"{state.preset.install}, {_AGAIN}"
    if state.program and table.command and not agent.trouble():  # it is not in the commit that clones are made of
        return f"git add {shlex.quote(table.command[0])} && git commit"
    return f"correct [agents.{name}] in team.toml, {_AGAIN}"


def _asked(what: str, agent: ChatAgent) -> Check:
    """Ask the server of a chat model whether it is there."""
    try:
        return Check(what, Finding.FINE, agent.look())
    except (ChatError, UsageError) as error:
        there = isinstance(error, ChatError) and error.hopeless
        mend = f"correct {what} in team.toml" if there else f"start its server, or correct base_url of {what}"
        return Check(what, Finding.TROUBLE, str(error), f"{mend}, {_AGAIN}")


def _troubles(context: Context, name: str) -> list[str]:
    """Return why an agent cannot be started, or could not from the base."""
    try:
        return context.troubles([name])
    except TeamMailError as error:
        return [str(error)]
