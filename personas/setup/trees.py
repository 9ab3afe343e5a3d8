"""Folders of any depth, size and mode, as agents leave them: how they are removed, and how large they are."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import WorkspaceStuck

_AT_ONCE = 400  # folders that one process removes


def remove_tree(place: Path) -> None:
    """Remove a folder of any depth and size, which `rm` does better than `shutil`; make it writable if needed.

    Raises WorkspaceStuck if something is left.
    """
    for command in (("rm", "-rf"), ("chmod", "-R", "u+rwx"), ("rm", "-rf")):
        ended = subprocess.run([*command, "--", place], capture_output=True, check=False)  # noqa: S603
        if not os.path.lexists(place):
            return
    reason = ended.stderr.decode(errors="replace").strip().splitlines()[-1]
    raise WorkspaceStuck(f"cannot remove {place}: {reason}; remove it by hand")


def remove_trees(places: Sequence[Path]) -> None:
    """Remove many folders as far as it can be done: some hundred at a time, which takes a third of one by one."""
    for at in range(0, len(places), _AT_ONCE):
        subprocess.run(["rm", "-rf", "--", *places[at : at + _AT_ONCE]], capture_output=True, check=False)  # noqa: S603, S607


def size_of(place: Path) -> int:
    """Return how many bytes are in the files of a folder; links are not followed, and what cannot be read is nothing.

    It goes through the folders one by one, however deep they are.
    """
    total, folders = 0, [os.fspath(place)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total
