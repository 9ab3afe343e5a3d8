"""Tells in which workspaces something happened, by one watch on each folder of theirs that may hold work.

A watch tells once and must be set again, so that an agent that writes without a pause is told of no more often than
somebody looks. Folders are reached as ever without following a link, and an agent that makes more of them than a run
may have watched is looked at by the clock.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from ..keeping.inotify import ANYTHING_ONCE, Inotify
from ..keeping.waiting import open_below

_MOST_FOLDERS = 2_000  # of one run
_MOST = 20_000  # of all; a user may have some ten thousand, and has other programs
_IN_FOLDER = 0x40000000  # it happened to a folder


class Stirring:
    """The workspaces of open runs, by id. It is for one thread."""

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._tops: dict[str, Path] = {}
        self._folders: dict[str, dict[str, int]] = {}  # by run: a folder's path to its watch
        self._owners: dict[int, tuple[str, str]] = {}  # of watches: run and folder
        self._fired: dict[str, set[str]] = {}
        self._partly: set[str] = set()

    def add(self, run: str, top: Path) -> None:
        """Begin with a workspace."""
        self._tops[run], self._folders[run], self._fired[run] = top, {}, set()

    def remove(self, run: str) -> None:
        """Forget a workspace."""
        for watch in self._folders.pop(run, {}).values():
            self._unset(watch)
        self._fired.pop(run, None)
        self._tops.pop(run, None)
        self._partly.discard(run)

    def is_watched(self, run: str) -> bool:
        """Tell whether all that happens in a workspace is told; else one has to look."""
        return run not in self._partly

    def stirred(self) -> set[str]:
        """Return the runs in whose workspaces something happened since they were last set."""
        for watch, kind, _ in self._inotify.events():
            if watch not in self._owners:
                continue
            run, folder = self._owners[watch]
            self._fired[run].add(folder)
            if kind & _IN_FOLDER:  # another folder may stand in the place of one that is watched
                self._fired[run].update(self._folders[run])
        return {run for run, fired in self._fired.items() if fired}

    def set(self, run: str, folders: Collection[str]) -> bool:
        """Watch these folders of a workspace, "" for its top, from now on; tell whether some were not watched before.

        Call it before looking, so that what happens meanwhile is told.
        """
        own, fired = self._folders[run], self._fired[run]
        for folder in own.keys() - {*folders}:
            self._unset(own.pop(folder))
        fresh = [folder for folder in folders if folder not in own]
        self._partly.discard(run)
        for folder in [*(folder for folder in own if folder in fired), *fresh]:
            self._set(run, folder)
        self._fired[run] = set()
        return bool(fresh)

    def _set(self, run: str, folder: str) -> None:
        own = self._folders[run]
        watch = -1
        if folder in own or (len(own) < _MOST_FOLDERS and len(self._owners) < _MOST):
            try:
                descriptor = open_below(str(self._tops[run]), [step for step in folder.split("/") if step])
            except OSError:  # gone, which its own folder tells
                if (old := own.pop(folder, None)) is not None:
                    self._unset(old)
                return
            watch = self._inotify.add(descriptor, ANYTHING_ONCE)
            os.close(descriptor)
        if watch < 0:
            self._partly.add(run)
        elif own.get(folder) != watch:
            if folder in own:
                self._unset(own[folder])
            own[folder] = watch
            self._owners[watch] = run, folder

    def _unset(self, watch: int) -> None:
        if self._owners.pop(watch, None):
            self._inotify.remove(watch)

    def close(self) -> None:
        """Watch nothing any more."""
        for run in [*self._tops]:
            self.remove(run)
        self._inotify.close()
