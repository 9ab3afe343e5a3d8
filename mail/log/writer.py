"""The end of the active file: recovered if necessary, appended to, sealed.

All methods except `flush` and `mark_damaged` are called with the log's lock held. What a crash leaves after any step,
the next `ready` recovers from.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..clock import Clock, rfc3339
from ..errors import InDoubt, LogDamaged, LogUnavailable
from ..kinds import LogKind
from .disk import Disk, FileDescriptor, check_regular, open_file, read_file, write_all, write_file
from .event import START, SYSTEM, ChainPosition, Draft, Unsealed, serialise
from .lock import Lock
from .segments import Segment, Segments
from .tail import last_place, newest_line, recent_chain_holds

if TYPE_CHECKING:
    from .verify import Damage


_KIND_AND_RIGHT = 0o170000 | stat.S_IWUSR  # the bits of a mode that tell a file's kind and its owner's right to write
_WRITABLE = stat.S_IFREG | stat.S_IWUSR
REMOTE = "remote"  # the file that says: the log is on a server, and what is here is a copy, see mail/remote/place.py


class _Own(threading.local):
    """A thread's own descriptor: the kernel reports a failed flush once per descriptor, and every thread needs it."""

    file: FileDescriptor | None = None
    inode = 0
    pid = 0


class Writer:
    """Where the next event is written."""

    def __init__(self, folder: Path, segments: Segments, lock: Lock, clock: Clock, disk: Disk) -> None:
        self.folder = folder
        self.active = folder / "events.jsonl"
        self.quarantine = folder / "quarantine"
        self.damaged = folder / "damaged"
        self.inode: int = 0
        self.size = -1
        self.no_other_writer = False  # no other process has written since the last append
        self._path = str(self.active)
        self._damaged = str(self.damaged)
        self._remote = str(folder / REMOTE)
        self._segments = segments
        self._lock = lock
        self._clock = clock
        self._disk = disk
        self._own = _Own()
        self._place = START
        self._cut: Draft | None = None
        self._doubted = set[int]()

    def ready(self) -> FileDescriptor:
        """Open the active file at the position of the next event; recover it first if necessary."""
        if os.access(self._damaged, os.F_OK) or os.access(self._remote, os.F_OK):
            raise self._refusal()
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return self._create()
        if status.st_mode & _KIND_AND_RIGHT != _WRITABLE:
            self._check_mode(status.st_mode)
        if status.st_size == 0:
            return self._create()
        if status.st_ino in self._doubted:
            status = self._renew(status.st_ino)
        file = self._own.file
        if file is None or status.st_ino != self._own.inode or self._own.pid != self._lock.pid:
            file = self._open()
        if status.st_ino != self.inode:
            self.inode, self.size = status.st_ino, -1
        self.no_other_writer = status.st_size == self.size
        if not self.no_other_writer:
            file = self._catch_up(file, status.st_size)
        if self._cut:
            self.write(file, [self._record(self._cut)])
            self._cut = None
        return file

    def write(self, file: FileDescriptor, unsealed: Sequence[Unsealed]) -> list[ChainPosition]:
        """Give each event its position and write them all; return the positions."""
        last = self._place
        lines: list[bytes] = []
        places: list[ChainPosition] = []
        for item in unsealed:
            line, last = item.seal(last)
            lines.append(line)
            places.append(last)
        data = b"".join(lines)
        size, self.size = self.size, -1
        try:
            write_all(self._disk, file.number, data)
        except BaseException as failure:
            self._undo(file, size, failure)
            raise
        self.size, self._place = size + len(data), last
        return places

    def flush(self, file: FileDescriptor) -> None:
        """Make the writes durable. A file whose flush failed is never flushed again, but copied to a new inode."""
        try:
            self._disk.sync(file.number)
        except OSError:
            self._doubted.add(os.fstat(file.number).st_ino)
            raise

    def seal(self, file: FileDescriptor) -> Segment:
        """Make the active file a segment. After a crash in any step, the next `ready` continues from there."""
        self.write(file, [self._record(Draft(LogKind.SEALED, SYSTEM))])
        self.flush(file)
        segment = self._segments.add(self.active, self._before().seq + 1, self._place.seq)
        self._create()
        self._segments.update_checksums()
        self._remove_leftovers()
        return segment

    def mark_damaged(self, damage: Damage) -> None:
        """Make all processes of all users refuse appends until `clear_damage`. Needs no lock.

        The file counts by its name, so also if there is no room for the reason. Raises OSError if it cannot be created.
        """
        try:
            descriptor = self._disk.open(self.damaged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        except PermissionError:
            if self.damaged.exists():  # another user has marked it
                return
            raise
        try:
            with suppress(OSError):
                write_all(self._disk, descriptor, f"{damage}\n".encode())
        finally:
            os.close(descriptor)

    def clear_damage(self, newest: ChainPosition, record: Draft | None) -> None:
        """Allow appends again, after `newest`; `record`, the event about the gaps, is written before any other."""
        if self.active.exists() and not self.active.stat().st_mode & stat.S_IWUSR:
            self.active.chmod(self.active.stat().st_mode | stat.S_IWUSR)
        self._disk.remove(self.damaged)
        if record is None:
            return
        if not self.active.exists() or not self.active.stat().st_size:
            self._create()
            newest = self._place
        line, _ = self._record(record).seal(newest)
        write_file(self._disk, self.active, read_file(self.active) + line)

    def _open(self) -> FileDescriptor:
        own = self._own
        own.file = FileDescriptor(self._disk.open(self.active, os.O_RDWR | os.O_APPEND))
        own.inode, own.pid = os.fstat(own.file.number).st_ino, self._lock.pid
        return own.file

    def _check_mode(self, mode: int) -> None:
        if not stat.S_ISLNK(mode):  # opening a link says what is wrong with it
            check_regular(self.active, mode)
            if not mode & stat.S_IWUSR:  # root could write, but a person has forbidden it
                raise PermissionError(errno.EACCES, "the log's file is read-only")

    def _refusal(self, damage: Damage | None = None) -> LogDamaged | LogUnavailable:
        """Return the error that refuses an append: for damage just met, or for what `remote` or `damaged` says."""
        if damage is None and os.access(self._remote, os.F_OK):
            return LogUnavailable(
                f"{self.folder} is a copy of a log on a server, as its file {REMOTE!r} says; write its [log] url into "
                "team.toml, or `team log migrate --to file`; nothing was written"
            )
        try:
            why = str(damage or read_file(self.damaged).decode(errors="replace").strip())
        except OSError as error:
            why = f"{self.damaged.name}: {error.strerror}"
        return LogDamaged(f"{why or 'team-mail verify says where'}; nothing is written until `team-mail repair`")

    def _remove_leftovers(self) -> None:
        from .recovery import remove_leftovers

        remove_leftovers(self._disk, self.folder, self._clock.now().timestamp())

    def _renew(self, inode: int) -> os.stat_result:
        """Copy a file whose flush failed to a new inode: its pages may be lost even if a second flush succeeds."""
        write_file(self._disk, self.active, read_file(self.active))
        self._doubted.discard(inode)
        return os.lstat(self._path)

    def _catch_up(self, file: FileDescriptor, size: int) -> FileDescriptor:
        known = last_place(self._disk, file.number, size)
        if known is None or (self.size < 0 and not recent_chain_holds(self._disk, file.number, size)):
            return self._recover(file)
        self.size, self._place = size, known
        return file

    def _recover(self, file: FileDescriptor) -> FileDescriptor:
        from .recovery import cut_torn_tail, recovered  # needed only after a crash: every send starts cold
        from .verify import inspect

        inspection = inspect(self.active, self._before())
        if inspection.corrupt:
            with suppress(OSError):  # whoever cannot write there does not append either
                self.mark_damaged(inspection.corrupt[0])
            raise self._refusal(inspection.corrupt[0])
        if inspection.torn:
            copy = cut_torn_tail(self._disk, file.number, inspection, self.quarantine)
            self._cut = recovered(copy, inspection.torn)
        if inspection.end == 0:
            return self._create()
        self.size, self._place = inspection.end, inspection.place
        return file

    def _create(self) -> FileDescriptor:
        """Create the active file, continuing the chain of the last sealed segment."""
        line, place = self._record(Draft(LogKind.OPENED, SYSTEM, data={"format": 1})).seal(self._before())
        if self._segments.folder.is_dir():
            self._disk.sync_folder(self._segments.folder)
        write_file(self._disk, self.active, line)
        self._disk.sync_folder(self.folder.parent)
        file = self._open()
        self.inode, self.size, self._place = self._own.inode, len(line), place
        return file

    def _before(self) -> ChainPosition:
        """Return the position of the last sealed event, which the active file continues from."""
        for segment in reversed(list(self._segments)):
            with open_file(segment.path) as file:
                newest, end = newest_line(self._disk, file.fileno(), segment.path.stat().st_size)
            if end:
                return newest
        return START

    def _undo(self, file: FileDescriptor, size: int, failure: BaseException) -> None:
        try:
            self._disk.truncate(file.number, size)
        except OSError as error:
            raise InDoubt(
                f"the write failed and could not be undone ({error.strerror}): part of it may be durable; "
                "sending the same ids again is safe"
            ) from failure

    def _record(self, draft: Draft) -> Unsealed:
        return serialise(draft, rfc3339(self._clock.now()))
