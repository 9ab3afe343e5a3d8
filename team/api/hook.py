"""The pre-commit hook: whether the staged files are claimed by others, and its installation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...scheduler.claims.barring import guarded
from ...scheduler.claims.claims import Claims
from ...scheduler.claims.facts import Claim
from ..work.hook import install as write
from ..work.hook import staged


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
    """The hook, and whether it is `new`."""

    path: Path
    new: bool

    def document(self) -> dict[str, Any]:
        """Return both as a JSON object."""
        return {"path": str(self.path), "new": self.new}


def guard(claims: Claims | None, folder: Path, owner: str) -> Guard:
    """Return which of the files that the next commit in a checkout changes are claimed by others than its owner.

    Without claims, because there is no team, nothing is. Raises UsageError outside of a repository.
    """
    return Guard(tuple(guarded(claims.moment(), staged(folder), owner)) if claims else ())


def install(folder: Path) -> Installed:
    """Write the hook of the repository around a folder. Raises UsageError if there is another one."""
    return Installed(*write(folder))
