"""All system calls by which the log writes to disk, in one place.

Tests replace `Disk` to make any call fail, fall short or be the last one. Nothing here retries or swallows an error.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

_plain: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
_MOUNTS = Path("/proc/self/mountinfo")
_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOTTY}  # the file system has no full flush

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space, then try again",
    errno.EDQUOT: "the disk quota is used up; free some space, then try again",
    errno.EFBIG: "the file-size limit is reached (ulimit -f); raise it, then try again",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this user may not read or write there",
    errno.EPERM: "this user may not read or write there",
    errno.ELOOP: "the file is a symbolic link, which is refused",
}


_KINDS = {
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFDIR: "it is a folder",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFLNK: "it is a symbolic link",
}
_SHARED = stat.S_ISGID | stat.S_IWGRP  # of a folder in which all members of its group work
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe is not waited for; a file is read as ever


class Disk:
    """The operating system's own calls."""

    def open(self, path: Path, flags: int) -> int:
        """Open a regular file, without following a link at the end and without passing the descriptor on.

        One that is created in a folder of a group is the group's, too.
        """
        descriptor = _regular(path, os.open(path, flags | _SAFELY, 0o666))
        if flags & os.O_CREAT:
            share(descriptor, path.parent)
        return descriptor

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`."""
        return os.pread(descriptor, size, offset)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """Write as many bytes as the system accepts; return their number."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Make the writes to a file durable."""
        flush(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Truncate a file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def rename(self, source: Path, target: Path) -> None:
        """Replace a file by another atomically."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file, or an empty folder in its place, if it is there."""
        try:
            path.unlink(missing_ok=True)
        except IsADirectoryError:
            path.rmdir()

    def sync_folder(self, folder: Path) -> None:
        """Make the entries of a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flush(descriptor, os.fsync)
        finally:
            os.close(descriptor)

    def filesystem(self, path: Path) -> str:
        """Return the type of the file system of `path` (`ext4`, `nfs4`); "" if the system does not tell."""
        if not _MOUNTS.exists():
            return ""
        device = path.stat().st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in _MOUNTS.read_text(errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            if before.split()[2] == number:
                return after.split()[0]
        return ""


def flush(descriptor: int, plain: Callable[[int], None] = _plain) -> None:
    """Make what was written to a descriptor durable: the one place from which the package flushes anything.

    On macOS `fsync` leaves the data in the drive's own cache, so the full flush is asked for there (`F_FULLFSYNC` in
    fcntl(2)); `plain` is used where the platform, or the file system, has none.
    """
    full: int | None = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        plain(descriptor)
        return
    try:
        fcntl.fcntl(descriptor, full)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        plain(descriptor)


def _regular(path: Path, descriptor: int) -> int:
    """Return a descriptor if it is that of a regular file, else close it. Raises NotAFile."""
    try:
        check_regular(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_regular(path: Path, mode: int) -> None:
    """Raise NotAFile if the mode of a path is not that of a regular file."""
    if not stat.S_ISREG(mode):
        raise NotAFile(errno.EINVAL, f"{_KINDS.get(stat.S_IFMT(mode), 'it is a device')}, and no file", str(path))


class NotAFile(OSError):
    """Something stands in the place of a file that would be waited for, or never ends."""


def open_file(path: Path, *, follow: bool = False) -> io.BufferedReader:
    """Open a regular file to read it; nothing else is waited for. A link is followed only with `follow`.

    Raises OSError, and NotAFile for anything else.
    """
    flags = _SAFELY & ~os.O_NOFOLLOW if follow else _SAFELY
    return os.fdopen(_regular(path, os.open(path, os.O_RDONLY | flags)), "rb")


def read_file(path: Path, *, follow: bool = False) -> bytes:
    """Read a regular file, as `open_file` opens it."""
    with open_file(path, follow=follow) as file:
        return file.read()


class FileDescriptor:
    """An open descriptor, closed when it is garbage-collected."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


def share(new: int | Path, folder: Path) -> None:
    """Let the group read and write a new file or folder if the folder that it is in is the group's to work in.

    A folder says so by its setgid bit and the group's right to write. What another user owns stays as it is.
    """
    if folder.stat().st_mode & _SHARED != _SHARED:
        return
    mode = os.stat(new).st_mode  # noqa: PTH116 - of a path or a descriptor
    rights = 0o2070 if stat.S_ISDIR(mode) else 0o060
    if mode & rights != rights:
        with suppress(PermissionError):
            os.chmod(new, stat.S_IMODE(mode) | rights)  # noqa: PTH101


def make_folder(path: Path) -> None:
    """Create a folder, and those above it, unless they exist."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    share(path, path.parent)


def write_all(disk: Disk, descriptor: int, data: bytes) -> None:
    """Write all of `data`, however little the system accepts at a time."""
    written = disk.write(descriptor, data)
    rest = memoryview(data)[written:] if written < len(data) else None
    while rest:
        rest = rest[disk.write(descriptor, rest) :]


def write_file(disk: Disk, path: Path, data: bytes, *, alone: bool = True) -> None:
    """Create or replace a file atomically and durably; after an error no temporary file is left.

    `alone` means that no other process can write the same file. Then the temporary file has the same name each time, so
    that one which a killed process left is replaced; it may be another user's, who alone could write to it.
    """
    temporary = path.with_name(f".{path.name}.{'new' if alone else os.urandom(6).hex()}")
    if alone:
        disk.remove(temporary)
    try:
        descriptor = disk.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            write_all(disk, descriptor, data)
            disk.sync(descriptor)
        finally:
            os.close(descriptor)
        disk.rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            disk.remove(temporary)
        raise
    disk.sync_folder(path.parent)


def write_new(path: str, data: bytes, mode: int = 0o666) -> None:
    """Write a file that is not there yet, and need not be durable; pathlib takes twice as long. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        while data:
            data = data[os.write(file, data) :]
    finally:
        os.close(file)


def replace_file(path: Path, data: bytes) -> None:
    """Put a file into the place of another one atomically, as `replacing` does where nothing need be durable."""
    folder, name = os.path.split(path)
    temporary = f"{folder}/.{name}.{os.urandom(6).hex()}"
    try:
        write_new(temporary, data)
        share(Path(temporary), Path(folder))
        os.rename(temporary, path)  # noqa: PTH104 - see `write_new`
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Generator[Path]:
    """Yield the path of a temporary file beside `path`, which then replaces it atomically; after an error nothing does.

    Any number of processes may write the same file. `durable` flushes it first, so that a power cut cannot leave a
    broken file under the final name.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        yield temporary
        share(temporary, path.parent)
        if durable:
            with temporary.open("rb") as file:
                flush(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def reason_of(error: OSError) -> str:
    """Return why the disk refused, and what to do about it where something can be done."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)
