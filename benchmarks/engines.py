"""Plain engines, which the weaver is measured beside: one patch after the other, and what conflicts is left out.

`git apply --3way`, `git merge-tree`, which merges as `git cherry-pick` and `git rebase` do, and `git am --3way`, which
takes a patch wherever its context matches and merges it if it matches nowhere. Each in the order that it is given.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from team_mail.personas.git import Git
from team_mail.scheduler.weaver.patch import PatchSubmission
from team_mail.scheduler.weaver.result import Woven
from windows import Window

WHO = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
_MERGE = ("-c", "merge.renames=true", "-c", "merge.directoryRenames=true", "merge-tree", "--allow-unrelated-histories")
Engine = Callable[[Window, Sequence[PatchSubmission], Path], int]


def by_three_way(window: Window, queue: Sequence[PatchSubmission], folder: Path) -> int:
    """Apply patches by `git apply --3way`; return how many went in. Objects are written to the folder."""
    return _applied(window, queue, folder, [("--3way",)])


def by_am(window: Window, queue: Sequence[PatchSubmission], folder: Path) -> int:
    """Apply patches as `git am --3way` does: by their context alone, else by a merge."""
    return _applied(window, queue, folder, [(), ("--3way",)])


def by_merge_tree(window: Window, queue: Sequence[PatchSubmission], folder: Path) -> int:
    """Merge patches by `git merge-tree`; return how many went in."""
    git, tree, landed = window.git.using(objects=folder), window.git.line("rev-parse", f"{window.tip}^{{tree}}"), 0
    for submission in queue:
        merged = merge(git, tree, submission, own(git, submission, folder))
        if merged:
            tree, landed = merged, landed + 1
    return landed


ENGINES: dict[str, Engine] = {"apply --3way": by_three_way, "merge-tree": by_merge_tree, "am --3way": by_am}
ORDERS: dict[str, Callable[[PatchSubmission], int]] = {
    "as they came": lambda submission: submission.age,
    "the last first": lambda submission: -submission.age,
    "the smallest first": lambda submission: len(submission.patch),
}


def best(window: Window, leave: Collection[str] = ()) -> dict[tuple[str, str], int]:
    """Return how many patches each engine lands in each order, but for some by their keys, which nobody may land."""
    queue = [submission for submission in window.submissions if submission.key not in leave]
    counts: dict[tuple[str, str], int] = {}
    for order, place in ORDERS.items():
        for name, engine in ENGINES.items():
            with tempfile.TemporaryDirectory(prefix="team-mail-bench-") as folder:
                counts[name, order] = engine(window, sorted(queue, key=place), Path(folder))
    return counts


def strangers(woven: Woven, git: Git, folder: Path) -> list[str]:
    """Return the keys of patches that landed with a tree that neither `git apply --3way` nor `git merge-tree` gives.

    Both are given whole trees: the one before the commit, and those before and after the patch.
    """
    index, odd, before = git.using(index=folder / "index", work_tree=folder), list[str](), woven.start
    for landed in woven.landed:
        tree, submission = git.line("rev-parse", f"{landed.commit}^{{tree}}"), landed.submission
        index("read-tree", before)
        ended = index.run("apply", "--cached", "--3way", "-", stdin=submission.patch, cwd=folder)
        if ended.returncode or index.line("write-tree") != tree:
            top = git.line("rev-parse", f"{before}^{{tree}}")
            if merge(git, top, submission, own(git, submission, folder)) != tree:
                odd.append(submission.key)
        before = landed.commit
    return odd


def own(git: Git, submission: PatchSubmission, folder: Path) -> str:
    """Return the tree of a patch applied to its own base."""
    index = git.using(index=folder / "own", work_tree=folder)
    index("read-tree", submission.base)
    index("apply", "--cached", "-", stdin=submission.patch, cwd=folder)
    return index.line("write-tree")


def merge(git: Git, tree: str, submission: PatchSubmission, patched: str) -> str | None:
    """Merge a patch with a tree, both of them changed from the patch's base; None if they conflict."""
    root = _commit(git, f"{submission.base}^{{tree}}")
    ended = git.run(*_MERGE, "--write-tree", "--no-messages", _commit(git, tree, root), _commit(git, patched, root))
    return None if ended.returncode else ended.stdout.decode().strip()


def _commit(git: Git, tree: str, *parents: str) -> str:
    return git.line(*WHO, "commit-tree", tree, *(word for parent in parents for word in ("-p", parent)), "-m", "bench")


def _applied(window: Window, queue: Sequence[PatchSubmission], folder: Path, ways: Sequence[tuple[str, ...]]) -> int:
    path, landed = folder / "index", 0
    index = window.git.using(index=path, work_tree=folder, objects=folder)
    index("read-tree", window.tip)
    for submission in queue:
        before = path.read_bytes()
        for way in ways:
            if not index.run("apply", "--cached", *way, "-", stdin=submission.patch, cwd=folder).returncode:
                landed += 1
                break
            path.write_bytes(before)
    return landed
