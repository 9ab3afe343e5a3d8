"""Claims as text: the list of tasks, one task with its history, and what a claim is good for."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ...mail.render import line
from ...mail.text.units import counted
from ...scheduler.claims.decide import at
from ...scheduler.claims.decide import taken as taken_by
from ...scheduler.claims.facts import Claim
from ...scheduler.kinds import ClaimState, TaskStatus
from ..api.claims import Ended, Taken, TaskBoard, TaskView
from ..api.hook import Guard
from ..api.worker import WorkDone
from .tables import columns, shortened

_TITLE = 60  # characters


def board(listed: TaskBoard) -> Iterator[str]:
    """Show the tasks in the order in which they are offered, and what else is taken."""
    if listed.tasks:
        head = ("task", "state", "priority", "for", "version", "title")
        yield from columns([head, *map(_row, listed.tasks)])
    else:
        yield "no task is open; team task add adds one"
    for hold in listed.holds:
        yield f"taken: {line(hold.what)} by {line(hold.owner)}, {_until(hold)}"


def _row(view: TaskView) -> tuple[str, ...]:
    task, holder = view.task, view.holder
    state = str(view.state)
    if holder:
        state = f"{holder.owner}, {_until(holder)}"
    elif view.state == ClaimState.WAITING:
        state = f"after {', '.join(view.moment.open_before(task))}"
    return task.name, state, task.priority, task.to or "anybody", str(task.version), shortened(task.title, _TITLE)


def task(view: TaskView) -> Iterator[str]:
    """Show all that is known of a task."""
    own = view.task
    yield f"{own.name}  {view.state}  {line(own.title)}".rstrip()
    yield f"  for {own.to or 'anybody'}, priority {own.priority}, added by {line(own.sender)} at {at(own.ts)}"
    if own.after:
        yield f"  after {', '.join(own.after)}"
    if own.globs:
        yield f"  changes {', '.join(map(line, own.globs))}"
    if view.input is not None:
        yield f"  input: {line(json.dumps(view.input, ensure_ascii=False))}"
    for each in own.claims:
        how = _ended(each) if each.ended else "" if own.end else f", {_until(each)}"
        yield f"  claimed by {line(each.owner)} at {at(each.since)} (token {each.token}){how}"
    document = view.document()
    if own.end:
        word = "done" if own.end.status == TaskStatus.SUCCESS else f"failed: {line(own.end.error)}"
        yield f"  {word}, by {line(own.end.sender)} at {at(own.end.ts)} (token {own.end.token})"
        if document["output"] is not None:
            yield f"  output: {line(json.dumps(document['output'], ensure_ascii=False))}"
    if own.late:
        yield f"  {counted(len(own.late), 'end')} came too late and not used; --json shows what was made"


def _ended(claim: Claim) -> str:
    how = claim.ended.partition(".")[2]
    by = f" by {line(claim.by)}" if claim.by != claim.owner else ""
    return f", {how}{by} at {at(claim.at)}" + (f": {line(claim.why)}" if claim.why else "")


def taken(claim: Taken) -> Iterator[str]:
    """Show a claim that was taken, and what its token is for."""
    own = claim.claim
    yield f"{line(own.owner)} has {line(own.what)} {_until(own)}"
    name = f"{own.task} " if own.task else ""
    ends = f"team done {name}--token {own.token}" if own.task else f"team release --token {own.token}"
    yield f"team renew {name}--token {own.token} goes on with it, {ends} ends it"
    if claim.task and claim.task.input is not None:
        yield f"input: {line(json.dumps(claim.task.input, ensure_ascii=False))}"


def renewed(claim: Taken) -> str:
    """Say until when a claim goes on."""
    return f"{line(claim.claim.owner)} has {line(claim.claim.what)} {_until(claim.claim)}"


def released(ended: Ended) -> str:
    """Say that a claim is over."""
    why = f": {line(ended.why)}" if ended.why else ""
    return f"{line(ended.what)} {'is already' if ended.already else 'is'} released (token {ended.token}){why}"


def finished(ended: Ended) -> str:
    """Say that a task is done."""
    word = "done" if ended.end and ended.end.status == TaskStatus.SUCCESS else "done, and failed"
    return f"{line(ended.what)} {'is already' if ended.already else 'is'} {word} (token {ended.token})"


def worked(done: WorkDone) -> str:
    """Say what a worker has done."""
    numbers = [(number, word) for word, number in done.document().items() if word != "interrupted" and number]
    return ", ".join(f"{number} {word}" for number, word in numbers) or "nothing was done"


def claimed_files(guard: Guard) -> Iterator[str]:
    """Name the files of a commit that others have claimed, and what to do."""
    for file, claim in guard.files:
        yield f"{line(file)} is {taken_by(claim)}"
    if guard.files:
        yield "wait, ask its owner, or commit all the same with git commit --no-verify"


def _until(claim: Claim) -> str:
    held = f" or while process {claim.process.get('pid')} runs" if claim.process else ""
    return f"until {claim.until:%Y-%m-%d %H:%M:%S}Z{held}"
