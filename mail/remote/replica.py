"""The copy of a server's log on this host, in the files of a file log: what all queries, exports and backups read.

Lines are the server's own bytes, and segments begin where the log does, at each `log.opened`, so the copies of all
hosts have the same files. A copy is no record: what does not verify is cut off, kept in quarantine, and fetched again.
So it is not flushed with every line; after each start of the machine the active file is verified as a whole instead.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from ..errors import LogDamaged
from ..kinds import LogKind
from ..log.disk import Disk, make_folder, open_file, read_file, replacing, write_all
from ..log.event import START, ChainPosition, place
from ..log.lock import Lock
from ..log.recovery import cut_torn_tail
from ..log.segments import Segment, Segments, file_sha256
from ..log.tail import last_place, newest_line, recent_chain_holds
from ..log.verify import inspect
from ..process import myself

_OPENED = f',"kind":"{LogKind.OPENED}",'.encode()
_BEGINNING = 160  # bytes of a line that its kind is within


class Replica:
    """The files of a copy. Threads may share it; processes take turns by the folder's lock."""

    def __init__(self, folder: Path, segments: Segments, disk: Disk, lock: Lock) -> None:
        self.folder = folder
        self.active = folder / "events.jsonl"
        self.damaged = folder / "damaged"
        self.checked = folder / "checked"  # has the boot id of the start since which the active file was verified
        self.quarantine = folder / "quarantine"
        self._segments = segments
        self._disk = disk
        self._lock = lock
        self._seen: tuple[int, int] | None = None
        self._head = START
        self._boot = str(myself()["boot"])  # "" where the system does not tell

    def head(self) -> ChainPosition:
        """Return the position of the copy's last line; what does not verify there is cut off first. Raises OSError."""
        if not self.damaged.exists() and (head := self._known()) is not None:
            return head
        make_folder(self.folder)
        with self._lock:
            return self._mended()

    def add(self, lines: Sequence[bytes]) -> list[Segment]:
        """Append lines, each without its newline, and return the segments that were sealed.

        Lines that another process has added meanwhile are passed over. Raises LogDamaged, with nothing written, if they
        do not continue the chain, and OSError.
        """
        sealed: list[Segment] = []
        make_folder(self.folder)
        with self._lock:
            head = self._mended()
            new = [line for line in lines if (here := place(line)) is None or here.seq > head.seq]
            _check_chain(head, new)
            begins = [at for at, line in enumerate(new) if _OPENED in line[:_BEGINNING]]
            cuts = sorted({0, *begins, len(new)})
            for start, end in pairwise(cuts):
                if start in begins and (segment := self._seal()):
                    sealed.append(segment)
                self._write(b"".join(line + b"\n" for line in new[start:end]))
            if sealed:
                self._segments.update_checksums()
        return sealed

    def _known(self) -> ChainPosition | None:
        """Return the position of the last line if the end of the copy verifies, without the lock; else None."""
        try:
            status = os.lstat(self.active)
        except FileNotFoundError:
            return self._before()
        if self._seen == (status.st_ino, status.st_size):
            return self._head
        if not status.st_size or (self._seen is None and not self._is_checked()):
            return None
        with open_file(self.active) as file:
            status = os.fstat(file.fileno())
            here = last_place(self._disk, file.fileno(), status.st_size)
            if here is None or (
                self._seen is None and not recent_chain_holds(self._disk, file.fileno(), status.st_size)
            ):
                return None
        self._seen, self._head = (status.st_ino, status.st_size), here
        return here

    def _mended(self) -> ChainPosition:
        if self.damaged.exists():
            self._drop_from_damage()
        elif self._is_checked() and (head := self._known()) is not None:
            return head
        if self.active.exists():
            inspection = inspect(self.active, self._before())
            if inspection.corrupt or not inspection.end:
                self._set_aside(self.active)
            elif inspection.torn:
                descriptor = self._disk.open(self.active, os.O_RDWR)
                try:
                    cut_torn_tail(self._disk, descriptor, inspection, self.quarantine)
                finally:
                    os.close(descriptor)
        if self._boot and not self._is_checked():
            with replacing(self.checked, durable=False) as temporary:
                temporary.write_text(self._boot)
        self._seen = None
        return self._known() or START

    def _is_checked(self) -> bool:
        """Tell whether nothing can have been lost of the active file since it was verified as a whole."""
        try:
            return not self._boot or read_file(self.checked).decode() == self._boot
        except OSError:
            return False

    def _drop_from_damage(self) -> None:
        """Set aside the first file that does not verify and all later ones, then allow reading again."""
        before, broken = START, False
        checksums = self._segments.checksums()
        for segment in list(self._segments):
            inspection = inspect(segment.path, before)
            before = inspection.place
            broken = broken or bool(inspection.damage) or _differs(segment, checksums)
            if broken:
                self._set_aside(segment.path)
        if broken:
            self._segments.drop_caches()
            self._segments.sums.unlink(missing_ok=True)
            self._segments.update_checksums()
            if self.active.exists():
                self._set_aside(self.active)
        self.damaged.unlink(missing_ok=True)

    def _set_aside(self, path: Path) -> None:
        make_folder(self.quarantine)
        self._disk.rename(path, self.quarantine / f"{path.name}-of-the-copy-{os.urandom(4).hex()}")

    def _before(self) -> ChainPosition:
        """Return the position of the last sealed line."""
        for segment in reversed(list(self._segments)):
            with open_file(segment.path) as file:
                return newest_line(self._disk, file.fileno(), os.fstat(file.fileno()).st_size)[0]
        return START

    def _write(self, data: bytes) -> None:
        """Append to the active file. It is flushed only where nobody could tell a later start of the machine."""
        descriptor = self._disk.open(self.active, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            size = os.fstat(descriptor).st_size
            try:
                write_all(self._disk, descriptor, data)
            except OSError:
                with suppress(OSError):
                    self._disk.truncate(descriptor, size)
                raise
            if not self._boot:
                self._disk.sync(descriptor)
        finally:
            os.close(descriptor)

    def _seal(self) -> Segment | None:
        if not self.active.exists():
            return None
        first = self._before().seq + 1
        self._seen = None
        with open_file(self.active) as file:
            last = last_place(self._disk, file.fileno(), os.fstat(file.fileno()).st_size)
            if last is None or last.seq < first:
                return None
            self._disk.sync(file.fileno())
        return self._segments.add(self.active, first, last.seq)


def _differs(segment: Segment, checksums: dict[str, str]) -> bool:
    known = checksums.get(segment.path.name)
    return known is not None and known != file_sha256(segment.path)


def _check_chain(head: ChainPosition, lines: Sequence[bytes]) -> None:
    """Raise LogDamaged unless lines verify and go on from `head`."""
    for line in lines:
        here = place(line)
        if here is None or here.seq != head.seq + 1 or here.prev != head.hash:
            raise LogDamaged(f"the server's event {head.seq + 1} does not verify; nothing of it was taken over")
        head = here
