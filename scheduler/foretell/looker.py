"""Looks at open runs, finds out which of them meet, and tells them.

What is stored for that lies in a folder of its own beside the repository, as in a weave, and goes with it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from ...mail.clock import Clock, SystemClock
from ...mail.errors import TeamMailError
from ...personas.capture.changes import Change as MadeChange
from ...personas.capture.glance import Glance, Seen
from ...personas.keeping.quota import used
from ...personas.running.folder import RunFolder
from ...personas.running.stirring import Stirring
from ...personas.workspace import Workspace
from ..context import Context
from ..weaver.conflict_graph import Survey
from ..weaver.merging import Merging
from ..weaver.patch import Change, Entry, PatchSubmission, WeaveLimits
from ..weaver.scratch import quarantine
from ..weaver.tree import Applied, Tree, read_tree
from .meetings import Meetings, Versions
from .notices import INBOX, Notice, notices
from .places import Hunk, Places, places_of, read_hunks, unread, write_places
from .taking import moved_base, taken_in

EFFORT = 16  # rest, as a multiple of what was done
_SLOW = 30.0  # seconds after which a run is looked at though nothing was told of it
_UNTOLD = 10.0  # and where not all that happens is told
_LONG = 1.0  # seconds; a look that takes longer is paid for by its run alone
_FULL = 256 << 20  # bytes of stored files
_MOST_PACKS = 500  # each makes every process of git slower
_ROUNDS = 20  # between two measurements of them
_LIMITS = WeaveLimits(pairs=300)
_FOLDERS = ("ls-tree", "-r", "-d", "-z", "--name-only")
_WHEN = "1970-01-01T00:00:00Z"  # of commits that nobody sees
_LABELS = ("-L", "yours", "-L", "your base", "-L", "landed")


@dataclass(frozen=True)
class OpenRun:
    """A run that goes on, with all that is needed to see what is part of its patch.

    `folder` is the run's own, and `on_places` is called with where it is, whenever that has changed.
    """

    run: str
    persona: str
    workspace: Workspace
    folder: Path
    litter: Sequence[str] = ()
    left_out: Sequence[str] = ()
    made: frozenset[MadeChange] = frozenset()
    on_places: Callable[[Places], object] = lambda _: None


@dataclass
class _Watched:
    """An open run as it was last seen. Times are monotonic."""

    run: OpenRun
    eye: Glance | None = None
    applied: Applied | None = None
    hunks: dict[bytes, tuple[Hunk, ...]] = field(default_factory=dict[bytes, tuple[Hunk, ...]])
    noted: frozenset[Change] = frozenset()  # the changes that the hunks are of
    places: Places | None = None
    again: bool = True
    looked: float = 0.0
    not_before: float = 0.0


class Looker:
    """Looks at the runs that it is given, as a context manager and in one thread; `is_over` tells it to stop."""

    def __init__(self, context: Context, clock: Clock, is_over: Callable[[], bool]) -> None:
        self._context, self._clock, self._is_over = context, clock, is_over
        self._watched: dict[str, _Watched] = {}
        self._folders: dict[str, frozenset[str]] = {}  # of bases, by the trees' ids
        self._bases: dict[str, Tree] = {}  # by their commits
        self._rounds = 0
        self._tip = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make the folder for what is stored."""
        self._scratch = self._stack.enter_context(quarantine(self._context.git, self._context.base()))
        self._stirring = self._stack.enter_context(closing(Stirring()))
        self._survey = Survey(Merging(self._scratch, _LIMITS))
        self._meetings = Meetings(self._scratch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def is_full(self) -> bool:
        """Tell, now and then, whether so much is stored, or in so many packs, that it is time to begin anew."""
        self._rounds += 1
        if self._rounds % _ROUNDS:
            return False
        packs = sum(1 for _ in (self._scratch.objects / "pack").glob("*.pack"))
        return packs > _MOST_PACKS or used(str(self._scratch.folder)) > _FULL

    def round(self, runs: Sequence[OpenRun], *, moved: bool, is_open: Callable[[str], bool] = lambda _: True) -> None:
        """Look at those of the open runs that may have changed something; tell those that meet.

        `moved` says that something has landed. What was seen of a run is forgotten unless it `is_open` after the look:
        from its end on, its workspace may be removed, which looks as if it deleted its files. Raises GitError, OSError
        and LogError; the next round goes on.
        """
        self._keep_to(runs)
        stirred = self._stirring.stirred()
        due = [each for each in self._watched.values() if self._is_due(each, stirred)]
        changed = [each for each in due if self._saw(each, is_open)]
        if changed:
            self._note(changed)
        if changed or moved:
            self._tell()

    def _keep_to(self, runs: Sequence[OpenRun]) -> None:
        current = {run.run: run for run in runs}
        for run in self._watched.keys() - current.keys():
            del self._watched[run]
            self._stirring.remove(run)
        for run in current.keys() - self._watched.keys():
            self._watched[run] = _Watched(current[run])
            self._stirring.add(run, current[run].workspace.path)

    def _is_due(self, each: _Watched, stirred: Collection[str]) -> bool:
        run, now = each.run.run, self._clock.monotonic()
        if now < each.not_before:
            return False
        patience = _SLOW if self._stirring.is_watched(run) else _UNTOLD
        return each.again or run in stirred or now - each.looked >= patience

    def _saw(self, each: _Watched, is_open: Callable[[str], bool]) -> bool:
        """Look at a run; tell whether it changes something else than before. One that cannot be seen is left alone."""
        if self._is_over():
            return False
        began, before = self._clock.monotonic(), each.applied
        try:
            self._look(each)
        except (TeamMailError, OSError, ValueError, LookupError):
            each.eye, each.again, each.not_before = None, True, began + _UNTOLD
        if not is_open(each.run.run):
            each.applied = before
            return False
        each.looked = self._clock.monotonic()
        if (took := each.looked - began) > _LONG:
            each.not_before = each.looked + EFFORT * took * max(1, len(self._watched))
        after = each.applied
        return after is not None and (before.changes if before else ()) != after.changes

    def _look(self, each: _Watched) -> None:
        run, base = each.run, self._base(each.run)
        if each.eye is None:
            folder = self._scratch.folder / run.run
            each.eye = run.workspace.glance(
                folder, self._scratch.objects, self._scratch.write,
                litter=run.litter, left_out=run.left_out, made=run.made,
            )  # fmt: skip
        known = each.applied.changes if each.applied else ()
        self._stirring.set(run.run, self._around(base, known))  # first, so that what happens meanwhile is told
        changes = _changes(base, each.eye.look())
        each.again = self._stirring.set(run.run, self._around(base, changes)) and changes != known
        submission = PatchSubmission(run.run, run.persona, base.commit, b"", 0, run.persona, _WHEN)
        each.applied = Applied(submission, base, changes)

    def _base(self, run: OpenRun) -> Tree:
        """Return what a run started from, and what it has taken in since."""
        commit = run.workspace.base
        if commit not in self._bases:
            if len(self._bases) > len(self._watched):
                self._bases.clear()
            self._bases[commit] = read_tree(self._scratch, commit)
        base = self._bases[commit]
        files = taken_in(lambda: self._context.state(whole=False), run.run, run.workspace.path)
        return moved_base(self._scratch, base, files)

    def _around(self, base: Tree, changes: Iterable[Change]) -> frozenset[str]:
        """Return the folders in which a run may change something: those of its base, and those of its own new files."""
        own = {change.path.rpartition(b"/")[0] for change in changes if change.new}
        above = {b"/".join(folder.split(b"/")[:end]) for folder in own for end in range(1, folder.count(b"/") + 2)}
        return self._folders_of(base).union(map(os.fsdecode, above))

    def _folders_of(self, base: Tree) -> frozenset[str]:
        """Return the paths of all folders of a base, "" for the top."""
        if base.oid not in self._folders:
            if len(self._folders) > len(self._watched):
                self._folders.clear()
            rows = self._scratch.git(*_FOLDERS, base.oid).split(b"\0")  # the last one is empty
            self._folders[base.oid] = frozenset(map(os.fsdecode, rows))
        return self._folders[base.oid]

    def _note(self, changed: Sequence[_Watched]) -> None:
        """Write down where runs are, for people and for what they are told. Of each, git compares what is new alone."""
        seen = [(each, each.applied) for each in changed if each.applied]
        fresh = [unread(applied.changes, each.noted) for each, applied in seen]
        asked = [
            (applied.base.oid, applied.base.changed(changes).oid, changes)
            for (_, applied), changes in zip(seen, fresh, strict=True)
        ]
        read = read_hunks(self._scratch.git, asked)
        for (each, applied), changes, hunks in zip(seen, fresh, read, strict=True):
            known = {change.path for change in applied.changes} - {change.path for change in changes}
            each.hunks = {path: lines for path, lines in each.hunks.items() if path in known} | hunks
            each.noted = frozenset(applied.changes)
            self._publish(each, places_of(applied.changes, each.hunks))

    def _publish(self, each: _Watched, places: Places) -> None:
        """Write down where a run is, unless that stands there."""
        if places == each.places:
            return
        with suppress(OSError):
            write_places(each.run.folder, places)
            each.places = places
        each.run.on_places(places)

    def _tell(self) -> None:
        state = self._context.state(whole=False)
        active = [each for each in self._watched.values() if each.applied and each.applied.changes]
        if state.tip is None or not active:
            return
        tree = read_tree(self._scratch, state.tip)
        applied = [each.applied for each in active if each.applied]
        graph = self._survey.graph(tree, state.tip, applied)
        hunks = {each.run.run: each.hunks for each in active}
        meetings = self._meetings.of(graph, applied, tree, state.tip, hunks)
        yielding = self._context.settings.sprint.foretell == "yield"
        for notice in notices(state, meetings, yielding=yielding):
            if self._is_over():
                return
            delivered = self._deliver(notice, self._watched[notice.meeting.run].run.workspace.path)
            self._context.append([notice.draft(delivered=delivered)])

    def _deliver(self, notice: Notice, place: Path) -> bool:
        """Write a notice into the inbox of a run, what it speaks of first; tell whether the agent let that happen."""
        folder, versions = RunFolder(place), notice.meeting.versions
        files = {f"{notice.name}.md": notice.text.encode(errors="replace")}
        if notice.meeting.landed and versions:
            blobs = self._scratch.blobs(versions)
            own, base, theirs = (blobs[oid] for oid in versions)
            beside = {"base": base, "theirs": theirs, "merged": self._merge(own, base, theirs)}
            files = {f"{notice.name}.{kind}": data for kind, data in beside.items()} | files
        try:
            for name, data in files.items():
                folder.give(INBOX, name, data)
        except OSError:
            return False
        return True

    def _merge(self, *versions: bytes) -> bytes:
        paths = [self._scratch.folder / name for name in Versions._fields]
        for path, data in zip(paths, versions, strict=True):
            path.write_bytes(data)
        return self._scratch.git.run("merge-file", "-p", "-q", *_LABELS, *map(str, paths)).stdout


def _changes(base: Tree, seen: Seen) -> tuple[Change, ...]:
    """Return what a run changes in its base, by the files in which its work tree differs."""
    changes: list[Change] = []
    for path, version in sorted(seen.files.items()):
        old, new = base[path], version and Entry(version[0].decode(), version[1].decode())
        if old != new:
            changes.append(Change(path, old, new))
    return tuple(changes)


def look_once(context: Context, runs: Sequence[OpenRun], stop: threading.Event) -> None:
    """Look once at runs that go on without a scheduler, and tell those that meet, until `stop` is set.

    What cannot be looked at now is left to whoever looks next. A scheduler that stays looks again and again.
    """
    with suppress(TeamMailError, OSError, ValueError, LookupError), Looker(context, SystemClock(), stop.is_set) as look:
        look.round(runs, moved=True)
