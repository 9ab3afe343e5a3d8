"""What a dispatch works with: the team's workshop, or one made on the spot where there is no team or no repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..mail import caller
from ..mail.blobs import Blobs
from ..mail.home import read_directory
from ..mail.log import EventLog
from ..mail.mailbox import Mailbox
from ..personas.agent import Agent
from ..personas.bundled import with_bundled
from ..personas.errors import NotARepository
from ..personas.git import Git
from ..personas.roster import read_roster
from ..personas.scripts import bundled_agent
from ..personas.workspace import Mirror
from .settings import read_settings
from .workshop import Workshop, agent_of, open_workshop

SCRIPTED = "scripted"  # the bundled agent that plays any task without a model
GIVEN = "given"  # the name of an agent that a program brought along


def open_bench(
    home: Path | None = None,
    agent: Agent | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, str] | None = None,
) -> tuple[Workshop, bool]:
    """Open the workshop of a dispatch, and tell whether there is a repository: else runs work in empty folders.

    Without `home` it is the team's that is found from here, or will be made here; nothing is written yet. Every
    bundled persona is on its roster; `agent` plays as GIVEN. Raises UsageError of settings, GitTooOld.
    """
    home = home or caller.home(create=True)
    try:
        shop, repository = open_workshop(home, environ, flags), True
    except NotARepository:
        shop, repository = _alone(home, environ, flags), False
    agents: dict[str, Agent] = {SCRIPTED: bundled_agent(), **shop.agents}
    if agent is not None:
        agents[GIVEN] = agent
    roster = with_bundled(shop.roster)
    guests = frozenset(persona.id for persona in roster.personas) - (shop.mailbox.directory.personas or frozenset())
    directory = shop.mailbox.directory._replace(guests=guests)
    mailbox = Mailbox(shop.mailbox.log, shop.mailbox.blobs, directory)
    return replace(shop, roster=roster, agents=agents, mailbox=mailbox), repository


def _alone(home: Path, environ: Mapping[str, str], flags: Mapping[str, str] | None) -> Workshop:
    """Put a workshop together outside of any repository, whose git is never asked."""
    settings = read_settings(home, environ, flags).settings
    agents = {name: agent_of(name, told) for name, told in settings.agents.items()}
    mailbox = Mailbox(EventLog(home / "mail"), Blobs(home / "mail" / "blobs"), read_directory(home))
    nowhere = home / "work" / "nowhere"
    roster = read_roster(home / "personas")
    return Workshop(home, Git(nowhere), home.parent, mailbox, roster, settings, agents, Mirror(nowhere, nowhere))
