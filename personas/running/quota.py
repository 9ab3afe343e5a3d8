# pathlib alone would double the time in which a keeper starts
# ruff: noqa: PTH112
"""How much a workspace may hold on disk. Part of the keeper: it imports only what starts at once."""

import os
import time

WALK = 30.0  # seconds between two looks at the workspace's size when the disk does not fill
EFFORT = 20  # and at least so many times as long as a look takes


class Quota:
    """How much the workspace holds. It is walked when the whole disk filled by as much as is left, and now and then."""

    def __init__(self, workspace: str, quota: int) -> None:
        self._workspace = workspace
        self._quota = self._room = quota
        self._free = self._space()
        self._soon, self._late = 0.0, time.monotonic() + WALK

    def full(self, *, surely: bool = False) -> bool:
        """Say whether the workspace is over its quota: surely, or as far as that is known cheaply."""
        began = time.monotonic()
        grown = self._free - self._space() >= self._room  # if others do not make room meanwhile
        if not self._quota or not (surely or (began >= self._soon and (grown or began >= self._late))):
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
    """Add up what a folder takes on disk; what cannot be read or goes away meanwhile does not count."""
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
