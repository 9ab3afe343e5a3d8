# Importing pathlib would double the start-up time of a keeper.
# ruff: noqa: PTH112
"""The limit on a workspace's size on disk. Part of the keeper: it imports only what loads at once."""

import os
import time

WALK = 30.0  # seconds between two measurements of the workspace while the disk does not fill
EFFORT = 20  # the minimum pause, as a multiple of the time that a measurement takes


class Quota:
    """Measures the workspace when the disk has filled by as much as its quota leaves, and at intervals.

    A quota of 0 bytes is no limit.
    """

    def __init__(self, workspace: str, quota: int) -> None:
        self._workspace = workspace
        self._quota = self._room = quota
        self._free = self._space()
        self._soon, self._late = 0.0, time.monotonic() + WALK

    def full(self, *, now: bool = False) -> bool:
        """Return whether the workspace is over its quota; measure it in any case if `now`, else only when due."""
        began = time.monotonic()
        grown = self._free - self._space() >= self._room  # unless others free space meanwhile
        if not self._quota or not (now or (began >= self._soon and (grown or began >= self._late))):
            return False
        self._free = self._space()
        self._room = self._quota - used(self._workspace)
        ended = time.monotonic()
        self._soon = ended + EFFORT * (ended - began)
        self._late = max(self._soon, ended + WALK)
        return self._room <= 0

    def _space(self) -> int:
        disk = os.statvfs(self._workspace if os.path.isdir(self._workspace) else "/")
        return disk.f_bfree * disk.f_frsize


def used(folder: str) -> int:
    """Return the bytes that a folder takes on disk, without files that cannot be read or vanish meanwhile."""
    total, folders = 0, [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue
    return total
