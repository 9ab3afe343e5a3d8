"""What a run has taken in of what landed meanwhile: for those files its base is the commit that it was told of.

A run says so by a file beside the notice. It can gain nothing by a lie: whoever starts from that commit may change the
same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ...personas.git import Git
from ...personas.running.folder import RunFolder
from ..state.facts import Foretold
from ..state.sprints import State
from ..weaver.commit import write_commit
from ..weaver.patch import Change, PatchSubmission
from ..weaver.scratch import Quarantine, quarantine
from ..weaver.tree import Tree, read_tree
from .notices import INBOX, file_name

TAKEN = ".taken"  # after the name of a notice
_WHEN = "1970-01-01T00:00:00Z"


def taken_in(read_state: Callable[[], State], run: str, place: Path) -> dict[bytes, str]:
    """Return the files that a run has taken in, each with the commit from which; `place` is its workspace.

    The state is read only for a run that says so.
    """
    names = {name for name in RunFolder(place).names(INBOX) if name.endswith(TAKEN)}
    if not names:
        return {}
    notices = [known for known in read_state().foretold if known.run == run]
    marked = [known for number, known in enumerate(notices, 1) if f"{file_name(number)}{TAKEN}" in names]
    return {path: known.tip for known in marked if known.landed and (path := _path(known))}


def _path(known: Foretold) -> bytes:
    """Return the path of a file by its name as text, nothing if that may stand for several."""
    path = known.file.encode(errors="replace")
    return b"" if b"\\" in path or b"?" in path else path


def moved_base(scratch: Quarantine, base: Tree, files: Mapping[bytes, str]) -> Tree:
    """Return a commit that is a base with files as other commits have them, by path; its objects are written.

    Raises GitError.
    """
    tips = {tip: read_tree(scratch, tip) for tip in {*files.values()}}
    entries = {path: tips[tip][path] for path, tip in sorted(files.items())}
    changes = [Change(path, base[path], entry) for path, entry in entries.items() if base[path] != entry]
    if not changes:
        return base
    tree = base.changed(changes)
    submission = PatchSubmission(tree.oid, "scheduler", base.commit, b"", 0, "The base, with what was taken in", _WHEN)
    tree.commit = write_commit(scratch.write, submission, tree.oid, [base.commit])
    return tree


def base_of(git: Git, base: str, files: Mapping[bytes, str]) -> str:
    """Return the commit that a patch is to be made against, by what was taken in; it is written to the repository.

    Raises GitError.
    """
    if not files:
        return base
    with quarantine(git, base) as scratch:
        tree = moved_base(scratch, read_tree(scratch, base), files)
        scratch.release(base, tree.commit)
        return tree.commit
