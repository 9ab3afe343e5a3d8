"""How far an agent's stream of JSON events has come. Part of the keeper: `json` is loaded with the first event.

The final events are those of Claude Code, Amp, Cursor, Qwen Code (`result` with `is_error`), Gemini (`result` with
`status`), Copilot (`result` with `exitCode`), Codex (`turn.completed`, `turn.failed`) and OpenCode (`step_finish`,
`error`). An agent may go on after one, with another turn: then its stream is open again.
"""

from .meter import Meter

MAX_LINE = 1 << 18  # bytes; a longer event is judged by its beginning
_RESULT = {"is_error", "status", "exitCode"}
_WORK = {
    "assistant", "turn.started", "step_start", "tool_use", "item.started", "item.completed", "tool_call",
    "assistant.message", "tool.execution_start",
}  # fmt: skip
_ENDINGS = (b'"result"', b'"turn.completed"', b'"turn.failed"', b'"step_finish"', b'"error"')
_START = b'{"type":"'
_TRIES = 200  # events that are looked at before a stream that nobody knows counts as a script's own
# What only an agent prints: a field that its event of that type has; a script's own JSON may look like other events.
_MARKS = {
    "system": ("session_id", "subtype"),
    "assistant": ("message",),
    "stream_event": ("event",),
    "result": ("is_error", "stats", "sessionId"),
    "tool_call": ("call_id",),
    "thread.started": ("thread_id",),
    "turn.started": ("type",),
    "turn.completed": ("usage",),
    "turn.failed": ("error",),
    "item.started": ("item",),
    "item.updated": ("item",),
    "item.completed": ("item",),
    "init": ("session_id", "model"),
    "message": ("role",),
    "tool_use": ("tool_id", "part"),
    "tool_result": ("tool_id",),
    "step_start": ("part",),
    "step_finish": ("part",),
    "text": ("part",),
    "error": ("sessionID",),
}
_TOPICS = {"session", "user", "assistant", "tool"}
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


def is_known(event: "Mapping[str, Any]") -> bool:
    """Tell whether an event is one of those that agents print."""
    kind = event.get("type")
    if not isinstance(kind, str):
        return False
    if "part" in event and "sessionID" in event:  # of OpenCode
        return True
    if "data" in event and kind.partition(".")[0] in _TOPICS and "." in kind:  # of Copilot
        return True
    return any(mark in event for mark in _MARKS.get(kind, ()))


def stage(event: "Mapping[str, Any]") -> str:
    """Return "final" for an event that ends a stream, "work" for one that goes on, else nothing."""
    kind = event.get("type")
    part: Any = event.get("part")
    if not isinstance(kind, str):
        return ""
    if kind == "step_finish":
        reason = part.get("reason") if isinstance(part, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return "work" if reason in ("tool-calls", "unknown") else "final"
    if kind == "result":
        return "final" if _RESULT & event.keys() else ""
    if kind in ("turn.completed", "turn.failed") or (kind == "error" and "sessionID" in event):
        return "final"
    own = not event.get("parent_tool_use_id")
    return "work" if own and (kind in _WORK or (kind == "message" and event.get("role") == "assistant")) else ""


class Events:
    """Finds the final event in a stream that comes in pieces, in bounded memory.

    `final` tells whether it came, in a stream that is known, and was the last; `line` is that event as it was printed,
    empty if it is too long to be kept, and `at` the position in the stream where it starts. `meter` adds up what the
    events tell of tokens and money.
    """

    def __init__(self) -> None:
        self.final = False
        self.known = False
        self.line = b""
        self.at = 0
        self.meter = Meter()
        self._open = bytearray()  # the line that has not ended yet
        self._began = 0  # where that line starts
        self._length = 0  # of that line, so far
        self._tries = _TRIES

    def feed(self, data: bytes) -> None:
        """Read the next piece of the stream."""
        end = data.rfind(b"\n") + 1
        if self._length and end:
            first = data.index(b"\n") + 1
            self._extend(data[:first])
            self._close()
            self._lines(data[first:end])
        elif end:
            self._lines(data[:end])
        self._extend(data[end:])
        if self._open.endswith(b"}") and self._length == len(self._open):  # an agent may hang before its last newline
            self._line(bytes(self._open), self._began)

    def finish(self) -> None:
        """Take what has come of the last line as a whole line."""
        self._close()

    def _lines(self, data: bytes) -> None:
        """Read whole lines; most output has no events in it, and is not even split."""
        began, self._began = self._began, self._began + len(data)
        if not self._is_of_use(data):
            return
        for line in data.split(b"\n"):
            self._line(line, began)
            began += len(line) + 1

    def _is_of_use(self, data: bytes) -> bool:
        """Tell whether events in it can change anything: endings, and what tells tokens, once it is settled whose."""
        if not self.known and self.meter.wants_text(data):
            return True
        if b'"type"' not in data:
            return False
        if self.final or not (self.known or self._tries < 0) or any(word in data for word in _ENDINGS):
            return True
        return self.known and self.meter.wants(data)

    def _extend(self, data: bytes) -> None:
        self._length += len(data)
        self._open += data[: max(0, MAX_LINE - len(self._open))]

    def _close(self) -> None:
        if self._length > MAX_LINE:
            self._long(bytes(self._open[:100]))
        elif self._length:
            self._line(bytes(self._open.rstrip(b"\n")), self._began)
        self._began += self._length
        self._length = 0
        self._open = bytearray()

    def _long(self, start: bytes) -> None:
        """Judge an event that is too long to be parsed."""
        if start.replace(b" ", b"").startswith(b'{"type":"result"'):
            self.final, self.line, self.at = True, b"", self._began

    def _line(self, line: bytes, began: int) -> None:
        if not self._is_of_use(line):
            return
        if not self.known:
            self._tries -= 1
            self.meter.read(line.decode(errors="replace"))
        for event in events_in(line):
            self.known = self.known or is_known(event)
            if self.known:
                self.meter.count(event)
            if self.known and (now := stage(event)):
                self.final = now == "final"
                if self.final:
                    self.line, self.at = line, began


def events_in(line: "bytes | str") -> "Iterator[Mapping[str, Any]]":
    """Yield the events of a line: one, or a list of them, perhaps after a warning or a terminal's escape sequence."""
    import json

    text = line if isinstance(line, str) else line.decode(errors="replace")
    start = text if text.startswith(("{", "[")) else "".join(text.partition(_START.decode())[1:])
    value: Any = None
    try:
        value = json.loads(start) if start else None
    except (ValueError, RecursionError, MemoryError):
        return
    for item in value if isinstance(value, list) else [value]:  # pyright: ignore[reportUnknownVariableType]
        if isinstance(item, dict):
            yield item
