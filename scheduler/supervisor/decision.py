"""Whether what a round landed may be deployed: a pure function of the gates and of the reports. No clock, no disk.

A report counts only for the tree that it was made on. The first gate that blocks, in the order of the file, gives the
decision its words; all that block are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from ...mail.render import line
from ..landing.gate import score_of
from ..runs.leftover import UNREADABLE
from ..settings.supervision import GateSettings
from ..state.facts import Report

APPROVED = "APPROVED - Deploy"
NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})
_SHORT = 12
_WORDS = 200  # characters of a reason


class Verdict(NamedTuple):
    """Whether a gate lets a tree pass, with the reason; `says` is the decision if it does not."""

    gate: str
    passed: bool
    why: str
    says: str


@dataclass(frozen=True)
class Decision:
    """What comes of a round: `text` is the decision, `verdicts` those of all gates, in the order of the file."""

    text: str
    verdicts: tuple[Verdict, ...]

    @property
    def blocks(self) -> tuple[str, ...]:
        """The gates that block."""
        return tuple(verdict.gate for verdict in self.verdicts if not verdict.passed)


def decide_round(
    gates: Mapping[str, GateSettings],
    reports: Sequence[Report],
    tree: str,
    green: Mapping[str, bool],
    silent: Mapping[str, str] = NOTHING_KNOWN,
) -> Decision:
    """Decide about a tree. `reports` are all that were given, the oldest first.

    `green` tells of each gate that is a command whether it has passed on the tree, and `silent` of personas why they
    have not reported on it.
    """
    verdicts = tuple(_verdict(name, gate, reports, tree, green, silent) for name, gate in gates.items())
    first = next((verdict for verdict in verdicts if not verdict.passed), None)
    return Decision(first.says if first else APPROVED, verdicts)


def weighed(name: str, gate: GateSettings, report: Report) -> Verdict:
    """Judge a report by a gate, whatever tree it is on."""
    why = _against(gate, report.values)
    return Verdict(name, not why, why or _for(gate, report.values), says(name, gate))


def asked_of(gate: GateSettings) -> str:
    """Say what a gate asks of a report."""
    if gate.veto:
        return f"no veto by {gate.report}"
    bounds = [("at least", gate.threshold), ("at most", gate.at_most)]
    return f"{gate.key or 'score'} by {gate.report} " + " and ".join(
        f"{words} {bound:g}" for words, bound in bounds if bound is not None
    )


def says(name: str, gate: GateSettings) -> str:
    """Return the decision where a gate blocks."""
    return gate.says or f"BLOCKED - {name}"


def _verdict(  # noqa: PLR0917 - as `decide_round`
    name: str,
    gate: GateSettings,
    reports: Sequence[Report],
    tree: str,
    green: Mapping[str, bool],
    silent: Mapping[str, str],
) -> Verdict:
    if gate.report is None:
        passed = green.get(name, False)
        return Verdict(name, passed, "passed" if passed else "has not passed on this tree", says(name, gate))
    own = [report for report in reports if report.persona == gate.report]
    last = next((report for report in reversed(own) if report.tree == tree), None)
    if last:  # a veto by mail stands, whatever the same run wrote after it
        same = [report for report in own if report.run == last.run] if gate.veto else [last]
        verdicts = [weighed(name, gate, report) for report in same]
        return next((verdict for verdict in verdicts if not verdict.passed), verdicts[-1])
    return Verdict(
        name, passed=False, why=_missing(name, gate, own) + silent.get(gate.report, ""), says=says(name, gate)
    )


def _missing(name: str, gate: GateSettings, own: Sequence[Report]) -> str:
    """Say that there is no report on this tree, and what the last one on another tree was."""
    if not own:
        return f"no report of {gate.report}"
    last = weighed(name, gate, own[-1])
    then = "it blocked" if not last.passed else "it passed"
    return f"no report of {gate.report} on this tree; its last one is stale ({own[-1].commit[:_SHORT]}, {then})"


def _against(gate: GateSettings, values: Mapping[str, Any]) -> str:
    """Return why a report does not pass; "" if it does."""
    if why := values.get(UNREADABLE):
        return f"the report of {gate.report} cannot be read: {line(str(why))[:_WORDS]}"
    if gate.veto:
        veto = values.get("veto", False)
        if veto is True:
            return f"{gate.report} vetoes{_reason(values)}"
        return "" if veto is False else f"veto is {_shown(veto)}, which is neither true nor false"
    return _out_of_bounds(gate, values)


def _out_of_bounds(gate: GateSettings, values: Mapping[str, Any]) -> str:
    """Return why the number of a report does not pass; "" if it does."""
    key = gate.key or "score"
    score = score_of(values, gate.key)
    if score is None:
        return f"no number {key} in the report of {gate.report}{_read(values, key)}"
    if gate.threshold is not None and score < gate.threshold:
        return f"{key} {score:g}, and {gate.threshold:g} is the least"
    if gate.at_most is not None and score > gate.at_most:
        return f"{key} {score:g}, and {gate.at_most:g} is the most"
    return ""


def _for(gate: GateSettings, values: Mapping[str, Any]) -> str:
    if gate.veto:
        return f"{gate.report} has no veto"
    return f"{gate.key or 'score'} {score_of(values, gate.key):g}"


def _read(values: Mapping[str, Any], key: str) -> str:
    return f", but {_shown(values[key])}" if key in values else ""


def _reason(values: Mapping[str, Any]) -> str:
    reason = values.get("veto_reason") or values.get("reason")
    return f": {line(reason)[:_WORDS]}" if isinstance(reason, str) and reason.strip() else ""


def _shown(value: Any) -> str:
    return line(repr(value))[:_WORDS]
