"""One persona's unread mail, folded from the lines of the log that are new since the last look, without a database.

The answer is that of the projection `inbox`, with `unread`; where that is not certain, because a line does not verify
or the log is known to be damaged, there is none, and the projection has to be asked. Little is imported before a line
turns out to concern the persona, for the reason given in `mail/home.py`.
"""

from __future__ import annotations

import os

from . import cursor as cursors
from .cursor import Cursor

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ..log.event import Event

_HASH = 44  # bytes of the end of a line, from `"hash":` on, with the newline
_HEAD = b'{"v":1,"seq":'
_DIGITS = 12  # of the numbers in the name of a sealed file
_REMOTE = "remote"  # as REMOTE in mail/log/writer.py
_OFTEN = 1 << 16  # bytes after which a cursor is moved although nothing has changed


class Uncertain(Exception):
    """The bytes of the log do not tell for certain; ask the projection."""


class _Reopened(Exception):
    """A message that is not among the unread ones became unread again: the log has to be read from its beginning."""


def unread(folder: str, persona: str, people: str = "", *, is_fresh: bool = False) -> list[dict[str, Any]]:
    """Return the listed objects of a persona's unread mail, newest first, in the log in `folder`.

    Of a copy of a log on a server nothing is certain, unless it `is_fresh`: brought up to date. `people` is kept in the
    cursor, see `Cursor`. Raises Uncertain.
    """
    if os.path.exists(f"{folder}/damaged") or (not is_fresh and os.path.exists(f"{folder}/{_REMOTE}")):
        raise Uncertain
    before = cursors.load(folder, persona)
    news = News(folder, before)
    try:
        try:
            fold = _Fold(persona, news)
        except _Reopened:
            news.close()
            before, news = None, News(folder, None)
            fold = _Fold(persona, news)
        if news.at and (fold.changed or before is None or before.people != people or news.bytes > _OFTEN):
            news.at.people = people
            cursors.save(folder, persona, news.at, fold.entries)
    finally:
        news.close()
    return [{name: entry[name] for name in entry if name not in {"run", "owner"}} for entry in fold.entries]


class News:
    """The bytes of the log after a cursor, or all of them. `at` is the position after them, None if it is not clear."""

    def __init__(self, folder: str, before: Cursor | None) -> None:
        self._folder = folder
        self._active = _opened(f"{folder}/events.jsonl")
        try:
            self._sealed = self._segments()
        except BaseException:
            self.close()
            raise
        self.at: Cursor | None = None
        self.bytes = 0
        self.entries: list[dict[str, Any]] = []
        self.begins = True  # with the first event
        self._rest: list[tuple[str, int]] = [(path, 0) for _, _, path in self._sealed]
        self._start = self._end = 0  # of the active file: what is read of it
        entries = before.entries if before else None
        if before and entries is not None and self._continue(before):
            self.begins, self.entries = False, entries
        self._read: list[bytes] = []

    def close(self) -> None:
        """Close the active file; more than once does no harm."""
        if self._active >= 0:
            os.close(self._active)
            self._active = -1

    def blocks(self) -> Iterator[bytes]:
        """Yield the news, oldest first; whole lines. Those after a cursor are kept, for `newest_first`."""
        for path, start in self._rest:
            yield self._noted(_whole(path)[start:])
        yield self._noted(self._last())

    def newest_first(self, *, older: bool) -> Iterator[bytes]:
        """Yield the blocks again, from the newest on; with `older`, those before the cursor, too."""
        yield from reversed(self._read)
        if not older:
            return
        if self._active >= 0:
            yield _part(self._active, 0, self._end if self.begins else self._start)
        for _, _, path in reversed(self._sealed):
            yield _whole(path)

    def lines_since(self, seq: int, needle: bytes) -> Iterator[bytes]:
        """Yield the lines from a seq on that have some bytes in them, oldest first. Raises Uncertain."""
        from ..log.lookup import offset_of

        for path in (path for _, last, path in self._sealed if last >= seq):
            data = _whole(path)
            yield from lines(data, needle, offset_of(data, seq))
        data = self._last()
        yield from lines(data, needle, offset_of(data, seq))

    def _noted(self, data: bytes) -> bytes:
        self.bytes += len(data)
        if not self.begins:
            self._read.append(data)
        return data

    def _continue(self, before: Cursor) -> bool:
        """Begin after a cursor, if the log still has its event there."""
        if self._active >= 0 and os.fstat(self._active).st_ino == before.inode:
            end = _part(self._active, before.size - _HASH, _HASH) if before.size >= _HASH else b""
            if end == _mark(before):
                self._rest, self._start = [], before.size
            return end == _mark(before)
        held = [path for first, last, path in self._sealed if first <= before.head <= last]
        if not held or _whole(held[0])[max(0, before.size - _HASH) : before.size] != _mark(before):
            return False
        later = [(path, 0) for first, _, path in self._sealed if first > before.head]
        self._rest = [(held[0], before.size), *later]
        return True

    def _last(self) -> bytes:
        """Return the news of the active file, and note the position after them."""
        if self._active < 0:
            return b""
        status = os.fstat(self._active)
        data = _part(self._active, self._start, status.st_size - self._start)
        data = data[: data.rfind(b"\n") + 1]
        self._end = size = self._start + len(data)
        end = _part(self._active, max(0, size - _HASH), min(size, _HASH))
        seq = _seq_of(self._line_before(size)) if size else 0
        if seq and end.startswith(b',"hash":"') and end.endswith(b'"}\n'):
            self.at = Cursor(status.st_ino, size, seq, end[9:41].decode(errors="replace"))
        return data

    def _line_before(self, end: int) -> bytes:
        """Return the beginning of the last line before an offset of the active file."""
        window = 2048
        while True:
            start = max(0, end - window)
            data = _part(self._active, start, end - start)
            at = data.rfind(b"\n", 0, len(data) - 1) + 1
            if at or not start:
                return data[at : at + 64]
            window *= 16

    def _segments(self) -> list[tuple[int, int, str]]:
        """Return the sealed files: first and last seq, and path. One that was sealed after the active file is left out.

        The active file was opened before: if it is sealed now, its first seq shows that.
        """
        first = _seq_of(_part(self._active, 0, 64)) if self._active >= 0 else 0
        try:
            names = sorted(os.listdir(f"{self._folder}/segments"))
        except OSError:
            names = []
        sealed: list[tuple[int, int, str]] = []
        for name in names:
            begin, dash, rest = name.partition("-")
            end, dot, ending = rest.partition(".")
            if dash and dot and ending == "jsonl" and len(begin) == len(end) == _DIGITS and (begin + end).isdigit():
                sealed.append((int(begin), int(end), f"{self._folder}/segments/{name}"))
        sealed = [segment for segment in sealed if not first or segment[1] < first]
        ends = [0, *(last for _, last, _ in sealed)]
        begins = [*(begin for begin, _, _ in sealed), *([first] if first else [])]
        if any(begin != end + 1 for begin, end in zip(begins, ends, strict=False)):
            raise Uncertain  # a file is missing, or is there twice
        return sealed


class _Fold:
    """The state of one persona's mail. `entries` are its unread messages, newest first."""

    def __init__(self, persona: str, news: News) -> None:
        self._persona = persona
        self._whole = news.begins
        self._marks: dict[str, dict[str, bool]] = {}
        self._tags: dict[str, dict[str, bool]] = {}
        self._messages = {entry["id"]: entry for entry in news.entries}
        self.changed = False
        needle = f'"{persona}"'.encode()
        for block in news.blocks():
            for line in lines(block, needle):
                self._add(event_of(line))
        fresh = {name for name in self._messages if name not in {entry["id"] for entry in news.entries}}
        open_ = [message for message in self._messages.values() if self._is_unread(message["id"])]
        self.entries = sorted(map(self._marked, open_), key=lambda entry: -entry["seq"])
        for entry in self.entries:
            if entry["run"] is not None and entry["owner"] is None:
                self._verify(entry, news.newest_first(older=entry["id"] in fresh or self._whole))

    def _add(self, event: Event) -> None:
        from ..kinds import MailKind

        if event.kind == MailKind.SENT:
            if event.id in self._messages:
                raise Uncertain  # a line is there twice
            if self._persona in event.recipients:
                self._messages[event.id] = _entry(event)
                self.changed = True
        elif event.sender == self._persona and event.ref:
            self._mark(event.kind, event.ref, event.data.get("tag"))

    def _mark(self, kind: str, ref: str, tag: Any) -> None:
        from ..kinds import MailKind
        from ..marks import UNDOES

        verb = kind.removeprefix("mail.")
        name = UNDOES.get(verb, verb)
        if kind in {MailKind.TAGGED, MailKind.UNTAGGED}:
            if isinstance(tag, str):
                self._tags.setdefault(ref, {})[tag] = kind == MailKind.TAGGED
        elif name != verb and ref not in self._messages and not self._whole:
            raise _Reopened
        else:
            self._marks.setdefault(ref, {})[name] = name == verb
        self.changed = self.changed or ref in self._messages

    def _is_unread(self, ref: str) -> bool:
        marks = self._marks.get(ref, {})
        return not any(marks.get(name) for name in ("read", "archived", "trashed"))

    def _marked(self, entry: dict[str, Any]) -> dict[str, Any]:
        acked = self._marks.get(entry["id"], {}).get("acked", entry["acked"])
        tags = dict.fromkeys(entry["tags"], True) | self._tags.get(entry["id"], {})
        return entry | {"acked": acked, "tags": sorted(tag for tag, on in tags.items() if on)}

    def _verify(self, entry: dict[str, Any], blocks: Iterable[bytes]) -> None:
        """Find out whose run the message names, if that is on record there."""
        owner = _owner(entry["run"], blocks)
        self.changed = self.changed or owner is not None
        entry["owner"], entry["verified"] = owner, owner == entry["sender"]


def _entry(event: Event) -> dict[str, Any]:
    from ..message import Message

    return Message.of(event._asdict())._replace(verified=event.run is None).listed() | {"run": event.run, "owner": None}


def _owner(run: str, blocks: Iterable[bytes]) -> str | None:
    """Return the persona of a run by its start, in the first of the blocks that has it; a run starts once."""
    import json

    from ..directory import SCHEDULER
    from ..kinds import RUN_STARTED

    needle, kind = f'"run":{json.dumps(run, ensure_ascii=False)}'.encode(), f'"kind":"{RUN_STARTED}"'.encode()
    for block in blocks:
        for event in (event_of(line) for line in lines(block, needle) if kind in line):
            if (event.kind, event.sender, event.run) == (RUN_STARTED, SCHEDULER, run):
                persona = event.data.get("persona")
                return persona if isinstance(persona, str) else ""
    return None


def lines(data: bytes, needle: bytes, start: int = 0) -> Iterator[bytes]:
    """Yield the lines from an offset on that have some bytes in them, without their newlines."""
    at = data.find(needle, start)
    while at >= 0:
        end = data.find(b"\n", at)
        yield data[data.rfind(b"\n", 0, at) + 1 : end]
        at = data.find(needle, end)


def event_of(line: bytes) -> Event:
    """Return the event of a line. Raises Uncertain if it does not verify."""
    from ..log.event import decode

    event = decode(line)
    if event is None:
        raise Uncertain
    return event


def _whole(path: str) -> bytes:
    """Read a sealed file. Raises Uncertain if it cannot be read, or is none."""
    data = cursors.read(path)
    if data is None:
        raise Uncertain
    return data


def _opened(path: str) -> int:
    """Open a regular file; -1 if there is none. Raises Uncertain for anything else."""
    import stat

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return -1
    except OSError:
        raise Uncertain from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Uncertain
    return descriptor


def _part(descriptor: int, start: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := os.pread(descriptor, size - len(data), start + len(data))):
        data += more
    return data


def _mark(at: Cursor) -> bytes:
    return f',"hash":"{at.hash}"}}\n'.encode()


def _seq_of(line: bytes) -> int:
    digits = line[len(_HEAD) : line.find(b",", len(_HEAD))] if line.startswith(_HEAD) else b""
    return int(digits) if digits.isdigit() else 0
