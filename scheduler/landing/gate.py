"""Gates: commands that judge a commit.

A gate runs in a private clone, like an agent: its whole process tree ends with it, its output goes to a file, and it
sees no more of the environment than agents do, because they wrote what it runs. `sift` finds whom one run, or several,
are a verdict against.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ...mail.log.disk import open_file
from ...personas.agent import Job, Outcome
from ...personas.git import Git
from ...personas.kinds import OutcomeStatus
from ...personas.running.folder import RunFolder
from ...personas.setup.preparation import NOTHING, Prepared, run_quietly
from ..errors import Stopped
from ..progress import Progress
from .clone import GateClone

_TAIL = 64 << 10  # bytes of output that a verdict carries
_SCORES = ("score", "pass_rate")

Checkout = Callable[[str], AbstractContextManager[GateClone]]


@dataclass(frozen=True)
class Gate:
    """A command that has to pass: by its exit code, or by printing a JSON number of at least `threshold`.

    `timeout` is in seconds. `setup` are the commands that prepare the clone before it. `parallel` is how many of it may
    run at once.
    """

    name: str
    command: tuple[str, ...]
    timeout: float = 600.0
    threshold: float | None = None
    key: str | None = None  # the path of the number in a printed object, with dots
    setup: tuple[tuple[str, ...], ...] = ()
    parallel: int = 1

    @property
    def mark(self) -> str:
        """Its name with a digest of its command, threshold and set-up, so that a changed gate judges again."""
        condition = repr((self.command, self.threshold, self.key, *((self.setup,) if self.setup else ())))
        return f"{self.name} {hashlib.sha256(condition.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class GateResult:
    """How one run of a gate judged a commit; `detail` is one line for people, `log` the end of its output.

    `tries` is how often it judged the tree so before it was believed. `prepared` is what its clone was given; if the
    set-up failed, the gate fails with its output.
    """

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
    prepared: Prepared = NOTHING


@dataclass(frozen=True)
class GateStarted(Progress):
    """A gate is about to judge a commit."""

    gate: str
    commit: str


def judge(git: Git, gate: Gate, commit: str, checkout: Checkout, stop: threading.Event | None = None) -> GateResult:
    """Run a gate once in a clone of a commit. Raises Stopped once `stop` is set, GitError, OSError."""
    tree = git.line("rev-parse", "--verify", f"{commit}^{{tree}}")
    return _once(gate, commit, tree, checkout, stop or threading.Event())


def _once(gate: Gate, commit: str, tree: str, checkout: Checkout, stop: threading.Event) -> GateResult:
    with checkout(commit) as clone:
        run = f"gate-{gate.name}-{secrets.token_hex(8)}"
        job = Job(
            run, gate.name, 1, 0, "", clone.path, clone.folder, clone.home, gate.timeout, stop,
            slot=clone.slot.number, port=clone.slot.port,
        )  # fmt: skip
        blank = GateResult(gate.name, commit, tree, passed=False, mark=gate.mark, prepared=clone.prepare(job))
        if blank.prepared.failed:
            return _unprepared(gate, blank)
        RunFolder(clone.path).refuse(
            f"gate {gate.name} has no mail: what it prints is its word, and the authors get it"
        )
        ended = run_quietly(job, gate.command)
        _check_stopped(gate, ended)
        log = clone.folder / "output.log"
        return _weighed(gate, blank, ended, _tail(log) if log.exists() else b"")


def _unprepared(gate: Gate, blank: GateResult) -> GateResult:
    """Fail a gate whose set-up failed: what is woven may be to blame, and is found as for any other failure."""
    outcome = blank.prepared.outcome
    assert outcome is not None  # noqa: S101 - it failed
    _check_stopped(gate, outcome)
    return replace(
        blank, exit=outcome.exit, log=blank.prepared.output[-_TAIL:], detail=f"set-up failed: {outcome.detail}"
    )


def _check_stopped(gate: Gate, outcome: Outcome) -> None:
    if outcome.status == OutcomeStatus.STOPPED:
        raise Stopped(f"stopped while gate {gate.name} was running; scheduler sprint continues")


def _weighed(gate: Gate, blank: GateResult, ended: Outcome, log: bytes) -> GateResult:
    """Judge by the exit code, or if there is a threshold, by the number alone; a missing number fails."""
    result = replace(blank, exit=ended.exit, seconds=ended.seconds, log=log, detail=ended.detail)
    if gate.threshold is None:
        return replace(result, passed=ended.exit == 0)
    if ended.exit is None:
        return result
    score = printed_score(log, gate.key)
    if score is None:
        return replace(result, detail=f"it printed no {gate.key or 'score'} as JSON ({ended.detail})")
    least = f"{score:g}, and {gate.threshold:g} is the least"
    return replace(result, score=score, passed=score >= gate.threshold, detail=least)


def printed_score(log: bytes, key: str | None = None) -> float | None:
    """Return the score in the last JSON number or object that was printed; None if there is none.

    An object has it as `key`, `score`, `pass_rate`, or as `passed` of `total`.
    """
    return next((score_of(value, key) for value in _printed(log.decode(errors="replace"))), None)


def _printed(text: str) -> Iterator[Any]:
    """Yield the JSON numbers and objects in a text, the last one first."""
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


def score_of(value: Any, key: str | None) -> float | None:
    """Return the score in a JSON value, as `printed_score` does; None if there is none."""
    if not isinstance(value, dict):
        return _number(value) if key is None else None
    fields = cast("dict[str, Any]", value)
    if key is not None:
        return _deep(fields, key)
    if (named := next((fields[name] for name in _SCORES if name in fields), None)) is not None:
        return _number(named)
    passed, total = _number(fields.get("passed")), _number(fields.get("total"))
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
    with open_file(path) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        return file.read()
