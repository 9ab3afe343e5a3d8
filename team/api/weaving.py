"""Weaving by hand: patch files and fetched pull requests onto a new branch. It needs a repository and no team."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...scheduler.landing.manual import weave_by_hand
from ...scheduler.weaver.result import Woven

DEFAULT_BRANCH = "team/woven"  # where the patches land


@dataclass(frozen=True)
class WovenByHand:
    """The result of a weave by hand, and the branch that it is on; None if nothing was kept."""

    woven: Woven
    branch: str | None

    @property
    def complete(self) -> bool:
        """Whether every patch landed."""
        return not (self.woven.conflicted or self.woven.refused or self.woven.held)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler weave --json`."""
        return self.woven.document() | {"branch": self.branch}


def weave(
    start: Path,
    patches: Sequence[Path],
    base: str,
    onto: str | None = None,
    branch: str | None = DEFAULT_BRANCH,
    *,
    approve: Sequence[str] = (),
) -> WovenByHand:
    """Weave patch files, and pull requests named by their ref, onto a new branch.

    Raises UsageError for a missing file or commit, or an unknown name in `approve`, BranchMoved if the branch exists.

    Args:
        start: A folder in the repository, which may be bare.
        patches: The files in the order in which they arrived, or refs such as `refs/pull/7/head`.
        base: The commit that the patches were made against.
        onto: What they land on, by default the base.
        branch: The new branch for the result; None keeps nothing.
        approve: Names of the patches whose sensitive files you have read, or "all": they land like others.
    """
    return WovenByHand(*weave_by_hand(start, patches, base, onto or base, branch, approve=approve))
