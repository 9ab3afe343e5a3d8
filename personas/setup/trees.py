"""Folders of any depth, size and mode, as agents leave them: how they are removed, and how large they are."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import WorkspaceStuck

_LATER = 0.5  # seconds until what nobody needs is removed
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


class Remover:
    """Removes folders half a second later, in a thread: many with one process, and none while a result is waited for.

    Whoever needs them gone calls `settle`, and whoever makes one of them anew calls `leave` before. What cannot be
    removed costs room.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._places: list[Path] = []
        self._removing = frozenset[Path]()
        self._at_work = self._hurries = False

    def add(self, places: Sequence[Path]) -> None:
        """Have folders removed that nobody uses any more."""
        with self._turn:
            self._places += places
            if not self._at_work:
                with suppress(RuntimeError):  # no thread can be started now; the next call tries again
                    threading.Thread(target=self._work, name="remover", daemon=True).start()
                    self._at_work = True

    def leave(self, places: Sequence[Path]) -> None:
        """Remove these folders no more, but for those that are being removed: return once they are gone."""
        with self._turn:
            self._places = [place for place in self._places if place not in places]
            self._turn.wait_for(lambda: self._removing.isdisjoint(places))

    def settle(self, *, remove: bool = True) -> None:
        """Return once nothing is left to be removed, or with `remove` off, once nothing is being removed."""
        with self._turn:
            if not remove:
                self._places.clear()
            self._hurries = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._at_work)
            self._hurries = False

    def _work(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._hurries, _LATER)
                places, self._places = self._places, []
                self._removing = frozenset(places)
                self._turn.notify_all()
                if not places:
                    self._at_work = False
                    return
            with suppress(OSError):  # no process can be started now
                remove_trees([place for place in places if os.path.lexists(place)])
            for place in places:
                if os.path.lexists(place):
                    with suppress(OSError, WorkspaceStuck):
                        remove_tree(place)


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
