"""A patch as it is submitted to the weaver, and the change of one file as git reports it."""

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
    """A patch submitted for weaving: who made it, against which commit, and its rank in the queue."""

    key: str  # the run's id, or a file's name
    persona: str
    base: str  # the full id of the commit that it was made against
    patch: bytes
    age: int  # its position in first-come order; lower is older
    subject: str
    when: str  # RFC 3339; author's and committer's date, so that the same weave gives the same commits
    priority: int = 0
    refusals: int = 0  # earlier conflicts of this persona in this sprint
    paths: tuple[str, ...] | None = None  # globs it may touch, None for everything
    approved: bool = False  # a human approved its sensitive or claimed files
    trailers: tuple[tuple[str, str], ...] = ()
    claimed: tuple[tuple[str, str], ...] = ()  # files that somebody keeps others from changing, and why

    @property
    def seniority(self) -> tuple[int, str]:
        """First come, first served; the key decides between two of the same age."""
        return self.age, self.key

    @property
    def precedence(self) -> tuple[int, int, int, str]:
        """The order among patches that do not conflict."""
        return -self.priority, -self.refusals, self.age, self.key


@dataclass(frozen=True)
class WeaveLimits:
    """Limits of one weave: on patches, on the git processes that read them, and on the search for an order."""

    patch: int = 5 << 20  # bytes: the check of a 5.3 MB patch was seen to take 1.85 GB
    unpacked: int = 64 << 20  # bytes of all files that one patch writes
    memory: int = 2 << 30  # bytes of address space
    seconds: int = 60  # of time, and of processor time
    pairs: int = 6_000  # of patches compared with each other
    exact: int = 30  # the largest component of conflicting patches whose best order is computed exactly


class Entry(NamedTuple):
    """The mode and object id of one file in a tree."""

    mode: str
    oid: str


class Change(NamedTuple):
    """One file before and after; None if it did not or does not exist."""

    path: bytes
    old: Entry | None
    new: Entry | None


def text(name: bytes) -> str:
    r"""Return a file's name as text, with bytes that are not UTF-8 as \xNN."""
    return name.decode(errors="backslashreplace")


def changes_in(raw: bytes) -> list[Change]:
    """Parse the output of git's `--raw -z`."""
    return [
        Change(match["path"], _entry(match["was"], match["before"]), _entry(match["is"], match["after"]))
        for match in _RAW.finditer(raw)
    ]


def changed(before: Mapping[bytes, Entry], after: Mapping[bytes, Entry]) -> tuple[Change, ...]:
    """Compare two lists of files."""
    paths = sorted(before.keys() | after.keys())
    return tuple(
        Change(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)
    )


def _entry(mode: bytes, oid: bytes) -> Entry | None:
    return None if mode == _ABSENT else Entry(mode.decode(), oid.decode())
