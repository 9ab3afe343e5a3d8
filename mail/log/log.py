"""The log: an append-only file of JSON lines that many processes write at once and none can lose.

A line that ends in a newline and verifies is mail; an acknowledged append survives `kill -9` and power loss; nobody
edits a line. The protocol of an append, and what a crash leaves at each of its steps, is told in docs/log.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..clock import Clock, SystemClock, rfc3339
from ..errors import InDoubt, LogError, LogUnavailable
from .disk import Disk, FileDescriptor, reason_of
from .event import START, Draft, Event, Unsealed, serialise
from .lock import Lock
from .segments import Segment, Segments
from .writer import Writer

if TYPE_CHECKING:
    from .recovery import Mending
    from .snapshot import Snapshot
    from .verify import Damage, Inspection

# What only readers, repair or repeated ids need is imported where it is used: every send starts cold.
SEGMENT_BYTES = 16 << 20
_GATHER = 8  # times to let other writers reach the same flush, as PostgreSQL's commit_delay: 1.2 times the throughput
_NETWORK = ("nfs", "cifs", "smb", "afs", "ceph", "lustre", "gluster", "fuse.sshfs", "fuse.gluster", "davfs", "ncpfs")


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
        self._clock = clock or SystemClock()
        self._disk = disk or Disk()
        self.segments = Segments(folder / "segments", self._disk)
        self._lock = Lock(folder / "lock", self._clock, self._disk, lock_timeout)
        self._writer = Writer(folder, self.segments, self._lock, self._clock, self._disk)
        self.active = self._writer.active
        self.quarantine = self._writer.quarantine
        self._segment_bytes = segment_bytes
        self._on_sealed = on_sealed or _write_twin
        self._prepared = False
        self._copied: tuple[Snapshot, Snapshot] | None = None

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
            if not self._prepared:
                self._prepare()
            before, known = self._known(own, None) if own else (None, {})
            with self._lock:
                file = self._writer.ready()
                if self._writer.size >= self._segment_bytes:
                    sealed.append(self._writer.seal(file))
                    file = self._writer.ready()
                if own:
                    known |= self._known(own - known.keys(), before)[1]
                new = _unknown(unsealed, known) if own else unsealed
                places, alone = self._writer.write(file, new), self._writer.no_other_writer
        except OSError as error:
            self._prepared = False  # the folder itself may be gone
            raise _unavailable(error, self.folder) from error
        for segment in sealed:
            self._on_sealed(segment)
        written = [item.event(place) for item, place in zip(new, places, strict=True)]
        self._flush(file, unsealed[0].id, 0 if alone else _GATHER)
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

    def newest(self) -> Event | None:
        """Return the last event without reading the others; None where the active file does not end in one."""
        from .reading import last_event

        return last_event(self.active)

    def follow(self, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Event]:
        """Go on through the events as they come, from now or behind seq `after`, until `stop` is set."""
        return self._follow(self.snapshot().head if after is None else after, stop)

    def _follow(self, last: int, stop: threading.Event | None) -> Iterator[Event]:
        from .follow import changes
        from .reading import Cursor

        cursor = Cursor(self.active, self.segments, last)
        for _ in changes(self.folder, stop, self._clock):
            yield from cursor.news()

    def snapshot(self) -> Snapshot:
        """Name this moment of the log, for readers that open its files themselves.

        While the log waits for `repair` that is a copy of what verifies, so that no database is misled by the rest.
        """
        from .reading import look, verified_copy

        snapshot, file = look(self.active, self.segments)
        with file or nullcontext():
            if not self._writer.damaged.exists():
                return snapshot
            if self._copied is None or self._copied[0] != snapshot:
                import shutil
                import tempfile
                import weakref

                folder = Path(tempfile.mkdtemp(prefix="team-mail-"))
                copy = verified_copy(snapshot, file, folder / "events.jsonl")
                self._copied = snapshot, copy
                weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            return self._copied[1]

    def verify(self) -> Inspection:
        """Check every hash, link, seq and checksum. Damage found stops appends until `repair`."""
        found = self._verify()
        if found.corrupt:
            with suppress(OSError):  # a reader of a read-only folder may look, too
                self._writer.mark_damaged(found.corrupt[0])
        return found

    def repair(self) -> Mending:
        """Mend what `verify` finds: keep each line that verifies, once, in order; put the gaps on record.

        Files that are changed are first copied to quarantine. Readers may go on meanwhile, writers wait.
        """
        from .recovery import Mending, repair_file, repaired

        before, copies, gaps, events, left_out = START, list[Path](), list[tuple[int, int]](), 0, 0
        with self._lock:
            excused = self._verify().excused
            for path in [*(segment.path for segment in self.segments), self.active]:
                if not path.exists():
                    continue
                found, copy, foreign = repair_file(self._disk, path, before, self.quarantine, excused)
                if copy is not None:
                    copies.append(copy)
                gaps += [d.gap for d in found.damage if d.gap and d.gap not in excused]
                before, events, left_out = found.place, events + found.events, left_out + foreign
            self.segments.drop_twins()
            self.segments.sums.unlink(missing_ok=True)
            self.segments.update_checksums()
            self._writer.clear_damage(before, repaired(gaps) if gaps else None)
        return Mending(events, tuple(gaps), tuple(copies), left_out)

    def _verify(self) -> Inspection:
        from .reading import look
        from .verify import verify

        snapshot, file = look(self.active, self.segments)
        with file or nullcontext():
            return verify(snapshot, file, self.segments.checksums())

    def _known(self, ids: set[str], beyond: Snapshot | None) -> tuple[Snapshot, dict[str, Event]]:
        from .lookup import events_by_id
        from .reading import look

        snapshot, file = look(self.active, self.segments)
        with file or nullcontext():
            return snapshot, events_by_id(snapshot, file, ids, beyond)

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        kind = self._disk.filesystem(self.folder)
        if kind.startswith(_NETWORK):
            raise LogUnavailable(
                f"{self.folder} is on a network file system ({kind}), where locks and flushes do not hold; "
                "set TEAM_HOME to a local folder, or keep the log in PostgreSQL"
            )
        self._prepared = True

    def _flush(self, file: FileDescriptor, first: str, others: int) -> None:
        for _ in range(others):
            os.sched_yield()
        try:
            self._writer.flush(file)
        except OSError as error:
            with suppress(OSError, LogError), self._lock:
                self._writer.ready()
            raise InDoubt(
                f"the disk did not confirm the write ({error.strerror}): {first} may or may not last; "
                "sending the same id again is safe"
            ) from error


def _unknown(unsealed: Sequence[Unsealed], known: dict[str, Event]) -> list[Unsealed]:
    """Leave out what the log already holds, and an id that stands a second time in the same batch."""
    first = {item.id: item for item in reversed(unsealed)}
    return [item for item in unsealed if item.id not in known and first[item.id] is item]


def _unavailable(error: OSError, folder: Path) -> LogUnavailable:
    return LogUnavailable(f"cannot write the log in {folder}: {reason_of(error)}; nothing was written")


def _write_twin(segment: Segment) -> None:
    from ..query.query import write_twin

    write_twin(segment)
