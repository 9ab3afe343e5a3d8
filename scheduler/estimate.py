"""What launches may cost, from what runs of the past did: the sum of medians, and the spread of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .runs.launch import Launch
from .state.facts import Run
from .state.usage import dollars, shortened_count


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
Figure = Callable[[Run], float | None]


def estimate(launches: Sequence[Launch], runs: Iterable[Run]) -> Estimate:
    """Estimate what launches cost from runs of the past that came to their end."""
    ended = [run for run in runs if run.finished and not run.usage.partial]
    money = [_like(launch, ended, _usd_of) for launch in launches]
    tokens = [_like(launch, ended, _tokens_of) for launch in launches]
    return Estimate(
        len(launches), _spread(money, _usd_of), sum(map(bool, money)), _spread(tokens, _tokens_of),
        sum(map(bool, tokens)), len({run.id for alike in (*money, *tokens) for run in alike}),
    )  # fmt: skip


def _usd_of(run: Run) -> float | None:
    return run.usage.usd


def _tokens_of(run: Run) -> float | None:
    return run.usage.tokens


def _tokens(number: float) -> str:
    return shortened_count(int(number))


def _like(launch: Launch, runs: Sequence[Run], figure: Figure) -> list[Run]:
    """Return the past runs that tell a figure of a persona with the same agent, else of all of the agent."""
    same = [run for run in runs if run.agent == launch.agent and figure(run) is not None]
    return [run for run in same if run.persona == launch.persona] or same


def _spread(groups: Sequence[Sequence[Run]], figure: Figure) -> Spread | None:
    rows = [[figure(run) or 0.0 for run in runs] for runs in groups if runs]
    return Spread(sum(map(median, rows)), sum(map(min, rows)), sum(map(max, rows))) if rows else None


def _text(spread: Spread | None, written: Callable[[float], str], known: int, launches: int) -> str:
    if spread is None:
        return "unknown"
    part = "" if known == launches else f" for {known} of them, of the others unknown"
    return f"about {written(spread.median)} ({written(spread.least)} to {written(spread.most)}){part}"
