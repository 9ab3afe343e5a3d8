"""What a run of Jules prints: the events of Claude Code's stream, which the keeper and every reader of runs know.

Between them, a plain line says how the session stands; of a run that ends in time, it is the last that is told.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any, TextIO

from .session import Activity

_TOOL = "bash"


@dataclass
class Stream:
    """Prints a session to `out`, each line as it happens."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _last: str = ""

    def begin(self, session: str) -> None:
        """Name the session."""
        self._event(type="system", subtype="init", session_id=session)

    def activity(self, activity: Activity) -> None:
        """Print what happened: what was said as words, and each command as a call of a tool."""
        if activity.text and activity.kind != "userMessaged":
            self._words(activity.id, activity.text)
        for number, command in enumerate(activity.commands):
            call = f"{activity.id}/{number}"
            use = {"type": "tool_use", "id": call, "name": _TOOL, "input": {"command": command.command}}
            self._event(type="assistant", message={"role": "assistant", "content": [use]})
            result = {
                "type": "tool_result", "tool_use_id": call, "content": command.output,
                "is_error": command.exit != 0,
            }  # fmt: skip
            self._event(type="user", message={"role": "user", "content": [result]})

    def stand(self, text: str) -> None:
        """Print how things stand, unless that is the last that was printed."""
        if text != self._last:
            self._line(text)
            self._last = text

    def end(self, session: str, text: str, *, failed: bool = False) -> None:
        """Print the final event."""
        subtype = "error" if failed else "success"
        self._event(type="result", subtype=subtype, is_error=failed, result=text, session_id=session)

    def _words(self, id: str, text: str) -> None:
        message = {"id": id, "role": "assistant", "content": [{"type": "text", "text": text}]}
        self._event(type="assistant", message=message)

    def _event(self, **event: Any) -> None:
        self._last = ""
        self._line(json.dumps(event))

    def _line(self, text: str) -> None:
        self.out.write(f"{text}\n")
        self.out.flush()
