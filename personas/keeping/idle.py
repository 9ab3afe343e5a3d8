"""The limit on silence: no output, no changed file. Part of the keeper: it imports only what loads at once."""

import os
import time


class Idle:
    """Measures how long a run has given no sign of work. 0 seconds is no limit."""

    def __init__(self, workspace: str, seconds: float) -> None:
        self._workspace = workspace
        self._seconds = seconds
        self._since = time.time()  # what file systems tell the time by

    def heard(self) -> None:
        """Take note that the agent has printed something."""
        self._since = time.time()

    def over(self) -> bool:
        """Return whether the limit is reached; only then are the files of the workspace looked at."""
        if not self._seconds or time.time() - self._since < self._seconds:
            return False
        self._since = max(self._since, min(newest(self._workspace), time.time()))
        return time.time() - self._since >= self._seconds


def newest(folder: str) -> float:
    """Return when something in a folder was last changed, made or removed, 0 if nothing can be read."""
    latest, folders = 0.0, [folder]
    while folders:
        place = folders.pop()
        try:
            latest = max(latest, os.stat(place).st_ctime)  # noqa: PTH116 - see quota.py
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        latest = max(latest, entry.stat(follow_symlinks=False).st_ctime)
        except OSError:
            continue
    return latest
