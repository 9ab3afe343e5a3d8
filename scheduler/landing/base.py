"""Taking a sprint's work over: fast-forwarding the base branch to the sprint's, by compare-and-swap."""

from __future__ import annotations

from ...personas.git import Git
from ..context import Context
from ..errors import BranchMoved, NoSuchRun
from ..state.facts import Sprint
from ..state.sprints import State
from .branch import standing
from .checkouts import fast_forward


def fast_forward_base(context: Context, state: State, number: int, commit: str | None = None) -> tuple[str, str, int]:
    """Fast-forward the base branch to sprint `number`; return branch, new commit and how many commits it gained.

    With `commit`, no further than to that one of it. A checkout of the branch moves along if no change in it is in the
    way. Raises NoSuchRun, BranchMoved, GitError.
    """
    sprint = next((sprint for sprint in state.sprints if sprint.number == number), None)
    if sprint is None:
        raise NoSuchRun(f"no sprint {number}; scheduler history lists them")
    if not sprint.commits:
        raise NoSuchRun(f"sprint {number} landed nothing; there is nothing to take")
    if sprint.base_branch == sprint.base:
        raise NoSuchRun(
            f"sprint {number} began at a commit, not at a branch: git merge --ff-only {sprint.branch} takes it"
        )
    old, new = _commit(context.git, sprint.base_branch), commit or standing(context.git, sprint)[0]
    if old is None:
        raise BranchMoved(f"{sprint.base_branch} is gone; nothing was changed")
    if context.git.run("merge-base", "--is-ancestor", old, new).returncode:
        raise BranchMoved(
            f"{sprint.base_branch} has moved on since sprint {number} began, and cannot be fast-forwarded; "
            f"rebase or merge {sprint.branch} by hand, or start a new sprint from it"
        )
    gained = int(context.git.line("rev-list", "--count", f"{old}..{new}"))
    _move(context, sprint, old, new)
    return sprint.base_branch, new, gained


def _commit(git: Git, branch: str) -> str | None:
    parsed = git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
    return parsed.stdout.decode().strip() if parsed.returncode == 0 else None


def _move(context: Context, sprint: Sprint, old: str, new: str) -> None:
    """Move the branch and the checkouts that have it, the files first, as git does; move nothing if that fails."""
    way = fast_forward(context.git, sprint.base_branch, old, new, f"team-mail: sprint {sprint.number}", asked=True)
    if way is not None:
        raise BranchMoved(
            f"the checkout of {sprint.base_branch} in {way.place} is in the way ({way.why}); commit or stash"
        )
