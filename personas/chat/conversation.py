"""The conversation of a run: a model is asked, what it calls is done, and so on until it calls nothing more.

It ends in success only by a whole answer that calls nothing. One that met a limit of tokens is none, and neither are a
model that goes round in a circle and one that never comes to an end.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ...mail.clock import Clock
from ...mail.text.escape import line
from ...mail.text.units import counted
from ..streams.printer import Printer
from .about import UNTOLD
from .answer import BACK, EXTRA, Answer, Call, Tokens
from .blocks import FORM, RUN, blocks
from .memory import Memory, Turn, tokens_of
from .orders import CONTEXT, ChatError, Orders
from .server import ChatServer, Message, NoTools, TooLong
from .tools import Done, Toolbox

ALIKE = 3  # times in a row that a call may fail in the same way
_SAME = 6  # times in a row that a turn may be the same, with the same results
FILTERED = "content_filter"
_CUTS, _SILENCES = 2, 2  # answers in a row that may be cut off at a limit, or say nothing
_TRIES = 6  # at a context that is smaller than it was believed to be
_SHOWN = 300
_PIECE, _PAUSE = 120, 0.25  # characters of a message, or seconds, after which what came is printed
_TELLING = ("path", "pattern", "command", "number", "to")  # arguments that tell calls of one tool apart
_SYSTEM = """\
You work in a folder, the workspace, by the tools that you are given; nobody reads along or answers meanwhile. What is
said of the shell and of `team-mail` is for others: you send mail with send_mail and read it with read_mail. Files are
named from the top of the workspace. Change files until your part is done, then say in a sentence what you did, without
calling a tool: that ends your work."""
_BLOCKS = """\
You work in a folder, the workspace; nobody reads along or answers meanwhile. What is said of the shell and of
`team-mail` is for others. Files are named from the top of the workspace.

"""
_CUT = "Your answer was cut off at a limit of tokens, and nothing of it was done. Go on in smaller steps."
_IDLE = """\
So far you have called nothing, so nothing is read, changed or sent. If there is nothing to do, say why in a sentence;
else go on, and call what you need."""
_EMPTY = "You said nothing and called nothing. Go on, or say in a sentence what you did."


@dataclass
class Totals:
    """What all answers used. `estimated` tells that the server did not count the tokens of some of them."""

    input: int = 0
    output: int = 0
    cached: int | None = None
    usd: float | None = None
    estimated: bool = False

    def add(self, tokens: Tokens) -> None:
        """Add what one answer used."""
        self.input, self.output = self.input + tokens.input, self.output + tokens.output
        if tokens.cached is not None:
            self.cached = (self.cached or 0) + tokens.cached
        if tokens.usd is not None:
            self.usd = (self.usd or 0.0) + tokens.usd


@dataclass
class Conversation:
    """Holds the conversation of one run. `news` returns what came for the model since it was last asked."""

    server: ChatServer
    toolbox: Toolbox
    printer: Printer
    prompt: str
    news: Callable[[], Sequence[str]] = lambda: ()
    totals: Totals = field(default_factory=Totals)
    _failed: Counter[str] = field(default_factory=Counter[str])
    _last: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _same: int = 0
    _made: int = 0
    _thinks: bool = False

    def __post_init__(self) -> None:
        self.in_blocks = self.orders.tools == "blocks"
        self.memory = Memory([], 1)
        self._is_told = True  # whether the server told the context

    @property
    def orders(self) -> Orders:
        """How the model is asked."""
        return self.server.orders

    def hold(self) -> str:
        """Hold it; return the last answer. Raises ChatError and RateLimited."""
        self._begin()
        answer, cuts, silences, idle = self._asked(), 0, 0, False
        self._look_again()
        for turn in range(self.orders.turns):
            answer = self._asked() if turn else answer
            if answer.is_cut or answer.finish == FILTERED:
                cuts += 1
                self._cut(answer, last=cuts > _CUTS)
                continue
            calls = self._called(answer)
            if not calls:
                text = answer.text.strip()
                if notices := self._notices():
                    self.memory.turns.append(Turn(_said(answer.text or "…"), notices))
                    continue
                if self._made and (text or silences >= _SILENCES):
                    return text
                if text and idle:
                    return text
                if silences >= _SILENCES:
                    raise ChatError(f"the model said nothing and called nothing, {_SILENCES + 1} times in a row")
                idle, silences = idle or bool(text), silences + (not text)
                self.memory.turns.append(Turn(_said(answer.text or "…"), [_user(_IDLE if text else _EMPTY)]))
                continue
            cuts = silences = 0
            self._carry_out(answer, calls)
        raise ChatError(f"it was not done after {counted(self.orders.turns, 'turn')}, which is all that turns allows")

    def _begin(self) -> None:
        context, where = self.server.facts.context()
        self._is_told = where != UNTOLD
        self.printer.stand(f"context: {context:,} tokens, {where}")
        self._set_up(context)

    def _look_again(self) -> None:
        """Ask for the context once more where nobody knew it: Ollama tells that of a model which has been loaded."""
        size, where = self.server.facts.context() if not self._is_told else (0, "")
        if where and where != UNTOLD:
            self.printer.stand(f"context: {size:,} tokens, {where}")
            self.memory.context = min(self.memory.context, size) if size < CONTEXT else size

    def _set_up(self, context: int) -> None:
        """Make the first messages, in the form that the model takes."""
        tools = [] if self.in_blocks else [tool.schema for tool in self.toolbox.tools]
        system, prompt = _SYSTEM, self.prompt
        if self.in_blocks:
            run = next((tool for tool in self.toolbox.tools if tool.name == "run"), None)
            more = f"\n\n{RUN.format(allowed=run.meaning.partition('Allowed: ')[2].rstrip('.'))}" if run else ""
            system = f"{_BLOCKS}{FORM}{more}"
            prompt = f"{prompt}\n\nThe files of the workspace:\n\n{self.toolbox.list_files()}"
        messages = [{"role": "system", "content": system}, _user(prompt)]
        self.memory = Memory(messages, context, tokens_of(tools) if tools else 0)

    # -- one answer

    def _asked(self) -> Answer:
        """Ask for the next answer, in less room or another form if the server does not take it. Raises ChatError."""
        for _ in range(_TRIES):
            messages = self.memory.messages()
            tools = [] if self.in_blocks else [tool.schema for tool in self.toolbox.tools]
            part = _Part(self.printer, self.server.clock)
            try:
                answer = self.server.complete(messages, tools, part.hear, self.memory.context, part.again)
            except TooLong as error:
                self.printer.stand(f"{line(str(error))[:_SHOWN]}; what is oldest is left out")
                self.memory.is_too_long(error.size)
            except NoTools as error:
                if self.orders.tools == "calls":
                    raise ChatError(f'{error}; set tools = "blocks"', hopeless=True) from None
                self.printer.stand(f"{line(str(error))[:_SHOWN]}; it answers in blocks instead")
                self.in_blocks = True
                self._set_up(self.memory.context)
            else:
                part.flush()
                self._count(answer)
                self._print(answer)
                return answer
        raise ChatError("the server takes none of the contexts that were tried; set context")

    def _count(self, answer: Answer) -> None:
        tokens = answer.tokens
        if tokens:
            self.memory.learn(tokens.input)
        else:
            tokens = Tokens(self.memory.sent, answer.size // 3 + 1)
            if not self.totals.estimated:
                self.printer.stand("the server counts no tokens: those that are told are estimates, of 3 bytes each")
            self.totals.estimated = True
        totals = self.totals
        totals.add(tokens)
        self.printer.spend(
            totals.input, totals.output, cached=totals.cached, usd=totals.usd, model=self.server.orders.model
        )  # fmt: skip

    def _print(self, answer: Answer) -> None:
        if answer.thought:
            self.printer.think(answer.thought)
        if answer.text.strip():
            self.printer.say(answer.text)

    def _cut(self, answer: Answer, *, last: bool) -> None:
        """Tell of an answer that is not whole. Raises ChatError if it was one too many."""
        why = f"the answer was cut off (finish_reason {answer.finish})"
        self.printer.stand(why)
        if last:
            filtered = answer.finish == FILTERED
            cause = "the server filters it" if filtered else "it takes more tokens than the server lets it write"
            raise ChatError(f"{why}, {_CUTS + 1} times in a row: {cause}")
        self.memory.turns.append(Turn(_said(answer.text or "…"), [_user(_CUT)]))

    def _called(self, answer: Answer) -> list[Call]:
        """Return what an answer calls; with tools = "auto", also what stands in its text as blocks."""
        if answer.calls or self.orders.tools == "calls":
            return [*answer.calls]
        return blocks(answer.text)

    # -- what it calls

    def _carry_out(self, answer: Answer, calls: Sequence[Call]) -> None:
        done = [self._done(call) for call in calls]
        self._thinks = self._thinks or bool(answer.back)  # then each call is to have it, if only empty
        notices = self._notices()
        if answer.calls and not self.in_blocks:
            results = [
                {"role": "tool", "tool_call_id": call.id, "content": each.text}
                for call, each in zip(calls, done, strict=True)
            ]
            self.memory.turns.append(
                Turn(_said(answer.text, calls, answer.back if self._thinks else None), [*results, *notices])
            )
        else:
            rows = [f"{_title(call)}: {'FAILED: ' if each.failed else ''}{each.text}"
                    for call, each in zip(calls, done, strict=True)]  # fmt: skip
            rows.append("Go on, or say in a sentence what you did, without any block: that ends your work.")
            self.memory.turns.append(Turn(_said(answer.text), [_user("\n\n".join(rows)), *notices]))
        self._watch(calls, done)

    def _notices(self) -> list[Message]:
        return [_user(f"[This came meanwhile.]\n{text}") for text in self.news()]

    def _done(self, call: Call) -> Done:
        """Carry out a call, and print it."""
        shown = _shown(call.arguments)
        self._made += 1  # the ids of servers may come again
        id_ = f"{self._made} {call.id}"
        self.printer.call(id_, call.name, shown)
        done = self.toolbox.do(call)
        if done.denied:
            self.printer.refuse(call.name, done.text, shown)
        self.printer.answer(id_, done.text, failed=done.failed)
        return done

    def _watch(self, calls: Sequence[Call], done: Sequence[Done]) -> None:
        """See that the model does not go round in a circle. Raises ChatError."""
        turn = [(f"{call.name} {call.arguments}", each.text) for call, each in zip(calls, done, strict=True)]
        for (what, text), each in zip(turn, done, strict=True):
            self._failed[what] = self._failed[what] + 1 if each.failed else 0
            if self._failed[what] > ALIKE:
                raise ChatError(f"the model makes the same call again and again, and it fails: "
                                f"{line(what)[:_SHOWN]}: {line(text)[:_SHOWN]}")  # fmt: skip
        self._same = self._same + 1 if turn == self._last else 1
        self._last = turn
        if self._same > _SAME:
            raise ChatError(f"the model does the same again and again: {line(turn[0][0])[:_SHOWN]}")


@dataclass
class _Part:
    """Prints a message as it comes, in larger pieces than those of one word in which servers send it."""

    printer: Printer
    clock: Clock
    _begun: bool = False
    _kept: str = ""
    _last: float = 0.0

    def hear(self, text: str) -> None:
        self._kept += text
        if len(self._kept) >= _PIECE or self.clock.monotonic() - self._last >= _PAUSE:
            self.flush()

    def flush(self) -> None:
        """Print what is kept."""
        if self._kept and not self._begun:
            self.printer.begin_part()
            self._begun = True
        if self._kept:
            self.printer.say_part(self._kept)
        self._kept, self._last = "", self.clock.monotonic()

    def again(self) -> None:
        """Forget a message that did not come to its end; the next piece begins another one."""
        self._begun, self._kept = False, ""


def _said(text: str, calls: Sequence[Call] = (), back: str | None = None) -> Message:
    """Return an answer as the protocol has it back; arguments that are no JSON would make some servers refuse it."""
    if not calls:
        return {"role": "assistant", "content": text}
    made = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _valid(call.arguments)}}
        | ({EXTRA: call.extra} if call.extra is not None else {})
        for call in calls
    ]
    more = {} if back is None else {BACK: back}
    return {"role": "assistant", "content": text or None, "tool_calls": made, **more}


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _valid(arguments: str) -> str:
    value = _shown(arguments)
    return arguments if isinstance(value, dict) else json.dumps({"not_json": arguments})


def _shown(arguments: str) -> Any:
    """Return the arguments of a call as a value, or as the text that they are."""
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _title(call: Call) -> str:
    """Return a call in a few words."""
    value = _shown(call.arguments)
    table = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    what = next((str(table[name]) for name in _TELLING if name in table), "")
    return f"{call.name} {line(what)[:_SHOWN]}".strip()
