"""What an agent's stream tells of its use: tokens, money, model, and the agent's own session. Part of the keeper.

Claude Code and Qwen Code tell tokens with each answer and the sum in the final event, Codex and Gemini only the sum,
and OpenCode each step. A sum that is told replaces what was added up before. What is not told stays None.
Aider prints no events, but a line of text after each answer: "Tokens: 3.4k sent, 10 received. Cost: $0.02 message, …".
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    Figures = tuple[int | None, int | None, int | None]
    Step = tuple[int | None, int | None, int | None, float | None]

_FIGURES = (b'"usage"', b'"tokens"', b'"stats"')
_NAMES = (b'"session_id"', b'"sessionID"', b'"sessionId"', b'"thread_id"', b'"model"')
_PLAIN = (b"Aider v", b"odel: ", b"Tokens: ", b"Cost: $")
_UNITS = {"sent": 0, "cache hit": 1, "received": 2}
_SESSIONS = ("session_id", "sessionID", "sessionId", "thread_id")
MOST_TOKENS = 10**10  # of one run; larger figures are not believed, and so unknown
MOST_USD = 10_000.0
LONGEST = 200  # characters of a name
_RECENT = 64  # answers of which more may be told: the same one comes again with each of its parts


class Meter:
    """Adds up what the events of a stream tell, in bounded memory.

    `input` are all tokens that a model was given, `cached` those of them that came from its cache, and `output` those
    that it wrote. `usd` is money in US dollars.
    """

    def __init__(self) -> None:
        self.model = ""
        self.session = ""
        self.told = False  # whether there is a sum
        self._sum: Figures = (None, None, None)
        self._usd: float | None = None  # the sum, where it is told
        self._cut = False  # whether a part of the sum could not be read
        self._steps: dict[str, Step] = {}
        self._before: Step = (None, None, None, None)  # those that are not recent
        self._aider = False
        self._reports = 0  # of Aider
        self._seen: set[tuple[int, bool]] = set()  # of those: which figures some told, and which some did not

    @property
    def usd(self) -> float | None:
        """The money that is known."""
        *tokens, usd = added([self._before, *self._steps.values()])
        steps = usd if usd or not any(tokens) else None  # OpenCode says 0 for every model whose price it does not know
        return _number(steps if self._usd is None else self._usd)

    @property
    def lacks(self) -> bool:
        """Whether a part of the stream told no figure that others told, so that their sum is a least."""
        seen = self._seen.union(*map(_seen, self._steps.values()))
        money = self._usd is None and self.usd is not None and (3, False) in seen
        tokens = not self.told and (0, True) in seen and (0, False) in seen
        return self._cut or money or tokens

    def wants(self, data: bytes) -> bool:
        """Tell whether a piece of a stream may hold events that tell more than is known."""
        if any(mark in data for mark in _FIGURES):
            return True
        return not (self.session and self.model) and any(mark in data for mark in _NAMES)

    def wants_text(self, data: bytes) -> bool:
        """Tell whether a piece of an output that is no known stream may hold lines of Aider that tell something."""
        return any(mark in data for mark in _PLAIN)

    def read(self, line: str) -> None:
        """Take what a line of plain text tells, if it is one that Aider prints."""
        if line.startswith("Aider v"):
            self._aider = self._aider or line[7:8].isdigit()
        elif not self._aider:
            return
        elif line.startswith(("Model: ", "Main model: ")):
            self.model = self.model or _name(line.partition(": ")[2].partition(" ")[0])
        elif line.startswith("Tokens: ") and (figures := _of_aider(line)):
            self._reports += 1
            self._step(f"report {self._reports}", figures)
        elif line.startswith("Cost: $") and (step := self._steps.get(f"report {self._reports}")):
            self._steps[f"report {self._reports}"] = (*step[:3], _cost(line))

    def count(self, event: "Mapping[str, Any]") -> None:
        """Take what one event of a known stream tells; anything that has another form is passed over."""
        kind = event.get("type")
        self.session = self.session or next(filter(None, (_name(event.get(key)) for key in _SESSIONS)), "")
        self.model = _name(event.get("model")) or _name(_table(event.get("data")).get("model")) or self.model
        if kind == "assistant":
            message = _table(event.get("message"))
            self.model = self.model or _name(message.get("model"))
            figures = _of_claude(message.get("usage"))
            self._step(_name(message.get("id")) or _name(event.get("uuid")), figures and (*figures, None))
        elif kind == "result":
            self._result(event)
        elif kind == "turn.completed":
            self._total(_of_codex(event.get("usage")))
        elif kind == "step_finish":
            part = _table(event.get("part"))
            given, cached, output = _of_opencode(part.get("tokens")) or (None, None, None)
            cost = _number(part.get("cost"))
            known = cost or (cost == 0 and given == output == 0)
            self._step(_name(part.get("id")), (given, cached, output, cost if known else None))

    def figures(self) -> "dict[str, Any] | None":
        """Return what is known, None if nothing is."""
        steps = added([self._before, *self._steps.values()])[:3]
        total = [_count(value) for value in (self._sum if self.told else steps)]
        known = {"input": total[0], "cached": total[1], "output": total[2], "usd": self.usd}
        names = {"model": self.model or None, "session": self.session or None}
        return known | names if any(value is not None for value in (*known.values(), *names.values())) else None

    def text(self, *, partial: bool) -> str:
        """Return the figures as JSON; `partial` says that the stream may tell more."""
        if (figures := self.figures()) is None:
            return "null"
        import json  # it is loaded already, by the first event

        return json.dumps(figures | {"partial": partial or self.lacks})

    def _result(self, event: "Mapping[str, Any]") -> None:
        """Take the sum of Claude by model, else that of Qwen and others, or Gemini's."""
        models = {name: _of_model(each) for name, each in _table(event.get("modelUsage")).items()}
        sums = {name: each for name, each in models.items() if each}
        if sums:
            self.model = _name(max(sums, key=lambda name: sums[name][0] + sums[name][2]))
            self._cut = len(sums) < len(models)
            self._total(added(sums.values()))
        elif stats := _table(event.get("stats")):
            names = _table(stats.get("models"))
            self.model = _name(next(iter(names), "")) if len(names) == 1 else self.model
            self._total(_of_gemini(stats))
        else:
            self._total(_of_claude(event.get("usage")))
        cost, idle = _number(event.get("total_cost_usd")), self.told and not (self._sum[0] or self._sum[2])
        if cost or (cost == 0 and idle):  # of a model without a price, it says 0 as well
            self._usd = cost

    def _step(self, id: str, figures: "Step | None") -> None:
        """Take one answer, which replaces what was told of the same one."""
        if figures is None:
            return
        self._steps[id] = figures
        if not id or len(self._steps) > _RECENT:
            old = self._steps.pop(id if not id else next(iter(self._steps)))
            self._before = added([self._before, old])
            self._seen |= _seen(old)

    def _total(self, figures: "Figures | None") -> None:
        if figures and figures[0] is not None:
            self.told, self._sum = True, figures


def added(rows: "Iterable[Sequence[Any]]") -> "Any":
    """Add up the figures of several answers, by column; what no answer tells is None."""
    columns = ([value for value in column if value is not None] for column in zip(*rows, strict=True))
    return tuple(sum(column) if column else None for column in columns)


def _seen(figures: "Step") -> set[tuple[int, bool]]:
    """Tell which figures an answer told, by their column, and which it did not."""
    return {(column, value is not None) for column, value in enumerate(figures)}


def _of_claude(value: "Any") -> "tuple[int, int | None, int] | None":
    """Read the tokens of Claude and of Qwen, whose `input_tokens` include those from the cache, as its total shows."""
    usage = _table(value)
    fresh, output, cached = (_count(usage.get(f"{name}_tokens")) for name in ("input", "output", "cache_read_input"))
    if fresh is None or output is None:
        return None
    if "total_tokens" in usage:
        return fresh, cached, output
    return fresh + (cached or 0) + (_count(usage.get("cache_creation_input_tokens")) or 0), cached, output


def _of_model(value: "Any") -> "tuple[int, int | None, int] | None":
    """Read Claude's sum for one model."""
    usage = _table(value)
    fresh, output = _count(usage.get("inputTokens")), _count(usage.get("outputTokens"))
    cached, written = _count(usage.get("cacheReadInputTokens")), _count(usage.get("cacheCreationInputTokens"))
    return None if fresh is None or output is None else (fresh + (cached or 0) + (written or 0), cached, output)


def _of_codex(value: "Any") -> "tuple[int, int | None, int] | None":
    usage = _table(value)
    given, output = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    return None if given is None or output is None else (given, _count(usage.get("cached_input_tokens")), output)


def _of_gemini(stats: "Mapping[str, Any]") -> "tuple[int, int | None, int] | None":
    """Read Gemini's sum: what its model thought is part of the total alone."""
    given, output, total = (_count(stats.get(f"{name}_tokens")) for name in ("input", "output", "total"))
    if given is None or output is None:
        return None
    return given, _count(stats.get("cached")), max(output, (total or 0) - given)


def _of_opencode(value: "Any") -> "tuple[int, int | None, int] | None":
    tokens = _table(value)
    cache = _table(tokens.get("cache"))
    fresh, output, cached = _count(tokens.get("input")), _count(tokens.get("output")), _count(cache.get("read"))
    if fresh is None or output is None:
        return None
    given = fresh + (cached or 0) + (_count(cache.get("write")) or 0)
    return given, cached, max(output, (_count(tokens.get("total")) or 0) - given)  # the total includes what it thought


def _of_aider(line: str) -> "Step | None":
    """Read Aider's report of one answer; its figures are rounded to two digits from a thousand on."""
    report, end, cost = line.partition(" received.")
    figures: list[int | None] = [None, None, None]
    for part in f"{report} received".removeprefix("Tokens: ").split(", "):
        number, _, unit = part.partition(" ")
        if unit in _UNITS:
            figures[_UNITS[unit]] = _thousands(number)
    given, cached, output = figures
    return (given, cached, output, _cost(cost.strip())) if end and given is not None and output is not None else None


def _thousands(text: str) -> int | None:
    """Read "10", "3.4k" or "12k"."""
    digits = text.removesuffix("k")
    if not digits.replace(".", "", 1).isdecimal() or not digits.isascii() or len(digits) > len(str(MOST_TOKENS)):
        return None
    return _count(round(float(digits) * (1000 if text.endswith("k") else 1)))


def _cost(text: str) -> float | None:
    """Read the money of one answer: "Cost: $0.02 message, $0.05 session."."""
    amount, is_told, _ = text.removeprefix("Cost: $").partition(" message")
    plain = amount.replace(".", "", 1).isdecimal() and amount.isascii()
    return _number(float(amount)) if is_told and plain and text.startswith("Cost: $") else None


def _table(value: "Any") -> "Mapping[str, Any]":
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _name(value: "Any") -> str:
    return value[:LONGEST].encode(errors="replace").decode() if isinstance(value, str) else ""


def _count(value: "Any") -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _number(value: "Any") -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value <= MOST_USD else None
