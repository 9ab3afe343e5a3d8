"""Everything that a tick works with, put together once: mail, repository, roster, settings, agents, clock."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..mail.blobs import Blobs
from ..mail.clock import Clock, SystemClock
from ..mail.directory import Directory
from ..mail.event import Draft, Event
from ..mail.home import read_directory, settle_home
from ..mail.log import EventLog
from ..mail.mailbox import Mailbox, MailLog
from ..personas.agent import Agent
from ..personas.command import CommandAgent, Limits
from ..personas.errors import NotARepository
from ..personas.git import Git, find_repository, with_drivers
from ..personas.persona import Persona
from ..personas.replay import ReplayAgent
from ..personas.roster import Roster, read_roster
from ..personas.scripts import bundled_agent
from ..personas.workspace import Mirror
from .decide import Member
from .errors import NotReady
from .leader import alive
from .settings import AgentSettings, Settings, read_settings
from .state import State, state_of


@dataclass(frozen=True)
class Workshop:
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
        state = state_of(self.mailbox, [member.id for member in self.members], whole=whole)
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


def open_workshop(
    home: Path, environ: Mapping[str, str] = os.environ, flags: Mapping[str, str] | None = None
) -> Workshop:
    """Put a team's workshop together from its folder. Raises NotARepository, GitTooOld, UsageError of settings."""
    git, top = _repository(home)
    settings = read_settings(home, environ, flags).settings
    roster = read_roster(home / "personas")
    agents = {name: agent_of(name, told) for name, told in settings.agents.items()}
    mailbox = _mailbox(home, read_directory(home))
    mirror = Mirror(git.directory, home / "work")
    return Workshop(home, with_drivers(git), top, mailbox, roster, settings, agents, mirror)


def _repository(home: Path) -> tuple[Git, Path]:
    """Find the repository that a team works on: the one its folder lies in, else the one we are in."""
    try:
        return find_repository(home.parent)
    except NotARepository:
        if Path.cwd().is_relative_to(home.parent):
            raise
        return find_repository(Path.cwd())


def open_replay(home: Path, repository: Path, folder: Path, flags: Mapping[str, str] | None = None) -> Workshop:
    """Put a workshop together whose personas are the patches of a folder: `<name>.patch`, one each.

    The human and the sprint's settings come from the team in `home`, if there is one; but nobody is launched for more
    attempts than are recorded, and a recording that failed is no reason to slow down. Raises NotReady without patches.
    """
    git, top = find_repository(repository)
    files = [path.name.split(".") for path in folder.glob("*.patch") if not path.name.startswith((".", "_"))]
    names = sorted({parts[0] for parts in files})
    if not names:
        raise NotReady(f"no patches in {folder}: record one persona's work as {folder / '<name>.patch'}")
    attempts = max([1, *(int(parts[1]) for parts in files if parts[1].isdecimal())])
    once = {"sprint.max_attempts": f"{attempts}", "sprint.retry_backoff": "0s", "sprint.fallback_above": "1"}
    settings = read_settings(home, {}, once | dict(flags or {})).settings
    roster = Roster(tuple(Persona(name, name, "", agent="replay") for name in names))
    directory = Directory(frozenset(names), {}, settings.team.human)
    home.mkdir(parents=True, exist_ok=True)
    settle_home(home)
    agents: dict[str, Agent] = {"replay": ReplayAgent(folder)}
    mirror = Mirror(git.directory, home / "work")
    return Workshop(home, with_drivers(git), top, _mailbox(home, directory), roster, settings, agents, mirror)


def agent_of(name: str, told: AgentSettings) -> Agent:
    """Bring the agent to life that a table of `[agents]` describes."""
    if told.kind == "scripted":
        return bundled_agent()
    if told.kind == "replay":
        return ReplayAgent(Path(told.folder or ""))
    env_file = Path(told.env_file) if told.env_file else None
    limits = Limits(output=told.max_output)
    return CommandAgent(name, told.command or (), told.prompt, told.env, env_file, limits)


def _mailbox(home: Path, directory: Directory) -> Mailbox:
    log: MailLog = EventLog(home / "mail")
    return Mailbox(log, Blobs(home / "mail" / "blobs"), directory)
