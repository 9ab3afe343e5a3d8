"""The state of sprints as a fold over facts: runs, patches, verdicts of gates, reports, decisions.

`fold` is pure, so every rule can be tested on a list; `reading` reads the facts from the log.
The first event about a run's end counts; one that comes after the run was given up only marks it as late.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

from ...mail.render import listed
from ...personas.spending.usage import usage_of
from ..kinds import Kind, PatchStatus, RunStatus
from ..needs import matter_of
from .facts import (
    Asked,
    DanglingName,
    Decided,
    Deploy,
    Fact,
    Foretold,
    Judged,
    Patch,
    Report,
    Run,
    Sprint,
    Weave,
)  # fmt: skip
from .form import counts
from .sprints import State

_UNUSABLE = frozenset(  # a run that ended so may have left half a change
    {RunStatus.TIMEOUT, RunStatus.QUOTA, RunStatus.STOPPED, RunStatus.LOST}
)
_DECISIONS: Mapping[str, PatchStatus] = {
    Kind.PATCH_CONFLICTED: PatchStatus.CONFLICTED,
    Kind.PATCH_REFUSED: PatchStatus.REFUSED,
    Kind.PATCH_HELD: PatchStatus.HELD,
    Kind.PATCH_REJECTED: PatchStatus.REJECTED,
}


def fold(facts: Iterable[Fact]) -> State:
    """Fold facts, in the order of the log, into a state."""
    state = Fold()
    for fact in facts:
        state.add(fact)
    return state.state()


class Fold:
    """The state while facts are folded into it."""

    def __init__(self) -> None:
        self.sprints: list[Sprint] = []
        self.runs: dict[str, Run] = {}
        self.patches: dict[str, Patch] = {}
        self.weaves: list[Weave] = []
        self.aside: dict[str, str] = {}
        self.judged: dict[tuple[str, str], Judged] = {}
        self.paused: str | None = None
        self.reported: set[tuple[str, int, str]] = set()
        self.foretold: list[Foretold] = []
        self.asked: list[Asked] = []
        self.reports: list[Report] = []
        self.decided: list[Decided] = []
        self.deploys: dict[tuple[int, str], Deploy] = {}
        self.told: set[tuple[str, str, int]] = set()
        self.pausing = 0  # the round after which rounds are paused
        self.resumed = 0
        self.stuck = 0
        self.matters: dict[tuple[str, ...], Fact] = {}

    def add(self, fact: Fact) -> None:
        """Fold the next fact of the log.

        One that does not count, or lacks what its kind has, changes nothing.
        """
        if counts(fact):
            self.take(fact)

    def take(self, fact: Fact) -> None:
        """Fold the next fact, which counts."""
        if rule := self._RULES.get(fact.kind):
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                rule(self, fact)
                if matter := matter_of(fact):
                    self.matters[matter] = fact

    def state(self) -> State:
        """Return the state as of the last fact."""
        return State(
            tuple(self.sprints), tuple(self.runs.values()), tuple(self.patches.values()), dict(self.aside),
            dict(self.judged), self.paused, weaves=tuple(self.weaves), reported=frozenset(self.reported),
            foretold=tuple(self.foretold), asked=tuple(self.asked), reports=tuple(self.reports),
            decided=tuple(self.decided), deploys=tuple(self.deploys.values()), told=frozenset(self.told),
            resumed=self.resumed, stuck=self.stuck, matters=dict(self.matters),
        )  # fmt: skip

    def _dispatch_started(self, fact: Fact) -> None:
        data = fact.data
        self.sprints.append(
            Sprint(
                0, data["dispatch"], "", data["base"], data["branch"], "", "", "", (), fact.ts,
                dispatch=data["dispatch"],
            )
        )  # fmt: skip

    def _sprint_started(self, fact: Fact) -> None:
        data = fact.data
        self.sprints.append(
            Sprint(
                data["sprint"], data["id"], data["base_branch"], data["base"], data["branch"], data["mode"],
                data["rule"], data["reason"], tuple(data["personas"]), fact.ts, rolling=data.get("rolling", False),
            )
        )  # fmt: skip
        self.aside = {}
        for key, each in self.judged.items():
            self.judged[key] = Judged(each.passed, 0, each.earlier + each.failed)

    def _sprint_finished(self, fact: Fact) -> None:
        if self.sprints:
            outcome, seen = fact.data["outcome"], fact.data.get("known", fact.seq)
            self.sprints[-1] = replace(self.sprints[-1], finished=fact.ts, outcome=outcome, ended=fact.seq, seen=seen)

    def _sprint_stuck(self, fact: Fact) -> None:
        if self.sprints and self.sprints[-1].number == fact.data["sprint"]:
            self.sprints[-1] = replace(self.sprints[-1], stuck=fact.seq)

    def _tick_done(self, fact: Fact) -> None:
        if self.sprints and self.sprints[-1].number == fact.data.get("sprint"):
            self.sprints[-1] = replace(self.sprints[-1], ticks=fact.data["tick"], stuck=0)

    def _run_started(self, fact: Fact) -> None:
        data = fact.data
        self.runs[str(fact.run)] = Run(
            str(fact.run), data["persona"], data["attempt"], data["tick"], data["sprint"], data["base"], data["agent"],
            data["reason"], fact.ts, tuple(data["mail"]), data["supervisor"],
            rule=data.get("route", {}).get("rule", ""), passed=_passed(data), offered=data.get("offered", False),
        )  # fmt: skip

    def _run_offered(self, fact: Fact) -> None:
        run = self.runs[str(fact.run)]
        self.runs[run.id] = replace(run, offered=True, epoch=fact.data["epoch"], worker={}, returned=False)

    def _run_taken(self, fact: Fact) -> None:
        run = self.runs[str(fact.run)]
        if fact.data["epoch"] == run.epoch and not run.worker:
            self.runs[run.id] = replace(run, worker=dict(fact.data["worker"]))

    def _run_returned(self, fact: Fact) -> None:
        run = self.runs[str(fact.run)]
        if fact.data["epoch"] == run.epoch and fact.data["worker"] == run.worker:
            self.runs[run.id] = replace(run, returned=True)

    def _run_finished(self, fact: Fact) -> None:
        data = fact.data
        setup = data.get("workspace", {}).get("seconds")
        self._end(
            fact, status=data["status"], seconds=data["seconds"], detail=data["detail"], setup=setup,
            until=data.get("until"), hopeless=data.get("hopeless", False), asked=data.get("question", ""),
            resumed=data.get("resumed", ""),
        )  # fmt: skip

    def _run_lost(self, fact: Fact) -> None:
        self._end(
            fact, status=RunStatus.LOST, detail=fact.data["why"], orderly=bool(fact.data.get("orderly")),
            withdrawn=bool(fact.data.get("withdrawn")),
        )  # fmt: skip

    def _run_stopped(self, fact: Fact) -> None:
        if run := self.runs.get(str(fact.ref)):
            self.runs[run.id] = replace(run, stop=True)

    def _run_foretold(self, fact: Fact) -> None:
        data = fact.data
        lines = tuple((first, last) for first, last in data["lines"])
        self.foretold.append(Foretold(str(fact.run), data["rival"], data["file"], lines, data["landed"], data["tip"]))

    def _end(self, fact: Fact, **ending: Any) -> None:
        run = self.runs.get(str(fact.run))
        if run is None:
            return
        if run.status == RunStatus.OPEN:
            self.runs[run.id] = replace(run, finished=fact.ts, usage=usage_of(fact.data.get("usage")), **ending)
            if run.id in self.patches and ending["status"] in _UNUSABLE:
                patch = self.patches[run.id]
                self.patches[run.id] = replace(patch, status=PatchStatus.DROPPED, why=ending["detail"])
            elif partial := fact.data.get("partial"):
                patch = _patch(run, partial, fact)
                self.patches[run.id] = replace(patch, status=PatchStatus.DROPPED, why=ending["detail"])
        else:
            self.runs[run.id] = replace(run, late=True)

    def _patch_captured(self, fact: Fact) -> None:
        run, data = self.runs.get(str(fact.run)), fact.data
        if run is None or run.status != RunStatus.OPEN or not data["patch"]["size"]:
            return
        self.patches[run.id] = _patch(run, data, fact)

    def _patch_landed(self, fact: Fact) -> None:
        commit = fact.data["commit"]
        is_new = fact.data.get("how") != PatchStatus.PRESENT
        self._decide(fact, commit=commit, status=PatchStatus.LANDED if is_new else PatchStatus.PRESENT)
        if self.sprints and is_new:
            self.sprints[-1] = replace(self.sprints[-1], commits=(*self.sprints[-1].commits, commit))

    def _decide(self, fact: Fact, commit: str | None = None, status: PatchStatus | None = None) -> None:
        if patch := self.patches.get(str(fact.ref)):
            status, data = status or _DECISIONS[fact.kind], fact.data
            why = _of_conflict(data) if status == PatchStatus.CONFLICTED else data.get("why", "")
            own = self.sprints[-1].number if self.sprints else patch.sprint
            self.patches[patch.run] = replace(
                patch, why=why, tick=data["tick"], sprint=own, status=status, commit=commit,
                signature=data.get("signature", ""),
            )  # fmt: skip

    def _patch_approved(self, fact: Fact) -> None:
        """Let a held patch wait for the weaver, with all codes that approve it: one may be forged, the next not."""
        patch = self.patches.get(str(fact.ref))
        if patch and (patch.status == PatchStatus.HELD or (patch.status == PatchStatus.PENDING and patch.approvals)):
            codes = (*patch.approvals, str(fact.data.get("code", "")))
            self.patches[patch.run] = replace(patch, status=PatchStatus.PENDING, approvals=codes)

    def _weave_done(self, fact: Fact) -> None:
        data = fact.data
        conflicts = tuple((str(run), str(rival), tuple(files)) for run, rival, files in data["conflicts"])
        dangling = tuple(
            DanglingName(
                each["name"], each["renamed"], (each["removed_by"][0], each["removed_by"][2]),
                (each["used_by"][0], each["used_by"][2]), tuple((file, line) for file, line in each["uses"]),
            )
            for each in data.get("dangling", ())
        )  # fmt: skip
        if data["order"] and self.sprints:
            self.sprints[-1] = replace(self.sprints[-1], unjudged=tuple(data.get("red", ())))
        self.weaves.append(
            Weave(data["sprint"], data["tick"], data["start"], data["tip"], tuple(data["order"]), conflicts, dangling)
        )

    def _weave_lost(self, fact: Fact) -> None:
        """Begin a sprint again from another commit: what had landed waits for the weaver, as it did before."""
        own = self.sprints[-1]
        self.sprints[-1] = replace(
            own, base=fact.data["start"], commits=(), lost=own.lost + 1, origin=own.origin or own.base
        )
        self._let_wait([run for run, patch in self.patches.items() if patch.sprint == own.number])

    def _sprint_abandoned(self, fact: Fact) -> None:
        """Let what the sprint made, and git does not have, wait for the next one."""
        self._let_wait(fact.data["patches"])

    def _let_wait(self, runs: Iterable[str]) -> None:
        for run in runs:
            patch = self.patches.get(run)
            if patch and patch.status in {PatchStatus.LANDED, PatchStatus.PRESENT}:
                self.patches[run] = replace(patch, status=PatchStatus.PENDING, commit=None)

    def _persona_skipped(self, fact: Fact) -> None:
        self.aside[fact.data["persona"]] = fact.data["why"]

    def _gate_judged(self, fact: Fact) -> None:
        key = fact.data["mark"], fact.data["tree"]
        before, passed = self.judged.get(key, Judged()), bool(fact.data["passed"])
        self.judged[key] = before._replace(passed=before.passed + passed, failed=before.failed + (not passed))
        if fact.data.get("on_base") and self.sprints and not passed and fact.data["tries"] > 1:
            red = dict.fromkeys((*self.sprints[-1].red, str(fact.data["gate"])))
            self.sprints[-1] = replace(self.sprints[-1], red=tuple(red))

    def _budget_spent(self, fact: Fact) -> None:
        self.reported.add((fact.data["budget"], fact.data["sprint"], fact.data["day"]))

    def _review_asked(self, fact: Fact) -> None:
        data = fact.data
        self.asked.append(Asked(data["persona"], data["sprint"], data["start"], data["tip"], fact.seq))

    def _review_told(self, fact: Fact) -> None:
        self.told.add((fact.data["gate"], fact.data["commit"], fact.data["sprint"]))

    def _report_given(self, fact: Fact) -> None:
        data = fact.data
        self.reports.append(
            Report(
                data["persona"], str(fact.run), data["sprint"], data["commit"], data["tree"], data["report"], fact.seq
            )
        )  # fmt: skip

    def _round_decided(self, fact: Fact) -> None:
        data = fact.data
        gates = tuple((str(name), bool(passed), str(text)) for name, passed, text in data["gates"])
        self.decided.append(
            Decided(
                data["sprint"], data["commit"], data["tree"], data["decision"], tuple(data["blocks"]), gates, fact.seq
            )
        )  # fmt: skip

    def _round_paused(self, fact: Fact) -> None:
        self.pausing = self.stuck = fact.data["sprint"]
        self.paused = f"paused after round {self.pausing}: {fact.data['why']}"

    def _deploy_started(self, fact: Fact) -> None:
        data = fact.data
        key = data["sprint"], data["commit"]
        self.deploys.pop(key, None)  # the last one stands last
        self.deploys[key] = Deploy(*key, data["tree"], fact.ts, attempt=data["attempt"], run=data.get("run", ""))

    def _deploy_finished(self, fact: Fact) -> None:
        data = fact.data
        key = data["sprint"], data["commit"]
        begun = self.deploys.pop(key, None) or Deploy(*key, data["tree"], fact.ts)
        begun = replace(begun, attempt=data["attempt"])
        self.deploys[key] = replace(begun, outcome=data["outcome"], why=data["why"], seconds=data.get("seconds"))

    def _scheduler_paused(self, fact: Fact) -> None:
        self.paused = f"paused by {fact.sender} at {fact.ts[:19]}Z"

    def _scheduler_resumed(self, _: Fact) -> None:
        self.paused, self.resumed, self.stuck = None, max(self.resumed, self.pausing), 0

    _RULES: ClassVar[Mapping[str, Callable[[Self, Fact], None]]] = {
        Kind.DISPATCH_STARTED: _dispatch_started,
        Kind.SPRINT_STARTED: _sprint_started,
        Kind.SPRINT_FINISHED: _sprint_finished,
        Kind.SPRINT_STUCK: _sprint_stuck,
        Kind.SPRINT_ABANDONED: _sprint_abandoned,
        Kind.TICK_DONE: _tick_done,
        Kind.RUN_STARTED: _run_started,
        Kind.RUN_FINISHED: _run_finished,
        Kind.RUN_LOST: _run_lost,
        Kind.RUN_STOPPED: _run_stopped,
        Kind.RUN_OFFERED: _run_offered,
        Kind.RUN_TAKEN: _run_taken,
        Kind.RUN_RETURNED: _run_returned,
        Kind.RUN_FORETOLD: _run_foretold,
        Kind.PATCH_CAPTURED: _patch_captured,
        Kind.PATCH_LANDED: _patch_landed,
        Kind.PATCH_CONFLICTED: _decide,
        Kind.PATCH_REFUSED: _decide,
        Kind.PATCH_HELD: _decide,
        Kind.PATCH_REJECTED: _decide,
        Kind.PATCH_APPROVED: _patch_approved,
        Kind.WEAVE_DONE: _weave_done,
        Kind.WEAVE_LOST: _weave_lost,
        Kind.PERSONA_SKIPPED: _persona_skipped,
        Kind.GATE_JUDGED: _gate_judged,
        Kind.BUDGET_SPENT: _budget_spent,
        Kind.REVIEW_ASKED: _review_asked,
        Kind.REVIEW_TOLD: _review_told,
        Kind.REPORT_GIVEN: _report_given,
        Kind.ROUND_DECIDED: _round_decided,
        Kind.ROUND_PAUSED: _round_paused,
        Kind.DEPLOY_STARTED: _deploy_started,
        Kind.DEPLOY_FINISHED: _deploy_finished,
        Kind.SCHEDULER_PAUSED: _scheduler_paused,
        Kind.SCHEDULER_RESUMED: _scheduler_resumed,
    }


def _passed(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the agents that went before the one of a run and gave way, each with the reason."""
    return tuple((passed["agent"], passed["why"]) for passed in data.get("route", {}).get("passed", ()))


def _of_conflict(data: Mapping[str, Any]) -> str:
    """Say with what a patch conflicted, and in which files."""
    files = listed([str(file) for file in data.get("files", ())])
    return f"conflicts with what had landed before{f': {files}' if files else ''}"


def _patch(run: Run, change: Mapping[str, Any], fact: Fact) -> Patch:
    """Make the patch of a run of what an event says of its change."""
    blob = change["patch"]
    base = change.get("base", run.base)
    return Patch(
        run.id, run.persona, run.sprint, base, blob["sha256"], blob["size"], fact.seq, fact.hash, fact.ts,
        tuple(change["files"]), task=fact.data.get("task"),
    )  # fmt: skip


def left_over(runs: Iterable[tuple[str, str]], patches: Mapping[str, Patch]) -> Patch | None:
    """Return what was left since the last success in runs at the same work, each an id and a status, the last first."""
    for run, status in runs:
        if status == RunStatus.OK:
            return None
        if (patch := patches.get(run)) and patch.status == PatchStatus.DROPPED:
            return patch
    return None


def fact_of(row: Mapping[str, Any]) -> Fact:
    """Make a fact of a row of a projection."""
    given: Any = json.loads(row["data"]) if isinstance(row["data"], str) else row["data"]
    data = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    return Fact(row["seq"], row["ts"], row["kind"], row["sender"], row["ref"], row["run"], data, row["hash"])
