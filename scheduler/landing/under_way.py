"""What git is in the middle of in a work tree: a merge, a rebase, a lock; and what its user does about it.

Sources: git's `wt-status.c`, which tells the same to `git status`, and gitrepository-layout(5).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

CHANGED = "commit, stash or move away what is changed there"


class UnderWay(NamedTuple):
    """What is going on, and what to do about it; both are parts of a sentence."""

    why: str
    then: str


_REBASE = UnderWay("a rebase is under way there", "git rebase --continue ends it, git rebase --abort undoes it")
_STATES = (  # by a name in the git directory; what is above holds whatever is below
    ("rebase-merge", _REBASE),
    (
        "rebase-apply/applying",
        UnderWay("git am is under way there", "git am --continue ends it, git am --abort undoes it"),
    ),
    ("rebase-apply", _REBASE),
    ("MERGE_HEAD", UnderWay("a merge is under way there", "git commit ends it, git merge --abort undoes it")),
    (
        "CHERRY_PICK_HEAD",
        UnderWay("a cherry-pick is under way there", "git cherry-pick --continue ends it, --abort undoes it"),
    ),
    ("REVERT_HEAD", UnderWay("a revert is under way there", "git revert --continue ends it, --abort undoes it")),
    (
        "sequencer",
        UnderWay("a cherry-pick or revert of several commits is under way there", "git cherry-pick --quit ends it"),
    ),
    ("BISECT_LOG", UnderWay("a bisection is under way there", "git bisect reset ends it")),
)


def under_way(directory: Path) -> UnderWay | None:
    """Return what git is in the middle of, by the git directory of a work tree; None for nothing."""
    return next((state for name, state in _STATES if (directory / name).exists()), None)


def locked(directory: Path) -> UnderWay | None:
    """Return that a git process locks the index of a work tree, or one that was killed left its lock; None for none."""
    lock = directory / "index.lock"
    try:
        since = datetime.fromtimestamp(lock.stat().st_mtime).astimezone()
    except OSError:
        return None
    return UnderWay(
        f"its index is locked since {since:%Y-%m-%d %H:%M:%S}",
        f"wait for the git that works there; if there is none, it was killed: rm {lock}",
    )
