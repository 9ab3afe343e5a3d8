"""Everything that a tick works with, put together once: mail, repository, roster, settings, agents, clock."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..mail.clock import Clock, SystemClock
from ..mail.log.event import Draft, Event
from ..mail.mailbox import Mailbox
from ..personas.agent import Agent
from ..personas.agents.command import CommandAgent
from ..personas.git import Git
from ..personas.persona import Persona
from ..personas.roster import Roster
from ..personas.workspace import Mirror
from .errors import NotReady
from .leader import alive
from .settings.settings import Settings
from .state.sprints import State, state_of


class Member(NamedTuple):
    """A persona that takes part, as much of it as a decision needs: its id, and the agent that plays it."""

    id: str
    agent: str


@dataclass(frozen=True)
class Context:
    """A team at work on a repository. `top` is the checkout, of which only the path is used.

    `heard` is told what was written here, once it is durable.
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
    heard: Callable[[Sequence[Event]], object] = lambda _: None

    @property
    def members(self) -> tuple[Member, ...]:
        """Who takes part in sprints, and the agent that plays each; never the human, whatever the file says."""
        default, human = self.settings.team.agent, self.settings.team.human
        return tuple(Member(one.id, one.agent or default) for one in self.roster.scheduled if one.id != human)

    def persona(self, id: str) -> Persona:
        """Return one of the roster. Raises NotReady for one that has left it."""
        if found := self.roster.get(id):
            return found
        raise NotReady(f"no persona {id!r} on the roster; it was there when the sprint began: restore its file")

    def state(self, *, whole: bool = True) -> State:
        """Read where things stand: since the team's beginning, or as much of it as a tick must know."""
        state = state_of(self.mailbox.projections, [member.id for member in self.members], whole=whole)
        dead = frozenset(run.id for run in state.runs if run.status == "open" and not alive(run.supervisor))
        return replace(state, dead=dead)

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Write facts, durably, in one go."""
        written = self.mailbox.log.append(drafts)
        self.heard(written)
        return written

    def troubles(self, agents: Sequence[str], base: str | None = None) -> list[str]:
        """Say what keeps these agents from being started, each by name.

        `base` is the commit that workspaces will be clones of: by default the team's, empty outside of a repository.
        """
        found: list[str] = []
        for name in dict.fromkeys(agents):
            if name not in self.agents:
                found.append(f"no agent {name!r}: write [agents.{name}] with its command into team.toml")
            elif trouble := self.agents[name].trouble() or self._not_in_base(name, base):
                found.append(trouble)
        return found

    def _not_in_base(self, name: str, base: str | None) -> str | None:
        """Say that a command of the repository's own is not in the commit that workspaces are clones of."""
        agent = self.agents[name]
        program = agent.command[0] if isinstance(agent, CommandAgent) and agent.command else ""
        if "/" not in program or Path(program).is_absolute() or "{" in program or base == "":
            return None
        if self.git.run("cat-file", "-e", f"{base or self.base()}:{os.path.normpath(program)}").returncode == 0:
            return None
        where = base[:12] if base else self.settings.team.base
        return f"agent {name}: {program} is not in {where}: commit it, or give a full path"

    def branch_trouble(self, branch: str) -> str | None:
        """Say what keeps a sprint's branch from being made."""
        for name in (branch, branch.partition("/")[0]):
            if self.git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{name}").returncode == 0:
                return f"there is already a branch {name}, which this team's sprints did not make; rename it"
        return None

    def gate_troubles(self) -> list[str]:
        """Say which gates cannot be run, for want of their command, each by name."""
        found: list[str] = []
        for name, gate in self.settings.gates.items():
            program = gate.command[0]
            if "/" not in program and shutil.which(program) is None:
                found.append(f"gate {name}: {program!r} is not in PATH; install it, or correct [gates.{name}]")
        return found

    def base(self, branch: str | None = None) -> str:
        """Return the commit that a new sprint starts from. Raises NotReady where the branch is not there."""
        name = branch or self.settings.team.base
        found = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found.returncode:
            there = self.git.line("for-each-ref", "--count=5", "--format=%(refname:short)", "refs/heads").split("\n")
            known = f"there are {', '.join(there)}" if there != [""] else "commit something first"
            raise NotReady(f"no branch {name!r} to start from; {known}; set base in [team] of team.toml")
        return found.stdout.decode().strip()
