"""What others remember of the log, by which a log is known that lost its last events or is another one.

The log's own chain cannot show that: a log cut off at the end of a line is a whole one. A backup knows the last event
that it holds, and git knows those named by the weaver's commits, in the trailer `Team-Mail-Head: <seq>:<hash>`.
"""

from __future__ import annotations

import mmap
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from ..errors import TeamMailError
from ..log.disk import open_file
from ..log.event import place
from ..log.reading import look

if TYPE_CHECKING:
    import io
    from pathlib import Path

    from ..log.log import EventLog

# Only the weaver commits by this name: somebody who picks or rebases its commits, perhaps of another team, does not.
_WEAVER = "weaver@team-mail"
_TRAILER = re.compile(r"([0-9]{1,16}):([0-9a-f]{32})")
_COMMITS = (
    "log", "--branches", "--not", "--remotes", "--no-show-signature",
    "--format=%ce %(trailers:key=Team-Mail-Head,valueonly,separator=%x20)",
)  # fmt: skip


class Known(NamedTuple):
    """An event that somebody knows: its place in the log, and its hash."""

    seq: int
    hash: str


class Lost(NamedTuple):
    """A known event that the log does not have. `head` is the log's last; up to there it has another in its place."""

    event: Known
    head: int

    def told(self, witness: str) -> str:
        """Say in one line who knows what."""
        seq, digest = self.event
        if seq > self.head:
            return f"{witness} knows event {seq} ({digest}), and the log ends at {self.head}: later events were lost"
        return f"{witness} knows event {seq} as {digest}, and the log has another there: this is another log"


class NoWitness(TeamMailError):
    """Somebody who may know events of the log cannot be asked; the message says why."""


def _is_empty(stderr: bytes) -> bool:
    return b"does not have any commits yet" in stderr


def known_to_git(home: Path) -> list[Known]:
    """Return the events that commits of the weaver name, in the repository whose work tree has the team's folder.

    What was fetched, and may be another team's, does not count. Without a repository there are none. Raises
    NoWitness if there is one, and git cannot be asked.
    """
    if not (home.parent / ".git").exists():
        return []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
    argv = ["git", "--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false", "-C", str(home.parent)]
    try:
        done = subprocess.run([*argv, *_COMMITS], capture_output=True, check=False, env=environment)  # noqa: S603
    except OSError as error:
        raise NoWitness(f"git cannot be asked: {error.strerror}") from None
    if done.returncode and not _is_empty(done.stderr):
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
        raise NoWitness(f"git cannot be asked: {said[0]}")
    known: set[Known] = set()
    for line in done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else ():
        committer, _, trailers = line.partition(" ")
        if committer == _WEAVER:
            known |= {Known(int(seq), digest) for seq, digest in _TRAILER.findall(trailers)}
    return sorted(known)


def lost(log: EventLog, known: Iterable[Known]) -> list[Lost]:
    """Return what the log does not have of the known events, in their order.

    An event that is missing in a gap is no loss in this sense: `verify` tells it, until `repair` has recorded the gap.
    """
    wanted: dict[int, set[str]] = defaultdict(set)
    for event in known:
        wanted[event.seq].add(event.hash)
    snapshot, active = look(log.active, log.segments)
    hashes: dict[int, str] = {}
    for segment in snapshot.sealed:
        if inside := [seq for seq in wanted if segment.first <= seq <= segment.last]:
            with open_file(segment.path) as file:
                hashes |= _hashes(file, os.fstat(file.fileno()).st_size, inside)
    with active or nullcontext():
        if active is not None:
            hashes |= _hashes(active, snapshot.size, [seq for seq in wanted if seq not in hashes])
    return [
        Lost(Known(seq, digest), snapshot.head)
        for seq, digests in sorted(wanted.items())
        for digest in sorted(digests)
        if seq > snapshot.head or hashes.get(seq, digest) != digest
    ]


def _hashes(file: io.BufferedReader, size: int, seqs: Iterable[int]) -> dict[int, str]:
    """Find lines of a file by seq, and return the hashes of those that verify. The file is searched once, forward."""
    hashes: dict[int, str] = {}
    if not size:
        return hashes
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        at = 0
        for seq in sorted(seqs):
            head = b'{"v":1,"seq":%d,' % seq
            start = 0 if data[: len(head)] == head else data.find(b"\n" + head, at) + 1
            here = place(data[start : data.find(b"\n", start)])
            if here is not None and here.seq == seq:
                hashes[seq], at = here.hash, start
    return hashes
