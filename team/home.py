"""Finds the `.team` folder that a command works on. Loads nothing slow, because an idle tick needs it first."""

from __future__ import annotations

from pathlib import Path

from ..mail.errors import NoTeam
from ..mail.home import find_home
from ..mail.open import team_home
from ..scheduler.errors import NotReady


def home_of(repo: Path | None = None) -> Path:
    """Find the `.team` folder of a repository, by default the one around the current folder. Raises NotReady."""
    try:
        return find_home(repo.absolute()) if repo else team_home()
    except NoTeam:
        raise NotReady(f"no team in {repo or 'this folder or above'}; run team init") from None


def home_if_any() -> Path | None:
    """Find the `.team` folder around the current folder; None if there is none."""
    try:
        return team_home()
    except NoTeam:
        return None
