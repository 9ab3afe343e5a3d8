"""Reads the output of one run while it is written, as far as it is shown: words, and tool calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ....personas.running.tail import Tail
from ....personas.streams.stream import Hearer, Listener
from ..wire.words import Words

_MOST = 8  # readings of one file, at one look


class RunReader(Hearer):
    """The output of one run. `on_words` is given text to show, `on_tool` each tool call and its output.

    `words` are those that came before, to which these are added. `has_spoken` tells whether there were any.
    """

    def __init__(
        self, output: Path, words: Words, on_words: Callable[[str], object], on_tool: Callable[[dict[str, Any]], object]
    ) -> None:
        self._tail = Tail(output)
        self._listener = Listener(self, keep=False)
        self._words, self._on_words, self._on_tool = words, on_words, on_tool
        self.has_spoken = False
        self._cut = 0
        words.break_off()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was there to be read."""
        return self._tail.offset == 0

    def step(self) -> bool:
        """Read what is there; tell whether there may be more."""
        for _ in range(_MOST):
            data = self._tail.read()
            if self._tail.cut != self._cut:
                self._cut = self._tail.cut
                self.say("\n[part of the output is left out here]\n", more=True)
            if not data:
                return False
            self._listener.feed(data)
        return True

    def feed(self, data: bytes) -> None:
        """Read what was kept of an output whose file is gone."""
        self._listener.feed(data)

    def finish(self) -> None:
        """Take what was read as the whole output."""
        self._listener.end()
        self._tail.close()

    def say(self, text: str, *, more: bool) -> None:
        """Show words of the agent."""
        if not more:
            self._words.break_off()
        if shown := self._words.add(text):
            self.has_spoken = True
            self._on_words(shown)

    def call(self, id: str, tool: str, input: Any) -> None:
        """Show a tool call."""
        self._on_tool({"id": id, "tool": tool, "input": input})

    def answer(self, id: str, output: Any) -> None:
        """Show the output of a tool call."""
        self._on_tool({"id": id, "output": output})
