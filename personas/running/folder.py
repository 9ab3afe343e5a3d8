"""The folder through which a run and its keeper speak: `.team/run/` in the run's workspace.

The agent may write anything here, links and pipes included, so nothing is opened by a path that it could bend: every
step goes from a descriptor of the workspace, follows no link and takes regular files alone.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ...mail.home import REFUSED, RUN_FOLDER
from ...mail.log.disk import write_new
from ..errors import WorkspaceStuck
from ..keeping.inotify import Inotify
from ..keeping.waiting import ERROR, listed, open_below, state, waiting

INBOX = "inbox"
TAKEN = ".taken"  # behind the number of a message that a run has taken into account
FOLDERS = (INBOX, "outbox", "requests")  # the others, `sent`, `answers` and `attachments`, are made when needed
PREVIOUS = "previous.patch"  # what an attempt left that did not end well
STEPS: list[str] = [*Path(RUN_FOLDER).parts]
CONFLICT = "conflict"  # the versions of files in conflict with an earlier patch of the run's persona
MERGED = f"{RUN_FOLDER}/{CONFLICT}/merged.patch"  # how that patch changed the files before the run began
THEIRS = f"{RUN_FOLDER}/{CONFLICT}/theirs"
STARTUP = "bash.env"  # which every bash of the run reads
_MOST_UNSENT = 20  # mails that are told of
_LARGEST_UNSENT = 8 << 20  # bytes
LAUNCHER = Path(__file__).with_name("launcher.py")
_SCRIPT = """\
#!/bin/sh
exec {python} -I -S {launcher} {folder} "$@"
"""
_STARTUP = """\
# Bash reads this before the commands that it is given: /etc/profile may have set PATH anew, without this folder.
case $PATH in {folder}:*) ;; *) PATH={folder}:$PATH ;; esac
"""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unsent(NamedTuple):
    """A mail that a run left and that was not sent."""

    name: str
    text: bytes
    why: str


class RunFolder:
    """`.team/run/` of one workspace. `path` is its path as the agent sees it; the keeper's side takes no path of it."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.path = workspace / RUN_FOLDER

    def make(self) -> None:
        """Make the folders afresh, with the launcher `team-mail`. No process of the run may be alive.

        Raises WorkspaceStuck if the base commit has a link on the way, which would lead out of the workspace.
        """
        self._check()
        place = str(self.path)
        if os.path.lexists(place):
            shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place, exist_ok=True)  # noqa: PTH103 - this is done for each run, and pathlib takes longer
        for name in FOLDERS:
            with suppress(FileExistsError):
                os.mkdir(f"{place}/{name}")  # noqa: PTH102
        words = {"python": sys.executable, "launcher": str(LAUNCHER), "folder": place}
        words = {name: shlex.quote(word) for name, word in words.items()}
        for name, text in (("team-mail", _SCRIPT), (STARTUP, _STARTUP)):
            write_new(f"{place}/{name}", os.fsencode(text.format(**words)))
        (self.path / "team-mail").chmod(0o755)

    def _check(self) -> None:
        """See that nothing leads out of the workspace before the first file is written."""
        if self.path.parent.is_symlink():
            where = Path(RUN_FOLDER).parent
            raise WorkspaceStuck(f"{where} is a link in the commit that the run starts from; make it a folder there")
        if self.path.is_symlink():
            self.path.unlink()

    def waiting(self) -> tuple[list[str], list[str]]:
        """Return the names of the requests and of the mails in the outbox that nobody has taken, see `waiting`."""
        return waiting(str(self._workspace), STEPS)

    def unsent(self) -> list[Unsent]:
        """Return the mails that are still in the outbox, with why each was not sent. No process of the run is alive.

        What cannot be read is named all the same. Unfinished files of editors count too, by their names.
        """
        names = [name for name in self.names("outbox") if not name.endswith(ERROR)][:_MOST_UNSENT]
        return [self._unsent(name) for name in names]

    def _unsent(self, name: str) -> Unsent:
        text, why = b"", "it looks unfinished"
        with suppress(OSError, ValueError):
            text = self.read("outbox", name, _LARGEST_UNSENT)
        with suppress(OSError, ValueError):
            why = self.read("outbox", f"{name}{ERROR}", _LARGEST_UNSENT).decode(errors="replace").strip()
        return Unsent(name, text, why)

    def refuse(self, reason: str) -> None:
        """Make `team-mail` fail in this workspace, with a reason. Raises WorkspaceStuck as `make` does."""
        self._check()
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / REFUSED).write_text(reason)

    def names(self, folder: str) -> list[str]:
        """Return what is in one of the folders; nothing if it is gone or replaced."""
        return listed(str(self._workspace), [*STEPS, folder])

    def state(self, folder: str, name: str) -> tuple[int, int] | None:
        """Return the size and the time of the last change of a file, or None if there is no regular file."""
        return state(str(self._workspace), [*STEPS, folder], name)

    def watch(self, folder: str, inotify: Inotify) -> int:
        """Have changes in one of the folders told; return the watch, -1 if they cannot be."""
        try:
            with self._opened(folder) as descriptor:
                return inotify.add(descriptor)
        except OSError:
            return -1

    def read(self, folder: str, name: str, most: int) -> bytes:
        """Return the content of a file in one of the folders, or in none (""); it may have at most `most` bytes.

        Raises OSError, also for what is no regular file, and ValueError for a larger one.
        """
        with self._opened(folder) as descriptor:
            return _read(descriptor, name, most)

    def read_work(self, name: str, most: int) -> bytes:
        """Return the content of a file of the work tree; `name` is its path from the top. Raises as `read`."""
        *steps, last = _parts(name)
        with _below(self._workspace, steps) as descriptor:
            return _read(descriptor, last, most)

    def write(self, folder: str, name: str, data: bytes) -> None:
        """Write a file that a reader sees whole or not at all. Raises OSError."""
        with self._opened(folder) as descriptor:
            scratch = f".{name}.tmp"
            with suppress(FileNotFoundError):
                os.unlink(scratch, dir_fd=descriptor)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(scratch, flags, 0o644, dir_fd=descriptor), "wb") as file:
                file.write(data)
            os.rename(scratch, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)

    def give(self, folder: str, name: str, data: bytes) -> None:
        """Write a file as `write` does, into a folder that is made again if the agent removed it. Raises OSError.

        `folder` may be one below one of the folders.
        """
        steps = folder.split("/")
        for above, name_of in ((steps[:end], steps[end]) for end in range(len(steps))):
            with self._opened(*above) as top, suppress(FileExistsError):
                os.mkdir(name_of, dir_fd=top)
        self.write(folder, name, data)

    def move(self, folder: str, name: str, target: str, new: str) -> None:
        """Move a file to another of the folders, which is made again if the agent removed it. Raises OSError."""
        with self._opened(folder) as source, self._opened() as top:
            with suppress(FileExistsError):
                os.mkdir(target, dir_fd=top)
            with self._opened(target) as destination:
                os.rename(name, new, src_dir_fd=source, dst_dir_fd=destination)

    def remove(self, folder: str, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(OSError), self._opened(folder) as descriptor:
            os.unlink(name, dir_fd=descriptor)

    def _opened(self, *steps: str) -> AbstractContextManager[int]:
        """Open `.team/run` or a folder in it. Raises OSError."""
        return _below(self._workspace, [*_parts(RUN_FOLDER), *(step for step in steps if step)])


class Arrivals:
    """What comes into the inbox of a run while it goes on, for a program of ours that plays the run."""

    def __init__(self, workspace: Path) -> None:
        self._folder = RunFolder(workspace)
        self._seen = {*self._folder.names(INBOX)}
        self._new: list[str] = []

    def new(self) -> list[str]:
        """Return the names of the files that have come since the last call, sorted."""
        new = sorted(name for name in self._folder.names(INBOX) if name.endswith(".md") and name not in self._seen)
        self._seen.update(new)
        self._new += new
        return new

    def read(self, name: str, most: int) -> str:
        """Return the text of one of them, which may have at most `most` bytes. Raises OSError, and ValueError."""
        return self._folder.read(INBOX, name, most).decode(errors="replace")

    def take(self) -> None:
        """Say of the mail among all that were returned that it was taken into account."""
        taken, self._new = self._new, []
        for name in taken:
            number = name.removesuffix(".md")
            if number.isdecimal():
                with suppress(OSError):  # what the agent did to its inbox is its own loss
                    self._folder.give(INBOX, f"{number}{TAKEN}", b"")


@contextmanager
def _below(top: Path, steps: Sequence[str]) -> Generator[int]:
    """Open a folder below another, following no link. Raises OSError."""
    descriptor = open_below(str(top), [*steps])
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(folder: int, name: str, most: int) -> bytes:
    descriptor = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"over {most >> 20} MiB")
    return data


def _parts(path: str) -> list[str]:
    """Split a relative path. Raises OSError for one that leads out of its folder."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or not parts:
        raise OSError(errno.EINVAL, "not a path in the workspace")
    return parts
