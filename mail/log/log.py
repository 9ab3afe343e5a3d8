"""The log: an append-only file of JSON lines, safe for many concurrent writers.

A line that ends in a newline and verifies is part of the log; an acknowledged append survives `kill -9` and power
loss; no line is ever edited. docs/log.md describes the steps of an append and what a crash leaves after each of them.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..clock import Clock, SystemClock, rfc3339
from ..errors import InDoubt, LogError, LogUnavailable
from ..process import Beat, OnOneHost, Presence, check_not_in_run
from .disk import Disk, FileDescriptor, make_folder, reason_of
from .event import START, ChainPosition, Draft, Event, Unsealed, in_session, serialise
from .lock import Lock
from .segments import Segment, Segments
from .writer import Writer

if TYPE_CHECKING:
    from .lookup import KnownIds
    from .recovery import Mending
    from .snapshot import Marks, Snapshot
    from .verify import Damage, Inspection

# Modules that only readers, repair or repeated ids need are imported where they are used: every send starts cold.
SEGMENT_BYTES = 16 << 20
_WRITES = "writes to its team through .team/run alone: use the team-mail of the run"
_YIELDS = 8  # lets other writers join the same flush, like PostgreSQL's commit_delay: 1.2 times the throughput
_NETWORK = ("nfs", "cifs", "smb", "afs", "ceph", "lustre", "gluster", "fuse.sshfs", "fuse.gluster", "davfs", "ncpfs")


class Log(Protocol):
    """The ordered events of one team. All that is appended bears the name of `session`, unless that is None."""

    session: str | None

    def append(self, drafts: Sequence[Draft], repeats: list[Event] | None = None) -> list[Event]:
        """Append drafts in order, durably.

        A draft whose id the log already has is not written again; its event is added to `repeats`.
        """
        ...

    def read(self, after: int = 0, damage: list[Damage] | None = None) -> Iterator[Event]:
        """Yield the events after seq `after`. Lines that do not verify are skipped and added to `damage`."""
        ...

    def follow(self, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Event]:
        """Yield new events as they arrive, from now or after seq `after`, until `stop` is set."""
        ...

    def head(self) -> ChainPosition:
        """Return the position of the last event; START for a log without events."""
        ...

    @property
    def place(self) -> str:
        """The name of the folder of this log among those of other hosts; "" where there are none."""
        ...

    def lead(self) -> None:
        """Lead the team from here, or go on leading it. Raises LedElsewhere while another host does."""
        ...

    def present(self, process: Mapping[str, Any]) -> bool:
        """Tell whether a process that `myself` named, on whatever host, is there."""
        ...

    def presences(self) -> list[Presence]:
        """List the processes that have told of themselves by `beat`, the oldest first."""
        ...

    def beat(
        self,
        process: Mapping[str, Any],
        what: Mapping[str, Any],
        *,
        leads: bool = False,
        on_lost: Callable[[str], object] = ...,
    ) -> AbstractContextManager[Beat]:
        """Tell that a process is there for as long as the context is open, and with `leads` keep the lead that it has.

        `what` is JSON that says what it does, and `on_lost` is called, with the reason, once it has lost the lead.
        """
        ...

    def bear(self, seconds: float) -> None:
        """Wait for a server that is away for so long before an error is raised."""
        ...

    def beside(self) -> Any:
        """Return what else the server of the log does, see `mail/remote/beside.py`; None if there is no server."""
        ...


class EventLog(OnOneHost):
    """The log in a folder, `.team/mail`. Threads may share an instance; each process opens its own.

    `lock_timeout` is in seconds. What is appended bears the name of `session` in its data. `on_sealed` is called for
    each new segment, after the append and without the lock.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        disk: Disk | None = None,
        lock_timeout: float = 10.0,
        segment_bytes: int = SEGMENT_BYTES,
        on_sealed: Callable[[Segment], object] | None = None,
        session: str | None = None,
    ) -> None:
        self.folder = folder
        self.session = session
        self._clock = clock or SystemClock()
        self._disk = disk or Disk()
        self.segments = Segments(folder / "segments", self._disk)
        self._lock = Lock(folder / "lock", self._clock, self._disk, lock_timeout)
        self._writer = Writer(folder, self.segments, self._lock, self._clock, self._disk)
        self.active = self._writer.active
        self.quarantine = self._writer.quarantine
        self._segment_bytes = segment_bytes
        self._on_sealed = on_sealed
        self._prepared = False
        self._copied: tuple[Snapshot, Snapshot] | None = None
        self._ids: KnownIds | None = None
        self._marks: Marks | None = None  # of its readers

    def create(self) -> None:
        """Write the log's first event, durably, unless it has one.

        Raises NotFromRun, LockTimeout, LogUnavailable, LogDamaged.
        """
        try:
            if not self._prepared:
                self._prepare()
            with self._lock:
                self._writer.ready()
        except OSError as error:
            self._prepared = False
            raise _unavailable(error, self.folder) from error

    def append(self, drafts: Sequence[Draft], repeats: list[Event] | None = None) -> list[Event]:
        """Append drafts in order with one flush; return their events once they are durable.

        A draft whose id the log already has is not written again; the event with that id is returned in its place, and
        added to `repeats`.
        Raises InvalidEvent, NotFromRun, LockTimeout, LogUnavailable, LogDamaged, and InDoubt if the write may not be
        durable.
        """
        if not drafts:
            return []
        stamp = rfc3339(self._clock.now())
        unsealed = [serialise(draft, stamp) for draft in in_session(drafts, self.session)]
        own = {draft.id for draft in drafts if draft.id is not None}
        try:
            if not self._prepared:
                self._prepare()
            since = min((draft.since for draft in drafts if draft.id is not None), default=0)
            ids = self._known_ids(own, since) if own else None
            with self._lock:
                file, sealed = self._writer.ready(), None
                if self._writer.size >= self._segment_bytes:
                    sealed = self._writer.seal(file)
                    file = self._writer.ready()
                known = ids.find(own, file.number, self._writer.inode, self._writer.size, since) if ids else {}
                new = _unknown(unsealed, known) if own else unsealed
                places, alone = self._writer.write(file, new), self._writer.no_other_writer
        except OSError as error:
            self._prepared = False  # the folder itself may be gone
            raise _unavailable(error, self.folder) from error
        if sealed:
            self._sealed(sealed)
        written = [item.event(place) for item, place in zip(new, places, strict=True)]
        self._flush(file, unsealed[0].id, 0 if alone else _YIELDS)
        if not own:
            return written
        if repeats is not None:
            repeats += [known[item.id] for item in unsealed if item.id in known]
        known |= {event.id: event for event in written}
        return [known[item.id] for item in unsealed]

    def read(self, after: int = 0, damage: list[Damage] | None = None) -> Iterator[Event]:
        """Yield the events after seq `after`, oldest first, as of the call.

        Lines that do not verify are skipped and added to `damage`. A duplicated event is yielded once. Whoever reads on
        from where an earlier reading ended waits for the new lines alone.
        """
        from .reading import events_in
        from .snapshot import Marks

        snapshot, file = self.look()
        if self._marks is None:
            self._marks = Marks()
        start = self._marks.start(snapshot, file, after) if damage is None else 0
        yield from events_in(snapshot, file, after, damage, start)

    def newest(self) -> Event | None:
        """Return the last event without reading the others; None if the active file does not end in an event."""
        from .reading import last_event

        return last_event(self.active)

    def follow(self, after: int | None = None, stop: threading.Event | None = None) -> Iterator[Event]:
        """Yield new events as they arrive, from now or after seq `after`, until `stop` is set."""
        return self._follow(self.head().seq if after is None else after, stop)

    def head(self) -> ChainPosition:
        """Return the position of the last event that verifies; START for a log without events."""
        from .reading import head_of

        return head_of(self.active, self.segments)

    def _follow(self, last: int, stop: threading.Event | None) -> Iterator[Event]:
        from .follow import changes
        from .reading import Cursor

        cursor = Cursor(self.active, self.segments, last)
        for _ in changes(self.folder, stop, self._clock):
            yield from cursor.news()

    def look(self) -> tuple[Snapshot, io.BufferedReader | None]:
        """Return the log's files as of now, and the active one, opened; None if there is none."""
        from .reading import look

        return look(self.active, self.segments)

    @property
    def lock(self) -> Lock:
        """The lock of the folder: while a caller holds it, no process of this host appends."""
        return self._lock

    @property
    def copy_of(self) -> str:
        """What this log is a copy of: the address of a server; "" for a log that is in its folder alone."""
        return ""

    def snapshot(self) -> Snapshot:
        """Return the log's files as of now, for a database that reads them itself.

        While the log is damaged, this is a copy of the lines that verify, so that the database sees no others.
        """
        from .reading import verified_copy

        snapshot, file = self.look()
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
        """Check every hash, link, seq and checksum. If there is damage, appends are refused until `repair`."""
        inspection = self._verify()
        if inspection.corrupt:
            with suppress(OSError):  # the folder may be read-only
                self._writer.mark_damaged(inspection.corrupt[0])
        return inspection

    def damage(self) -> list[str]:
        """Verify the log and say where it is damaged, a place a line."""
        return [str(damage) for damage in self.verify().corrupt]

    def repair(self, lost: Sequence[tuple[int, str]] = ()) -> Mending:
        """Repair the damage that `verify` finds: keep each line that verifies, once, in order, and record the gaps.

        `lost` are seq and hash of events that somebody knows and the log does not have: they are recorded as given up.

        Files are copied to quarantine before they are changed. Readers may continue meanwhile; writers wait. Raises
        NotFromRun.
        """
        check_not_in_run(self.folder.parent, _WRITES)
        from ..check.cursor import drop
        from .recovery import Mending, put_names_right, remove_leftovers, repair_file, repaired

        before, copies, gaps, events, left_out = START, list[Path](), list[tuple[int, int]](), 0, 0
        with self._lock:
            renamed = put_names_right(self._disk, self.segments) if self.segments.folder.is_dir() else ()
            excused = self._verify().excused
            for path in [*(segment.path for segment in self.segments), self.active]:
                if not path.exists():
                    continue
                inspection, copy, foreign = repair_file(self._disk, path, before, self.quarantine, excused)
                if copy is not None:
                    copies.append(copy)
                gaps += [d.gap for d in inspection.damage if d.gap and d.gap not in excused]
                before, events, left_out = inspection.place, events + inspection.events, left_out + foreign
            self.segments.drop_caches()
            drop(str(self.folder))
            self.segments.sums.unlink(missing_ok=True)
            self.segments.update_checksums()
            self._writer.clear_damage(before, repaired(gaps, lost) if gaps or lost else None)
            remove_leftovers(self._disk, self.folder, self._clock.now().timestamp())
        return Mending(events, tuple(gaps), tuple(copies), left_out, renamed)

    def _verify(self) -> Inspection:
        from .verify import verify

        snapshot, file = self.look()
        with file or nullcontext():
            return verify(snapshot, file, self.segments.checksums())

    def _known_ids(self, wanted: set[str], since: int = 0) -> KnownIds:
        if self._ids is None or self._ids.pid != os.getpid():
            from .lookup import KnownIds

            self._ids = KnownIds(self.active, self.segments, self._disk)
        self._ids.prepare(wanted, since)
        return self._ids

    def _sealed(self, segment: Segment) -> None:
        """Make what belongs to a new segment and can be made again: its index, and what `on_sealed` does."""
        from .lookup import load_index

        with suppress(OSError):  # whoever needs it makes it
            load_index(segment)
        if self._on_sealed:
            self._on_sealed(segment)

    def _prepare(self) -> None:
        check_not_in_run(self.folder.parent, _WRITES)
        make_folder(self.folder)
        kind = self._disk.filesystem(self.folder)
        if kind.startswith(_NETWORK):
            raise LogUnavailable(
                f"{self.folder} is on a network file system ({kind}), where locks and flushes do not hold; "
                "set TEAM_HOME to a local folder, or keep the log on a server: [log] url"
            )
        self._prepared = True

    def _flush(self, file: FileDescriptor, first: str, yields: int) -> None:
        for _ in range(yields):
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
    """Leave out the ids that the log already has, and later repeats of an id within the batch."""
    first = {item.id: item for item in reversed(unsealed)}
    return [item for item in unsealed if item.id not in known and first[item.id] is item]


def _unavailable(error: OSError, folder: Path) -> LogUnavailable:
    return LogUnavailable(f"cannot write the log in {folder}: {reason_of(error)}; nothing was written")
