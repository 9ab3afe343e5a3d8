"""What crashes and time leave on disk: clones and folders of dispatches that are gone, and folders of old runs.

Listing writes nothing. A folder is listed only if nothing of the log or of a live process needs it: mail, blobs and
events are never looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ...personas.jules.record import Records
from ...personas.running.process import is_going
from ...personas.setup.trees import remove_tree, remove_trees, size_of
from ..context import Context
from ..errors import NotLeader
from ..leader import Leader, leading
from ..state.reading import read_going, read_printed

_DISPATCHES = "dispatch-*"
_OF_GATES = ("gate-", "deploy-")  # folders in runs/ that are of no run: what a gate printed, what a deployment did
_LOG = "output.log"


@dataclass(frozen=True)
class Leftover:
    """A folder, or a `noun`, that nobody needs any more, how many bytes are in it, and what it is."""

    path: Path
    size: int
    what: str
    noun: str = "folder"


@dataclass(frozen=True)
class OldRuns:
    """Folders of runs that are older than was asked, and how many of that age stay: their output is nowhere else."""

    removable: tuple[Leftover, ...] = ()
    staying: int = 0


def left_by_dispatches(context: Context, keep: Collection[str]) -> Iterator[Leftover]:
    """List what dispatches left that nobody carries out; `keep` are the names of folders that are still needed."""
    work, clones = context.home / "work", context.mirror.folder
    for folder in (*sorted(work.glob(_DISPATCHES)), *sorted(clones.glob(_DISPATCHES))):
        if folder.name not in keep and not leading(work / folder.name):
            what = "clones" if folder.parent == clones else "work folder"
            yield Leftover(folder, size_of(folder), f"{what} of a dispatch that is gone")


def left_by_runs(context: Context) -> Iterator[Leftover]:
    """List the clones of runs of sprints that are not open on record. Whoever calls it leads the team."""
    open_ = {run.id for run in read_going(context.mailbox.projections, None)}
    for run in sorted(context.mirror.clones - open_):
        path = context.mirror.folder / run
        if not is_going(context.home / "runs" / run):
            yield Leftover(path, size_of(path), "clone of a run that is over")


def old_runs(context: Context, now: datetime, older: timedelta) -> OldRuns:
    """List the folders of runs that ended longer ago than `older`, and whose output is in a blob, or is none.

    Those of gates, deployments and lost runs are listed as well: of the latter nothing comes any more.
    """
    before, folder = (now - older).timestamp(), context.home / "runs"
    old = [Path(entry.path) for entry in _entries(folder) if _changed(entry) < before]
    if not old:
        return OldRuns()
    printed = read_printed(context.mailbox.projections)
    open_ = {run.id for run in read_going(context.mailbox.projections, None)}
    old = [path for path in old if path.name not in open_ and not is_going(path)]
    gone = [path for path in old if _is_kept(path, printed)]
    return OldRuns(tuple(Leftover(path, size_of(path), "folder of an old run") for path in gone), len(old) - len(gone))


def old_records(context: Context, before: datetime, dispatches: Collection[str]) -> Iterator[Leftover]:
    """List the records of sessions of Jules that no run goes on with; `dispatches` are those that are not over."""
    going = {run.id for run in read_going(context.mailbox.projections, None)}
    for path in Records(context.home).done(before.timestamp(), going, dispatches):
        yield Leftover(path, path.stat().st_size, "session of Jules whose work is over", "record")


def _is_kept(path: Path, printed: Collection[str]) -> bool:
    """Tell whether all that is in a run's folder and worth reading is in the log, or in a blob."""
    return path.name in printed or path.name.startswith(_OF_GATES) or not (path / _LOG).exists()


def remove(context: Context, leftovers: Sequence[Leftover]) -> list[Leftover]:
    """Remove folders and records; return those that are gone. Raises WorkspaceStuck, OSError."""
    runs = context.home / "runs"
    remove_trees([each.path for each in leftovers if each.path.parent == runs])
    for each in leftovers:
        if each.noun == "record":
            each.path.unlink(missing_ok=True)
        elif each.path.name.startswith("dispatch-"):
            _remove_unlocked(context, each.path)
        elif each.path.parent != runs:
            context.mirror.remove(each.path.name)
    return [each for each in leftovers if not each.path.exists()]


def _remove_unlocked(context: Context, path: Path) -> None:
    """Remove a folder of a dispatch under its lock, so that nobody goes on with it meanwhile."""
    work = context.home / "work" / path.name
    with suppress(NotLeader), Leader(work):
        remove_tree(path)
        shutil.rmtree(work, ignore_errors=True)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [*entries]
    except OSError:
        return []


def _changed(entry: os.DirEntry[str]) -> float:
    """Return when a folder, or the output in it, was last changed; a link is never old."""
    newest = float("inf")
    with suppress(OSError):
        if entry.is_dir(follow_symlinks=False):
            newest = entry.stat(follow_symlinks=False).st_mtime
    with suppress(OSError):
        newest = max(newest, (Path(entry.path) / _LOG).lstat().st_mtime)
    return newest
