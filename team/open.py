"""The composition root: opens a team, and makes the contexts and the agents that the engine works with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..mail.directory import Directory
from ..mail.home import directory_of, ignore_mail
from ..mail.mailbox import Mailbox
from ..mail.open import open_mailbox, team_home
from ..personas.agent import Agent
from ..personas.agents.command import CommandAgent, RunLimits
from ..personas.agents.replay import ReplayAgent
from ..personas.agents.scripts import bundled_agent
from ..personas.bundled import with_bundled
from ..personas.errors import NotARepository
from ..personas.git import Git, find_repository, with_drivers
from ..personas.persona import Persona
from ..personas.roster import Roster, read_roster
from ..personas.workspace import Mirror
from ..scheduler.context import Context
from ..scheduler.errors import NotReady
from ..scheduler.settings.settings import AgentSettings, Settings, read_settings

SCRIPTED = "scripted"  # the bundled agent that plays any task without a model
GIVEN = "given"  # the name of an agent that a program brought along


def open_team(home: Path, environ: Mapping[str, str] = os.environ, flags: Mapping[str, str] | None = None) -> Context:
    """Put a team's workshop together from its folder. Raises NotARepository, GitTooOld, UsageError of settings."""
    git, top = _repository(home)
    settings = read_settings(home, environ, flags).settings
    roster = read_roster(home / "personas")
    agents = {name: agent_of(name, told) for name, told in settings.agents.items()}
    mailbox = open_mailbox(home, create=True, directory=_directory(home, settings))
    mirror = Mirror(git.directory, home / "work")
    return Context(home, with_drivers(git), top, mailbox, roster, settings, agents, mirror)


def _repository(home: Path) -> tuple[Git, Path]:
    """Find the repository that a team works on: the one its folder lies in, else the one we are in."""
    try:
        return find_repository(home.parent)
    except NotARepository:
        if Path.cwd().is_relative_to(home.parent):
            raise
        return find_repository(Path.cwd())


def open_replay(home: Path, repository: Path, folder: Path, flags: Mapping[str, str] | None = None) -> Context:
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
    ignore_mail(home)
    agents: dict[str, Agent] = {"replay": ReplayAgent(folder)}
    mirror = Mirror(git.directory, home / "work")
    return Context(
        home,
        with_drivers(git),
        top,
        open_mailbox(home, create=True, directory=directory),
        roster,
        settings,
        agents,
        mirror,
    )


def agent_of(name: str, told: AgentSettings) -> Agent:
    """Bring the agent to life that a table of `[agents]` describes."""
    if told.kind == "scripted":
        return bundled_agent()
    if told.kind == "replay":
        return ReplayAgent(Path(told.folder or ""))
    env_file = Path(told.env_file) if told.env_file else None
    limits = RunLimits(output=told.max_output)
    return CommandAgent(name, told.command or (), told.prompt, told.env, env_file, limits)


def _directory(home: Path, settings: Settings) -> Directory:
    return directory_of(home, settings.team.human, settings.groups)


def open_for_dispatch(
    home: Path | None = None,
    agent: Agent | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, str] | None = None,
) -> tuple[Context, bool]:
    """Open the workshop of a dispatch, and tell whether there is a repository: else runs work in empty folders.

    Without `home` it is the team's that is found from here, or will be made here; nothing is written yet. Every
    bundled persona is on its roster; `agent` plays as GIVEN. Raises UsageError of settings, GitTooOld.
    """
    home = home or team_home(create=True)
    try:
        context, repository = open_team(home, environ, flags), True
    except NotARepository:
        context, repository = _alone(home, environ, flags), False
    agents: dict[str, Agent] = {SCRIPTED: bundled_agent(), **context.agents}
    if agent is not None:
        agents[GIVEN] = agent
    roster = with_bundled(context.roster)
    guests = frozenset(persona.id for persona in roster.personas) - (context.mailbox.directory.personas or frozenset())
    directory = context.mailbox.directory._replace(guests=guests)
    mail = context.mailbox
    mailbox = Mailbox(mail.log, mail.blobs, mail.projections, directory)
    return replace(context, roster=roster, agents=agents, mailbox=mailbox), repository


def _alone(home: Path, environ: Mapping[str, str], flags: Mapping[str, str] | None) -> Context:
    """Put a workshop together outside of any repository, whose git is never asked."""
    settings = read_settings(home, environ, flags).settings
    agents = {name: agent_of(name, told) for name, told in settings.agents.items()}
    mailbox = open_mailbox(home, create=True, directory=_directory(home, settings))
    nowhere = home / "work" / "nowhere"
    roster = read_roster(home / "personas")
    return Context(home, Git(nowhere), home.parent, mailbox, roster, settings, agents, Mirror(nowhere, nowhere))
