"""What a model is sent each time: all messages so far, as far as its context has room for them.

Tokens are estimated: three bytes each and eight for a message, corrected by what the server counts. What is left out
first are the oldest results of tools, then the oldest turns; the prompt never is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .orders import ChatError
from .server import Message

BYTES = 3  # of a token
_OF_MESSAGE = 8  # tokens
_MOST_ANSWER = 8_192  # tokens that are left free for the answer, and at most a quarter of the context
_LEAST, _MOST = 0.6, 3.0  # how far a server's count is believed to differ: some leave out what they had in a cache
_KEPT = 200  # characters of a result that is worth leaving out
_SHORTEST = 2_000  # characters to which the newest results are cut
LEFT_OUT = "[left out to save room; ask again if you need it]"
_EARLIER = "[Earlier turns were left out to save room. The files are as you changed them.]"


@dataclass
class Turn:
    """An answer, and what it was answered with."""

    answer: Message
    results: list[Message]


def tokens_of(value: Any) -> int:
    """Return an estimate of the tokens of a text, or of a value as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text.encode(errors="replace")) // BYTES + 1


@dataclass
class Memory:
    """The messages of a run. `context` is how many tokens the model takes, and `fixed` how many its tools need."""

    prompt: Sequence[Message]
    context: int
    fixed: int = 0
    turns: list[Turn] = field(default_factory=list[Turn])
    _factor: float = 1.0
    _sent: int = 0  # tokens by the plain estimate

    def messages(self) -> list[Message]:
        """Return what is sent next. Raises ChatError if the prompt alone does not fit."""
        room = self.context - min(self.context // 4, _MOST_ANSWER)
        for shrink in (self._forget_result, self._forget_turn, self._shorten):
            while self.size > room and shrink():
                pass
        if self.size > room:
            raise ChatError(
                f"the prompt has about {self.size:,} tokens, and the context {self.context:,}, of which a part is for "
                "the answer: let the server run the model with more (and set context), or shorten the persona",
                hopeless=True,
            )
        self._sent = self._plain()
        return self._all()

    @property
    def size(self) -> int:
        """An estimate of the tokens of all messages and tools."""
        return int(self._plain() * self._factor)

    @property
    def sent(self) -> int:
        """An estimate of the tokens of what was sent last."""
        return int(self._sent * self._factor)

    def learn(self, counted: int) -> None:
        """Take what the server counted of what was sent last."""
        if self._sent and counted:
            self._factor = min(_MOST, max(_LEAST, counted / self._sent))

    def is_too_long(self, size: int) -> None:
        """Take that the server refused what was sent last; `size` is the context that it named, 0 for none."""
        if size:  # what was sent has more, whatever was counted before
            self.context = min(self.context, size)
            self._factor = max(self._factor, self.context / max(1, self._sent))
        else:  # nobody knows how much is too much
            self.context = max(1, min(self.context, self.sent) * 3 // 4)

    def _all(self) -> list[Message]:
        return [*self.prompt, *(message for turn in self.turns for message in (turn.answer, *turn.results))]

    def _plain(self) -> int:
        return self.fixed + sum(tokens_of(message) + _OF_MESSAGE for message in self._all())

    def _forget_result(self) -> bool:
        """Leave out the oldest result that is worth it, but none of the last turn; return whether there was one."""
        for turn in self.turns[:-1]:
            for message in turn.results:
                if len(message["content"]) > _KEPT:
                    message["content"] = LEFT_OUT
                    return True
        return False

    def _forget_turn(self) -> bool:
        """Leave out the oldest turn but the last one, and say so."""
        if len(self.turns) < 2:  # noqa: PLR2004
            return False
        del self.turns[0]
        note: Message = {"role": "user", "content": _EARLIER}
        if self.prompt[-1] != note:
            self.prompt = [*self.prompt, note]
        return True

    def _shorten(self) -> bool:
        """Cut the longest of the last results in half."""
        results = [message for turn in self.turns for message in turn.results]
        longest = max(results, key=lambda message: len(message["content"]), default=None)
        if longest is None or len(longest["content"]) <= _SHORTEST:
            return False
        text = longest["content"]
        half = max(_SHORTEST, len(text) // 2) // 2 - 50
        longest["content"] = f"{text[:half]}\n{LEFT_OUT}\n{text[-half:]}"
        return True
