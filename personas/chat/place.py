"""The files that a model may reach: those of its workspace, and of `.team` the folder of its run.

Nothing is opened by a path. Each step goes from the descriptor of the folder above and follows no link, so a link that
a command makes at any moment leads nowhere, and a file is replaced as a whole, never written through.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ...mail.home import RUN_FOLDER
from ...mail.log.disk import reason_of
from ...mail.text.escape import line
from ...mail.text.units import counted
from ..keeping.waiting import FOLDER, open_below

MOST = 1 << 20  # bytes of a file that is read or written
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RUN = tuple(RUN_FOLDER.split("/"))
_WRITABLE = ("output.json", "outbox")  # in the run's folder
_LONGEST = 1_000  # characters of a path
_SHOWN = 200
_WHY = {
    errno.ENOENT: "there is no such file; list_files shows what is there",
    errno.ENOTDIR: "a folder on the way is a file, or a symbolic link, which is not followed",
    errno.ELOOP: "it is a symbolic link, which is not followed",
    errno.EISDIR: "it is a folder",
    errno.ENXIO: "it is no file",
    errno.ENAMETOOLONG: "the path is too long",
}


class Refused(Exception):
    """A tool does not do what it was asked; the message tells the model why. `denied`: because it is not allowed to."""

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied


@dataclass(frozen=True)
class Place:
    """A workspace. `why_not` says why a file may not be written, None if it may."""

    workspace: Path
    why_not: Callable[[str], str | None] = lambda _: None

    def steps(self, path: str, *, top: bool = False) -> list[str]:
        """Take a path apart; `top` allows the workspace itself. Raises Refused for what leads elsewhere."""
        if path.startswith("/"):  # as prompts and variables name files
            inside = Path(path).is_relative_to(self.workspace)
            path = str(Path(path).relative_to(self.workspace)) if inside else path
        parts = [part for part in path.split("/") if part not in {"", "."}]
        shown = line(path)[:_SHOWN]
        if path.startswith("/") or ".." in parts or "\0" in path or len(path) > _LONGEST:
            raise Refused(f"{shown!r} leads out of the workspace; name files from its top", denied=True)
        if not parts and not top:
            raise Refused("name a file")
        folded = tuple(part.casefold() for part in parts)  # some file systems know no case
        if ".git" in folded:
            raise Refused(f"{shown!r} is git's own", denied=True)
        if folded[:1] == _RUN[:1] and tuple(parts[: len(_RUN)]) != _RUN:
            raise Refused(f"{shown!r} is the team's; of .team there is only {RUN_FOLDER}", denied=True)
        return parts

    def read(self, path: str) -> str:
        """Return the text of a file. Raises Refused."""
        data = self._read(path)
        if b"\0" in data:
            raise Refused(f"{line(path)} is no text: {counted(len(data), 'byte')} of other data")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise Refused(f"{line(path)} is no text in UTF-8") from None

    def exists(self, path: str) -> bool:
        """Tell whether there is anything at a path."""
        *folders, name = self.steps(path)
        with suppress(OSError), self._folder(folders) as folder:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            return True
        return False

    def write(self, path: str, text: str) -> None:
        """Write a file, with the folders that it needs. Raises Refused."""
        *folders, name = steps = self.steps(path)
        self.check_writable("/".join(steps))
        data = text.encode(errors="replace")
        if len(data) > MOST:
            raise Refused(f"{counted(len(data), 'byte')} are too many for one file; at most {MOST >> 20} MiB")
        with _told(path), self._folder(folders, make=True) as folder:
            mode = 0o666
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    raise Refused(f"{line(path)} is no regular file, and is not replaced", denied=True)
                mode = stat.S_IMODE(status.st_mode)
            scratch = f".{name[:100]}.{os.urandom(6).hex()}"
            with os.fdopen(os.open(scratch, _NEW, mode, dir_fd=folder), "wb") as file:
                try:
                    file.write(data)
                    file.flush()
                    if mode != 0o666:  # noqa: PLR2004 - that of a new file is the user's to choose, by the umask
                        os.fchmod(file.fileno(), mode)
                    os.rename(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(scratch, dir_fd=folder)
                    raise

    def check_writable(self, path: str) -> None:
        """See that a file may be written. Raises Refused."""
        steps = self.steps(path)
        own = tuple(steps[: len(_RUN)]) == _RUN
        if own and (len(steps) <= len(_RUN) or steps[len(_RUN)] not in _WRITABLE):
            raise Refused(f"of {RUN_FOLDER}, only {' and '.join(_WRITABLE)} are yours to write", denied=True)
        if why := self.why_not("/".join(steps)):
            raise Refused(why, denied=True)

    def walk(self, path: str) -> Iterator[str]:
        """Yield the paths of the files below a folder, sorted, without those of git and the team. Raises Refused.

        A folder that cannot be entered is left out, and so is a link.
        """
        steps = self.steps(path, top=True)
        with _told(path), self._folder(steps) as folder:
            yield from _walk(folder, "/".join(steps))

    def _read(self, path: str) -> bytes:
        *folders, name = self.steps(path)
        with _told(path), self._folder(folders) as folder:
            descriptor = os.open(name, _FILE, dir_fd=folder)
            try:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode):
                    what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
                    raise Refused(f"{line(path)} is {what}")
                data = b""
                while len(data) <= MOST and (more := os.read(descriptor, MOST + 1 - len(data))):
                    data += more
            finally:
                os.close(descriptor)
        if len(data) > MOST:
            raise Refused(f"{line(path)} has over {MOST >> 20} MiB; search finds what is in it")
        return data

    @contextmanager
    def _folder(self, steps: list[str], *, make: bool = False) -> Generator[int]:
        """Open a folder below the workspace; `make` makes those that are missing. Raises OSError."""
        descriptor = open_below(str(self.workspace), [])
        try:
            for step in steps:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(step, dir_fd=descriptor)
                below = os.open(step, FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _told(path: str) -> Generator[None]:
    """Turn what the system refuses into words for the model."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{line(path)[:_SHOWN]}: {_WHY.get(error.errno or 0) or reason_of(error)}") from None
    except UnicodeError:  # a path that this system cannot have
        raise Refused(f"{line(path)[:_SHOWN]} is no name of a file") from None


def _walk(folder: int, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in entries)
    for name, is_folder, is_link in names:
        path = f"{prefix}/{name}" if prefix else name
        if is_link or name.casefold() == ".git" or path.casefold() == _RUN[0]:
            continue
        if not is_folder:
            yield path
            continue
        with suppress(OSError):
            below = os.open(name, FOLDER, dir_fd=folder)
            try:
                yield from _walk(below, path)
            finally:
                os.close(below)
