"""A weave as text: the landing order, why other patches did not land, and which patches conflict."""

from __future__ import annotations

from collections.abc import Iterator

from ...mail.render import line, listed
from ...scheduler.weaver.patch import PatchSubmission
from ...scheduler.weaver.result import Woven

_SHORT = 12


def lines(woven: Woven) -> Iterator[str]:
    """Show a weave: the landing order, then what did not land and why, then which patches conflict."""
    count = sum(map(len, (woven.landed, woven.present, woven.conflicted, woven.refused, woven.held)))
    yield f"weave of {count} patches onto {woven.start[:_SHORT]}: {len(woven.landed)} land"
    for place, patch in enumerate(woven.landed, 1):
        yield (
            f"  {place:3} {line(_name(patch.submission))}  {patch.commit[:_SHORT]}  {patch.how}  {listed(patch.files)}"
        )
    for patch in woven.present:
        yield f"  already there {line(_name(patch.submission))}: {listed(patch.files)}"
    for patch in woven.conflicted:
        yield f"  conflict {line(_name(patch.submission))}: {listed(sorted({hunk.file for hunk in patch.hunks}))}"
    for patch in woven.refused:
        yield f"  refused  {line(_name(patch.submission))}: {line(patch.reason)}"
    for patch in woven.held:
        yield f"  held     {line(_name(patch.submission))}: {listed(patch.files)} needs approval"
    if woven.unsigned:
        yield f"the commits are unsigned, although your git settings ask for signatures: {line(woven.unsigned)}"
    if woven.conflicts:
        yield "in each other's way:"
    for key, others in _conflicts(woven):
        yield f"  {line(key)} - {line(', '.join(others))}"


def _conflicts(woven: Woven) -> list[tuple[str, list[str]]]:
    """Group the pairs of the conflict graph by the patch with the most conflicts; each pair occurs once."""
    neighbours: dict[str, set[str]] = {}
    for left, right, _ in woven.conflicts:
        neighbours.setdefault(left, set()).add(right)
        neighbours.setdefault(right, set()).add(left)
    groups: list[tuple[str, list[str]]] = []
    while any(neighbours.values()):
        most = max(sorted(neighbours), key=lambda key: len(neighbours[key]))
        groups.append((most, sorted(neighbours.pop(most))))
        for keys in neighbours.values():
            keys.discard(most)
    return groups


def _name(submission: PatchSubmission) -> str:
    known = submission.key.removesuffix(".patch") == submission.persona
    return submission.persona if known else f"{submission.persona} ({submission.key[:_SHORT]})"
