"""Runs of gates that are on record: each one's start before it, so that others see it, and its verdict at once.

So what a gate has judged outlives this process, and no tree that is known is judged again.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...mail.log.event import Draft
from ..context import Context
from ..kinds import Kind
from ..progress import Listener, Progress, silent
from ..setup import setup_data
from ..state.facts import Sprint
from ..weaver.commit import WEAVER
from .at_work import at_work
from .clone import checkout
from .gate import Gate, GateResult, GateStarted, judge

_MOST_PARALLEL = 4  # runs of one gate by default


@dataclass
class Judging:
    """Judges commits for a tick of a sprint, or for a dispatch. It may be called from any thread.

    `on_base` tells that it judges what the sprint starts from.
    """

    context: Context
    sprint: Sprint
    tick: int
    listener: Listener = silent
    on_base: bool = False
    _tries: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, gate: Gate, commit: str, stop: threading.Event) -> GateResult:
        """Run a gate once on a commit. Raises Stopped once `stop` is set, GitError, LogError, OSError."""
        self.context.append([self._draft(Kind.GATE_STARTED, gate, commit)])
        what = f"{commit[:12]}, the base" if self.on_base else commit[:12]
        self.listener(GateStarted(f"gate {gate.name}: trying {what}", gate.name, commit))
        with at_work(self.context.home, gate.name, commit):
            result = judge(self.context.git, gate, commit, partial(checkout, self.context), stop)
        self.context.append([self._judged(gate, result)])
        word = "passed" if result.passed else f"failed ({result.detail})"
        self.listener(Progress(f"gate {gate.name}: {what}: {word} in {result.seconds:.1f} s"))
        return result

    def _judged(self, gate: Gate, result: GateResult) -> Draft:
        with self._turn:
            self._tries[result.mark, result.tree] += 1
            tries = self._tries[result.mark, result.tree]
        setup = setup_data(result.prepared, self.context.mailbox.blobs)
        return self._draft(
            Kind.GATE_JUDGED, gate, result.commit, tree=result.tree, passed=result.passed, score=result.score,
            exit=result.exit, seconds=round(result.seconds, 3), tries=tries, on_base=self.on_base,
            **({"workspace": setup} if setup else {}),
        )  # fmt: skip

    def _draft(self, kind: Kind, gate: Gate, commit: str, **more: Any) -> Draft:
        data: dict[str, Any] = {"sprint": self.sprint.number, "tick": self.tick, "gate": gate.name, "mark": gate.mark}
        data |= {"commit": commit} | ({"dispatch": self.sprint.dispatch} if self.sprint.dispatch else {})
        return Draft(kind, WEAVER, data=data | more)


def gates_of(context: Context) -> list[Gate]:
    """List the gates of the settings that are commands, in their order."""
    gates, setup = context.settings.gates.items(), context.settings.workspace.setup
    return [
        Gate(name, gate.command, gate.timeout, gate.threshold, gate.key, setup, gate.parallel or usual_parallel())
        for name, gate in gates
        if gate.command
    ]


def usual_parallel() -> int:
    """Return how many runs of a gate go on at once by default: half the processors, at most four, at least one."""
    return max(1, min(_MOST_PARALLEL, (os.cpu_count() or 1) // 2))
