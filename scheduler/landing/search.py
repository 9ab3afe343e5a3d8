"""The search for the patches that make a gate fail: which tree to try next, given how often each passed and failed.

Pure: no git, no clock, no process. A *line* is the patches of a tree, in the order in which they land; the empty line
is the base. A tree that has passed once is green, however often it failed, and one that has only failed is red. A
verdict against a patch needs a tree that is red with it and green without it, and each of them a second time; a gate
that is known to contradict itself has to fail more often. Patches are tried alone on the base to tell a patch that
fails by itself from two that fail together.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import count

Line = tuple[str, ...]

_TWICE = 2
_MOST = 8  # runs on one tree, of a gate that contradicts itself
_WRONG = 0.01  # how often a patch may be blamed for what its gate does by chance
_DOUBT = (0.6, 2.0)  # what is believed of a gate before it has run: it failed by chance 0.6 of 2 times
_HABIT = (1.0, 16.0)  # before anything is known, 1 of 16 patches is a culprit
_RARE = 0.001  # before the first culprit, it is equally likely anywhere
_NAMED = 8.0  # how much likelier a patch is to blame that changes what the gate's output names
_WORTH = 0.3  # the whole line is tried if it passes as often as this, because it is what is to land
_BASE = 1 / 3  # how much likelier than all patches together the base is to blame, if it was never tried
_HORIZON = 64  # steps that are looked ahead for runs side by side
_LEAST = 0.1  # chance at which it is worth a run to try a tree before it is asked for


@dataclass(frozen=True)
class Tally:
    """How often a gate passed and failed on a tree; `known` if it passed before this search, as the log has it."""

    passed: int = 0
    failed: int = 0
    known: bool = False

    @property
    def passes(self) -> int:
        """How often it passed, as far as that counts."""
        return self.passed + self.known

    @property
    def green(self) -> bool:
        """Whether it has passed."""
        return self.passes > 0

    @property
    def red(self) -> bool:
        """Whether it has failed, and never passed."""
        return self.failed > 0 and not self.green

    def plus(self, *, passed: bool) -> Tally:
        """Return the tally after one more run."""
        return replace(self, passed=self.passed + passed, failed=self.failed + (not passed))


NEW = Tally()


class End(Enum):
    """How a search ends that finds no culprit."""

    GREEN = "the line passes"
    RED_BASE = "the base fails without any patch"
    UNSTEADY = "the gate fails and passes on one tree so often that it proves nothing"


@dataclass(frozen=True)
class Ask:
    """The tree to try next, and how likely it fails."""

    line: Line
    fails: float


@dataclass(frozen=True)
class Culprit:
    """A verdict: the gate fails on `red`, and passes without `patch`, which is its last one.

    `partner` is the patch of the same line without which `patch` passes too, None if `patch` fails alone.
    """

    patch: str
    red: Line
    partner: str | None = None


Decision = Ask | Culprit | End


@dataclass(frozen=True)
class Search:
    """What a search knows. `tally` returns how often a line passed and failed, None if there is no such tree.

    `suspects` are the patches that change what the gate's output names. `blamed` is how many culprits there were
    before, of how many patches that are `settled`. `chance` has how often the gate failed on trees that passed, and how
    often it ran on them.
    """

    line: Line
    tally: Callable[[Line], Tally | None]
    suspects: frozenset[str] = frozenset()
    blamed: int = 0
    chance: tuple[int, int] = (0, 0)

    @property
    def need(self) -> int:
        """How often a gate has to fail before that proves anything: twice, more often if it fails by chance."""
        rate = (self.chance[0] + _DOUBT[0]) / (self.chance[1] + _DOUBT[1])
        return min(_MOST, max(_TWICE, math.ceil(math.log(_WRONG) / math.log(rate)))) if rate < 1 else _MOST

    def decide(self) -> Decision:
        """Return what to try next, or how the search ends."""
        end = self._of(self.line)
        if not self.line or end.green:
            return End.GREEN
        low, high = self._bounds()
        if high is None:
            return self.forward(max(low, 0))
        if high == 0 and end == NEW:  # a patch may mend what fails on the base
            return Ask(self.line, 0.9)
        if self.chance[0] and 0 < end.failed < self.need:  # it may pass if it is only asked again
            return Ask(self.line, 0.5)
        return self._between(low, high)

    def _between(self, low: int, high: int) -> Decision:
        """Look for the first culprit between the most patches that pass and the least that fail."""
        if (suspect := self._suspect(low, high)) and (decision := self._convict_alone(suspect)):
            return decision
        if high - low > 1:
            return self._split(low, high)
        if high:
            return self._convict(high)
        return Ask((), 0.9) if self._of(()).failed < _TWICE else End.RED_BASE

    def _of(self, line: Line) -> Tally:
        return self.tally(line) or NEW

    def _bounds(self) -> tuple[int, int | None]:
        """Return the most patches from the line's start that pass, -1 if nothing does, and the least that then fail."""
        tallies = [self._of(self.line[:size]) for size in range(len(self.line) + 1)]
        low = max((size for size, tally in enumerate(tallies) if tally.green), default=-1)
        return low, next((size for size, tally in enumerate(tallies) if size > low and tally.red), None)

    @property
    def _rate(self) -> float:
        """How likely a patch is a culprit, by what has come of this search so far."""
        settled = max(0, self._bounds()[0]) + self.blamed
        return (self.blamed + _HABIT[0]) / (settled + _HABIT[1])

    def _weights(self, low: int, high: int) -> list[float]:
        """Return how likely each patch of a part of the line is the first culprit in it, not normalised.

        From -1 on, the first weight is that of the base.
        """
        rate, left, weights = self._rate if self.blamed else _RARE, 1.0, list[float]()
        for patch in self.line[max(0, low) : high]:
            own = min(0.9, rate * _NAMED) if patch in self.suspects and not self._of((patch,)).green else rate
            weights.append(left * own)
            left *= 1 - own
        return weights if low >= 0 else [sum(weights) * _BASE, *weights]

    def forward(self, low: int) -> Ask:
        """Try the whole line where it is likely enough to pass, else as much of it as passes every other time."""
        rate, rest = self._rate, len(self.line) - low
        passes = (1 - rate) ** rest
        named = bool(self.suspects) and self.suspects.isdisjoint(self.line[low:])  # who was to blame is gone
        if not self.blamed or named or passes >= _WORTH:
            return Ask(self.line, 1 - passes)
        size = min(rest, max(1, round(math.log(0.5) / math.log(1 - rate))))
        return Ask(self.line[: low + size], 1 - (1 - rate) ** size)

    def _split(self, low: int, high: int) -> Ask:
        """Halve the patches among which the first culprit is, by how likely each of them is it."""
        weights = self._weights(low, high)
        total, below, best = sum(weights), 0.0, (math.inf, 0, 0.5)
        for size, weight in enumerate(weights[:-1], low + 1):
            below += weight
            best = min(best, (abs(below / total - 0.5), size, below / total))
        return Ask(self.line[: best[1]], best[2])

    def _suspect(self, low: int, high: int) -> str | None:
        """Return the only patch that changes what the gate's output names, unless that passes alone."""
        named = [patch for patch in self.line[max(0, low) : high] if patch in self.suspects]
        alone = self.tally((named[0],)) if len(named) == 1 and not self._of(()).red else None
        return named[0] if alone is not None and not alone.green else None

    def _convict_alone(self, patch: str) -> Decision | None:
        """Prove on the base, without a search, that a patch makes the gate fail; None if that cannot be."""
        alone, base = self._of((patch,)), self._of(())
        if alone.failed < self.need:
            return Ask((patch,), 0.8 if alone.failed == 0 else 0.95)
        if not base.green:
            return Ask((), 0.1)
        if base.passes < _TWICE and (ask := self._confirm(patch, 0)):
            return ask if base.passed + base.failed < _MOST else None
        return Culprit(patch, (patch,))

    def _convict(self, size: int) -> Decision:
        """Prove that the last patch of a line makes the gate fail: it is red, and green without that patch."""
        line, before, patch = self.line[:size], self.line[: size - 1], self.line[size - 1]
        alone, base = self.tally((patch,)), self._of(())
        by_itself = before and alone is not None and not base.red
        if by_itself and alone == NEW:
            return Ask((patch,), 0.9)
        failed = self._of(line).failed + (alone.failed if by_itself and alone and alone.red else 0)
        if failed < self.need or (size == len(self.line) and failed <= self.need):
            return Ask(line, 0.95)
        without = self._of(before)
        if without.passes + (base.passed if before else 0) < _TWICE and (ask := self._confirm(patch, size - 1)):
            return ask if without.passed + without.failed < _MOST else End.UNSTEADY
        if by_itself and alone and alone.green:
            return self._pair(line)
        return Culprit(patch, line)

    def _confirm(self, patch: str, low: int) -> Ask | None:
        """Return the run that may confirm that the gate passes without a patch, None if it has.

        That is what would be tried next without it anyway; only if that fails, what passed before is tried again.
        """
        rest = replace(self, line=tuple(each for each in self.line if each != patch), blamed=self.blamed + 1)
        trees = [self.tally(rest.line[:size]) for size in range(low + 1, len(rest.line) + 1)]
        if any(tree and tree.green for tree in trees):
            return None
        ahead = rest.forward(low)
        if ahead.line == rest.line[:low] or any(tree and tree.red for tree in trees) or self.tally(ahead.line) is None:
            return Ask(rest.line[:low], 0.05)
        return ahead

    def _pair(self, line: Line) -> Decision:
        """Find the patch without which the last one of a line passes: between those that pass with it and fail."""
        *before, patch = line
        tallies = [(size, self.tally((*before[:size], patch))) for size in range(len(before) + 1)]
        trees = [(size, tally) for size, tally in tallies if tally is not None]
        low = max(at for at, (_, tally) in enumerate(trees) if tally.green)
        high = next(at for at, (_, tally) in enumerate(trees) if at > low and tally.red)
        if high - low > 1:
            return Ask((*before[: trees[(low + high) // 2][0]], patch), 0.5)
        return Culprit(patch, line, before[trees[high][0] - 1])


def wanted(search: Search, width: int) -> list[Line]:
    """Return the trees to try side by side, at most `width`: the likeliest to be asked for, whatever the others give.

    The first is what `decide` asks for.
    """
    asks: list[Line] = []
    turn = count()
    queue: list[tuple[float, int, Search]] = [(-1.0, next(turn), search)]
    for _ in range(_HORIZON):
        if not queue or len(asks) >= width:
            break
        chance, _, case = heapq.heappop(queue)
        if -chance < _LEAST:
            break
        decision = case.decide()
        if isinstance(decision, Culprit):
            rest = tuple(patch for patch in case.line if patch != decision.patch)
            heapq.heappush(queue, (chance, next(turn), replace(case, line=rest, blamed=case.blamed + 1)))
        elif isinstance(decision, Ask):
            if case.tally(decision.line) is None:
                continue  # no such tree
            if decision.line not in asks:
                asks.append(decision.line)
            for passed, share in ((False, decision.fails), (True, 1 - decision.fails)):
                heapq.heappush(queue, (chance * share, next(turn), _assuming(case, decision.line, passed=passed)))
    return asks


def _assuming(case: Search, line: Line, *, passed: bool) -> Search:
    """Return a search as it will be if a tree passes, or fails."""

    def tally(asked: Line) -> Tally | None:
        known = case.tally(asked)
        return known.plus(passed=passed) if known is not None and asked == line else known

    return replace(case, tally=tally)
