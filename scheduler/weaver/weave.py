"""The weaver: patches in, a line of commits out, and for each patch that could not land, why.

It writes objects only: no ref, no index, no checkout, no log. The same patches onto the same tip give the same commits.
Never fewer patches land than by first-come `git apply --3way` or first-come `git merge-tree`: if a patch fails to land,
both are tried, and the best result is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...personas.git import Git
from .applying import apply_all
from .conflict_graph import Survey, best_order
from .conflicts import ConflictContext, conflict
from .landing import WAYS, Branch
from .merging import Merging
from .patch import PatchSubmission, WeaveLimits
from .result import Conflicted, Landed, Refused, Woven
from .scratch import quarantine
from .tree import Applied, read_tree

__all__ = [
    "Conflicted",
    "Landed",
    "PatchSubmission",
    "Refused",
    "WeaveLimits",
    "Woven",
    "weave",
    "weave_again",
]


_EITHER = (WAYS, WAYS[1:])  # a patch may have landed by the second way although the first one was possible


def weave(git: Git, tip: str, submissions: Sequence[PatchSubmission], limits: WeaveLimits = WeaveLimits()) -> Woven:  # noqa: B008
    """Weave patches onto the commit `tip`. Keys must be unique.

    For a dry run, pass a `git` with an object folder of its own (`Git.using`). Raises GitError if `tip` is not a commit
    of the repository.
    """
    with quarantine(git, tip) as scratch:
        tree = read_tree(scratch, tip)
        applied, refused, held = apply_all(
            scratch, tree, sorted(submissions, key=lambda submission: submission.seniority), limits
        )
        branch = Branch(Merging(scratch, limits), tree, tip)
        graph = Survey(branch.merging).graph(tree, tip, applied)
        order = best_order([each.submission for each in applied], graph.pairs, graph.late, limits.exact)
        best = _best(branch, [applied[number] for number in order])
        done = {settled.submission.key for settled in best.settled}
        left = [each for each in applied if each.submission.key not in done]
        edges = tuple(
            (applied[a].submission.key, applied[b].submission.key, merge.files)
            for (a, b), merge in sorted(graph.pairs.items())
        )
        context = ConflictContext(tip, best, edges)
        scratch.release(tip, best.tip)
        return Woven(
            tip,
            best.tip,
            tuple(best.landed),
            conflict(context, left),
            tuple(refused),
            tuple(held),
            edges,
            tuple(best.present),
        )


def weave_again(
    git: Git,
    start: str,
    landed: Sequence[tuple[PatchSubmission, str]],
    limits: WeaveLimits = WeaveLimits(),  # noqa: B008
) -> bool:
    """Make the commits of an earlier weave again, from its patches in the order in which they landed; tell if it could.

    Each patch has the id of its commit, and nothing else will do: a signature cannot be made again, and another version
    of git may merge otherwise. Raises GitError if `start` is not a commit of the repository.
    """
    with quarantine(git, start) as scratch:
        tree, submissions = read_tree(scratch, start), [submission for submission, _ in landed]
        applied, _, _ = apply_all(scratch, tree, submissions, limits)
        known, branch = {each.submission.key: each for each in applied}, Branch(Merging(scratch, limits), tree, start)
        for submission, commit in landed:
            each = known.get(submission.key)
            branches = [branch.fork() for _ in _EITHER] if each else []
            ways = zip(branches, _EITHER, strict=False)
            same = (fork for fork, way in ways if each and fork.land(each, way) and fork.tip == commit)
            if (twin := next(same, None)) is None:
                return False
            branch = twin
        scratch.release(start, branch.tip)
    return True


def _best(start: Branch, order: Sequence[Applied]) -> Branch:
    """Land in this order, and if a patch fails, also first come, first served; keep the branch that landed the most."""
    best = start.fork()
    failed = sum(not landed for _, landed in best.land_each(order))
    queue = sorted(order, key=lambda each: each.submission.seniority)
    for way in WAYS if failed else ():
        branch = _first_come(start.fork(), queue, way, failed)
        if branch and len(branch.settled) > len(best.settled):
            best, failed = branch, len(order) - len(branch.settled)
    return best


def _first_come(branch: Branch, queue: Sequence[Applied], way: str, failed: int) -> Branch | None:
    """Land the queue in one way, then the rest in any way; None as soon as that cannot land more than before."""
    rest: list[Applied] = []
    for each, landed in branch.land_each(queue, (way,)):
        if not landed:
            rest.append(each)
        if len(rest) >= failed:
            return None
    for _ in branch.land_each(rest):
        pass
    return branch
