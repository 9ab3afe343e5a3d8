"""A weave for people and programs: the landing order, who stood in whose way, and what became of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...mail.render import line
from ...scheduler.weaver.patch import PatchSubmission
from ...scheduler.weaver.result import Woven

_SHORT = 12
_MOST = 3  # files named in one line


def lines(woven: Woven) -> Iterator[str]:
    """Write a weave: the landing order first, then who stood in whose way, then what did not land and why."""
    count = sum(map(len, (woven.landed, woven.conflicted, woven.refused, woven.held)))
    yield f"weave of {count} patches onto {woven.start[:_SHORT]}: {len(woven.landed)} land"
    for place, one in enumerate(woven.landed, 1):
        yield f"  {place:3} {line(_name(one.submission))}  {one.commit[:_SHORT]}  {one.how}  {_files(one.files)}"
    for one in woven.conflicted:
        yield f"  conflict {line(_name(one.submission))}: {_files(sorted({hunk.file for hunk in one.hunks}))}"
    for one in woven.refused:
        yield f"  refused  {line(_name(one.submission))}: {line(one.reason)}"
    for one in woven.held:
        yield f"  held     {line(_name(one.submission))}: {_files(one.files)} needs approval"
    if woven.conflicts:
        yield "in each other's way:"
    for key, others in _ways(woven):
        yield f"  {line(key)} - {line(', '.join(others))}"


def _ways(woven: Woven) -> list[tuple[str, list[str]]]:
    """Group the conflict graph by the one in most others' way; each pair is told once."""
    ways: dict[str, set[str]] = {}
    for one, other, _ in woven.conflicts:
        ways.setdefault(one, set()).add(other)
        ways.setdefault(other, set()).add(one)
    told: list[tuple[str, list[str]]] = []
    while any(ways.values()):
        most = max(sorted(ways), key=lambda key: len(ways[key]))
        told.append((most, sorted(ways.pop(most))))
        for others in ways.values():
            others.discard(most)
    return told


def _name(submission: PatchSubmission) -> str:
    known = submission.key.removesuffix(".patch") == submission.persona
    return submission.persona if known else f"{submission.persona} ({submission.key[:_SHORT]})"


def _files(files: Sequence[str]) -> str:
    more = f" and {len(files) - _MOST} more" if len(files) > _MOST else ""
    return line(", ".join(files[:_MOST])) + more
