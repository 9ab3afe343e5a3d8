"""The gates of a sprint up to a moment: what each judged, and which were at work then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..kinds import Kind
from ..state.facts import Fact


@dataclass(frozen=True)
class Verdict:
    """What a gate said of a commit, by the event `seq`; `passed` is None while it is at work.

    `seconds` is how long it took. `on_base` tells that it judged what the sprint starts from.
    """

    gate: str
    commit: str
    tick: int
    seq: int
    ts: str
    passed: bool | None = None
    score: float | None = None
    seconds: float | None = None
    tries: int = 0
    on_base: bool = False

    def document(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return {
            "gate": self.gate, "commit": self.commit, "tick": self.tick, "seq": self.seq, "ts": self.ts,
            "passed": self.passed, "score": self.score, "seconds": self.seconds, "tries": self.tries,
            "on_base": self.on_base,
        }  # fmt: skip


def verdicts(facts: Iterable[Fact]) -> tuple[Verdict, ...]:
    """Fold facts into verdicts, in the order in which the gates began or, without a beginning on record, ended.

    A gate that began, and neither judged by now nor could after its sprint had ended, was at work.
    """
    begun: dict[tuple[str, str], list[Verdict]] = {}
    ended: list[Verdict] = []
    for fact in facts:
        if fact.kind == Kind.SPRINT_FINISHED:
            begun.clear()
        if fact.kind not in {Kind.GATE_STARTED, Kind.GATE_JUDGED}:
            continue
        verdict = _verdict(fact)
        waiting = begun.setdefault((verdict.gate, verdict.commit), [])
        if fact.kind == Kind.GATE_STARTED:
            waiting.append(verdict)
        else:
            ended.append(verdict)
            if waiting:
                waiting.pop(0)
    return tuple(sorted([*ended, *(each for waiting in begun.values() for each in waiting)], key=lambda each: each.seq))


def _verdict(fact: Fact) -> Verdict:
    data = fact.data
    score = data.get("score")
    judged = fact.kind == Kind.GATE_JUDGED
    return Verdict(
        str(data.get("gate", "")), str(data.get("commit", "")), data.get("tick", 0), fact.seq, fact.ts,
        bool(data.get("passed")) if judged else None, float(score) if isinstance(score, int | float) else None,
        data.get("seconds") if judged else None, _count(data.get("tries")), bool(data.get("on_base")),
    )  # fmt: skip


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
