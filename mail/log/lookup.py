"""Lookup of events by id in the bytes of the log, without a database: how a repeated send is recognized."""

from __future__ import annotations

import io
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .disk import open_file
from .event import Event, decode
from .snapshot import Snapshot

_HEAD = re.compile(rb'\{"v":1,"seq":[0-9]+,"id":"([0-9a-f-]{36})"')
_FEW = 8  # up to this many ids, one search of the bytes for each; above, one pass over all lines


def events_by_id(
    snapshot: Snapshot, active: io.BufferedReader | None, wanted: set[str], beyond: Snapshot | None = None
) -> dict[str, Event]:
    """Return the first event of each wanted id that is in the snapshot and was not yet in `beyond`.

    `active` is the snapshot's active file, opened: under its name there may be another file by now.
    """
    events: dict[str, Event] = {}
    seen = {segment.path for segment in beyond.sealed} if beyond else set[Path]()
    for segment in snapshot.sealed:
        if segment.path not in seen:
            with open_file(segment.path) as file:
                _collect(events, file, 0, os.fstat(file.fileno()).st_size, wanted)
    if active is not None:
        start = beyond.size if beyond and beyond.inode == snapshot.inode else 0
        _collect(events, active, start, snapshot.size, wanted)
    return events


def _collect(events: dict[str, Event], file: io.BufferedReader, start: int, end: int, wanted: set[str]) -> None:
    if start >= end:
        return
    with mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) as data:
        # The `data` of an event may look like the head of another: only the decoded event has the right id.
        for at in _some(data, start, wanted) if len(wanted) <= _FEW else _all(data, start, wanted):
            event = decode(data[at : data.find(b"\n", at)])
            if event is not None and event.id in wanted:
                events.setdefault(event.id, event)


def _some(data: mmap.mmap, start: int, wanted: set[str]) -> Iterator[int]:
    for text in wanted:
        needle = b',"id":"' + text.encode() + b'","ts":'
        at = data.find(needle, start)
        while at >= 0:
            yield data.rfind(b"\n", start, at) + 1 or start
            at = data.find(needle, at + 1)


def _all(data: mmap.mmap, start: int, wanted: set[str]) -> Iterator[int]:
    for match in _HEAD.finditer(data, start):
        if match[1].decode() in wanted and (match.start() == start or data[match.start() - 1] == ord("\n")):
            yield match.start()
