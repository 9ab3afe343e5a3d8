"""The log: an append-only file of JSON lines that many processes write at once and none can lose.

A line that ends in a newline and verifies is mail; an acknowledged append survives `kill -9` and power loss; nobody
edits a line. The protocol of an append, and what a crash leaves at each of its steps, is told in docs/log.md.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .clock import Clock, SystemClock, rfc3339
from .disk import Disk, write_all, write_file
from .errors import InDoubt, LogDamaged, LogError, LogUnavailable
from .event import START, Draft, Event, Place, Unsealed, serialise
from .lock import Lock
from .segments import Segment, Segments
from .tail import last_place, newest_line, recent_chain_holds

if TYPE_CHECKING:
    from .recovery import Mending
    from .snapshot import Snapshot
    from .verify import Damage, Inspection

# What only readers, repair or repeated ids need is imported where it is used: every send starts cold.
SEGMENT_BYTES = 16 << 20
SYSTEM = "team-mail"
_GATHER = 12  # times to let other writers reach the same flush, as PostgreSQL's commit_delay: 1.2 times the throughput
_NETWORK = ("nfs", "cifs", "smb", "afs", "ceph", "lustre", "gluster", "fuse.sshfs", "fuse.gluster", "davfs", "ncpfs")
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space, then send again",
    errno.EDQUOT: "the disk quota is used up; free some space, then send again",
    errno.EFBIG: "the file-size limit is reached (ulimit -f); raise it, then send again",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ELOOP: "the log's file is a symbolic link, which is refused",
}


class Log(Protocol):
    """The ordered events of one team."""

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Write the drafts in order and make them durable; a draft whose id is known is not written again."""
        ...

    def read(self, after: int = 0, damage: list[Damage] | None = None) -> Iterator[Event]:
        """Go through the events behind seq `after`; lines that do not verify are skipped and noted in `damage`."""
        ...

    def follow(self, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Event]:
        """Go on through the events as they come, from now or behind seq `after`, until `stop` is set."""
        ...


class EventLog:
    """The log in a folder, `.team/mail`. Threads may share one; each process opens its own."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        disk: Disk | None = None,
        lock_timeout: float = 10.0,
        segment_bytes: int = SEGMENT_BYTES,
        on_sealed: Callable[[Segment], object] | None = None,
    ) -> None:
        self.folder = folder
        self.active = folder / "events.jsonl"
        self._path = str(self.active)
        self.quarantine = folder / "quarantine"
        self.damaged = folder / "damaged"
        self._clock = clock or SystemClock()
        self._disk = disk or Disk()
        self.segments = Segments(folder / "segments", self._disk)
        self._lock = Lock(folder / "lock", self._clock, self._disk, lock_timeout)
        self._segment_bytes = segment_bytes
        self._on_sealed = on_sealed or _write_twin
        self._file: io.FileIO | None = None
        self._inode = 0
        self._size = -1
        self._place = START
        self._cut: Draft | None = None

    def append(self, drafts: Sequence[Draft]) -> list[Event]:
        """Write the drafts in order with one flush; return their events once they are durable.

        A draft that brings an id the log already holds is acknowledged with the event of that id. Raises InvalidEvent,
        LockTimeout, LogUnavailable, LogDamaged, and InDoubt when what was written may not last.
        """
        if not drafts:
            return []
        stamp = rfc3339(self._clock.now())
        unsealed = [serialise(draft, stamp) for draft in drafts]
        own = {draft.id for draft in drafts if draft.id is not None}
        sealed: list[Segment] = []
        try:
            if self._file is None:
                self._prepare()
            before = self.snapshot() if own else None
            known = self._known(own, None) if own else {}
            with self._lock:
                file = self._at_tail()
                if self._size >= self._segment_bytes:
                    sealed.append(self._seal(file))
                    file = self._at_tail()
                if own:
                    known |= self._known(own - known.keys(), before)
                if self._cut:
                    self._write(file, [serialise(self._cut, stamp)])
                    self._cut = None
                new = _unknown(unsealed, known) if own else unsealed
                places = self._write(file, new)
        except OSError as error:
            raise _unavailable(error, self.folder) from error
        for segment in sealed:
            self._on_sealed(segment)
        self._flush(file, unsealed[0].id)
        written = [item.event(place) for item, place in zip(new, places, strict=True)]
        if not own:
            return written
        known |= {event.id: event for event in written}
        return [known[item.id] for item in unsealed]

    def read(self, after: int = 0, damage: list[Damage] | None = None) -> Iterator[Event]:
        """Go through the events behind seq `after`, oldest first, as of this moment.

        Lines that do not verify are skipped and noted in `damage`. An event that stands twice is read once.
        """
        from .reading import events_in, look

        snapshot, file = look(self.active, self.segments)
        yield from events_in(snapshot, file, after, damage)

    def follow(self, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Event]:
        """Go on through the events as they come, from now or behind seq `after`, until `stop` is set."""
        from .follow import changes
        from .reading import events_in, look

        last = self.snapshot().head if after is None else after
        seen: Snapshot | None = None
        for _ in changes(self.folder, stop, self._clock):
            snapshot, file = look(self.active, self.segments)
            if snapshot.head > last:
                start = seen.size if seen and seen.inode == snapshot.inode else 0
                for event in events_in(snapshot, file, last, None, start):
                    yield event
                    last = event.seq
            seen = snapshot

    def snapshot(self) -> Snapshot:
        """Name this moment of the log, for readers that open its files themselves."""
        from .reading import look

        return look(self.active, self.segments)[0]

    def verify(self) -> Inspection:
        """Check every hash, link, seq and checksum. Damage found stops appends until `repair`."""
        from .verify import verify

        found = verify(self.active, self.segments)
        if found.corrupt:
            with suppress(OSError):  # a reader of a read-only folder may look, too
                self._condemn(found.corrupt[0])
        return found

    def repair(self) -> Mending:
        """Mend what `verify` finds: keep each line that verifies, once, in order; put the gaps on record.

        Files that are changed are first copied to quarantine. Readers and writers may go on meanwhile.
        """
        from .recovery import Mending, repair_file, repaired

        before, copies, gaps, events = START, list[Path](), list[tuple[int, int]](), 0
        with self._lock:
            for path in [*(segment.path for segment in self.segments), self.active]:
                if not path.exists():
                    continue
                found, copy = repair_file(self._disk, path, before, self.quarantine)
                if copy is not None:
                    copies.append(copy)
                    path.with_suffix(".parquet").unlink(missing_ok=True)
                gaps += [d.gap for d in found.damage if d.gap and d.gap not in found.excused]
                before, events = found.place, events + found.events
            self.segments.sums.unlink(missing_ok=True)
            self.segments.witness()
            if self.active.exists():
                self.active.chmod(self.active.stat().st_mode | stat.S_IWUSR)
            self.damaged.unlink(missing_ok=True)
            self._file = None
        if gaps:
            self.append([repaired(gaps)])
        return Mending(events, tuple(gaps), tuple(copies))

    def _known(self, ids: set[str], beyond: Snapshot | None) -> dict[str, Event]:
        from .lookup import events_by_id

        return events_by_id(self.snapshot(), ids, beyond)

    # Below: steps of an append, all but `_prepare` and `_flush` under the lock.

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        kind = self._disk.filesystem(self.folder)
        if kind.startswith(_NETWORK):
            raise LogUnavailable(
                f"{self.folder} is on a network file system ({kind}), where locks and flushes do not hold; "
                "set TEAM_HOME to a local folder, or keep the log in PostgreSQL"
            )

    def _at_tail(self) -> io.FileIO:
        """Open the active file where the next event goes; recover it if it needs that."""
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return self._create()
        if not status.st_mode & stat.S_IWUSR:
            self._refuse()
        if status.st_size == 0:
            return self._create()
        if self._file is None or status.st_ino != self._inode:
            self._file = io.FileIO(self._disk.open(self.active, os.O_RDWR | os.O_APPEND), "r+")
            self._inode, self._size = status.st_ino, -1
        if status.st_size != self._size:
            return self._catch_up(self._file, status.st_size)
        return self._file

    def _refuse(self) -> None:
        """Say why the active file may not be written: the mode bit, already at hand, is how `verify` stops writers."""
        if self.damaged.exists():
            raise LogDamaged(f"{self.damaged.read_text().strip()}; nothing is written until `team-mail repair`")
        raise PermissionError(errno.EACCES, "the log's file is read-only")

    def _condemn(self, damage: Damage) -> None:
        """Stop appends, of all processes, until `repair`."""
        self.damaged.write_text(f"{damage}\n")
        if self.active.exists():
            self.active.chmod(self.active.stat().st_mode & ~0o222)

    def _catch_up(self, file: io.FileIO, size: int) -> io.FileIO:
        known = last_place(self._disk, file.fileno(), size)
        if known is None or (self._size < 0 and not recent_chain_holds(self._disk, file.fileno(), size)):
            return self._recover(file)
        self._size, self._place = size, known
        return file

    def _recover(self, file: io.FileIO) -> io.FileIO:
        from .recovery import cut_torn_tail, recovered
        from .verify import inspect

        found = inspect(self.active, self._before_active())
        if found.corrupt:
            self._condemn(found.corrupt[0])
            self._refuse()
        if found.torn:
            kept = cut_torn_tail(self._disk, file.fileno(), found, self.quarantine)
            self._cut = recovered(kept, found.torn)
        if found.end == 0:
            return self._create()
        self._size, self._place = found.end, found.place
        return file

    def _create(self) -> io.FileIO:
        """Begin the active file, carrying the chain on from the last sealed segment."""
        before = self._before_active()
        opened = serialise(Draft("log.opened", SYSTEM, data={"format": 1}), rfc3339(self._clock.now()))
        line, place = opened.seal(before)
        write_file(self._disk, self.active, line)
        self._disk.sync_folder(self.folder.parent)
        self._file = io.FileIO(self._disk.open(self.active, os.O_RDWR | os.O_APPEND), "r+")
        self._inode, self._size = os.fstat(self._file.fileno()).st_ino, len(line)
        self._place = place
        return self._file

    def _before_active(self) -> Place:
        newest = max(self.segments, key=lambda segment: segment.last, default=None)
        if newest is None:
            return START
        with newest.path.open("rb") as file:
            return newest_line(self._disk, file.fileno(), newest.path.stat().st_size)[0]

    def _seal(self, file: io.FileIO) -> Segment:
        """Make the active file a segment. Each step leaves what the next open can go on from."""
        self._write(file, [serialise(Draft("log.sealed", SYSTEM), rfc3339(self._clock.now()))])
        self._disk.sync(file.fileno())
        first = self.segments.first_seq(file.fileno())
        segment = self.segments.take(self.active, first, self._place.seq)
        self._disk.sync_folder(self.segments.folder)
        self._disk.sync_folder(self.folder)
        self._create()
        self.segments.witness()
        return segment

    def _write(self, file: io.FileIO, unsealed: Sequence[Unsealed]) -> list[Place]:
        """Give each event its place and write them all; return the places."""
        last = self._place
        lines: list[bytes] = []
        places: list[Place] = []
        for item in unsealed:
            line, last = item.seal(last)
            lines.append(line)
            places.append(last)
        data = b"".join(lines)
        size, self._size = self._size, -1
        try:
            write_all(self._disk, file.fileno(), data)
        except BaseException:
            self._disk.truncate(file.fileno(), size)
            raise
        self._size, self._place = size + len(data), last
        return places

    def _flush(self, file: io.FileIO, first: str) -> None:
        for _ in range(_GATHER):
            os.sched_yield()
        try:
            self._disk.sync(file.fileno())
        except OSError as error:
            self._abandon(file)
            raise InDoubt(
                f"the disk did not confirm the write ({error.strerror}): {first} may or may not last; "
                "sending the same id again is safe"
            ) from error

    def _abandon(self, file: io.FileIO) -> None:
        """Leave a file whose flush failed: its pages may be lost though a second flush would say otherwise."""
        self._file = None
        with suppress(OSError, LogError), self._lock:
            if os.fstat(file.fileno()).st_ino == self.active.stat().st_ino:
                write_file(self._disk, self.active, self.active.read_bytes())


def _unknown(unsealed: Sequence[Unsealed], known: dict[str, Event]) -> list[Unsealed]:
    """Leave out what the log already holds, and an id that stands a second time in the same batch."""
    first = {item.id: item for item in reversed(unsealed)}
    return [item for item in unsealed if item.id not in known and first[item.id] is item]


def _unavailable(error: OSError, folder: Path) -> LogUnavailable:
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return LogUnavailable(f"cannot write the log in {folder}: {reason}; nothing was written")


def _write_twin(segment: Segment) -> None:
    from .query import write_twin

    write_twin(segment)
