"""Lookup of events by id in the bytes of the log, without a database: how a repeated send is recognized.

A process that sends ids of its own remembers what it has seen of the active file. Of each sealed segment there is an
index, a sorted array of the second halves of all ids. Neither is believed when it says that an id is there: then the
bytes are searched. An index that is missing, or is not that of its segment, is made again.
"""

from __future__ import annotations

import mmap
import os
import re
import sys
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from .disk import Disk, open_file, read_file, replacing
from .event import MAX_LINE, Event, decode
from .segments import Segment, Segments
from .tail import last_place

_HEAD = re.compile(rb'\{"v":1,"seq":[0-9]+,"id":"([0-9a-f-]{36})"')
_SEQ = re.compile(rb'\{"v":1,"seq":([0-9]+),')
_KEYS = re.compile(rb'\n\{"v":1,"seq":[0-9]+,"id":"[0-9a-f-]{19}([0-9a-f]{4}-[0-9a-f]{12})"')
_FEW = 8  # up to this many ids, one search of the bytes for each; above, one pass over all lines
_SEAL = 43  # bytes at the end of a line that have its hash
_DISK = Disk()


class KnownIds:
    """What one process knows of the ids in a log. Threads may share it; a forked child makes its own."""

    def __init__(self, active: Path, segments: Segments, disk: Disk) -> None:
        self.pid = os.getpid()
        self._path = str(active)
        self._segments = segments
        self._disk = disk
        self._turn = threading.Lock()
        self._listed: tuple[int, ...] = ()
        self._least = 0  # no segment that ends before this seq was listed
        self._indexes: dict[tuple[Segment, int, int], array[int]] = {}
        self._inode = self._end = 0
        self._seal = b""  # the end of what was read of the active file: the hash of its line
        self._keys = set[int]()
        self._only: frozenset[str] | None = frozenset()  # the only ids that were looked for up to `_end`; None: all
        self._since = 0  # of the active file, nothing before this seq was looked at

    def prepare(self, wanted: set[str], since: int = 0) -> None:
        """Read what takes long, before the log is locked; no event before seq `since` has these ids. Raises OSError."""
        try:
            read = self._only is None and since >= max(self._since, self._least)
            if read and os.lstat(self._path).st_ino == self._inode:
                return
            with self._turn, open_file(Path(self._path)) as file:
                descriptor, status = file.fileno(), os.fstat(file.fileno())
                size = _whole_lines(self._disk, descriptor, status.st_size)
                self._look(wanted, descriptor, status.st_ino, size, since)
        except FileNotFoundError:
            return

    def find(self, wanted: set[str], descriptor: int, inode: int, size: int, since: int = 0) -> dict[str, Event]:
        """Return the first event of each wanted id, given the active file as it is. The log must be locked.

        No event before seq `since` has one of them. Raises OSError.
        """
        with self._turn:
            self._look(wanted, descriptor, inode, size, since)
            return self._confirmed(wanted, descriptor, size, since)

    def _look(self, wanted: set[str], descriptor: int, inode: int, size: int, since: int) -> None:
        state = self._state(inode)
        if state != self._listed or since < self._least:
            self._list_segments(since)
            self._listed = state  # as it was before: what changes meanwhile is seen the next time
        if inode != self._inode or since < self._since or (self._only is not None and not wanted <= self._only):
            self._begin(wanted, descriptor, inode, size, since)
        self._catch_up(descriptor, size)

    def _state(self, inode: int) -> tuple[int, ...]:
        """Return what changes when a segment is added, renamed or replaced."""
        try:
            status = os.stat(self._segments.folder)  # noqa: PTH116 - at each append
        except FileNotFoundError:
            return (inode,)
        return inode, status.st_ino, status.st_mtime_ns, status.st_ctime_ns

    def _list_segments(self, since: int) -> None:
        indexes: dict[tuple[Segment, int, int], array[int]] = {}
        self._least = min(since, self._least) if self._listed else since
        for segment in self._segments:
            if segment.last < self._least:
                continue
            status = segment.path.stat()
            name = segment, status.st_ino, status.st_mtime_ns
            known = self._indexes.get(name)
            indexes[name] = load_index(segment) if known is None else known
        self._indexes = indexes

    def _begin(self, wanted: set[str], descriptor: int, inode: int, size: int, since: int) -> None:
        """Begin to read an active file. The first one is searched for the wanted ids alone, which is faster.

        What has to be read a second time because of an earlier `since` is read from its beginning.
        """
        first, again = self._only == frozenset(), inode == self._inode and self._only is None
        self._forget()
        self._inode = inode
        if not size:
            return
        with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
            self._since = 0 if again else since
            start = offset_of(data, self._since)
            if first and len(wanted) <= _FEW:
                self._only = frozenset(wanted)
                self._end = size
                self._keys.update(_key(text) for text in wanted if any(_some(data, [text], start)))
            else:
                self._end = start
            self._seal = data[max(0, self._end - _SEAL) : self._end]

    def _forget(self) -> None:
        self._end, self._seal, self._keys, self._only, self._since = 0, b"", set[int](), None, 0

    def _catch_up(self, descriptor: int, size: int) -> None:
        """Read what is new in the active file; if what was read before has changed, read all of it."""
        start = self._end - len(self._seal)
        news = self._disk.read(descriptor, size - start, start) if size >= self._end else b""
        if size < self._end or not news.startswith(self._seal):
            self._forget()
            start, news = 0, self._disk.read(descriptor, size, 0)
        self._keys.update(keys_of(news if start else b"\n" + news))
        self._end, self._seal = size, news[-_SEAL:]

    def _confirmed(self, wanted: set[str], descriptor: int, size: int, since: int) -> dict[str, Event]:
        """Search the bytes of those files that seem to have an id, oldest first."""
        keys = [(text, _key(text)) for text in wanted]
        events: dict[str, Event] = {}
        for (segment, *_), index in self._indexes.items():
            if ids := {text for text, key in keys if _has(index, key)}:
                with open_file(segment.path) as file:
                    _collect(events, file.fileno(), os.fstat(file.fileno()).st_size, ids, since)
        if ids := {text for text, key in keys if key in self._keys}:
            _collect(events, descriptor, size, ids, since)
        return events


def load_index(segment: Segment) -> array[int]:
    """Return the index of a segment; make it, and write it if that is possible, unless a right one is there."""
    state = _identity(segment)
    with suppress(OSError, ValueError):
        head, _, body = read_file(segment.ids).partition(b"\n")
        if state and head == _header(state, body):
            index = array("Q")
            index.frombytes(body)
            return index
    index = array("Q", sorted(keys_of(b"\n" + read_file(segment.path))))
    if state:
        body = index.tobytes()
        with suppress(OSError), replacing(segment.ids, durable=False) as temporary:
            temporary.write_bytes(_header(state, body) + b"\n" + body)
    return index


def keys_of(data: bytes) -> list[int]:
    """Return the second halves of the ids of all lines of some bytes that begin with a newline."""
    return [int(half.replace(b"-", b""), 16) for half in _KEYS.findall(data)]


def _key(text: str) -> int:
    return int(text[19:].replace("-", ""), 16)


def _has(index: array[int], key: int) -> bool:
    at = bisect_left(index, key)
    return at < len(index) and index[at] == key


def _identity(segment: Segment) -> str:
    """Return what an index names its segment by: size and last hash; "" if the end does not verify."""
    with open_file(segment.path) as file:
        size = os.fstat(file.fileno()).st_size
        last = last_place(_DISK, file.fileno(), size)
    return f"{size} {last.hash}" if last else ""


def _header(state: str, body: bytes) -> bytes:
    return f"team-mail ids 1 {sys.byteorder} {state} {sha256(body).hexdigest()}".encode()


def _whole_lines(disk: Disk, descriptor: int, size: int) -> int:
    """Return the size of a file without a line that is being written at its end."""
    window = min(size, MAX_LINE + 1)
    return size - window + disk.read(descriptor, window, size - window).rfind(b"\n") + 1


def _collect(events: dict[str, Event], descriptor: int, size: int, wanted: set[str], since: int) -> None:
    if not size:
        return
    with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
        # The `data` of an event may look like the head of another: only the decoded event has the right id.
        start = offset_of(data, since)
        for at in _some(data, wanted, start) if len(wanted) <= _FEW else _all(data, wanted):
            event = decode(data[at : data.find(b"\n", at)])
            if event is not None and event.id in wanted:
                events.setdefault(event.id, event)


def offset_of(data: mmap.mmap | bytes, seq: int) -> int:
    """Return where the line of a seq begins, or one before it: the lines are in order, so half of them are left out.

    Where they do not look so, that is 0. Beyond the last line, it is the end.
    """
    low, high = 0, len(data) if seq else 0  # the line is at `low` or behind it, and at `high` at the latest
    while low < high:
        middle = data.rfind(b"\n", 0, (low + high) // 2) + 1
        begin = max(low, middle)
        head = _SEQ.match(data, begin)
        if head is None:
            return 0
        if int(head[1]) < seq:
            low = data.find(b"\n", begin) + 1 or len(data)
        else:
            high = begin
    return low


def _some(data: mmap.mmap, wanted: Iterable[str], start: int = 0) -> Iterator[int]:
    for text in wanted:
        needle = b',"id":"' + text.encode() + b'","ts":'
        at = data.find(needle, start)
        while at >= 0:
            yield data.rfind(b"\n", 0, at) + 1
            at = data.find(needle, at + 1)


def _all(data: mmap.mmap, wanted: set[str]) -> Iterator[int]:
    for match in _HEAD.finditer(data):
        if match[1].decode() in wanted and (match.start() == 0 or data[match.start() - 1] == ord("\n")):
            yield match.start()
