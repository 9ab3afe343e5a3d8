"""One ask: some personas, each with a prompt, carried out as one dispatch, and the frames of its stream.

What happened is taken from the events of the dispatch, in their order, while it goes on or later from the log: the same
function makes the frames of both. Words of a run come before its end, and `done_` after that of its task.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ....mail.log.blobs import BlobMissing, Blobs
from ....scheduler.kinds import Kind, TaskStatus
from ....scheduler.payload import held
from ..wire.frames import COMPLETE, DONE, as_data, frame, pieces
from ..wire.signal import Signal
from ..wire.spool import Audience, Spool
from ..wire.words import Words
from .reader import RunReader

_GONE = "the ask was ended before"
_GAP = "\n[part of the output is left out here: there was no room for it]\n"


class Happened(Protocol):
    """An event of a dispatch, of the log or just written."""

    @property
    def kind(self) -> str:
        """Its kind."""
        ...

    @property
    def run(self) -> str | None:
        """The run that it is about."""
        ...

    @property
    def ts(self) -> str:
        """When it was written."""
        ...

    @property
    def data(self) -> Mapping[str, Any]:
        """Its data."""
        ...


class Closing(NamedTuple):
    """What follows the last event of a dispatch: that no more will come, and why."""

    why: str
    kind: str = ""
    run: str | None = None
    ts: str = ""
    data: Mapping[str, Any] = {}


@dataclass
class Part:
    """What one persona of an ask does: its task, its name on the wire, what it was asked, and how far it has come.

    `waits` is set until its run begins, and `place` is the last one that was told of it. An end that is not on record
    `is_assumed`.
    """

    task: str
    name: str
    persona: str
    prompt: str
    words: Words = field(default_factory=Words)
    reader: RunReader | None = None
    run: str = ""
    attempts: int = 0
    place: int = 0
    waits: bool = True
    is_assumed: bool = False
    status: str = ""
    answer: str = ""
    error: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object; `status` is null until its task has ended."""
        return {
            "task": self.task, "name": self.name, "persona": self.persona, "prompt": self.prompt,
            "status": self.status or None, "run": self.run or None, "error": self.error or None,
        }  # fmt: skip


class Ask:
    """An ask as its viewers see it. The hub's thread alone calls `step`; events may be added by any.

    `first` is the number of its first frame: an ask that was made anew from the log has other numbers than before.
    One that another process carries out (`is_elsewhere`) is given what that puts on record, as it comes.
    `asked` is a digest of its request, "" for one that was started before there were any.
    """

    def __init__(self, id: str, parts: Sequence[Part], home: Path, blobs: Blobs, *, owner: str, first: int = 0) -> None:
        self.id, self.parts, self.owner, self.first = id, list(parts), owner, first
        self.frames, self.changed = Spool(), Signal()
        self.is_over = self.is_elsewhere = False
        self.started = self.asked = ""
        self.on_end: Callable[[Part], object] = lambda _: None
        self.on_step: Callable[[], object] = lambda: None
        self.on_begin: Callable[[], object] = lambda: None
        self.viewers = 0
        self.left_at: float | None = None
        self._by_task = {part.task: part for part in self.parts}
        self._home, self._blobs = home, blobs
        self._events: deque[Happened] = deque()
        self._has_new = self._has_gap = self._is_broken = False
        if first:
            self._put("restarted", id, Audience.TEAM)

    def hear(self, events: Sequence[Happened]) -> None:
        """Take events of its dispatch; any thread may."""
        self._events.extend(events)

    def step(self) -> bool:
        """Go on as `Member.step` says."""
        if self._is_broken:
            self._events.clear()
            return False
        self.on_step()
        is_busy, was_settled = False, self.is_settled
        while self._events and not is_busy:
            is_busy = not self._take(self._events[0])
            if not is_busy:
                self._events.popleft()
        for part in self.parts:
            if part.reader:
                is_busy = part.reader.step() or is_busy
        if self._has_new or (self.is_settled and not was_settled):
            self._has_new = False
            self.changed.tell()
        return is_busy

    @property
    def is_broken(self) -> bool:
        """Whether its frames could not be made any more, whatever became of its dispatch."""
        return self._is_broken

    @property
    def is_reading(self) -> bool:
        """Whether output may come at any time."""
        return any(part.reader for part in self.parts)

    @property
    def is_settled(self) -> bool:
        """Whether it is over, and all of that was taken."""
        return self.is_over and not self._events

    def watch(self) -> None:
        """Note one more viewer."""
        self.viewers += 1
        self.left_at = None

    def leave(self) -> None:
        """Note that a viewer has left."""
        self.viewers -= 1
        if not self.viewers:
            self.left_at = time.monotonic()

    def fail(self, why: str, *, assumed: bool = False) -> None:
        """End it because its dispatch has ended; the hub's thread calls it.

        An end that is `assumed` may yet come: whoever goes on with the dispatch puts on record what its runs did.
        """
        for part in self.parts:
            if not part.status:
                self._end(part, TaskStatus.CANCELLED, why)
                part.is_assumed = assumed
        self._complete(keep=assumed)

    def abandon(self, why: str) -> None:
        """End it because its frames cannot be made; its dispatch goes on, and its output is on disk."""
        self._is_broken = True
        self._events.clear()
        with suppress(Exception):
            self.fail(why)
        self.is_over = True
        self.changed.tell()

    def _take(self, event: Happened) -> bool:
        """Take the next event; return False if output has to be read before."""
        data = event.data
        part = self._by_task.get(str(data.get("task")))
        if event.kind in {Kind.DISPATCH_STARTED, Kind.DISPATCH_RESUMED}:
            self.started = self.started or event.ts
            self._begin()
        elif event.kind == Kind.DISPATCH_FINISHED:
            self.fail(_GONE)
        elif isinstance(event, Closing):
            self.fail(event.why or _GONE, assumed=True)
        elif part and event.kind == Kind.RUN_STARTED:
            self._run(part, str(event.run), data)
        elif part and event.kind in {Kind.RUN_FINISHED, Kind.RUN_LOST} and part.reader and event.run == part.run:
            return self._finish(part, part.reader, data)
        elif part and event.kind == Kind.TASK_FINISHED:
            if part.is_assumed:
                part.status = part.error = ""
            self._end(part, str(data.get("status")), str(data.get("error") or data.get("why") or ""))
        return True

    def _begin(self) -> None:
        """Begin, or go on with what did not succeed."""
        self.is_over = False
        for part in self.parts:
            if part.status not in {TaskStatus.SUCCESS, TaskStatus.SKIPPED}:
                part.status = part.error = ""
                part.waits, part.place, part.is_assumed = True, 0, False
        self.on_begin()

    def _run(self, part: Part, run: str, data: Mapping[str, Any]) -> None:
        if part.reader:
            part.reader.finish()
        part.run, part.attempts, part.waits = run, int(data.get("attempt", 1)), False
        if part.attempts > 1:
            self._put(f"retry_{part.name}", as_data({"attempt": part.attempts}), Audience.TEAM)
        part.reader = RunReader(
            self._home / "runs" / run / "output.log",
            part.words,
            lambda text: self.say(part, text),
            lambda tool: self._put(f"tool_{part.name}", as_data(tool), Audience.TOOLS),
        )

    def _finish(self, part: Part, reader: RunReader, data: Mapping[str, Any]) -> bool:
        """Take the rest of a run's output; return False while there is more."""
        if reader.step():
            return False
        if reader.is_empty and (printed := data.get("output")):
            with suppress(BlobMissing, OSError, KeyError, TypeError):
                reader.feed(self._blobs.read(str(printed["sha256"])))
        reader.finish()
        part.reader = None
        result = None
        with suppress(BlobMissing, KeyError, OSError):
            result = held(self._blobs, data, "result")
        part.answer = _text_of(result)
        if not reader.has_spoken and part.answer:
            self.say(part, part.answer)
        return True

    def _end(self, part: Part, status: str, why: str) -> None:
        if part.status:
            return
        part.status, part.is_assumed = status, False
        if status == TaskStatus.SUCCESS:
            self._put(f"done_{part.name}", DONE)
        else:
            part.error = why or status
            self._put(f"error_{part.name}", part.error)
        self.on_end(part)

    def _complete(self, *, keep: bool = False) -> None:
        """Say that all have ended; `keep` what reads an output that may yet go on."""
        if not self.is_over:
            for part in self.parts if not keep else ():
                if part.reader:
                    part.reader.finish()
                    part.reader = None
            self._put("complete", COMPLETE)
            self.is_over = True
            self._has_new = True

    def say(self, part: Part, text: str) -> None:
        """Add words of a persona."""
        if self._has_gap:
            self._has_gap, text = False, f"{_GAP}{text}"
        for piece in pieces(text):
            self._put(part.name, piece)

    def queue(self, part: Part, place: int) -> None:
        """Say that so many are to start before a persona does, unless that was said last."""
        if place == part.place:
            return
        part.place = place
        self._put(f"queued_{part.name}", as_data({"place": place}), Audience.TEAM)

    def _put(self, event: str, text: str, audience: Audience = Audience.ALL) -> None:
        data = frame(event, text, f"{self.id}:{self.first + len(self.frames)}")
        try:
            self.frames.add(data, audience)
        except OSError:  # no room on the disk
            self._has_gap = True
        self._has_new = True

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "id": self.id, "started": self.started or None, "over": self.is_over,
            "tasks": [part.document() for part in self.parts],
        }  # fmt: skip

    def close(self) -> None:
        """Let go of its frames, and of the output that it reads."""
        for part in self.parts:
            if part.reader:
                part.reader.finish()
        self.frames.close()


def _text_of(result: Any) -> str:
    """Return the result of a task as it is shown."""
    if isinstance(result, str):
        return result
    if isinstance(result, dict) and result.keys() == {"text"}:  # pyright: ignore[reportUnknownMemberType]
        return str(result["text"])  # pyright: ignore[reportUnknownArgumentType]
    return "" if result is None else as_data(result)
