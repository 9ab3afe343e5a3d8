"""Sifting: gates judge what is woven, and the patches that make one fail are taken out, until all gates pass.

`search` decides which tree is tried next. Here its lines become commits, and as many trees as a gate allows are tried
side by side: those that will most likely be asked for, whatever the others give. What is no longer of use is ended.
"""

from __future__ import annotations

import math
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

from ...personas.git import Git
from ..state.facts import Judged
from ..weaver.patch import PatchSubmission
from ..weaver.result import Landed, Woven
from .gate import Gate, GateResult
from .search import NEW, Ask, Culprit, End, Line, Search, Tally, wanted

_LOOK = 0.1  # seconds between two looks whether all runs are to end
_AHEAD = 3  # trees that are woven for each that is tried
_TOGETHER = 0.05  # seconds between runs that end at the same time
_SHORTEST = 3  # letters of a path that an output may name

Judge = Callable[[Gate, str, threading.Event], GateResult]
Trees = Mapping[tuple[str, str], Judged]


@dataclass(frozen=True)
class Rejected:
    """A verdict: the gate fails with a patch, and passes without it.

    `partner` is a patch of the same weave without which the gate passes as well, None if the patch fails alone.
    """

    submission: PatchSubmission
    result: GateResult
    partner: PatchSubmission | None = None


@dataclass(frozen=True)
class GateOutcome:
    """A weave without the patches that gates reject, and every run of a gate.

    `red_before` are gates that fail without any patch, and `unsteady` those that pass and fail on one tree so often
    that they prove nothing. Both reject no patch.
    """

    woven: Woven
    rejected: tuple[Rejected, ...] = ()
    verdicts: tuple[GateResult, ...] = ()
    red_before: tuple[GateResult, ...] = ()
    unsteady: tuple[GateResult, ...] = ()


def sift(  # noqa: PLR0917 - the whole of a tick's knowledge
    git: Git,
    woven: Woven,
    submissions: Sequence[PatchSubmission],
    gates: Sequence[Gate],
    judge: Judge,
    known: Trees,
    again: Callable[[Sequence[PatchSubmission]], Woven],
    stop: threading.Event | None = None,
) -> GateOutcome:
    """Remove the patches that make a gate fail, one by one, and weave the rest `again`, until all gates pass.

    `known` has how gates judged before, by mark and tree. `judge` runs a gate once on a commit, and raises Stopped once
    its event is set; it is called from several threads if a gate may run in parallel. Raises Stopped, and what `judge`
    raises.
    """
    sifting = _Sifting(git, woven, list(submissions), list(gates), known, again)
    width = max((gate.parallel for gate in gates), default=1)
    with _Runs(judge, width, stop or threading.Event()) as runs:
        while runs.change(sifting.asks(width)):
            sifting.prepare(width)
            for gate, result in runs.next():
                sifting.add(gate, result)
    return sifting.outcome()


@dataclass
class _Sifting:
    """What is known while gates are at work. Trees are known by what they hold, whatever weave they come from."""

    git: Git
    woven: Woven
    rest: list[PatchSubmission]
    gates: list[Gate]
    known: Trees
    again: Callable[[Sequence[PatchSubmission]], Woven]
    results: list[GateResult] = field(default_factory=list[GateResult])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    red_before: list[GateResult] = field(default_factory=list[GateResult])
    unsteady: list[GateResult] = field(default_factory=list[GateResult])
    _trees: dict[str, str] = field(default_factory=dict[str, str])
    _made: dict[Line, str | None] = field(default_factory=dict[Line, "str | None"])

    def outcome(self) -> GateOutcome:
        """Return what has come of it."""
        rejected, results, red_before, unsteady = self.rejected, self.results, self.red_before, self.unsteady
        return GateOutcome(self.woven, tuple(rejected), tuple(results), tuple(red_before), tuple(unsteady))

    def add(self, gate: Gate, result: GateResult) -> None:
        """Take note of a run."""
        self.results.append(replace(result, mark=gate.mark))

    def asks(self, width: int) -> Iterator[tuple[Gate, str]]:
        """Yield the runs that are of use now, about so many: first what each gate asks for, then what it may.

        There is none once all gates have passed, or proved that they cannot judge.
        """
        while searches := self._searches():
            lines = [(gate, wanted(search, min(gate.parallel, width))) for gate, search in searches]
            order = [(gate, each[turn]) for turn in range(width) for gate, each in lines if turn < len(each)][:width]
            missing = False
            for gate, line in order:
                if commit := self._commit(line):
                    yield gate, commit
                else:
                    missing = True
            if not missing:  # else there is no tree of what was asked for, so something else is
                return

    def prepare(self, width: int) -> None:
        """Weave what may be asked for next, while runs go on side by side."""
        if width > 1:
            for gate, search in self._searches():
                for line in wanted(search, _AHEAD * min(gate.parallel, width)):
                    self._commit(line)

    def _searches(self) -> list[tuple[Gate, Search]]:
        """Draw the conclusions; return the searches that still ask for something."""
        searches: list[tuple[Gate, Search]] = []
        for gate in [*self.gates]:
            search = self._search(gate)
            decision = search.decide()
            if isinstance(decision, Ask):
                searches.append((gate, search))
            elif isinstance(decision, Culprit):
                self._reject(gate, decision)
                return self._searches()
            elif decision != End.GREEN:
                self.gates.remove(gate)
                result = self._result(gate, self.woven.start)
                (self.red_before if decision == End.RED_BASE else self.unsteady).append(result)
        return searches

    def _search(self, gate: Gate) -> Search:
        line = tuple(landed.submission.key for landed in self.woven.landed)
        blamed = sum(each.result.gate == gate.name for each in self.rejected)
        return Search(line, partial(self._tally, gate), self._suspects(gate), blamed, self._chance(gate))

    def _tally(self, gate: Gate, line: Line) -> Tally | None:
        """Return how often a line passed and failed; one that nobody made yet is as good as new."""
        if (commit := self._commit(line, make=False)) is None:
            return None if line in self._made else NEW
        tree = self._tree(commit)
        before = self.known.get((gate.mark, tree), Judged())
        own = [each.passed for each in self.results if (each.mark, each.tree) == (gate.mark, tree)]
        return Tally(sum(own), len(own) - sum(own) + before.failed, known=before.passed > 0)

    def _chance(self, gate: Gate) -> tuple[int, int]:
        """Return how often a gate failed on trees that passed, and how often it ran on them."""
        trees: dict[str, list[int]] = {}
        for (mark, tree), judged in self.known.items():
            if mark == gate.mark:
                trees[tree] = [judged.passed, judged.failed + judged.earlier]
        for result in self.results:
            if result.mark == gate.mark:
                trees.setdefault(result.tree, [0, 0])[not result.passed] += 1
        green = [(passed, failed) for passed, failed in trees.values() if passed]
        return sum(failed for _, failed in green), sum(passed + failed for passed, failed in green)

    def _suspects(self, gate: Gate) -> frozenset[str]:
        """Return the patches that change a file which the gate named when it failed on this weave."""
        landed = self.woven.landed
        trees = {self._tree(each.commit) for each in landed}
        failed = (each for each in reversed(self.results) if each.mark == gate.mark and not each.passed)
        last = next((each for each in failed if each.tree in trees), None)
        return frozenset(_named(last.log.decode(errors="replace"), landed)) if last else frozenset()

    def _reject(self, gate: Gate, culprit: Culprit) -> None:
        by_key = {submission.key: submission for submission in self.rest}
        commit = self._commit(culprit.red)
        assert commit is not None  # noqa: S101 - it was tried
        result = self._result(gate, commit)
        partner = by_key[culprit.partner] if culprit.partner else None
        self.rejected.append(Rejected(by_key[culprit.patch], result, partner))
        self.rest = [submission for submission in self.rest if submission.key != culprit.patch]
        self.woven = self.again(self.rest)

    def _result(self, gate: Gate, commit: str) -> GateResult:
        """Return the last failure of a gate on a commit, of which the log may be all that is left."""
        tree = self._tree(commit)
        failed = [each for each in self.results if (each.mark, each.tree, each.passed) == (gate.mark, tree, False)]
        known = self.known.get((gate.mark, tree), Judged())
        blank = GateResult(gate.name, commit, tree, passed=False, mark=gate.mark, detail="it failed before")
        return replace(failed[-1] if failed else blank, tries=len(failed) + known.failed)

    def _commit(self, line: Line, *, make: bool = True) -> str | None:
        """Return the commit of a line, None if its patches do not land without the others."""
        landed = self.woven.landed[: len(line)]
        if tuple(each.submission.key for each in landed) == line:
            return landed[-1].commit if landed else self.woven.start
        if line not in self._made and make:
            woven = self.again([submission for submission in self.rest if submission.key in line])
            whole = {each.submission.key for each in woven.landed} == {*line}
            self._made[line] = woven.tip if whole else None
        return self._made.get(line)

    def _tree(self, commit: str) -> str:
        if commit not in self._trees:
            self._trees[commit] = self.git.line("rev-parse", "--verify", f"{commit}^{{tree}}")
        return self._trees[commit]


class _Runs:
    """Runs of gates side by side, a thread for each; with room for one, it is the caller's own."""

    def __init__(self, judge: Judge, width: int, stop: threading.Event) -> None:
        self._judge, self._width, self._stop = judge, width, stop
        self._open: dict[tuple[Gate, str], _Cut] = {}
        self._ended: queue.SimpleQueue[tuple[Gate, str, _Cut, Future[GateResult]]] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(self._width, "gate")
        return self

    def __exit__(self, *_: object) -> None:
        for cut in self._open.values():
            cut.set()
        self._threads.shutdown()

    def change(self, asks: Iterable[tuple[Gate, str]]) -> bool:
        """Start each run as it is asked for, and end those that are not any more; return whether there is any."""
        wanted = set[tuple[Gate, str]]()
        for gate, commit in asks:
            wanted.add((gate, commit))
            if (gate, commit) not in self._open:
                self._start(gate, commit)
        for run in self._open.keys() - wanted:
            self._open.pop(run).set()
        return bool(wanted)

    def _start(self, gate: Gate, commit: str) -> None:
        cut = self._open[gate, commit] = _Cut(self._stop)
        if self._width == 1:
            future = Future[GateResult]()
            future.set_result(self._judge(gate, commit, cut))
        else:
            future = self._threads.submit(self._judge, gate, commit, cut)
        future.add_done_callback(lambda future: self._ended.put((gate, commit, cut, future)))

    def next(self) -> list[tuple[Gate, GateResult]]:
        """Wait for a run that is still of use, and for those that end with it. Raises what one of them raised."""
        done: list[tuple[Gate, GateResult]] = []
        while not done or self._open:
            try:
                gate, commit, cut, future = self._ended.get(timeout=_TOGETHER if done else None)
            except queue.Empty:
                break
            if self._open.get((gate, commit)) is cut:
                del self._open[gate, commit]
                done.append((gate, future.result()))
        return done


class _Cut(threading.Event):
    """The end of one run of a gate, or of all."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._all = stop

    def is_set(self) -> bool:
        return super().is_set() or self._all.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left := ends - time.monotonic()) > 0:
            super().wait(min(left, _LOOK))
        return self.is_set()


def _named(output: str, landed: Sequence[Landed]) -> Iterator[str]:
    """Yield the patches that change a file whose path stands in an output."""
    for each in landed:
        if any(len(file) >= _SHORTEST and _stands_in(output, file) for file in each.files):
            yield each.submission.key


def _stands_in(output: str, file: str) -> bool:
    return file in output and re.search(rf"(?<![\w.-]){re.escape(file)}(?![\w/-])", output) is not None
