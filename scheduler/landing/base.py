"""Taking a sprint's work over: fast-forwarding the base branch to the sprint's, by compare-and-swap."""

from __future__ import annotations

from pathlib import Path

from ...personas.errors import GitError
from ...personas.git import Git, move_checkout
from ..context import Context
from ..errors import BranchMoved, NoSuchRun
from ..state.facts import Sprint
from ..state.sprints import State


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
    old, new = _commit(context.git, sprint.base_branch), _commit(context.git, sprint.branch)
    if new is None:
        raise BranchMoved(f"{sprint.branch} is gone; its last commit was {sprint.commits[-1][:12]}")
    if old is None:
        raise BranchMoved(f"{sprint.base_branch} is gone; nothing was changed")
    new = commit or new
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
    """Move the branch and the checkout that has it, the files first, as git does; move neither if that fails."""
    checkout = _checkout(context.git, sprint.base_branch)
    if checkout is not None:
        try:
            move_checkout(Path(checkout), old, new)
        except (GitError, OSError) as error:
            raise BranchMoved(
                f"the checkout of {sprint.base_branch} is in the way ({error}); commit or stash"
            ) from None
    context.git("update-ref", "-m", f"team-mail: sprint {sprint.number}", f"refs/heads/{sprint.base_branch}", new, old)


def _checkout(git: Git, branch: str) -> str | None:
    """Find the work tree that has a branch checked out."""
    path = None
    for line in git.line("worktree", "list", "--porcelain", "-z").split("\0"):
        if line.startswith("worktree "):
            path = line.removeprefix("worktree ")
        elif line == f"branch refs/heads/{branch}" and path and Path(path).is_dir():
            return path
    return None
