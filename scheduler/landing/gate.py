"""Gates: a command's word on a commit, and which patches are to blame where it is red.

A gate runs in a private clone, as agents do: its whole tree of processes ends with it, its output goes to a file, and
of the environment it sees only what agents see, for what it runs was written by them. What is red is run once more
before anybody is blamed. The culprit is found by halving the landing order, never in the history before it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ...personas.agent import Job, Outcome
from ...personas.agents.command import PASSED
from ...personas.git import Git
from ...personas.running.process import RunLimits, keep
from ..errors import Stopped
from ..progress import Progress
from ..weaver.patch import PatchSubmission
from ..weaver.result import Woven

_TAIL = 64 << 10  # bytes of output that a verdict carries
_SCORES = ("score", "pass_rate")

Checkout = Callable[[str], AbstractContextManager[Path]]


@dataclass(frozen=True)
class Gate:
    """A command that has to pass: by its exit code, or by a JSON number it prints, which is at least `threshold`."""

    name: str
    command: tuple[str, ...]
    timeout: float = 600.0
    threshold: float | None = None
    key: str | None = None  # where the number stands in a printed object; dots go deeper

    @property
    def mark(self) -> str:
        """Its name with a digest of what it asks: a verdict of a gate that was changed since is no verdict of it."""
        asked = repr((self.command, self.threshold, self.key))
        return f"{self.name} {hashlib.sha256(asked.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class GateResult:
    """What a gate said of a commit; `detail` is one line for people, `log` the end of what it printed."""

    gate: str
    commit: str
    tree: str
    passed: bool
    score: float | None = None
    exit: int | None = None
    seconds: float = 0.0
    log: bytes = b""
    tries: int = 1
    detail: str = ""
    mark: str = ""


@dataclass(frozen=True)
class GateStarted(Progress):
    """A gate is about to judge a commit."""

    gate: str
    commit: str


Judge = Callable[[Gate, str], GateResult]


@dataclass(frozen=True)
class GateOutcome:
    """A weave without the patches that the gates do not pass. `red_before`: gates that were red without any patch."""

    woven: Woven
    culprits: tuple[tuple[PatchSubmission, GateResult], ...] = ()
    verdicts: tuple[GateResult, ...] = ()
    red_before: tuple[GateResult, ...] = ()


def judge(git: Git, gate: Gate, commit: str, checkout: Checkout, stop: threading.Event | None = None) -> GateResult:
    """Run a gate in a clone of a commit, twice if it is red at first: a flaky gate is no reason to blame anybody.

    Raises Stopped once `stop` is set.
    """
    stop = stop or threading.Event()
    tree = git.line("rev-parse", "--verify", f"{commit}^{{tree}}")
    verdict = _once(gate, commit, tree, checkout, stop)
    return verdict if verdict.passed else replace(_once(gate, commit, tree, checkout, stop), tries=2)


def sift(  # noqa: PLR0917 - the whole of a tick's knowledge
    git: Git,
    woven: Woven,
    submissions: Sequence[PatchSubmission],
    gates: Sequence[Gate],
    judge: Judge,
    green: Collection[tuple[str, str]],
    again: Callable[[Sequence[PatchSubmission]], Woven],
) -> GateOutcome:
    """Take out patches that make a gate red, one by one, weaving the rest `again`, until all gates are green.

    `green` has the pairs of a gate's mark and a tree that passed before. For a gate that is red at the start nobody is
    blamed: the patches land, and `red_before` says so.
    """
    bench = _Bench(git, judge, green)
    rest, left = list(submissions), list(gates)
    culprits: list[tuple[PatchSubmission, GateResult]] = []
    red_before: list[GateResult] = []
    while woven.landed and (red := next((gate for gate in left if bench.verdict(gate, woven.tip)), None)):
        if before := bench.verdict(red, woven.start):
            red_before.append(before)
            left.remove(red)
            continue
        culprit = bench.culprit(red, woven)
        culprits.append(culprit)
        rest = [submission for submission in rest if submission.key != culprit[0].key]
        woven = again(rest)
    return GateOutcome(woven, tuple(culprits), tuple(bench.asked), tuple(red_before))


@dataclass
class _Bench:
    """All that was asked of the gates in one sifting: no tree is judged twice."""

    git: Git
    judge: Judge
    green: Collection[tuple[str, str]]
    asked: list[GateResult] = field(default_factory=list[GateResult])
    _trees: dict[str, str] = field(default_factory=dict[str, str])

    def verdict(self, gate: Gate, commit: str) -> GateResult | None:
        """Return the verdict on a commit if it is red, None if it is green."""
        if commit not in self._trees:
            self._trees[commit] = self.git.line("rev-parse", "--verify", f"{commit}^{{tree}}")
        tree = self._trees[commit]
        if (gate.mark, tree) in self.green:
            return None
        found = next((told for told in self.asked if (told.gate, told.tree) == (gate.name, tree)), None)
        if found is None:
            found = self.judge(gate, commit)
            self.asked.append(found)
        return None if found.passed else found

    def culprit(self, gate: Gate, woven: Woven) -> tuple[PatchSubmission, GateResult]:
        """Halve the landing order between green and red until one patch is left."""
        low, high = 0, len(woven.landed)
        while high - low > 1:
            middle = (low + high) // 2
            if self.verdict(gate, woven.landed[middle - 1].commit):
                high = middle
            else:
                low = middle
        landed = woven.landed[high - 1]
        verdict = self.verdict(gate, landed.commit)
        assert verdict is not None  # noqa: S101 - `high` is red
        return landed.submission, verdict


def _once(gate: Gate, commit: str, tree: str, checkout: Checkout, stop: threading.Event) -> GateResult:
    with checkout(commit) as clone, tempfile.TemporaryDirectory(prefix="team-mail-gate-") as folder:
        papers = Path(folder)
        run = f"gate-{gate.name}-{secrets.token_hex(8)}"
        job = Job(run, gate.name, 1, 0, "", clone, papers, papers, gate.timeout, stop)
        passed = {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}
        env = passed | {"TEAM_RUN": run, "TERM": "dumb", "NO_COLOR": "1"}
        ended = keep(job, gate.command, env, secrets=(), stdin=Path(os.devnull), limits=RunLimits())
        if ended.status == "stopped":
            raise Stopped(f"ended while gate {gate.name} was at work; scheduler sprint goes on")
        log = papers / "output.log"
        return _weighed(
            gate,
            GateResult(gate.name, commit, tree, passed=False, mark=gate.mark),
            ended,
            _tail(log) if log.exists() else b"",
        )


def _weighed(gate: Gate, blank: GateResult, ended: Outcome, log: bytes) -> GateResult:
    """Judge by the exit code, or where a threshold stands, by the number alone; a missing one blocks."""
    told = replace(blank, exit=ended.exit, seconds=ended.seconds, log=log, detail=ended.detail)
    if gate.threshold is None:
        return replace(told, passed=ended.exit == 0)
    if ended.exit is None:
        return told
    score = printed_score(log, gate.key)
    if score is None:
        return replace(told, detail=f"it printed no {gate.key or 'score'} as JSON ({ended.detail})")
    least = f"{score:g}, and {gate.threshold:g} is the least"
    return replace(told, score=score, passed=score >= gate.threshold, detail=least)


def printed_score(log: bytes, key: str | None = None) -> float | None:
    """Find the last JSON number or object that was printed, and the score it tells; None if there is none.

    An object tells it as `key`, `score`, `pass_rate`, or as `passed` of `total`.
    """
    return next((_score(value, key) for value in _printed(log.decode(errors="replace"))), None)


def _printed(text: str) -> Iterator[Any]:
    """Go through the JSON numbers and objects in a text, the last one first."""
    lines = text.splitlines()
    for number in range(len(lines) - 1, -1, -1):
        try:
            value = json.loads(lines[number])
        except (ValueError, RecursionError):
            if not lines[number].startswith("{"):
                continue
            try:
                value = json.JSONDecoder().raw_decode("\n".join(lines[number:]))[0]
            except (ValueError, RecursionError):
                continue
        if isinstance(value, int | float | dict) and not isinstance(value, bool):
            yield value


def _score(value: Any, key: str | None) -> float | None:
    if not isinstance(value, dict):
        return _number(value) if key is None else None
    told = cast("dict[str, Any]", value)
    if key is not None:
        return _deep(told, key)
    if (named := next((told[name] for name in _SCORES if name in told), None)) is not None:
        return _number(named)
    passed, total = _number(told.get("passed")), _number(told.get("total"))
    return passed / total if passed is not None and total else None


def _deep(value: Any, key: str) -> float | None:
    for part in [key] if key in value else key.split("."):
        value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
    return _number(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read()
