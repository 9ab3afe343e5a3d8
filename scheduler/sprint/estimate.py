"""What launches may cost, from what runs of the past did: the sum of medians, and the spread of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from ..runs.launch import Launch
from ..state.facts import Run
from ..state.usage import dollars, shortened_count


@dataclass(frozen=True)
class Spread:
    """An amount: the sum of medians, of the least, and of the most that past runs used."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Estimate:
    """What launches may use, for those of `launches` of which past runs tell it; `past` counts these runs.

    A launch is measured by the past runs of its persona with the same agent, else by all of the agent.
    """

    launches: int = 0
    usd: Spread | None = None
    usd_known: int = 0
    tokens: Spread | None = None
    tokens_known: int = 0
    past: int = 0

    @property
    def text(self) -> str:
        """Say it in one line."""
        if self.usd is None and self.tokens is None:
            return "unknown; no past run of its agents told what it used"
        money = _text(self.usd, dollars, self.usd_known, self.launches)
        tokens = _text(self.tokens, _tokens, self.tokens_known, self.launches)
        return f"money {money}; tokens {tokens}; by {self.past} past run{'' if self.past == 1 else 's'}"

    def document(self) -> dict[str, Any]:
        """Return the object `cost` of a dry run in JSON."""
        return asdict(self)


NO_ESTIMATE = Estimate()


def estimate(launches: Sequence[Launch], runs: Iterable[Run]) -> Estimate:
    """Estimate what launches cost from runs of the past that came to their end."""
    ended = [run for run in runs if run.finished and not run.usage.partial]
    money = [_seen(launch, ended, _usd_of) for launch in launches]
    tokens = [_seen(launch, ended, _tokens_of) for launch in launches]
    agents = {launch.agent for launch in launches}
    told = [run for run in ended if run.agent in agents and (run.usage.usd, run.usage.tokens) != (None, None)]
    return Estimate(
        len(launches), _spread(money), sum(map(bool, money)), _spread(tokens), sum(map(bool, tokens)), len(told)
    )


def _usd_of(run: Run) -> float | None:
    return run.usage.usd


def _tokens_of(run: Run) -> float | None:
    return run.usage.tokens


def _tokens(number: float) -> str:
    return shortened_count(int(number))


def _seen(launch: Launch, runs: Sequence[Run], figure: Callable[[Run], float | None]) -> list[float]:
    """Return what past runs of a persona with the same agent used, else of all of the agent."""
    same = [(run.persona, used) for run in runs if run.agent == launch.agent and (used := figure(run)) is not None]
    return [used for persona, used in same if persona == launch.persona] or [used for _, used in same]


def _spread(seen: Sequence[Sequence[float]]) -> Spread | None:
    known = [each for each in seen if each]
    if not known:
        return None
    return Spread(sum(map(median, known)), sum(map(min, known)), sum(map(max, known)))


def _text(spread: Spread | None, written: Callable[[float], str], known: int, launches: int) -> str:
    if spread is None:
        return "unknown"
    part = "" if known == launches else f" for {known} of them, of the others unknown"
    return f"about {written(spread.median)} ({written(spread.least)} to {written(spread.most)}){part}"
