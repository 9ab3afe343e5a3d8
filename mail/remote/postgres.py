"""The log and the blobs of a team on PostgreSQL: written by one call of the server, read from this host's copy.

An append is acknowledged once the server has committed it; a reply that was lost is asked for again with the same ids.
Before anything is read the copy is brought up to date, so a reader sees what was acknowledged to anybody.
"""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ..clock import Clock, SystemClock, rfc3339
from ..errors import LedElsewhere, LogUnavailable, OtherLog, UsageError
from ..log.blobs import Blob, BlobMissing, FileBlobs
from ..log.disk import Disk, make_folder, reason_of
from ..log.event import ChainPosition, Draft, Event, Unsealed, decode, in_session, serialise
from ..log.log import EventLog
from ..log.recovery import Mending
from ..log.segments import Segment
from ..log.snapshot import Snapshot
from ..log.writer import REMOTE
from ..process import Beat, Presence, alive, check_not_in_run, is_here, myself
from .beats import Beats, beats_of
from .beside import Beside
from .connection import Sent, Server
from .place import Mark, new_mark, read_mark, write_mark
from .replica import Replica

_WRITES = "writes to its team through .team/run alone: use the team-mail of the run"
_LOOK_ANYWAY = 0.5  # seconds, in case a notification was lost
_MOMENT = 1.0  # seconds that what was said of all processes is taken for true
_GIVEN_BACK = -1e9  # seconds: a lease that ended so long ago was given back


class PostgresLog(EventLog):
    """A log on a server, with a copy in a folder, `.team/mail`. Threads may share an instance."""

    def __init__(
        self,
        folder: Path,
        server: Server,
        *,
        clock: Clock | None = None,
        disk: Disk | None = None,
        lock_timeout: float = 10.0,
        on_sealed: Callable[[Segment], object] | None = None,
        session: str | None = None,
    ) -> None:
        super().__init__(folder, clock=clock, disk=disk, lock_timeout=lock_timeout, session=session)
        self.server = server
        self._stamp = clock or SystemClock()
        disk = disk or Disk()
        self._replica = Replica(folder, self.segments, disk, self.lock)
        self._told = on_sealed
        self._mark: Mark | None = None
        self._own: tuple[int, Beats] | None = None
        self._looked: tuple[float, dict[tuple[Any, ...], Presence]] = float("-inf"), {}

    @property
    def copy_of(self) -> str:
        """The address of the server."""
        return str(self.server.address)

    @property
    def place(self) -> str:
        """The name of this folder, which no other has; the folder is marked as a copy first. Raises LogUnavailable."""
        if self._mark is None:
            self._mark = self._marked()
        return self._mark.place

    def create(self) -> None:
        """Write the log's first event, unless it has one."""
        if not self._catch_up().seq:
            self.server.open_log()
            self._catch_up()

    def append(self, drafts: Sequence[Draft], repeats: list[Event] | None = None) -> list[Event]:
        """Append drafts in order as one transaction; return their events once the server has committed them.

        A draft whose id the log already has is not written again; its event is added to `repeats`. Raises InvalidEvent,
        NotFromRun, LedElsewhere, LogUnavailable, and InDoubt if no answer came.
        """
        if not drafts:
            return []
        if not self._prepared:
            check_not_in_run(self.folder.parent, _WRITES)
            self._prepared = True
        stamp = rfc3339(self._stamp.now())
        unsealed = [serialise(draft, stamp) for draft in in_session(drafts, self.session)]
        by_id = {item.id: item for item in reversed(unsealed)}
        answers = self.server.send([item.middle.decode() for item in unsealed], self.place, self._beats.epoch)
        known = {answer.id: _event(answer) for answer in answers if answer.line is not None}
        _check_same_kind(drafts, unsealed, known)
        if repeats is not None:
            repeats += [known[item.id] for item in unsealed if item.id in known]
        events = known | {each.id: _sealed(by_id[each.id], each) for each in answers if each.line is None}
        return [events[item.id] for item in unsealed]

    def look(self) -> tuple[Snapshot, io.BufferedReader | None]:
        """Return the copy's files, brought up to date, and the active one, opened."""
        self._catch_up()
        return super().look()

    def newest(self) -> Event | None:
        """Return the last event."""
        self._catch_up()
        return super().newest()

    def head(self) -> ChainPosition:
        """Return the position of the last event."""
        return self._catch_up()

    def lead(self) -> None:
        """Lead the team from this folder, or go on leading it, for a while; `beat` keeps the lead.

        Raises LedElsewhere while another folder has the lead, and where one had it since this one took it.
        """
        if (
            self._is_settling
            and (now := self.server.lease()).place not in {None, self.place}
            and now.rest > _GIVEN_BACK
        ):
            raise LedElsewhere(now.host)
        lease = self.server.lead(self.place, self._named())
        if lease.place != self.place or (self._beats.leads and lease.epoch != self._beats.epoch):
            raise LedElsewhere(lease.host)
        self._beats.epoch = lease.epoch

    def take_lead(self) -> None:
        """Lead the team from this folder from now on: what the former one appends beside mail is refused."""
        self._beats.epoch = self.server.lead(self.place, self._named(), force=True).epoch

    def present(self, process: Mapping[str, Any]) -> bool:
        """Tell whether a process is there: the system knows of those of this folder, the server of all others.

        Nobody counts as gone while the server has just come back, since nobody could tell of itself meanwhile.
        """
        known = self._known(process)
        if known is None or known.place == self.place:
            return alive(process) or (known is None and not is_here(process) and self._is_settling)
        return not known.gone or self._is_settling

    def knew(self, process: Mapping[str, Any]) -> bool:
        """Tell whether a process was there when this log was asked the last time."""
        return _key(process) in self._looked[1]

    def presences(self) -> list[Presence]:
        """List the processes that have told of themselves within a day, the oldest first."""
        return self.server.there()

    @contextmanager
    def beat(
        self,
        process: Mapping[str, Any],
        what: Mapping[str, Any],
        *,
        leads: bool = False,
        on_lost: Callable[[str], object] = lambda _: None,
    ) -> Generator[Beat]:
        """Tell that a process is there for as long as the context is open, and with `leads` keep the lead that it has.

        `on_lost` is called in another thread, with the reason, once it has lost that. At the end of the context the
        lead is free, unless another process of this folder leads. Raises LedElsewhere, LogUnavailable.
        """
        if leads and not self._beats.epoch:
            self.lead()
        beat, beats = Beat(what, on_lost), beats_of(self.server.address, process, self.place, self._named())
        beats.add(beat, self._beats.epoch if leads else 0)
        try:
            yield beat
        finally:
            beats.remove(beat)

    @property
    def _beats(self) -> Beats:
        """What this process tells of itself; a forked one has its own."""
        if self._own is None or self._own[0] != os.getpid():
            self._own = os.getpid(), beats_of(self.server.address, myself(), self.place, self._named())
        return self._own[1]

    @property
    def _is_settling(self) -> bool:
        """Whether the server was away, and has been back for less than two leases."""
        return time.monotonic() - self.server.back < 2 * self._lease_seconds

    @cached_property
    def _lease_seconds(self) -> float:
        return float(self.server.value("lease_seconds") or 0)

    def _known(self, process: Mapping[str, Any]) -> Presence | None:
        """Return what a process has told of itself, as of a moment ago; None if it is not there by its own word."""
        own = _key(process)
        if own not in self._looked[1] or time.monotonic() - self._looked[0] > _MOMENT:
            self._looked = time.monotonic(), {_key(each.process): each for each in self.presences()}
        return self._looked[1].get(own)

    def bear(self, seconds: float) -> None:
        """Wait for the server for so long if it is away."""
        self.server.bear(seconds)

    def beside(self) -> Beside:
        """Return what else the server does for this team; whoever asks closes it."""
        return Beside(self.server.address)

    def repair(self, lost: Sequence[tuple[int, str]] = ()) -> Mending:
        """Refuse: the copy mends itself, and the server's log is restored from a backup of the server."""
        del lost
        raise UsageError(
            f"this log is on {self.server.address}, and {self.folder} is a copy: what does not verify there is fetched "
            "again by the next command. Restore a server that lost something from its own backup"
        )

    def _follow(self, last: int, stop: threading.Event | None) -> Iterator[Event]:
        from ..log.reading import Cursor

        cursor = Cursor(self.active, self.segments, last)
        for _ in self.server.news(stop or threading.Event(), _LOOK_ANYWAY):
            self._catch_up()
            yield from cursor.news()

    def _catch_up(self) -> ChainPosition:
        """Copy what is new, and return the position of the last event. Raises OtherLog, LogDamaged, LogUnavailable."""
        _ = self.place
        try:
            while True:
                head = self._replica.head()
                answer = self.server.lines(head.seq)
                lines = [line.encode() for _, line in answer]
                if head.seq:
                    self._check_same(head, lines)
                    del lines[0]
                if not lines:
                    return head
                for segment in self._replica.add(lines):
                    if self._told:
                        self._told(segment)
        except OSError as error:
            raise LogUnavailable(f"cannot write the copy of the log in {self.folder}: {reason_of(error)}") from error

    def _check_same(self, head: ChainPosition, lines: Sequence[bytes]) -> None:
        """Raise OtherLog unless the server's line at the copy's head is that very line."""
        if not lines or not lines[0].endswith(f'"hash":"{head.hash}"}}'.encode()):
            raise OtherLog(
                f"{self.server.address} does not have event {head.seq} ({head.hash}), which its copy in {self.folder} "
                "has: it is another log, or lost its end in a failover or by an older backup. Restore the server; or "
                f"move {self.folder} away to go on without the events that only copies have"
            )

    def _marked(self) -> Mark:
        mark, is_empty = read_mark(self.folder), not (self.active.exists() or self.segments.folder.exists())
        if mark is None:
            if not is_empty:
                raise LogUnavailable(
                    f"{self.folder} has a log of its own: `team log migrate --to {self.server.address.url}` copies it "
                    "to the server; or take [log] url out of team.toml"
                )
            mark = self._first_mark()
        elif mark.address != self.server.address and is_empty:  # nothing ever came from there, as with a wrong url
            mark = self._first_mark()
        elif mark.address != self.server.address:
            raise LogUnavailable(
                f"{self.folder} is a copy of {mark.address}, and [log] names {self.server.address}: write there which "
                f"one is right; if the server has moved, delete {self.folder / REMOTE}, events.jsonl and segments"
            )
        return mark

    def _first_mark(self) -> Mark:
        try:
            make_folder(self.folder)
            with self.lock:
                mark = read_mark(self.folder)
                if mark is None or mark.address != self.server.address:
                    write_mark(self.folder, mark := new_mark(self.server.address))
                return mark
        except OSError as error:
            raise LogUnavailable(f"cannot write in {self.folder}: {reason_of(error)}") from error

    def _named(self) -> str:
        return f"{socket.gethostname()}:{self.folder.absolute().parent}"


class PostgresBlobs(FileBlobs):
    """Blobs on a server, those that were once needed here also in a folder."""

    def __init__(self, folder: Path, server: Server, disk: Disk | None = None) -> None:
        super().__init__(folder, disk)
        self._server = server

    def put(self, data: bytes) -> Blob:
        """Store bytes on the server and return their name. Raises LogUnavailable, OSError."""
        self._server.put_blob(bytes(data))
        return super().put(data)

    def read(self, sha256: str) -> bytes:
        """Return the bytes of that name, fetched if they are not here. Raises BlobMissing, LogUnavailable."""
        try:
            return super().read(sha256)
        except BlobMissing:
            self.path(sha256)
            data = self._server.blob(sha256)
            if data is None:
                raise
        super().put(data)
        return data

    def names(self) -> list[str]:
        """Return the names of all blobs; those that are not here yet are fetched first."""
        for name in self._server.blob_names():
            self.read(name)
        return super().names()


def _key(process: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(str(process.get(name)) for name in ("boot", "pid", "start"))  # whatever a worker says that these are


def _event(answer: Sent) -> Event:
    event = decode((answer.line or "").encode())
    if event is None:
        raise LogUnavailable(f"event {answer.seq} of the server does not verify")
    return event


def _check_same_kind(drafts: Sequence[Draft], unsealed: Sequence[Unsealed], known: Mapping[str, Event]) -> None:
    """Raise LogUnavailable if an event with the id of one of ours is about something else: then it is no repeat.

    Ids that are derived can be foreseen, and whoever may append mail can use one for it.
    """
    for draft, item in zip(drafts, unsealed, strict=True):
        there = known.get(item.id)
        if there and there.kind.partition(".")[0] != draft.kind.partition(".")[0]:
            raise LogUnavailable(
                f"event {there.seq}, {there.kind} by {there.sender}, has the id of a {draft.kind} that is to be "
                "written, so that is not: no program of team-mail does this. See whose login has written it"
            )


def _sealed(item: Unsealed, answer: Sent) -> Event:
    """Return the event that the server wrote, after a check that its line is the one that this client would write."""
    _, here = item.seal(ChainPosition(answer.seq - 1, "", answer.prev or ""))
    if here.hash != answer.hash:
        raise LogUnavailable(f"event {answer.seq} was written by the server in other bytes than it was given")
    return item.event(here)
