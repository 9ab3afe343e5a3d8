"""From a log in a folder to a server and back: the same lines, so ids, seqs and hashes stay; interrupted, it goes on.

The files of a file log are the copy that a host has of a server's: what changes is where the next event is written.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import LogDamaged, UsageError
from ..log.blobs import FileBlobs
from ..log.disk import Disk, open_file
from ..log.event import ChainPosition, place
from ..log.log import EventLog
from ..log.writer import REMOTE
from .connection import Server
from .place import new_mark, read_mark, write_mark
from .postgres import PostgresBlobs, PostgresLog
from .schema import state_of, upgrade

_BATCH = 2_000  # lines of one transaction
_MOVED, _COPYING = "it was moved to files", "it is being copied here"
Told = Callable[[int, int], object]


class Migration(NamedTuple):
    """What was done: events and blobs that are in both places now, and how many of the events were copied just now."""

    events: int
    blobs: int
    copied: int


def to_server(folder: Path, server: Server, told: Told | None = None) -> Migration:
    """Copy the log of a folder, `.team/mail`, to a server, and make the folder that server's copy.

    `told` is given the number of events that are there and that there are. The schema is made unless it is there.
    Raises UsageError if the server has another log, LogDamaged for a log that does not verify, LogUnavailable.
    """
    log, blobs, mark = EventLog(folder), FileBlobs(folder / "blobs"), read_mark(folder)
    if mark is not None and mark.address != server.address:
        raise UsageError(f"{folder} is a copy of {mark.address} already: `team log migrate --to file` first")
    if mark is None:
        _check_whole(log)
        if not state_of(server).version:
            upgrade(server)
        _close(server, _COPYING)
        start = _common_head(log, server)
        last = _copy(log, server, start, told)
        names = blobs.names()
        for name in names:
            server.put_blob(blobs.read(name))
        with log.lock:  # nobody appends to the folder from here on
            last = _copy(log, server, last, told)
            write_mark(folder, new_mark(server.address))
        copied = last.seq - start.seq
    else:
        copied = 0
    if server.value("closed") is not None:
        server.set_value("closed", None)
    return Migration(PostgresLog(folder, server).head().seq, len(blobs.names()), copied)


def to_files(folder: Path, server: Server) -> Migration:
    """Bring a folder's copy up to date, close the server's log, and make the folder the log.

    Raises UsageError for a folder that is no copy of that server's log, LogDamaged, LogUnavailable.
    """
    mark = read_mark(folder)
    if mark is None:
        return Migration(EventLog(folder).head().seq, len(FileBlobs(folder / "blobs").names()), 0)
    if mark.address != server.address:
        raise UsageError(f"{folder} is a copy of {mark.address}, not of {server.address}")
    log, before = PostgresLog(folder, server), EventLog(folder).head().seq
    _close(server, _MOVED)
    head = log.head()
    names = PostgresBlobs(folder / "blobs", server).names()
    _check_whole(log)
    with log.lock:  # what was a copy is the record from here on, and so it has to last
        disk = Disk()
        for path in (log.active, *(segment.path for segment in log.segments)):
            with open_file(path) as file:
                disk.sync(file.fileno())
        if log.segments.folder.is_dir():
            disk.sync_folder(log.segments.folder)
        (folder / REMOTE).unlink()
        disk.sync_folder(folder)
    return Migration(head.seq, len(names), head.seq - before)


def _close(server: Server, why: str) -> None:
    server.set_value("closed", f"{why} by {socket.gethostname()}")


def _check_whole(log: EventLog) -> None:
    inspection = log.verify()
    if inspection.corrupt:
        raise LogDamaged(f"{inspection.corrupt[0]}; nothing was moved")


def _common_head(log: EventLog, server: Server) -> ChainPosition:
    """Return the server's last position, which the folder's log has to have, too; START for a new one."""
    theirs = server.head()
    if theirs.seq:
        ours = next((here for here, _ in _lines(log, theirs.seq - 1)), None)
        if ours is None or (ours.seq, ours.hash) != (theirs.seq, theirs.hash):
            server.set_value("closed", None)
            raise UsageError(f"{server.address} has another log, up to event {theirs.seq}: choose another [log] name")
    return theirs


def _copy(log: EventLog, server: Server, after: ChainPosition, told: Told | None) -> ChainPosition:
    """Copy the lines after a position, and return the position of the last."""
    batch: list[str] = []
    head, last = log.head().seq, after

    def copy() -> None:
        server.copy_in(batch, last.seq - len(batch))
        if told:
            told(last.seq, head)
        batch.clear()

    for here, line in _lines(log, after.seq):
        batch.append(line.decode())
        last = here
        if len(batch) == _BATCH:
            copy()
    if batch:
        copy()
    return last


def _lines(log: EventLog, after: int) -> Iterator[tuple[ChainPosition, bytes]]:
    """Yield position and bytes of the lines after a seq, as of now. Raises LogDamaged for one that does not verify."""
    snapshot, active = log.look()
    if active is not None:
        active.close()
    for path in [*(s.path for s in snapshot.sealed if s.last > after), *([snapshot.active] if snapshot.size else [])]:
        with open_file(path) as file:
            for line in file:
                here = place(line[:-1])
                if here is None:
                    if path == snapshot.active:
                        return  # the end that is being written
                    raise LogDamaged(f"{path.name} does not verify; nothing more was copied")
                if here.seq > after:
                    yield here, line[:-1]
