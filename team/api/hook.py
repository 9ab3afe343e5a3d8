"""Hooks: whether staged files are claimed by others, and the installation of git's and of agents'."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...mail.errors import NoTeam, UsageError
from ...mail.open import open_mailbox, team_home
from ...scheduler.claims.barring import guarded
from ...scheduler.claims.claims import Claims
from ...scheduler.claims.facts import Claim
from ..hooks import install as agents
from ..hooks.agents import AGENTS
from ..hooks.install import Place, State
from ..work import hook as commits

GIT = "git"


@dataclass(frozen=True)
class Guard:
    """The staged files that others have claimed, each with the claim."""

    files: tuple[tuple[str, Claim], ...]

    def document(self) -> dict[str, Any]:
        """Return them as a JSON object."""
        return {
            "claimed": [{"file": file, "owner": claim.owner, "token": claim.token} for file, claim in self.files]
        }  # fmt: skip


@dataclass(frozen=True)
class Installed:
    """The file of a hook, whether it was `changed`, and what its user has to know."""

    path: Path
    changed: bool
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return all as a JSON object."""
        return {"path": str(self.path), "changed": self.changed, "notes": [*self.notes]}


@dataclass(frozen=True)
class Hooks:
    """The hooks of each agent, in the checkout and in the user's home."""

    states: tuple[State, ...]

    def document(self) -> dict[str, Any]:
        """Return them as a JSON object."""
        return {"hooks": [state.document() for state in self.states]}


def guard(claims: Claims | None, folder: Path, owner: str) -> Guard:
    """Return which of the files that the next commit in a checkout changes are claimed by others than its owner.

    Without claims, because there is no team, nothing is. Raises UsageError outside of a repository.
    """
    return Guard(tuple(guarded(claims.moment(), commits.staged(folder), owner)) if claims else ())


def install(program: str, folder: Path, persona: str = "", *, for_user: bool = False) -> Installed:
    """Write the hooks of git or of an agent for the checkout around a folder, or for the user's home.

    Raises UsageError for a file that cannot be edited or a program that is not known, UnknownRecipient, CannotWrite.
    """
    if program == GIT:
        path, new = commits.install(folder)
        return Installed(path, new)
    name = _checked(persona)
    state, changed = agents.install(program, _place(folder, for_user=for_user), name)
    notes = [AGENTS[program].note] if AGENTS[program].note and changed else []
    if not name:
        notes.append('it shows mail in sessions of a shell that has joined: eval "$(team join --persona NAME --shell)"')
    return Installed(state.file, changed, tuple(notes))


def uninstall(program: str, folder: Path, *, for_user: bool = False) -> Installed:
    """Remove the hooks of git or of an agent. Raises as `install`."""
    if program == GIT:
        return Installed(*commits.uninstall(folder))
    state, changed = agents.uninstall(program, _place(folder, for_user=for_user))
    return Installed(state.file, changed)


def states(folder: Path) -> Hooks:
    """Say of each agent whether its hooks are installed: in the checkout around a folder, and in the user's home."""
    places = [_place(folder, for_user=False), _place(folder, for_user=True)]
    return Hooks(tuple(agents.state(agent, place) for agent in AGENTS for place in places))


def _place(folder: Path, *, for_user: bool) -> Place:
    top = folder
    if not for_user:
        try:
            top = commits.top(folder)
        except UsageError:
            top = folder  # agents work outside of repositories, too
    return Place(top, Path.home(), for_user)


def _checked(persona: str) -> str:
    """Return a persona that is on the team. Raises UnknownRecipient, and UsageError for one that cannot be told."""
    if not persona:
        return ""
    try:
        return open_mailbox(team_home()).directory.checked(persona)
    except NoTeam:
        raise UsageError(
            f"there is no team here, so {persona} cannot be told to be on it; run it in the team"
        ) from None
