"""Workspaces that hold some folders of the repository, in git's cone mode: the files above them, and all within them.

The other files are in the index and in commits, and are not written; a run that makes one of them changes it. Source:
git's `git-sparse-checkout`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from ..git import Git

_SPECIAL = re.compile(r"[*?\[\\]")


def patterns(folders: Sequence[str]) -> bytes:
    """Return the text of `info/sparse-checkout` for these folders, "" for all files."""
    if not folders:
        return b""
    above = {step for folder in folders for step in _above(folder)} - {*folders}
    rows = ["/*", "!/*/"]
    for folder in sorted({*folders} | above):
        name = _SPECIAL.sub(r"\\\g<0>", folder)
        inner = any(folder.startswith(f"{each}/") for each in folders)
        if not inner:
            rows += [f"/{name}/", *([f"!/{name}/*/"] if folder in above else [])]
    return os.fsencode("".join(f"{row}\n" for row in rows))


def holds(folders: Sequence[str], path: str) -> bool:
    """Tell whether a workspace of these folders has a file."""
    parent = path.rpartition("/")[0]
    within = any(path.startswith(f"{folder}/") for folder in folders)
    return within or not parent or any(parent in _above(folder) for folder in folders)


def wanted(git: Git, commit: str, folders: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells whether such a workspace needs an object of a commit, by its id. Raises GitError."""
    rows = [row.partition("\t") for row in git.line("ls-tree", "-r", "-z", "--full-tree", commit).split("\0") if row]
    needed, others = set[str](), set[str]()
    for entry, _, path in rows:
        (needed if holds(folders, path) or path.endswith(".gitattributes") else others).add(entry.split(" ")[2])
    apart = others - needed
    return lambda oid: oid not in apart


def _above(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
