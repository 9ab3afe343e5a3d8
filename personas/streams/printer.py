"""What our own programs below a keeper print: the events of Claude Code's stream, which every reader of runs knows.

`formats` reads them, and so does the keeper. A program that speaks a protocol (ACP, a chat model, Jules) prints what
happens with this, and need not be known to anything else: words, thoughts, tool calls and their results, what was
refused, what was used, and the end.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any, TextIO


@dataclass
class Printer:
    """Prints the events of one run to `out`, each as a line, as it happens.

    `think` prints what a model thought, which is kept in the output and is no message. `refuse` notes a tool that was
    denied, which the final event names. `spend` prints what the run has used so far, all in all, as `end` does again.
    """

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _session: str = ""
    _last: str = ""
    _messages: int = 0
    _denied: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _usage: dict[str, Any] = field(default_factory=dict[str, Any])

    def begin(self, session: str, model: str = "") -> None:
        """Name the agent's own session, by which it can be gone on with, and its model."""
        self._session = session
        self._event(type="system", subtype="init", session_id=session, **({"model": model} if model else {}))

    def say(self, text: str, *, id: str = "") -> None:
        """Print a whole message, also one whose pieces were printed."""
        self._block(type="text", text=text, id=id)

    def begin_part(self) -> None:
        """Begin a message that comes in pieces."""
        self._event(type="stream_event", event={"type": "content_block_start"})

    def say_part(self, text: str) -> None:
        """Print the next piece of a message; the whole of it follows with `say`."""
        delta = {"type": "text_delta", "text": text}
        self._event(type="stream_event", event={"type": "content_block_delta", "delta": delta})

    def think(self, text: str) -> None:
        """Print a thought."""
        self._block(type="thinking", thinking=text)

    def call(self, id: str, tool: str, input: Any) -> None:
        """Print a tool call that begins, or whose input is known better now."""
        self._block(type="tool_use", tool={"id": id, "name": tool, "input": input})

    def answer(self, id: str, output: Any, *, failed: bool = False) -> None:
        """Print the result of a tool call."""
        result = {"type": "tool_result", "tool_use_id": id, "content": output, "is_error": failed}
        self._event(type="user", message={"role": "user", "content": [result]})

    def refuse(self, tool: str, why: str, input: Any = None) -> None:
        """Print that a tool was not allowed; the final event names it again."""
        denied = {"tool_name": tool, "tool_input": input}
        self._denied.append(denied)
        self._event(type="system", subtype="permission_denied", session_id=self._session, **denied, reason=why)

    def spend(
        self, input: int | None, output: int | None, *, cached: int | None = None, usd: float | None = None,
        model: str = "",
    ) -> None:  # fmt: skip
        """Tell what was used so far; `input` includes the tokens from a cache, `cached`. None: nobody knows.

        New tokens are printed at once, so that a budget holds while the run goes on.
        """
        tokens: dict[str, int] = {}
        if input is not None and output is not None:
            tokens = {"input_tokens": input - (cached or 0), "output_tokens": output}
            tokens |= {"cache_read_input_tokens": cached} if cached is not None else {}
        told, model = self._usage.get("tokens"), model or self._usage.get("model", "")
        self._usage = {"tokens": tokens, "usd": usd, "model": model}
        if tokens and tokens != told:
            message: dict[str, Any] = {"id": "usage", "role": "assistant", "content": [], "usage": tokens}
            self._event(type="assistant", message=message | ({"model": model} if model else {}))

    def stand(self, text: str) -> None:
        """Print a plain line on how things stand, unless that is the last that was printed."""
        if text != self._last:
            self._line(text)
            self._last = text

    def end(self, text: str, *, failed: bool = False) -> None:
        """Print the final event; `text` is the last message, or why the run failed."""
        more: dict[str, Any] = {}
        if self._usage:
            names = {"usage": "tokens", "total_cost_usd": "usd", "model": "model"}
            more |= {name: value for name, key in names.items() if (value := self._usage[key]) not in (None, "", {})}
        if self._denied:
            more["permission_denials"] = self._denied
        self._event(
            type="result", subtype="error" if failed else "success", is_error=failed, result=text,
            session_id=self._session, **more,
        )  # fmt: skip

    def _block(self, *, type: str, id: str = "", tool: dict[str, Any] | None = None, **fields: str) -> None:
        self._messages += 1
        message = {
            "id": id or f"message {self._messages}", "role": "assistant",
            "content": [{"type": type, **fields, **(tool or {})}],
        }  # fmt: skip
        self._event(type="assistant", message=message)

    def _event(self, **event: Any) -> None:
        self._last = ""
        self._line(json.dumps(event))

    def _line(self, text: str) -> None:
        self.out.write(f"{text}\n")
        self.out.flush()
