"""A patch as it is offered to the weaver, and a file's change as git tells it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

SYMLINK, GITLINK = "120000", "160000"
_ABSENT = b"000000"
_RAW = re.compile(rb":(?P<was>\d+) (?P<is>\d+) (?P<before>\w+) (?P<after>\w+) \w+\0(?P<path>[^\0]+)\0")


@dataclass(frozen=True)
class PatchSubmission:
    """A patch offered for weaving: who made it, against which commit, and how it stands in the queue."""

    key: str  # the run's id, or a file's name
    persona: str
    base: str  # the full id of the commit that it was made against
    patch: bytes
    age: int  # its place in first-come order; lower is older
    subject: str
    when: str  # RFC 3339; author's and committer's date, so that the same weave gives the same commits
    priority: int = 0
    refusals: int = 0  # earlier conflicts of this persona in this sprint
    paths: tuple[str, ...] = ()  # globs it may touch; none: everything
    approved: bool = False  # a human approved its sensitive files
    trailers: tuple[tuple[str, str], ...] = ()

    @property
    def seniority(self) -> tuple[int, str]:
        """First come, first served; the key decides between two of the same age."""
        return self.age, self.key

    @property
    def precedence(self) -> tuple[int, int, int, str]:
        """Who lands first among those that do not stand in each other's way."""
        return -self.priority, -self.refusals, self.age, self.key


@dataclass(frozen=True)
class WeaveLimits:
    """What one weave may take: of a patch, of the git processes that read it, and of the search for an order."""

    patch: int = 5 << 20  # bytes: the check of a 5.3 MB patch was seen to take 1.85 GB
    unpacked: int = 64 << 20  # bytes of all files that one patch writes
    memory: int = 2 << 30  # bytes of address space
    seconds: int = 60  # of time, and of processor time
    pairs: int = 6_000  # of patches compared with each other
    exact: int = 30  # patches that stand in each other's way, up to which the best order is found exactly


class Entry(NamedTuple):
    """What a tree says of one file."""

    mode: str
    oid: str


class Change(NamedTuple):
    """One file before and after; None where there was or is none."""

    path: bytes
    old: Entry | None
    new: Entry | None


def text(name: bytes) -> str:
    r"""Write a file's name as text: what is not UTF-8 in it as \xNN."""
    return name.decode(errors="backslashreplace")


def changes_in(raw: bytes) -> list[Change]:
    """Read what `--raw -z` of git's diffs prints."""
    return [
        Change(found["path"], _entry(found["was"], found["before"]), _entry(found["is"], found["after"]))
        for found in _RAW.finditer(raw)
    ]


def changed(before: Mapping[bytes, Entry], after: Mapping[bytes, Entry]) -> tuple[Change, ...]:
    """Compare two lists of files."""
    paths = sorted(before.keys() | after.keys())
    return tuple(
        Change(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)
    )


def _entry(mode: bytes, oid: bytes) -> Entry | None:
    return None if mode == _ABSENT else Entry(mode.decode(), oid.decode())
