"""The result of a weave: which patches landed, in which order, and why the others did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .patch import PatchSubmission

# How one side of a conflict begins if it has no lines to show.
GONE = "(no such file: deleted or moved)"
BINARY = "(a binary file, "


@dataclass(frozen=True)
class Landed:
    """A patch that is on the branch now."""

    submission: PatchSubmission
    commit: str
    how: str  # "apply": every file was as the patch knew it; "3way", "merge-tree": merged with what had landed
    files: tuple[str, ...]


@dataclass(frozen=True)
class Present:
    """A patch of which the branch had everything already, so that there is no commit of it."""

    submission: PatchSubmission
    files: tuple[str, ...]


@dataclass(frozen=True)
class ConflictHunk:
    """One conflict between a patch and the branch."""

    file: str
    theirs: str  # the version on the branch now
    yours: str  # the patch's version
    landed_by: tuple[tuple[str, str, str], ...] = ()  # who changed the branch there: persona, commit, key
    line: int = 0  # where `theirs` begins on the branch; 0 if nowhere
    was: str = ""  # the common base's version
    marked: bool = False  # it is marked in the file that the author goes on from, else the branch's version is there


@dataclass(frozen=True)
class Conflicted:
    """A patch that could not land beside the others."""

    submission: PatchSubmission
    hunks: tuple[ConflictHunk, ...]
    tip: str  # the new base to start from
    signature: str  # the same conflict twice has the same one


@dataclass(frozen=True)
class Refused:
    """A patch that may not land, whatever the other patches are."""

    submission: PatchSubmission
    reason: str


@dataclass(frozen=True)
class NeedsApproval:
    """A patch that waits for a human's approval. `unnamed` are those files that are submodules without an entry."""

    submission: PatchSubmission
    files: tuple[str, ...]
    unnamed: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The reason in a few words."""
        claimed = dict(self.submission.claimed)
        claims = dict.fromkeys(claimed[file] for file in self.files if file in claimed)
        return "; ".join([*(["sensitive files"] if {*self.files} - {*claimed} else []), *claims])


@dataclass(frozen=True)
class Woven:
    """The result of a weave. The parent of each commit in `landed` is the one before it, of the first one `start`.

    `unsigned` is why the commits have no signature, where the user's git settings ask for one.
    """

    start: str
    tip: str
    landed: tuple[Landed, ...] = ()
    conflicted: tuple[Conflicted, ...] = ()
    refused: tuple[Refused, ...] = ()
    held: tuple[NeedsApproval, ...] = ()
    conflicts: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # pairs of keys, and the files in which they conflict
    present: tuple[Present, ...] = ()
    unsigned: str = ""

    def document(self) -> dict[str, Any]:
        """Return the JSON object of a weave; `present` is there if some patches are, and `unsigned` with a reason."""
        present = [_who(each.submission) | {"files": [*each.files]} for each in self.present]
        unsigned = {"unsigned": self.unsigned} if self.unsigned else {}
        return (
            ({"present": present} if present else {})
            | unsigned
            | {
                "start": self.start,
                "tip": self.tip,
                "landed": [
                    _who(landed.submission) | {"commit": landed.commit, "how": landed.how, "files": [*landed.files]}
                    for landed in self.landed
                ],
                "conflicted": [
                    _who(conflicted.submission)
                    | {"signature": conflicted.signature, "files": sorted({hunk.file for hunk in conflicted.hunks})}
                    for conflicted in self.conflicted
                ],
                "refused": [_who(refused.submission) | {"reason": refused.reason} for refused in self.refused],
                "held": [_who(held.submission) | {"files": [*held.files]} for held in self.held],
                "conflicts": [[first, second, [*files]] for first, second, files in self.conflicts],
            }
        )


def _who(submission: PatchSubmission) -> dict[str, Any]:
    return {"run": submission.key, "persona": submission.persona}
