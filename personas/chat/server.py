"""A model of a server that speaks as OpenAI's chat completions do, asked with retries.

What servers do not know of the protocol (tools, `stream_options`) is left out once one has refused it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...mail.clock import Clock, SystemClock
from ...mail.text.escape import line
from ..errors import ServiceError
from ..web.api import NotCalled, RateLimited
from ..web.events import Enough, EventReader
from ..web.exchange import Exchange, Resolve, resolve
from .about import BAD, KEY, MISSING, ServerFacts
from .answer import Answer, AnswerBuilder, ServerComplaint
from .orders import ChatError, Orders

Message = dict[str, Any]
PATIENCE = 120.0  # seconds that one request waits for a limit of rate
PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each further try
_ABSENT = 2  # further tries where no server is
_AGAIN = frozenset({0, 408, 425, 500, 502, 503, 504, 529})
_BYTES = 4  # of a token that are taken before an answer is cut
_LONGEST = 4 << 20  # characters of an answer
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|size|window)|maximum context|exceeds? (?:the )?(?:available )?context|prompt is too long"
    r"|too many (?:input )?tokens|input (?:is )?too long",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"(?:maximum context length|context (?:size|length|window)|n_ctx)(?: is| of)?\D{0,12}(\d{3,8})", re.IGNORECASE
)
_NO_TOOLS = re.compile(
    r"(?:tool|function.?call).*(?:support|enable|require|jinja|allow|unknown|unrecogni[sz]ed|extra|permitted)"
    r"|(?:support|unknown|unrecogni[sz]ed|extra|permitted).*(?:tool|function.?call)",
    re.IGNORECASE,
)


class TooLong(Exception):
    """The messages do not fit into the context; `size` is how many tokens do, 0 if the server did not say."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class NoTools(Exception):
    """The server, or the model, takes no tools; the message is the server's."""


@dataclass
class ChatServer:
    """One model of one server.

    `key` is sent as a bearer token, unless it is empty. One answer takes at most `limit` seconds. `tell` is told what
    is tried again.
    """

    orders: Orders
    key: str = ""
    limit: float = 1_800.0
    tell: Callable[[str], object] = lambda _: None
    clock: Clock = field(default_factory=SystemClock)
    pauses: Sequence[float] = PAUSES
    resolver: Resolve = resolve
    _plain: bool = False  # whether the server was seen to refuse `stream_options`

    def __post_init__(self) -> None:
        self.facts = ServerFacts(self.orders, self.key, self.clock, self.resolver)
        self._api = self.facts.api(self.orders.base_url, self.limit, PATIENCE)

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.orders.model

    def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        hear: Callable[[str], object],
        context: int,
        again: Callable[[], object] = lambda: None,
    ) -> Answer:
        """Ask for the next message. A request that failed is made again, unless it would fail each time.

        Args:
            messages: All so far.
            tools: What the model may call; empty for none.
            hear: Is told the text as it comes.
            context: The tokens that the model takes; an answer that is longer is cut off.
            again: Is called before `hear` is told another try's text.

        Raises ChatError, RateLimited, TooLong and NoTools.
        """
        for number, pause in enumerate((*self.pauses, None)):
            try:
                return self._once(messages, tools, hear, context)
            except RateLimited:
                raise
            except ServiceError as error:
                self._judge(error, with_tools=bool(tools))
                is_absent = not (error.status or error.was_sent) and number >= _ABSENT
                if pause is None or is_absent or isinstance(error, NotCalled):
                    raise ChatError(self.facts.explained(error)) from None
                self.tell(f"{error}; tried again in {pause:g} s")
            again()
            self.clock.sleep(pause)
        raise AssertionError  # the last try returned or raised

    def _once(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        hear: Callable[[str], object],
        context: int,
    ) -> Answer:
        """Make one request. Raises ServiceError, also for a stream that broke off."""
        body: dict[str, Any] = {"model": self.model, "messages": [*messages], "stream": True}
        body |= {"tools": [*tools]} if tools else {}
        body |= {} if self._plain else {"stream_options": {"include_usage": True}}
        builder, most = AnswerBuilder(hear), min(_LONGEST, context * _BYTES)
        checked, cut = 0, ""

        def take(data: str) -> None:
            nonlocal checked, cut
            builder.take(data)
            if builder.size > most:
                cut = f"its answer is longer than its context of {context:,} tokens"
            elif builder.size > checked + 4096:
                checked = builder.size
                cut = "its answer goes round in a circle" if builder.repeats else ""
            if cut:
                raise Enough

        reader = EventReader(take)
        try:
            got = self._api.follow("chat/completions", body, reader, self.orders.silence)
        except ServerComplaint as said:
            raise ServiceError(f"{self._api.host}: {line(str(said))[:500]}", _status(said), was_sent=True) from None
        if not reader.streamed:
            builder.take(_one_line(got))
        answer = builder.answer()
        if cut:
            raise ChatError(f"{self.model} never stops: {cut}, and was cut off there")
        if not answer.whole:
            raise ServiceError(f"{self._api.host}: the answer broke off", was_sent=True)
        return answer

    def _judge(self, error: ServiceError, *, with_tools: bool) -> None:
        """Raise what another try would not help against; learn what the server does not know."""
        said, status = str(error), error.status
        if _TOO_LONG.search(said) and status not in KEY:
            size = _SIZE.search(said)
            raise TooLong(said, int(size[1]) if size else 0) from None
        if status in KEY:
            raise ChatError(f"{said}; {self.facts.about_key}", hopeless=True) from None
        if status in {BAD, MISSING} and (why := self.facts.wrong_model()):
            raise ChatError(why, hopeless=True) from None
        if "stream_options" in said and not self._plain:
            self._plain = True
            return
        if with_tools and status and _NO_TOOLS.search(said):
            raise NoTools(said) from None
        if status not in _AGAIN:
            raise ChatError(self.facts.explained(error), hopeless=status == MISSING) from None


def _status(said: ServerComplaint) -> int:
    return said.status if said.status >= BAD else 500


def _one_line(got: Exchange) -> str:
    """Return the JSON of an answer that is no stream; "" for what is none."""
    try:
        return json.dumps(json.loads(got.body))
    except (ValueError, RecursionError):
        return ""
