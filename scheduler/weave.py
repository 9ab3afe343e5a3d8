"""The weaver: patches in, one line of commits out, and for each that could not land, why.

Objects only: no ref, no index, no checkout, no log. The same offers onto the same tip give the same commits. Never
fewer patches land than by first-come `git apply --3way` or first-come `git merge-tree`: where something failed, both
are tried, and the best is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..personas.git import Git
from .applying import apply_all
from .clash import Scene, conflict
from .commit import write_commit
from .conflict_graph import best_order, merged, overlapping
from .landing import WAYS, Branch, sides
from .patch import Applied, Limits, Offer
from .quarantine import Quarantine, quarantine
from .tree import Tree, read_tree
from .woven import Clash, Conflicted, Held, Landed, Refused, Woven

__all__ = ["Clash", "Conflicted", "Held", "Landed", "Limits", "Offer", "Refused", "Woven", "weave"]


def weave(git: Git, tip: str, offers: Sequence[Offer], limits: Limits = Limits()) -> Woven:  # noqa: B008
    """Weave offers, each with a key of its own, onto a commit. For a dry run, give a git with objects of its own.

    Raises GitError where `tip` is no commit of the repository.
    """
    with quarantine(git) as scratch:
        tree = read_tree(git, tip, scratch.write)
        applied, refused, held = apply_all(scratch, sorted(offers, key=lambda offer: offer.seniority), limits)
        branch = Branch(scratch, limits, tree, tip)
        order, graph = _order(scratch, branch, applied, limits)
        best = _best(branch, [applied[number] for number in order])
        done = {landed.offer.key for landed in best.landed}
        left = [each for each in applied if each.offer.key not in done]
        edges = tuple((applied[a].offer.key, applied[b].offer.key, files) for (a, b), files in sorted(graph.items()))
        scene = Scene(scratch, tip, best, edges)
        scratch.release(tip, best.tip)
        return Woven(tip, best.tip, tuple(best.landed), conflict(scene, left), tuple(refused), tuple(held), edges)


def _order(
    scratch: Quarantine, branch: Branch, applied: Sequence[Applied], limits: Limits
) -> tuple[list[int], dict[tuple[int, int], tuple[str, ...]]]:
    """Find who stands in whose way once each is on the tip, and the order that this asks for."""
    commits = _on_tip(scratch, branch.tree, branch.tip, applied)
    fine = [number for number, commit in enumerate(commits) if commit]
    local = overlapping([applied[number] for number in fine])[: limits.pairs]
    pairs = [(fine[one], fine[other]) for one, other in local]
    asked = [(commits[one] or "", commits[other] or "") for one, other in pairs]
    told = zip(pairs, merged(scratch.git, asked), strict=True)
    graph = {pair: merge.files for pair, merge in told if merge.stages is not None}
    places = {number: place for place, number in enumerate(fine)}
    edges = [(places[one], places[other]) for one, other in graph]
    order = [fine[place] for place in best_order([applied[number].offer for number in fine], edges, limits.exact)]
    late = [number for number, commit in enumerate(commits) if not commit]
    return order + sorted(late, key=lambda number: applied[number].offer.precedence), graph


def _on_tip(scratch: Quarantine, tree: Tree, tip: str, applied: Sequence[Applied]) -> list[str | None]:
    """Write each patch's commit on the tip; None where the tip itself is in its way."""
    trees = {number: tree.changed(each.changes).oid for number, each in enumerate(applied) if tree.fits(each.changes)}
    moved = [number for number in range(len(applied)) if number not in trees]
    pairs = [sides(scratch, tree, applied[number]) for number in moved]
    for number, merge in zip(moved, merged(scratch.git, pairs), strict=True):
        if merge.stages is None:
            trees[number] = merge.tree
    return [
        write_commit(scratch.write, each.offer, trees[number], [tip]) if number in trees else None
        for number, each in enumerate(applied)
    ]


def _best(start: Branch, order: Sequence[Applied]) -> Branch:
    """Land in this order, and where something failed, first come first served too; keep what landed the most."""
    best = start.fork()
    failed = sum(not best.land(each) for each in order)
    queue = sorted(order, key=lambda each: each.offer.seniority)
    for way in WAYS if failed else ():
        other = _first_come(start.fork(), queue, way, failed)
        if other and len(other.landed) > len(best.landed):
            best, failed = other, len(order) - len(other.landed)
    return best


def _first_come(branch: Branch, queue: Sequence[Applied], way: str, failed: int) -> Branch | None:
    """Land one after the other, in one way, then the rest in any; None as soon as that can land no more than before."""
    rest: list[Applied] = []
    for each in queue:
        if not branch.land(each, (way,)):
            rest.append(each)
        if len(rest) >= failed:
            return None
    for each in rest:
        branch.land(each)
    return branch
