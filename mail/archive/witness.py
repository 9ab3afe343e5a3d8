"""What others remember of the log, by which a log is known that lost its last events or is another one.

The log's own chain cannot show that: a log cut off at the end of a line is a whole one. A backup knows the last event
that it holds, and git knows those named by the weaver's commits, in the trailer `Team-Mail-Head: <seq>:<hash>`. A
branch moves only after the log says which patches landed, so one with the patch of a run proves that event as well.
"""

from __future__ import annotations

import mmap
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..errors import TeamMailError
from ..log.disk import open_file
from ..log.event import Event, decode, place

if TYPE_CHECKING:
    import io
    from pathlib import Path

    from ..log.log import EventLog

# Only the weaver commits by this name: somebody who picks or rebases its commits, perhaps of another team, does not.
_WEAVER = "weaver@team-mail"
_TRAILER = re.compile(r"([0-9]{1,16}):([0-9a-f]{32})")
_FORMAT = "%H%x00%ce" + "".join(
    f"%x00%(trailers:key={key},valueonly,separator=%x20)" for key in ("Team-Mail-Head", "Team-Mail-Run")
)
_NEWEST = 5  # sprints and dispatches of which is looked at what `refs/team` keeps, though it was pushed or deleted
_CAPTURED, _LANDED = b'"kind":"patch.captured"', b'"kind":"patch.landed"'


class Known(NamedTuple):
    """An event that somebody knows: its place in the log, and its hash.

    `run` is one whose patch the event captured, if a branch has that patch.
    """

    seq: int
    hash: str
    run: str = ""


class Lost(NamedTuple):
    """A known event that the log does not have. `head` is the log's last; up to there it has another in its place.

    If the log has the event, and not that its patch landed, this is `unlanded`.
    """

    event: Known
    head: int
    unlanded: bool = False

    def told(self, witness: str) -> str:
        """Say in one line who knows what."""
        seq, digest, run = self.event
        if self.unlanded:
            return (
                f"{witness} has the patch of run {run} on a branch, and the log ends before it landed: events were lost"
            )
        if seq > self.head:
            return f"{witness} knows event {seq} ({digest}), and the log ends at {self.head}: later events were lost"
        return f"{witness} knows event {seq} as {digest}, and the log has another there: this is another log"


class NoWitness(TeamMailError):
    """Somebody who may know events of the log cannot be asked; the message says why."""


def _is_empty(stderr: bytes) -> bool:
    return b"does not have any commits yet" in stderr


def known_to_git(home: Path, most: int | None = None, base: str = "") -> list[Known]:
    """Return the events that commits of the weaver name, in the repository whose work tree has the team's folder.

    What was fetched, and may be another team's, does not count; in a shallow repository, where the history is cut that
    would tell, only what `refs/team` keeps does. With `most`, only so many commits are looked at, the
    newest, of the team's branches and the `base` branch: what anybody's branch says stops nobody. Without a repository
    there are none. Raises NoWitness if there is one, and git cannot be asked.
    """
    if not (home.parent / ".git").exists():
        return []
    # Git alone is twice as fast with the search, but would go through all of a history to count what it finds.
    which = [f"--committer={_WEAVER}", "--branches"] if most is None else [f"--max-count={most}", "--branches=team/*"]
    which += [f"--branches={base[:-1]}[{base[-1]}]"] if most is not None and base else []  # else it means a folder
    own = () if is_cut(home) else _commits(home, *which, "--not", "--remotes")
    known = {event for _, events in own for event in events}
    names = kept(home)
    apart = _ask(home, "rev-list", *(f"{ref}/tip" for ref in names), "--not", "--branches").split() if names else []
    for ref in names:
        for commit, events in _commits(home, "--first-parent", f"{ref}/tip", f"^{ref}/base"):
            known |= {event._replace(run="") if commit in apart else event for event in events}
    return sorted(known)


def kept(home: Path) -> list[str]:
    """Return the newest sprints and dispatches of which `refs/team` keeps commits, as `refs/team/sprint-1`.

    By these it is known what landed, though a branch was pushed or deleted. Raises NoWitness.
    """
    refs = _ask(home, "for-each-ref", "--sort=-committerdate", "--format=%(refname)", "refs/team").split()
    return [ref.removesuffix("/tip") for ref in refs if ref.endswith("/tip") and f"{ref[:-3]}base" in refs][:_NEWEST]


def is_cut(home: Path) -> bool:
    """Tell whether the repository is shallow: nobody can say there which commits were fetched. Raises NoWitness."""
    return (home.parent / ".git").exists() and _ask(home, "rev-parse", "--is-shallow-repository").strip() == "true"


def _commits(home: Path, *words: str) -> Iterator[tuple[str, list[Known]]]:
    """Yield commits of the weaver with the events that they name."""
    for line in _ask(home, "log", "--no-show-signature", f"--format={_FORMAT}", *words, "--").splitlines():
        commit, committer, heads, run = [*line.split("\0"), "", "", ""][:4]
        if committer == _WEAVER:
            yield commit, [Known(int(seq), digest, run) for seq, digest in _TRAILER.findall(heads)]


def _ask(home: Path, *words: str) -> str:
    """Ask git something about the repository of a team; what has no commits yet answers nothing. Raises NoWitness."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
    argv = ["git", "--no-pager", "--no-replace-objects", "-c", "core.fsmonitor=false", "-C", str(home.parent)]
    try:
        done = subprocess.run([*argv, *words], capture_output=True, check=False, env=environment)  # noqa: S603
    except OSError as error:
        raise NoWitness(f"git cannot be asked: {error.strerror}") from None
    if done.returncode and not _is_empty(done.stderr):
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"]
        raise NoWitness(f"git cannot be asked: {said[0]}")
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def lost(log: EventLog, known: Collection[Known]) -> list[Lost]:
    """Return what the log does not have of the known events, in their order.

    An event that is missing in a gap is no loss in this sense: `verify` tells it, until `repair` has recorded the gap.
    """
    wanted: dict[int, set[str]] = defaultdict(set)
    for event in known:
        wanted[event.seq].add(event.hash)
    runs = {event.seq: event.run for event in known if event.run}
    seen, since = _Seen(), min(runs, default=None)
    snapshot, active = log.look()
    for segment in snapshot.sealed:
        inside = [seq for seq in wanted if segment.first <= seq <= segment.last]
        if inside or (since is not None and segment.last >= since):
            with open_file(segment.path) as file:
                seen.search(file, os.fstat(file.fileno()).st_size, inside, patches=since is not None)
    with active or nullcontext():
        if active is not None:
            left = [seq for seq in wanted if seq not in seen.hashes]
            seen.search(active, snapshot.size, left, patches=since is not None)
    missing = [
        Lost(Known(seq, digest), snapshot.head)
        for seq, digests in sorted(wanted.items())
        for digest in sorted(digests)
        if seq > snapshot.head or seen.hashes.get(seq, digest) != digest
    ]
    return missing + [
        Lost(Known(seq, seen.hashes[seq], run), snapshot.head, unlanded=True)
        for seq, run in sorted(runs.items())
        if seen.hashes.get(seq) in wanted[seq] and (run, seq) in seen.captured and run not in seen.landed
    ]


@dataclass
class _Seen:
    """What was found in a log: hashes of events by seq, and the runs whose patches were captured, or landed."""

    hashes: dict[int, str] = field(default_factory=dict[int, str])
    captured: set[tuple[str | None, int]] = field(default_factory=set[tuple[str | None, int]])
    landed: set[str | None] = field(default_factory=set[str | None])

    def search(self, file: io.BufferedReader, size: int, seqs: Iterable[int], *, patches: bool) -> None:
        """Look into one file of the log for events by seq, and for those about `patches`."""
        self.hashes |= _hashes(file, size, seqs)
        if patches:
            self.captured |= {(event.run, event.seq) for event in _events(file, size, _CAPTURED)}
            self.landed |= {event.ref for event in _events(file, size, _LANDED)}


def _events(file: io.BufferedReader, size: int, kind: bytes) -> Iterator[Event]:
    """Find the events of a kind in a file; those that do not verify are left out."""
    if not size:
        return
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        at = data.find(kind)
        while at >= 0:
            start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
            if end > 0 and (event := decode(data[start:end])) is not None:
                yield event
            at = data.find(kind, at + len(kind))


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
