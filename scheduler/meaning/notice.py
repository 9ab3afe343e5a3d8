"""Names that one patch takes away and another one, which did not know of it, starts to use.

Git merges both without a conflict, and what comes of it does not work. The look is cheap: the diffs of what came since
the oldest base, and one search of the tree for the few names that both sides have. It stays silent unless the patch
took away every use that there was, so that what is left of the name is what the other one brought.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...personas.git import Git
from ..weaver.commit import AUTHOR_FORMAT, Ancestry, Author, ancestry
from ..weaver.result import Landed, Woven
from .names import PatchNames, Place, definition, is_aside, is_code, names_in

_COMMITS = 300  # looked at, the newest
_READ = 8 << 20  # bytes of their diffs
_DIFF = 1 << 20  # bytes of one diff; a longer one was made by a program, or is a whole tree moved
_NAMES = 100  # searched for in the tree
_FOUND = 4 << 20  # bytes of what is there of them
_MOST = 20  # notices of one weave
_EACH = 5  # places of one notice


@dataclass(frozen=True)
class Notice:
    """A name that is gone and still used. `renamed` is the name that took its place, if that is plain."""

    name: str
    removed_by: Author
    defined_in: str
    renamed: str | None
    used_by: Author
    uses: tuple[Place, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "name": self.name,
            "renamed": self.renamed or "",
            "removed_by": [*self.removed_by],
            "defined_in": self.defined_in,
            "used_by": [*self.used_by],
            "uses": [[place.file, place.line] for place in self.uses],
        }


@dataclass(frozen=True)
class _Step:
    """A commit on the branch, with what it does to names."""

    commit: str
    author: Author
    names: PatchNames


def notices(git: Git, woven: Woven) -> tuple[Notice, ...]:
    """Look at what a weave has landed, beside itself and beside what had landed since its patches' bases.

    Raises GitError.
    """
    landed = {each.commit: each for each in woven.landed}
    if not landed:
        return ()
    known = ancestry(git, woven.tip, [each.submission.base for each in woven.landed])
    steps = [*_steps(git, woven.tip, known)]
    pairs = [*_pairs(steps, landed, known)]
    places = _places_of(git, woven.tip, sorted({name for _, _, name, _ in pairs})[:_NAMES])
    every = (_notice(*pair, places) for pair in pairs)
    return tuple(notice for notice in every if notice)[:_MOST]


def _steps(git: Git, tip: str, known: Ancestry) -> Iterator[_Step]:
    """Read the diffs of the commits since the oldest base, the newest first, as far as they are of reasonable size."""
    mark = f"{tip} "  # which no diff knows beforehand
    how = ("--no-merges", "-p", "-U0", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
    layout = f"--format=format:{mark}{AUTHOR_FORMAT}"
    with git.start("log", f"--max-count={_COMMITS}", *how, layout, tip, *known.bounds, "--") as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        output = process.stdout.read(_READ).decode(errors="replace")
        process.kill()
    for part in output.split(mark)[1:]:
        commit, persona, run, diff = part.split("\0", 3)
        if len(diff) <= _DIFF:
            yield _Step(commit, (persona, commit, run), names_in(diff))


def _pairs(
    steps: Sequence[_Step], landed: Mapping[str, Landed], known: Ancestry
) -> Iterator[tuple[_Step, _Step, str, Sequence[Place]]]:
    """Yield who removes a name, who uses it, the name and where, for two of whom neither knew of the other."""
    removers = [step for step in steps if step.names.removed]
    gone = {name for step in removers for name in step.names.removed}
    for user in steps:
        for name, places in user.names.uses(gone).items():
            for remover in removers:
                if name in remover.names.removed and _are_strangers(remover, user, landed, known):
                    yield remover, user, name, places


def _are_strangers(one: _Step, two: _Step, landed: Mapping[str, Landed], known: Ancestry) -> bool:
    """Tell whether each was made without the other, and at least one of them has just landed."""

    def knew(each: _Step, other: _Step) -> bool:
        patch = landed.get(each.commit)
        return patch is None or known.had(patch.submission.base, other.commit)

    if one is two:
        return False
    new = [each for each in (one, two) if each.commit in landed]
    return bool(new) and not any(knew(each, two if each is one else one) for each in new)


def _places_of(git: Git, tip: str, names: Sequence[str]) -> dict[str, list[Place]]:
    """Find names in the code of the tree, as words."""
    places: dict[str, list[Place]] = {name: [] for name in names}
    if not names:
        return places
    patterns = [word for name in names for word in ("-e", name)]
    with git.start("grep", "-n", "-w", "-F", "-I", "-z", "--no-color", "--full-name", *patterns, tip, "--") as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        output = process.stdout.read(_FOUND + 1)
        process.kill()
    if len(output) > _FOUND:
        return {}
    for row in output.decode(errors="replace").split("\n"):
        file, number, text = (*row.removeprefix(f"{tip}:").split("\0", 2), "", "")[:3]
        for name in {*re.findall(r"\w+", text)} & places.keys() if is_code(file) else ():
            places[name].append(Place(file, int(number), text))
    return places


def _notice(
    remover: _Step, user: _Step, name: str, used: Sequence[Place], places: Mapping[str, Sequence[Place]]
) -> Notice | None:
    """Say nothing if the name is defined, or used by anybody else: then it may be something else that is meant."""
    added = {(place.file, place.text) for place in used}
    uses: list[Place] = []
    for place in places.get(name, ()):
        if definition(place.text) == name:
            return None
        if (place.file, place.text) in added:
            uses.append(place)
        elif not _is_mention(place.text, name):
            return None
    renamed = remover.names.renamed.get(name)
    if not uses:
        return None
    return Notice(name, remover.author, remover.names.removed[name], renamed, user.author, tuple(uses[:_EACH]))


def _is_mention(text: str, name: str) -> bool:
    """Tell whether a line only speaks of a name, in a comment or in a text."""
    return all(is_aside(text[: match.start()]) for match in re.finditer(rf"\b{re.escape(name)}\b", text))
