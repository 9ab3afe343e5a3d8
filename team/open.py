"""The composition root: opens a team, and creates the contexts and agents that the engine uses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from ..mail.directory import Directory
from ..mail.errors import UsageError
from ..mail.home import ignore_mail
from ..mail.open import open_mailbox, team_home, with_directory
from ..mail.team_file import directory_of, folders_of
from ..personas.acp.agent import acp_agent
from ..personas.agent import Agent
from ..personas.agents.command import CommandAgent, RunLimits
from ..personas.agents.presets.preset import preset
from ..personas.agents.recipe import Recipe
from ..personas.agents.replay import ReplayAgent
from ..personas.agents.sandbox import Sandbox
from ..personas.agents.scripts import bundled_agent
from ..personas.agents.session import Sessions
from ..personas.bundled import with_bundled
from ..personas.chat.agent import chat_agent
from ..personas.chat.orders import Orders as ChatOrders
from ..personas.errors import NotARepository
from ..personas.git import Git, find_repository, with_drivers
from ..personas.jules.agent import jules_agent
from ..personas.jules.orders import URL, Orders
from ..personas.persona import Persona
from ..personas.roster import Roster, read_roster
from ..personas.workspace import Mirror
from ..scheduler.context import Context
from ..scheduler.errors import NotReady
from ..scheduler.hosts.bases import REPOSITORY
from ..scheduler.settings.reading import read_settings
from ..scheduler.settings.settings import AgentSettings, Settings, TeamSettings
from .place import place_trouble, state_folder, workspace_folder

SCRIPTED = "scripted"  # the bundled agent that plays any task without a model
_MAIL_SERVER = "team_mail.team.mcp"
GIVEN = "given"  # the name of an agent that a program supplied


def open_team(home: Path, environ: Mapping[str, str] = os.environ, flags: Mapping[str, str] | None = None) -> Context:
    """Open a team from its `.team` folder.

    Raises NotARepository, GitTooOld, and UsageError for wrong settings.

    Args:
        home: The `.team` folder.
        environ: Where `TEAM_…` variables are read from.
        flags: Settings that override all others, by key.
    """
    git, top = _repository(home)
    settings = read_settings(home, environ, flags).settings
    return _context(home, with_drivers(git), top, _mirror(git, home, settings), settings)


def open_on_host(
    home: Path, environ: Mapping[str, str] = os.environ, flags: Mapping[str, str] | None = None
) -> Context:
    """Open a team on a host whose folder may lie in no clone of the repository: `fetch_base` makes a bare one there.

    Until then its git raises NotReady. Raises as `open_team` otherwise.
    """
    settings = read_settings(home, environ, flags).settings
    try:
        git, top = find_repository(home.parent)
    except NotARepository:
        git, top = _NotYet(home / REPOSITORY), home.parent
    return _context(home, with_drivers(git), top, _mirror(git, home, settings), settings)


def open_replay(home: Path, repository: Path, folder: Path, flags: Mapping[str, str] | None = None) -> Context:
    """Open a team whose personas are the patches of a folder, `<name>.patch` or `<name>.<attempt>.patch`.

    The human and the sprint's settings come from the team in `home`, if there is one. Nobody is launched more often
    than recorded, and failed runs are retried without a pause. Raises NotReady without
    patches.
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
    mirror = _mirror(git, home, settings)
    mailbox = open_mailbox(home, create=True, directory=directory)
    return Context(home, with_drivers(git), top, mailbox, roster, settings, agents, mirror)


def open_for_dispatch(
    home: Path | None = None,
    agent: Agent | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, str] | None = None,
    *,
    tasks: bool = False,
    host: bool = False,
) -> tuple[Context, bool]:
    """Open a team for a dispatch. Returns the context, and whether there is a repository; nothing is written.

    Without a repository, runs work in empty folders: where there is none, and for new `tasks` also where the settings
    ask for it. A repository that git cannot use, or does not trust, is an error. Every bundled persona is on the
    roster. Raises UsageError for wrong settings, NotTrusted, BareRepository,
    RepositoryBroken, GitTooOld.

    Args:
        home: The `.team` folder; by default the one found from here, or where one will be made.
        agent: An agent of the caller's own, which goes by the name GIVEN.
        environ: Where `TEAM_…` variables are read from.
        flags: Settings that override all others, by key.
        tasks: Whether tasks are to be carried out, for the first time.
        host: Whether runs that others offer are to be carried out, see `open_on_host`.
    """
    home = home or team_home(create=True)
    wanted = not tasks or read_settings(home, environ, flags).settings.dispatch.repository
    try:
        context = (open_on_host if host else open_team)(home, environ, flags) if wanted else None
    except NotARepository:
        context = None
    repository = context is not None
    context = context or _without_repository(home, environ, flags)
    agents: dict[str, Agent] = {SCRIPTED: bundled_agent(), **context.agents}
    if agent is not None:
        agents[GIVEN] = _confined(agent, home, context.top, context.settings)
    roster = with_bundled(context.roster)
    guests = frozenset(persona.id for persona in roster.personas) - (context.mailbox.directory.personas or frozenset())
    directory = context.mailbox.directory._replace(guests=guests)
    mailbox = with_directory(context.mailbox, directory)
    return replace(context, roster=roster, agents=agents, mailbox=mailbox), repository


def open_with(home: Path, settings: Settings, agents: Mapping[str, Agent]) -> Context:
    """Open a team whose settings no file has, with more agents, or others, than these name. Raises NotARepository."""
    git, top = find_repository(home.parent)
    context = _context(home, with_drivers(git), top, _mirror(git, home, settings), settings)
    return replace(context, agents={**context.agents, **agents})


def make_agent(name: str, settings: AgentSettings, team: TeamSettings | None = None) -> Agent:
    """Make the agent that a table `[agents.NAME]` of the settings describes, with what it takes from `[team]`."""
    if settings.kind == "scripted":
        return bundled_agent()
    if settings.kind == "replay":
        return ReplayAgent(Path(settings.folder or ""))
    env_file = Path(settings.env_file) if settings.env_file else None
    limits = RunLimits(
        output=settings.max_output, grace=settings.kill_after, settle=settings.grace, idle=settings.idle or 0.0
    )
    if settings.kind == "jules":
        return jules_agent(name, jules_orders(settings, team or TeamSettings()), env_file, limits)
    if settings.kind == "chat":
        return chat_agent(name, chat_orders(settings), settings.env, env_file, limits)
    mail = mail_server() if settings.mcp or settings.kind == "acp" else ()
    sandbox = None
    if settings.sandbox == "bwrap":
        sandbox = Sandbox(settings.home, settings.network == "on", tools=mail[:1])
    agent = CommandAgent(
        name, settings.command or (), settings.prompt, settings.env, env_file, limits, settings.bad_exit, sandbox,
        recipe_of(settings), settings.model or "", sessions_of(settings),
    )  # fmt: skip
    if settings.kind == "acp":
        return acp_agent(
            agent, preset=settings.preset, mode=settings.mode, model=settings.model or "", startup=settings.startup,
            mail=mail,
        )  # fmt: skip
    return agent


def mail_server() -> tuple[str, ...]:
    """Return the words that start the server of mail tools, none if its packages are not there."""
    program = Path(sys.executable).with_name("team")
    return (str(program), "mcp") if find_spec("mcp") and find_spec(_MAIL_SERVER) and program.exists() else ()


def chat_orders(settings: AgentSettings) -> ChatOrders:
    """Return what a table of kind `chat` says of its model."""
    silence = settings.idle / 2 if settings.idle else ChatOrders.silence  # so that it is told before the run is ended
    return ChatOrders(
        settings.base_url or "", settings.model or "", "", settings.context or 0, settings.tools, settings.turns,
        settings.commands, silence,
    )  # fmt: skip


def recipe_of(settings: AgentSettings) -> Recipe | None:
    """Return how a table's command is made, None if somebody wrote it out."""
    if not settings.preset or settings.kind != "command":
        return None
    recipe = Recipe(preset(settings.preset), settings.model, settings.args, settings.sandbox == "bwrap")
    return recipe if recipe.words() == settings.command else None


def sessions_of(settings: AgentSettings) -> Sessions:
    """Return how the command of a table goes on with a session, which is known of that of its preset."""
    if not (recipe := recipe_of(settings)):
        return Sessions(why_not="its command is your own, and not that of a preset")
    known = recipe.preset
    return Sessions(known.resume, known.sessions, len(known.last), known.not_resumed, known.cumulative)


def jules_orders(settings: AgentSettings, team: TeamSettings) -> Orders:
    """Return what a table of kind `jules` says of its sessions."""
    return Orders(
        settings.source or "", settings.branch or team.base, settings.ask or team.human, settings.plan,
        settings.pull_request, settings.creates, settings.poll, settings.timeout, settings.url or URL, settings.remote,
        settings.push, settings.ask or "",
    )  # fmt: skip


def roster_of(home: Path, settings: Settings) -> Roster:
    """Read the roster of a team, with what lies in the folders that its settings name."""
    return read_roster(home / "personas", folders_of(home, settings.team.personas), settings.players)


def _repository(home: Path) -> tuple[Git, Path]:
    """Find the repository that a team works on: the one its folder lies in, else the one around the current folder."""
    try:
        return find_repository(home.parent)
    except NotARepository:
        if Path.cwd().is_relative_to(home.parent):
            raise
        return find_repository(Path.cwd())


def _mirror(git: Git, home: Path, settings: Settings) -> Mirror:
    root = settings.workspace.root
    return Mirror(
        git.directory, lambda: workspace_folder(home, root), trouble=lambda: place_trouble(home, root),
        sparse=settings.workspace.sparse,
    )  # fmt: skip


class _NoGit(Git):
    """The git of a team outside of any repository."""

    def run(self, *_words: str, **_more: object) -> NoReturn:
        """Raise NotReady, whatever is asked."""
        raise NotReady("there is no git repository here; run `git init` and commit, or go to one")


class _NotYet(Git):
    """The git of a host's own repository, which is made with the first commit that a run needs."""

    def run(self, *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run one git command. Raises NotReady if the repository is not there yet."""
        if not (self.directory / "HEAD").exists():
            raise NotReady("this host has no clone of the repository, and has not been given a commit yet")
        return super().run(*words, **more)


def _without_repository(home: Path, environ: Mapping[str, str], flags: Mapping[str, str] | None) -> Context:
    """Open a team outside of any repository; what asks its git is told so."""
    nowhere = home / "work" / "nowhere"
    settings = read_settings(home, environ, flags).settings
    return _context(home, _NoGit(nowhere), home.parent, Mirror(nowhere, nowhere), settings)


def _context(home: Path, git: Git, top: Path, mirror: Mirror, settings: Settings) -> Context:
    elsewhere = folders_of(home, settings.team.personas)
    roster = roster_of(home, settings)
    made = {name: make_agent(name, table, settings.team) for name, table in settings.agents.items()}
    agents = {name: _confined(agent, home, top, settings) for name, agent in made.items()}
    directory = directory_of(
        home, settings.team.human, settings.groups, teams=settings.subteams,
        channels={name: table.members for name, table in settings.channels.items()}, elsewhere=elsewhere,
    )  # fmt: skip
    mailbox = open_mailbox(home, create=True, directory=directory)
    return Context(home, git, top, mailbox, roster, settings, agents, mirror)


def _confined(agent: Agent, home: Path, top: Path, settings: Settings) -> Agent:
    """Tell the sandbox of an agent, if it has one, what runs share, and what it must not show."""
    if not isinstance(agent, CommandAgent) or agent.sandbox is None:
        return agent
    hidden = [home, home.parent, top]
    with suppress(UsageError):  # there is no place for workspaces, which is told elsewhere
        hidden.append(state_folder(settings.workspace.root))
    return replace(agent, sandbox=replace(agent.sandbox, caches=settings.workspace.cache, hidden=tuple(hidden)))
