"""The agent's process: a message of the protocol a line, on its standard input and output.

Agents print other lines, too. What is no message is kept for people, and nothing that is printed can make the reader
fail. Its standard error is passed on, and the last of it tells why an agent ended.
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from ...mail.render import line

LIMIT = 64 << 20  # bytes of a line
_LAST = 4  # lines that are told of an agent that failed
_SHOWN = 300  # characters of each
_PASSED = 4_000  # characters of a line that is passed on
_QUIET = 0.5  # seconds in which an agent may end by itself, once nothing more is asked of it
_TERM = 1.0  # and once it is asked to


class Child:
    """An agent that was started, as the SDK's transport. `told` gets each line that is no message."""

    def __init__(self, process: Process, told: Callable[[str], object]) -> None:
        self._process, self._told = process, told
        self._last: deque[str] = deque(maxlen=_LAST)
        self._errors = asyncio.create_task(self._pass_errors())

    @classmethod
    async def start(cls, words: Sequence[str], env: Mapping[str, str], told: Callable[[str], object]) -> Child:
        """Start an agent. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env, limit=LIMIT
        )
        return cls(process, told)

    # -- what the SDK asks of a transport

    async def send(self, message: Mapping[str, Any]) -> None:
        """Write a message. Raises OSError if the agent does not read any more."""
        stream = self._process.stdin
        assert stream  # noqa: S101 - it is a pipe
        stream.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        await stream.drain()

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message, None at the end of the output, or of an agent whose output others hold open."""
        while True:
            try:
                data = await self._next_line()
            except ValueError:  # a line over the limit, which is left out
                self._keep("[a line of over 64 MiB is left out here]")
                continue
            except OSError:
                return None
            if not data:
                return None
            if (message := _message(data)) is not None:
                return message
            self._keep(data.decode(errors="replace"))

    async def _next_line(self) -> bytes:
        stream = self._process.stdout
        assert stream  # noqa: S101 - it is a pipe
        reading = asyncio.ensure_future(stream.readline())
        try:
            while True:
                was_over = self._process.returncode is not None
                if (await asyncio.wait({reading}, timeout=_QUIET))[0]:
                    return await reading
                if was_over:  # and nothing has come since
                    return b""
        finally:
            reading.cancel()

    async def close(self) -> None:
        """Tell the agent that nothing more comes."""
        if (stream := self._process.stdin) and not stream.is_closing():
            stream.close()

    # -- its end

    async def end(self) -> None:
        """End it: it may go by itself, is asked to, and is killed. What it started ends with the run."""
        with suppress(OSError):
            await self.close()
        for patience, signal in ((_QUIET, self._process.terminate), (_TERM, self._process.kill)):
            if await self._is_over(patience):
                return
            with suppress(ProcessLookupError):
                signal()
        await self._is_over(_TERM)

    async def last_words(self) -> str:
        """Return how it ended and the last lines that it printed, as one line."""
        over = await self._is_over(_TERM)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._errors), 0.2)  # what is still in the pipe
        code = self._process.returncode
        how = f"it ended with {'signal' if (code or 0) < 0 else 'exit code'} {abs(code or 0)}" if over else "it goes on"
        return f"{how}; {self.said}" if self._last else f"{how}, and said nothing"

    @property
    def said(self) -> str:
        """The last lines that it printed and that are no messages, empty if there are none."""
        return f"the last that it printed: {' | '.join(self._last)}" if self._last else ""

    async def _is_over(self, patience: float) -> bool:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), patience)
        return self._process.returncode is not None

    async def _pass_errors(self) -> None:
        stream = self._process.stderr
        assert stream  # noqa: S101 - it is a pipe
        while True:
            try:
                data = await stream.readline()
            except (ValueError, OSError):
                continue
            if not data:
                return
            self._keep(data.decode(errors="replace"))

    def _keep(self, text: str) -> None:
        if not (text := text.rstrip()):
            return
        if not text[0].isspace():  # below an error stand the places in its program
            self._last.append(line(text)[:_SHOWN])
        self._told(text[:_PASSED])


def _message(data: bytes) -> dict[str, Any] | None:
    """Return the message of a line, None if it is none: another value, or kind of id, stops the SDK's reader."""
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not ("method" in value or "id" in value):
        return None
    message = cast("dict[str, Any]", value)
    return message if isinstance(message.get("id"), str | int | None) else None
