"""The events of a run: its start before it begins, and everything that its end means in one append."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...mail.clock import rfc3339
from ...mail.kinds import MailKind
from ...mail.log.blobs import Blobs
from ...mail.log.event import Draft, Event, derived_id
from ...personas.agents.result import printed
from ...personas.capture.commits import Kept
from ...personas.kinds import OutcomeStatus
from ...personas.spending.usage import UNKNOWN
from ...personas.workspace import Captured
from ..kinds import Kind, TaskStatus
from ..leader import myself
from ..limits.budget import Overspent
from ..payload import kept
from ..setup import setup_data
from .launch import Launch
from .run import Batch, RunResult

_SCHEDULER = "scheduler"
_MOST_FILES = 500  # names in an event; the patch itself has them all
_DETAIL = 500  # characters


@dataclass(frozen=True)
class RunRecord:
    """Writes the events of runs. `append` makes drafts durable; `supervisor` names the process that watches the runs.

    `offered` tells which of them are handed out to workers. Its methods raise LogError where the log cannot be written.
    """

    append: Callable[[Sequence[Draft]], Sequence[Event]]
    blobs: Blobs
    supervisor: dict[str, Any] = field(default_factory=myself)
    offered: Callable[[Launch], bool] = lambda _: False

    def started(self, launch: Launch, batch: Batch, mail: Sequence[str]) -> int:
        """Write that a run is about to start, and the ids of the mail that it is given: no other run is meanwhile.

        Return the seq of this event.
        """
        data: dict[str, Any] = {
            "sprint": batch.sprint,
            "persona": launch.persona,
            "attempt": launch.attempt,
            "tick": batch.tick,
            "base": batch.base,
            "agent": launch.agent,
            "reason": launch.reason,
            "mail": [*mail],
            "supervisor": self.supervisor,
        }
        if launch.route and (launch.route.rule or launch.route.passed):
            data["route"] = {"rule": launch.route.rule, "passed": launch.route.instead_of}
        if self.offered(launch):
            data["offered"] = True
        if launch.assignment:
            data |= _task(launch) | kept(self.blobs, "input", launch.assignment.input)
        return self.append([_draft(Kind.RUN_STARTED, launch, data)])[-1].seq

    def withdrawn(self, launch: Launch, over: Overspent) -> None:
        """Write that a run whose start is on record did not begin, because of a budget: it counts for none."""
        data = _whose(launch) | {"why": over.text, "orderly": True, "withdrawn": over.budget, **_task(launch)}
        self.append([_draft(Kind.RUN_LOST, launch, data)])

    def ended(
        self,
        launch: Launch,
        result: RunResult,
        *,
        read: Sequence[str] = (),
        output: Path | None = None,
        mails: Sequence[Draft] = (),
        asked: str = "",
        resumed: str = "",
    ) -> None:
        """Write how a run ended, in one append, with the `mails` about it.

        `read` are the messages it was given, which count as read if it ended well; `output` is what its agent printed,
        `asked` the id of the mail with its question, and `resumed` the session that it went on with.
        Only what a run that ended well has changed is a patch; what another one left may be half a change, and is kept
        beside its end.
        """
        ok = result.outcome.status == OutcomeStatus.OK and not result.given_up
        change = self._change(result.captured) if result.captured and result.has_patch else None
        change = change | {"base": result.base} if change and result.base else change
        left = {"partial": change} if change and not ok else {}
        if result.given_up:
            why = result.lost or "the scheduler was stopped"
            data = _whose(launch) | {"why": why, "orderly": not result.lost, **_task(launch)}
            data |= self._kept_of(result)
            if result.outcome.usage != UNKNOWN:
                data["usage"] = result.outcome.usage.document()
            self.append([*mails, _draft(Kind.RUN_LOST, launch, data | left)])
            return
        drafts = [_captured(launch, change)] if change and ok else []
        more = {"question": asked, "resumed": resumed}
        left |= {name: value for name, value in more.items() if value}
        drafts.append(self._finished(launch, result, output, left))
        if ok:
            drafts += [_read(launch, mail) for mail in read]
        self.append([*mails, *drafts, *_task_end(launch, result)])

    def _change(self, captured: Captured) -> dict[str, Any]:
        """Store a patch; return what an event says of it."""
        return {
            "patch": self.blobs.put(captured.patch)._asdict(),
            "files": [*captured.files[:_MOST_FILES]],
            "insertions": captured.insertions,
            "deletions": captured.deletions,
        }

    def _finished(self, launch: Launch, result: RunResult, output: Path | None, left: dict[str, Any]) -> Draft:
        outcome = result.outcome
        data: dict[str, Any] = {
            "sprint": launch.sprint,
            **_whose(launch),
            "status": outcome.status,
            "exit": outcome.exit,
            "seconds": round(outcome.seconds, 3),
            "detail": outcome.detail[:_DETAIL],
            "cut": outcome.cut,
            "usage": outcome.usage.document(),
            **left,
        }
        if launch.assignment:
            data |= _task(launch) | kept(self.blobs, "result", outcome.output)
        if output and (words := printed(output)) is not None:
            data["output"] = self.blobs.put(words)._asdict()
        if outcome.until:
            data["until"] = rfc3339(outcome.until)
        if outcome.hopeless:
            data["hopeless"] = True
        if result.prepared and (about := setup_data(result.prepared, self.blobs)):
            data["workspace"] = about
        return _draft(Kind.RUN_FINISHED, launch, data | self._kept_of(result))

    def _kept_of(self, result: RunResult) -> dict[str, Any]:
        """Store the commits beside a patch; return what an event says of them, nothing if there are none."""
        kept = result.captured.kept if result.captured else ()
        return {"kept": [self._kept(each) for each in kept]} if kept else {}

    def _kept(self, left: Kept) -> dict[str, Any]:
        bundle = self.blobs.put(left.bundle)._asdict()
        return {
            "where": left.where,
            "heads": [*left.heads[:_MOST_FILES]],
            "commits": left.commits,
            "bundle": bundle,
        }


def _captured(launch: Launch, change: dict[str, Any]) -> Draft:
    data = {"sprint": launch.sprint, "persona": launch.persona, **change, **_task(launch)}
    own = None if launch.assignment else derived_id("patch", launch.run)
    return Draft(Kind.PATCH_CAPTURED, _SCHEDULER, run=launch.run, data=data, id=own)


def task_finished(dispatch: str, task: str, persona: str, status: str, error: str = "", *, why: str = "") -> Draft:
    """Make the event by which a task of a dispatch ends; `error` says why it failed, `why` why it was skipped."""
    data = {"dispatch": dispatch, "task": task, "persona": persona, "status": status, "error": error}
    return Draft(Kind.TASK_FINISHED, _SCHEDULER, data=data | ({"why": why} if why else {}))


def _task_end(launch: Launch, result: RunResult) -> list[Draft]:
    """Record the end of the task if this run is its last: nothing to land, or no retries left."""
    assignment, outcome = launch.assignment, result.outcome
    elsewhere = outcome.hopeless and launch.route and len(launch.route.agents) > 1  # another agent may do it
    if elsewhere or outcome.status in {OutcomeStatus.SETUP, OutcomeStatus.LIMITED}:
        return []  # no attempt at the task: who launched it decides
    ok = outcome.status == OutcomeStatus.OK
    again = not launch.last_attempt and outcome.status != OutcomeStatus.STOPPED
    if assignment is None or (result.has_patch if ok else again):
        return []
    prefix = "Task timeout exceeded: " if outcome.status == OutcomeStatus.TIMEOUT else ""
    status, error = (TaskStatus.SUCCESS, "") if ok else (TaskStatus.ERROR, prefix + outcome.detail)
    return [task_finished(assignment.dispatch, assignment.task, launch.persona, status, error)]


def _whose(launch: Launch) -> dict[str, Any]:
    return {"persona": launch.persona, "agent": launch.agent}


def _task(launch: Launch) -> dict[str, Any]:
    """Return the data that names the task of a run, if it has one."""
    assignment = launch.assignment
    return {"dispatch": assignment.dispatch, "task": assignment.task} if assignment else {}


def _draft(kind: str, launch: Launch, data: dict[str, Any]) -> Draft:
    """Make an event of a run, its id derived so that it is never written twice.

    A dispatch reads its events before it continues, so the log need not be searched for each of its ids.
    """
    own = None if launch.assignment else derived_id(kind, launch.run)
    return Draft(kind, _SCHEDULER, run=launch.run, data=data, id=own)


def _read(launch: Launch, mail: str) -> Draft:
    return Draft(MailKind.READ, launch.persona, ref=mail, run=launch.run, id=derived_id("read", launch.run, mail))
