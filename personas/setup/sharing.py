"""Checked-out files that workspaces share until they are written: copies by reference, as btrfs and XFS make them.

Where the file system can, the files of a large commit are checked out once, and each workspace gets copies that take no
room (`FICLONE`, `cp --reflink=always`). Git then compares every copy with the commit, because an agent may have
changed what they were copied from.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from ..git import Git
from .promised import is_partial

_LARGE = 64 << 20  # bytes of a commit, from which on it is worth while to share its files
_AVERAGE = 16 << 10  # bytes of one file: to copy many small ones by reference takes longer than to write them
_KEPT = 2  # commits whose files are kept
_FICLONE = 0x40049409  # as on all machines but a few, where the system knows no such call and nothing is shared


class SharedFiles:
    """The files of some commits in a folder. It is safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._can: dict[Path, bool] = {}
        self._worth: dict[str, bool] = {}

    def place(self, folder: Path, key: str, worth: Callable[[], bool], fill: Callable[[Path], object]) -> Path | None:
        """Return where the files of a key are, None where copies cannot share contents, or it is not `worth` while.

        If they are not there, `fill` is given a folder for them. Raises OSError, and what `fill` raises.
        """
        with self._lock:
            folder.mkdir(exist_ok=True)
            if folder not in self._can:
                self._can[folder] = _can_share(folder)
            if self._can[folder] and key not in self._worth:
                self._worth[key] = worth()
            if not self._can[folder] or not self._worth[key]:
                return None
            place = folder / key
            if not place.exists():
                others = sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
                for old in others[_KEPT - 1 :]:
                    shutil.rmtree(old, ignore_errors=True)
                with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as scratch:
                    made = Path(scratch) / "made"
                    fill(made)
                    made.rename(place)
            return place


def is_large(repository: Path, commit: str) -> bool:
    """Tell whether the files of a commit are many bytes, and few for so many; a partial clone cannot tell.

    `repository` is a git directory.
    """
    if is_partial(repository):
        return False
    listed = Git(repository).run("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    sizes = [int(row.split()[3]) for row in listed.stdout.split(b"\0") if row.startswith(b"100")]
    return not listed.returncode and sum(sizes) >= max(_LARGE, _AVERAGE * len(sizes))


def copy_shared(source: Path, target: Path) -> bool:
    """Copy what is in a folder into another one, contents by reference; tell whether that was done."""
    words = ["cp", "-a", "--reflink=always", "--", f"{source}/.", str(target)]
    return not subprocess.run(words, capture_output=True, check=False).returncode  # noqa: S603


def _can_share(folder: Path) -> bool:
    """Tell whether two files in a folder can share contents: the call that `cp` makes, without a process for it."""
    with tempfile.TemporaryFile(dir=folder) as source, tempfile.TemporaryFile(dir=folder) as target:
        source.write(b"x" * 8_192)
        source.flush()
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError:
            return False
    return True
