"""Who is asked to report on what, and who is told of what a report blocks. Pure.

Whoever reviews a team is asked once that team has landed something and is idle; all others, and about the work of
others, once nothing else goes on. So a report is asked for as seldom as it can count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..kinds import LaunchReason, PatchStatus, RunStatus
from ..settings.supervision import GateSettings
from ..sprint.plan import TickPlan
from ..state.facts import Patch, Report, Sprint
from ..state.sprints import State
from .decision import Verdict, weighed

NO_GATE = ""  # in the place of a gate, for a veto that none is for
Reporters = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Ask:
    """A report to be asked for, on the commits after `start` up to `tip`, and who wrote them."""

    reviewer: str
    start: str
    tip: str
    authors: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A report that a gate does not let pass: it is told to the `authors` of what it is about in this sprint.

    If it `is_known`, they all were told before, of what this report was made without: their answer has not landed yet.
    """

    report: Report
    verdict: Verdict
    authors: tuple[str, ...]
    is_known: bool = False


def asks(state: State, plan: TickPlan, reporters: Reporters, *, weaving: bool = False) -> Iterator[Ask]:
    """Yield whom to ask now. `reporters` maps each to the members whose work it reviews."""
    sprint, tip = state.sprint, state.tip
    if sprint is None or tip is None or tip == sprint.base:
        return
    busy = _busy(state, plan)
    settled = not (busy or weaving or plan.wait_until)  # what a plan has woven is no longer pending
    alive = {run.persona for run in state.runs if run.status == RunStatus.OPEN and run.sprint == sprint.number}
    for reviewer, members in reporters.items():
        start = _asked_until(state, sprint, reviewer)
        authors = authors_of(state, sprint, start, tip)
        if not authors or reviewer in alive:
            continue
        is_done = bool(members & {*authors}) and not (members & busy)
        if settled or is_done:
            yield Ask(reviewer, start, tip, authors)


def asks_at_first(state: State, reporters: Reporters) -> Iterator[Ask]:
    """Yield whom to ask about what the round before has landed, at the beginning of the next one."""
    sprint = state.sprint
    if sprint is None or len(state.sprints) < 2:  # noqa: PLR2004
        return
    before = state.sprints[-2]
    known = {asked.reviewer for asked in state.asked if asked.sprint == sprint.number}
    if before.base != sprint.base:
        for reviewer in reporters.keys() - known:
            yield Ask(reviewer, before.base, sprint.base, ())


def answers(state: State, gates: Mapping[str, GateSettings]) -> Iterator[Answer]:
    """Yield the last report of each persona that a gate does not let pass, unless it was told in this sprint.

    A report of an earlier sprint is told again if it is about what this one started from.
    """
    sprint = state.sprint
    if sprint is None:
        return
    counted = (report for report in state.reports if sprint.number == report.sprint or report.commit == sprint.base)
    last = {report.persona: report for report in counted}
    for name, gate in gates.items():
        report = last.get(gate.report or "")
        if report is None or (name, report.commit, sprint.number) in state.told:
            continue
        if not (verdict := weighed(name, gate, report)).passed:
            authors = _authors_before(state, sprint, report, name, gate)
            new = tuple(author for author in authors if not _is_told(state, sprint, report, name, author))
            yield Answer(report, verdict, new, is_known=bool(authors) and not new)


def unheard(state: State, gates: Mapping[str, GateSettings]) -> Iterator[Report]:
    """Yield the vetoes of this sprint by personas that no gate names: they block nothing, so a person is to know."""
    sprint, named = state.sprint, {gate.report for gate in gates.values() if gate.veto}
    for report in state.reports:
        if sprint and report.sprint == sprint.number and report.persona not in named:
            known = (NO_GATE, report.commit, sprint.number) in state.told
            if report.values.get("veto") is True and not known:
                yield report


def why_silent(state: State, persona: str, commit: str) -> str:
    """Say why a persona has not reported on a commit in this sprint, after what else is said of that; "" if unknown."""
    sprint = state.sprint
    if sprint is None:
        return ""
    own = [run for run in state.runs if (run.persona, run.sprint, run.base) == (persona, sprint.number, commit)]
    if own and own[-1].status == RunStatus.OK:
        return f"; its run {own[-1].id} wrote none to $TEAM_OUTPUT"
    if own:
        return f"; its run {own[-1].id} ended with {own[-1].detail or own[-1].status}"
    if why := state.aside.get(persona):
        return f"; it was set aside: {why}"
    reported = [each.commit for each in state.reports if (each.persona, each.sprint) == (persona, sprint.number)]
    if reported and authors_of(state, sprint, reported[-1], commit) == (persona,):
        return f"; since then {persona} has itself landed something"
    return "" if any((each.reviewer, each.tip) == (persona, commit) for each in state.asked) else "; it was not asked"


def authors_of(state: State, sprint: Sprint, start: str, tip: str) -> tuple[str, ...]:
    """Return who wrote the commits of a sprint after `start` up to `tip`, each once, the first first."""
    order = {commit: number for number, commit in enumerate(sprint.commits)}
    first, last = order.get(start, -1), order.get(tip, len(order))
    landed: list[Patch] = [
        patch
        for patch in state.patches
        if patch.status == PatchStatus.LANDED and patch.commit in order and first < order[patch.commit] <= last
    ]
    landed.sort(key=lambda patch: order[patch.commit or ""])
    return tuple(dict.fromkeys(patch.persona for patch in landed))


def _asked_until(state: State, sprint: Sprint, reviewer: str) -> str:
    """Return the commit up to which a reviewer was asked, else the base."""
    own = [asked.tip for asked in state.asked if asked.sprint == sprint.number and asked.reviewer == reviewer]
    return own[-1] if own else sprint.base


def _authors_before(state: State, sprint: Sprint, report: Report, name: str, gate: GateSettings) -> tuple[str, ...]:
    """Return who wrote what a report is about, but for who reports: all since its gate last passed.

    What has blocked before may still do, whoever has landed something since.
    """
    if report.commit == sprint.base:  # it is about what the round before has landed
        return ()
    own = [each for each in state.reports if each.persona == report.persona and each.commit in sprint.commits]
    passed = [each.commit for each in own if each.seq < report.seq and weighed(name, gate, each).passed]
    start = passed[-1] if passed else sprint.base
    return tuple(name for name in authors_of(state, sprint, start, report.commit) if name != report.persona)


def _is_told(state: State, sprint: Sprint, report: Report, gate: str, author: str) -> bool:
    """Tell whether an author was told that a gate blocks, and has landed nothing since up to what a report is about."""
    told = {commit for name, commit, number in state.told if (name, number) == (gate, sprint.number)}
    mine = [patch.commit for patch in state.patches if patch.persona == author and patch.commit in sprint.commits]
    order = {commit: number for number, commit in enumerate(sprint.commits)}
    until = order.get(report.commit, len(order))
    last = max((order[commit] for commit in mine if commit and order[commit] <= until), default=-1)
    return any(last <= order[commit] < until for commit in told if commit in order)


def _busy(state: State, plan: TickPlan) -> set[str]:
    """Return who has work to do, or work that waits for the weaver, that is no review."""
    runs = {run.persona for run in state.runs if run.status == RunStatus.OPEN and run.reason != LaunchReason.REVIEW}
    due = {launch.persona for launch in plan.launches if launch.reason != LaunchReason.REVIEW}
    return runs | due | {patch.persona for patch in state.pending}
