"""The branch of a sprint or a dispatch: where to go on from, how it is moved, and the refs that keep its commits.

`refs/team/NAME/tip` is moved before a weave is on record, so git prunes nothing that the log calls landed, whatever
becomes of the branch `team/NAME`; `refs/team/NAME/base` is where it began. A branch that others moved or deleted is
lost: what had landed waits for the weaver again, because the patches are in blobs. What is on it is taken over by
fast-forwarding the base branch, by compare-and-swap.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...personas.errors import GitError
from ...personas.git import Git
from ..context import Context
from ..errors import BranchLost, BranchMoved, NoSuchRun
from ..kinds import Kind
from ..state.facts import Patch, Sprint
from ..state.sprints import State
from ..weaver.commit import WEAVER
from .checkouts import InTheWay, fast_forward

_MOST = 3  # weaves in a row during which somebody moves the branch
_SHORT = 12


def kept_as(branch: str) -> str:
    """Return the ref under which a branch's last weave is kept."""
    return f"refs/team/{branch.removeprefix('team/')}/tip"


def keep(context: Context, branch: str, base: str, tip: str | None = None, *, judged: bool = True) -> None:
    """Keep the commits of a branch from being pruned: where it began, and what was woven last. Raises GitError.

    What gates are still to judge is kept apart from that, as `next`.
    """
    place = kept_as(branch).removesuffix("tip")
    rows = [f"update {place}base {base}\n", *([f"update {place}{'tip' if judged else 'next'} {tip}\n"] if tip else [])]
    context.git("update-ref", "--stdin", stdin="".join(rows).encode())


def standing(git: Git, sprint: Sprint) -> tuple[str, str | None]:
    """Return the commit to continue from, and where the sprint's branch is if it has to be moved there, or zeros.

    The branch is behind if a crash or a checkout with changes prevented its move, or if it was deleted. Commits that
    people put on top are kept. Raises BranchLost if what had landed is not there any more, and BranchMoved if there
    is nothing to weave it onto.
    """
    expected, actual = sprint.tip, _commit(git, f"refs/heads/{sprint.branch}")
    if actual == expected:
        return expected, None
    if actual and git.is_ancestor(expected, actual) and actual not in {sprint.base, *sprint.commits}:
        return actual, None
    newest = _newest(git, sprint)
    if _commit(git, expected) and (actual is None or _is_behind(git, sprint, actual, expected)):
        ahead = newest if actual is None and newest and git.is_ancestor(expected, newest) else expected
        return ahead, actual or "0" * len(expected)
    where = f"is at {actual[:_SHORT]}, which does not contain" if actual else "is gone, and so is"
    why = f"{sprint.branch} {where} {expected[:_SHORT]}, where the weaver left it"
    if start := actual or newest or _commit(git, sprint.base) or _commit(git, sprint.origin or sprint.base):
        raise BranchLost(why, start)
    raise BranchMoved(f"{why}, and {sprint.base_branch or sprint.base[:_SHORT]} is gone as well; {_given_up(sprint)}")


def _is_behind(git: Git, sprint: Sprint, commit: str, tip: str) -> bool:
    """Tell whether the branch of a sprint had a commit before `tip`, be it one that people put on top meanwhile."""
    known = commit in {sprint.base, *sprint.commits}
    return known or (git.is_ancestor(commit, tip) and not git.is_ancestor(commit, sprint.base))


def _given_up(sprint: Sprint) -> str:
    return f"scheduler abandon {sprint.number} ends the sprint" if sprint.number else "team replay starts anew"


def _newest(git: Git, sprint: Sprint) -> str | None:
    """Return where the base branch is by now, which may also be a tag or a commit."""
    name = sprint.base_branch
    return _commit(git, f"refs/heads/{name}") or _commit(git, name) if name else None


def _commit(git: Git, name: str) -> str | None:
    parsed = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return parsed.stdout.decode().strip() if parsed.returncode == 0 else None


def ensure_branch(context: Context, sprint: Sprint) -> str:
    """Move the sprint's branch to where the log says it is; return the commit to continue from.

    Raises as `standing`.
    """
    tip, behind = standing(context.git, sprint)
    if behind is not None:
        _move(context, sprint, behind, tip, "team-mail: go on")
    return tip


def move(context: Context, sprint: Sprint, start: str, tip: str, reason: str) -> bool:
    """Move the sprint's branch to the commits that were woven from `start`; tell whether nobody moved it meanwhile.

    If a checkout that has the branch is in the way, it stays, and the human is told. Raises GitError.
    """
    actual = _commit(context.git, f"refs/heads/{sprint.branch}")
    if actual is None or not (actual == start or _is_behind(context.git, sprint, actual, start)):
        return actual == tip
    try:
        _move(context, sprint, actual, tip, reason)
    except GitError:
        if _commit(context.git, f"refs/heads/{sprint.branch}") == actual:
            raise
        return False
    return True


def _move(context: Context, sprint: Sprint, old: str, new: str, reason: str) -> None:
    if way := fast_forward(context.git, sprint.branch, old, new, reason):
        context.append([_behind(context, sprint, way)])


def _behind(context: Context, sprint: Sprint, way: InTheWay) -> Draft:
    """Write to the human that a branch stays behind, because a checkout has it."""
    ref = kept_as(sprint.branch)
    body = (
        f"{sprint.branch} is checked out in {way.place}, and was not moved under it: {way.why}.\n\n"
        f"What lands is kept at {ref}, where the work goes on. The branch follows with the next weave after that is "
        f"settled: {way.then}. To have it there yourself then:\n\n"
        f"    cd {shlex.quote(way.place)}\n    git merge {ref}\n"
    )
    subject = f"{sprint.branch} is checked out, and stays behind"
    return _letter(context, subject, body, f"behind {sprint.id} {way.place} {way.why}")


def lost(context: Context, sprint: Sprint, error: BranchLost) -> list[Draft]:
    """Return the event that what had landed is woven again, from `error.start`, with the mail about it."""
    tags = {"dispatch": sprint.dispatch} if sprint.dispatch else {"sprint": sprint.number}
    data = {"branch": sprint.branch, "was": sprint.tip, "start": error.start, "why": str(error), **tags}
    number = str(sprint.lost + 1)
    subject = f"{sprint.branch} was moved or deleted, and is woven again"
    body = (
        f"{error}.\n\nWhat had landed is woven again, onto {error.start}: the patches are kept with the mail. Where "
        "the same lines are changed there, that is a conflict, and its author goes on from both.\n"
    )
    return [
        _letter(context, subject, body, f"lost {sprint.id} {number}", type="fyi"),
        Draft(Kind.WEAVE_LOST, WEAVER, data=data, id=derived_id(Kind.WEAVE_LOST, sprint.id, number)),
    ]


def _letter(context: Context, subject: str, body: str, key: str, type: str = "escalate") -> Draft:
    letter = Letter(WEAVER, [context.settings.team.human], subject, body, type=type, key=key)
    return letter.draft(context.mailbox.directory, context.mailbox.blobs)


def weave_until_there(  # noqa: PLR0917
    context: Context,
    state: State,
    patches: Sequence[Patch],
    read: Callable[[], tuple[State, Sequence[Patch]]],
    weave: Callable[[State, Sequence[Patch]], bool],
    regain: Callable[[State], bool],
) -> None:
    """Weave patches and move the branch; if it was moved or deleted by others, weave again what had landed as well.

    `weave` puts one weave on record, and tells whether the branch has it, unless a checkout is in the way; `read`
    returns the state after that, and what waits. `regain` tells whether it brought here what had landed and was not
    here. Without patches the branch is only brought to where the log says. Raises BranchMoved, and what the others do.
    """
    moved = 0
    while moved < _MOST:
        ready = _ready(context.git, open_sprint(state), patches)
        try:
            if not ready:
                ensure_branch(context, open_sprint(state))
                return
            is_there = weave(state, ready)
            if is_there and len(ready) == len(patches):
                return
            moved += not is_there
        except BranchMoved as error:
            if not regain(state):
                if not isinstance(error, BranchLost):
                    raise
                context.append(lost(context, open_sprint(state), error))
            moved += 1
        state, patches = read()
    branch = open_sprint(state).branch
    raise BranchMoved(f"somebody moves {branch} while it is woven; end that, then go on")


def _ready(git: Git, sprint: Sprint, patches: Sequence[Patch]) -> Sequence[Patch]:
    """Return the patches that can be woven now: all, unless git has pruned what some of them were made from.

    That were commits of patches which landed before them, so they follow one after the other, as if made from the tip.
    """
    of_others = any(patch.sprint != sprint.number for patch in patches)  # such as of one that was abandoned
    bases = {patch.base for patch in patches} if sprint.lost or of_others else set[str]()
    gone = {base for base in bases if not _commit(git, base)}
    ready = [patch for patch in patches if patch.base not in gone]
    if ready or not patches:
        return ready
    first = min(patches, key=lambda patch: patch.seq).base
    return [replace(patch, base=sprint.tip) for patch in patches if patch.base == first]


def open_sprint(state: State) -> Sprint:
    """Return the sprint that is open, to a dispatch its own; there must be one."""
    sprint = state.sprint
    assert sprint is not None  # noqa: S101 - only a sprint has a branch
    return sprint


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
    old, new = _commit(context.git, f"refs/heads/{sprint.base_branch}"), commit or standing(context.git, sprint)[0]
    if old is None:
        name = sprint.base_branch
        raise BranchMoved(
            f"{name} is gone, so nothing was changed; to have it with what landed: git branch {name} {new[:_SHORT]}"
        )
    if not context.git.is_ancestor(old, new):
        raise BranchMoved(
            f"{sprint.base_branch} has moved on since sprint {number} began, and cannot be fast-forwarded; "
            f"rebase or merge {sprint.branch} by hand, or start a new sprint from it"
        )
    gained = int(context.git.line("rev-list", "--count", f"{old}..{new}"))
    _move_base(context, sprint, old, new)
    return sprint.base_branch, new, gained


def _move_base(context: Context, sprint: Sprint, old: str, new: str) -> None:
    """Move the branch and the checkouts that have it, the files first, as git does; move nothing if that fails."""
    way = fast_forward(context.git, sprint.base_branch, old, new, f"team-mail: sprint {sprint.number}", asked=True)
    if way is not None:
        raise BranchMoved(
            f"the checkout of {sprint.base_branch} in {way.place} is in the way ({way.why}); {way.then}, then "
            f"scheduler land {sprint.number}"
        )
