"""Claims: tasks that are added, taken, renewed, given back and ended by a token; and paths and names taken likewise.

All functions that write are for people and for programs that they start: called from an agent's run, they raise
UsageError. What a run asks of its mail process is carried out in its name, as far as it is about tasks and claims of
its own persona.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from hashlib import sha256
from typing import Any

from ...mail.clock import rfc3339
from ...mail.errors import UsageError
from ...mail.log.blobs import Blobs
from ...mail.process import named, run_written_for
from ...scheduler.claims.claims import Claims, NewTask
from ...scheduler.claims.decide import Moment, claim_by
from ...scheduler.claims.facts import Claim, OpenTask, TaskEnd
from ...scheduler.claims.lease import DEFAULT, lease_of
from ...scheduler.errors import ClaimError, InvalidTasks
from ...scheduler.kinds import ClaimState
from ...scheduler.payload import held as kept
from ...scheduler.sprint.control import by_people_only
from ...scheduler.tasks.reader import read_input
from ...scheduler.tasks.references import find_references
from ...scheduler.tasks.task import Task

OVER = (ClaimState.DONE, ClaimState.FAILED)


@dataclass(frozen=True)
class TaskView:
    """A task that can be claimed, as it is at a moment."""

    task: OpenTask
    moment: Moment
    blobs: Blobs

    @property
    def state(self) -> ClaimState:
        """Its state."""
        return self.moment.state(self.task)

    @property
    def holder(self) -> Claim | None:
        """The claim of whoever has it now."""
        return self.moment.holder(self.task)

    @property
    def input(self) -> Any:
        """What was given with it; None if nothing was."""
        return kept(self.blobs, self.task.data, "input")

    def document(self) -> dict[str, Any]:
        """Return all of it as a JSON object, with each claim and the ends that came late."""
        task = self.task
        return self.summary() | {
            "title": task.title,
            "paths": [*task.globs],
            "input": self.input,
            "claims": [_claim_document(claim) for claim in task.claims],
            "output": kept(self.blobs, task.end.data, "output") if task.end else None,
            "error": task.end.error if task.end else None,
            "late": [_late(end, self.blobs) for end in task.late],
        }

    def summary(self) -> dict[str, Any]:
        """Return what a list tells of it, as a JSON object."""
        task, holder = self.task, self.holder
        return {
            "task": task.name,
            "state": str(self.state),
            "to": task.to or None,
            "priority": task.priority,
            "after": [*task.after],
            "version": task.version,
            "attempts": len(task.claims),
            "owner": holder.owner if holder else None,
            "token": holder.token if holder else None,
            "lease_until": rfc3339(holder.until) if holder else None,
        }


@dataclass(frozen=True)
class TaskBoard:
    """The tasks that can be claimed, the next one first, and the claims of paths and names that go on."""

    tasks: tuple[TaskView, ...]
    holds: tuple[Claim, ...]

    def document(self) -> dict[str, Any]:
        """Return both as a JSON object."""
        return {
            "tasks": [task.summary() for task in self.tasks],
            "held": [_claim_document(hold) for hold in self.holds],
        }


@dataclass(frozen=True)
class Taken:
    """A claim that was taken or renewed, and its task; None for paths and names."""

    claim: Claim
    task: TaskView | None

    def document(self) -> dict[str, Any]:
        """Return what its owner needs as a JSON object."""
        claim = {"token": self.claim.token, "lease_until": rfc3339(self.claim.until), "owner": self.claim.owner}
        if self.task is None:
            return claim | {"paths": [*self.claim.globs], "names": [*self.claim.names]}
        task = self.task.task
        return {
            "task": task.name, **claim, "input": self.task.input, "title": task.title, "attempt": len(task.claims),
            "version": task.version,
        }  # fmt: skip


@dataclass(frozen=True)
class NextTaken:
    """The claim of the next task; None if there was nothing to claim."""

    taken: Taken | None

    def document(self) -> dict[str, Any]:
        """Return the claim as a JSON object, empty without one."""
        return self.taken.document() if self.taken else {}


@dataclass(frozen=True)
class Ended:
    """A claim that is over, or a task that is done. `already` tells that it was before."""

    what: str
    token: int
    already: bool
    end: TaskEnd | None = None
    why: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        state = {"status": self.end.status} if self.end else {"why": self.why}
        return {"what": self.what, "token": self.token, "already": self.already, **state}


def add_task(claims: Claims, task: NewTask, sender: str) -> TaskView:
    """Add a task. Raises ClaimError if there is one of its name, NoSuchTask, UsageError, UnknownRecipient."""
    by_people_only("team task add", claims.home)
    return _view(claims, claims.add(task, sender).name)


def import_tasks(claims: Claims, data: bytes, personas: Collection[str], sender: str) -> TaskBoard:
    """Add all tasks of a dispatch's JSON, each after those that it depends on; the same JSON again adds nothing.

    Raises InvalidTasks, and ClaimError if a name is taken; then nothing is added.

    Args:
        claims: The claims of the team.
        data: The JSON, as `team dispatch` reads it.
        personas: Who is on the roster.
        sender: Who adds them.
    """
    by_people_only("team task import", claims.home)
    tasks = read_input(data, personas).tasks
    if problems := [f"task {task.task_id!r} {why}" for task in tasks if (why := _only_dispatched(task))]:
        raise InvalidTasks(problems)
    own = f"import {sha256(data).hexdigest()[:16]}"
    before = claims.moment().fold.tasks
    if taken := [
        task.task_id for task in tasks if task.task_id in before and before[task.task_id].data.get("key") != own
    ]:
        raise ClaimError(f"there are tasks of these names already: {', '.join(taken)}; nothing was added")
    for task in _ordered(tasks):
        priority = "high" if task.priority > 0 else "low" if task.priority < 0 else "normal"
        paths = [*dict.fromkeys((*task.files, *task.creates))]
        new = NewTask(
            task.task_id, task.description, task.agent, priority, task.dependencies, paths, task.input_data, own
        )
        claims.add(new, sender)
    moment = claims.moment()
    return TaskBoard(tuple(TaskView(moment.task(task.task_id), moment, claims.mailbox.blobs) for task in tasks), ())


def _only_dispatched(task: Task) -> str:
    """Say what a task asks for that only a dispatch can do, which knows the results of the others; "" if nothing."""
    if task.when:
        return "has a condition (when), which only team dispatch can look at"
    if next(find_references([task.description, task.input_data]), None):
        return "refers to the output of another task, which only team dispatch can fill in"
    return ""


def _ordered(tasks: Sequence[Task]) -> Iterator[Task]:
    """Yield tasks after those that they depend on, else in the order given. There is no circle."""
    named = {task.task_id: task for task in tasks}
    places = {name: place for place, name in enumerate(named)}
    sorter = TopologicalSorter({name: task.dependencies for name, task in named.items()})
    sorter.prepare()
    while ready := sorted(sorter.get_ready(), key=places.__getitem__):
        yield from (named[name] for name in ready)
        sorter.done(*ready)


def list_tasks(claims: Claims, *, whole: bool = False) -> TaskBoard:
    """List the tasks that are not done, or the `whole` of them, and the paths and names that are taken."""
    moment = claims.moment()
    views = [TaskView(task, moment, claims.mailbox.blobs) for task in moment.fold.tasks.values()]
    shown = [view for view in views if whole or view.state not in OVER]
    over = {claim.token for claim, _ in moment.over()}
    holds = tuple(claim for claim in moment.fold.holds.values() if claim.token not in over)
    return TaskBoard(tuple(sorted(shown, key=lambda view: (view.state in OVER, view.task.rank))), holds)


def show_task(claims: Claims, name: str) -> TaskView:
    """Return a task with all that became of it. Raises NoSuchTask."""
    return _view(claims, name)


def claim_task(
    claims: Claims, name: str, owner: str, lease: str = DEFAULT, *, pid: int | None = None, expect: int | None = None
) -> Taken:
    """Take a task for a time. Raises NoSuchTask, LeaseConflict, VersionConflict, ClaimError.

    Args:
        claims: The claims of the team.
        name: The task.
        owner: Who has it then.
        lease: How long, from "1s" to "24h", until the claim is over unless it is renewed.
        pid: A process whose life holds the claim: it goes on as long as that does, and is over when that ends.
        expect: The version that the task must have.
    """
    if acting := _acting(claims, "team claim"):
        _check_for(acting.moment().task(name), owner)
    return _taken(claims, (acting or claims).claim(name, owner, lease_of(lease), process=_process(pid), expect=expect))


def claim_next(claims: Claims, owner: str, lease: str = DEFAULT, *, pid: int | None = None) -> NextTaken:
    """Take the next task for an owner, or for anybody: the highest priority first, then the oldest."""
    claim = (_acting(claims, "team claim") or claims).next(owner, lease_of(lease), process=_process(pid))
    return NextTaken(_taken(claims, claim) if claim else None)


def claim_paths(
    claims: Claims,
    globs: Sequence[str],
    names: Sequence[str],
    owner: str,
    lease: str = DEFAULT,
    *,
    pid: int | None = None,
) -> Taken:
    """Take paths, by globs from the top of the repository, and names. Raises LeaseConflict, UsageError."""
    by_people_only("team claim", claims.home)
    return _taken(claims, claims.hold(globs, names, owner, lease_of(lease), process=_process(pid)))


def renew(
    claims: Claims,
    name: str | None,
    token: int,
    sender: str,
    lease: str | None = None,
    *,
    expect: int | None = None,
) -> Taken:
    """Let the time of a claim begin anew; `name` is None for paths.

    Raises NoSuchTask, LeaseExpired, VersionConflict.
    """
    if acting := _acting(claims, "team renew"):
        _check_own(acting, name, token, sender)
    seconds = lease_of(lease) if lease is not None else None
    return _taken(claims, (acting or claims).renew(name, token, sender, seconds, expect=expect))


def release(
    claims: Claims,
    name: str | None,
    token: int | None,
    sender: str,
    why: str = "",
    *,
    force: bool = False,
    expect: int | None = None,
) -> Ended:
    """Give a claim back by its token; or without one end that of a task, if it is over, or by force.

    Raises NoSuchTask, LeaseExpired, LeaseNotExpired, VersionConflict, ClaimError, and UsageError for force without a
    reason.
    """
    if token is None or force:
        by_people_only("team release", claims.home)
    elif acting := _acting(claims, "team release"):
        _check_own(acting, name, token, sender)
        claims = acting
    if force and not why.strip():
        raise UsageError("--force needs a reason, which the owner is told: --reason WHY")
    if force or token is None:
        claim, now = claims.take_away(name, token, sender, why, force=force), True
    else:
        claim, now = claims.release(name, token, sender, why, expect=expect)
    return Ended(claim.what, claim.token, already=not now, why=claim.why)


def finish(
    claims: Claims,
    name: str,
    token: int,
    sender: str,
    *,
    output: Any = None,
    error: str | None = None,
    expect: int | None = None,
) -> Ended:
    """End a task, as failed if there is an `error`. Raises NoSuchTask, LeaseExpired, VersionConflict.

    A claim that was lost ends nothing: the output is kept as late.
    """
    if acting := _acting(claims, "team done"):
        _check_own(acting, name, token, sender)
    end, now = (acting or claims).finish(name, token, sender, output=output, error=error, expect=expect)
    return Ended(name, token, already=not now, end=end)


def _acting(claims: Claims, command: str) -> Claims | None:
    """Return the claims as the run writes them whose mail process has started this one; None for a person.

    Raises UsageError for another process of a run.
    """
    if run := run_written_for(claims.home):
        return replace(claims, run=run)
    by_people_only(command, claims.home)
    return None


def _check_for(task: OpenTask, owner: str) -> None:
    """Raise UsageError if a task is not for the persona of the run that asks for it."""
    if task.to not in {"", owner}:
        raise UsageError(f"{task.name} is for {task.to}: a run claims what is for its own persona, or for anybody")


def _check_own(claims: Claims, name: str | None, token: int, owner: str) -> None:
    """Raise UsageError if a claim is not of the persona of the run that asks for its end. Raises NoSuchTask."""
    claim = claim_by(claims.moment().fold, token, name)
    if claim.owner != owner:
        raise UsageError(f"the claim with the token {token} is of {claim.owner}: a run has a say in its own persona's")


def _claim_document(claim: Claim) -> dict[str, Any]:
    """Return a claim as a JSON object."""
    what = {"task": claim.task} if claim.task else {"paths": [*claim.globs], "names": [*claim.names]}
    over = {"ended": claim.ended.partition(".")[2] or None, "by": claim.by, "at": claim.at, "why": claim.why}
    return what | {
        "owner": claim.owner,
        "token": claim.token,
        "since": claim.since,
        "lease_until": rfc3339(claim.until),
        "pid": claim.process.get("pid") if claim.process else None,
        **(over if claim.ended else {"ended": None}),
    }


def _late(end: TaskEnd, blobs: Blobs) -> dict[str, Any]:
    output = kept(blobs, end.data, "output")
    return {"token": end.token, "by": end.sender, "at": end.ts, "status": end.status, "output": output}


def _view(claims: Claims, name: str) -> TaskView:
    moment = claims.moment()
    return TaskView(moment.task(name), moment, claims.mailbox.blobs)


def _taken(claims: Claims, claim: Claim) -> Taken:
    return Taken(claim, _view(claims, claim.task) if claim.task else None)


def _process(pid: int | None) -> Mapping[str, Any] | None:
    """Name a process of this machine. Raises UsageError if it does not run."""
    if pid is None:
        return None
    process = named(pid)
    if process["start"] is None:
        raise UsageError(f"--pid {pid}: no such process runs here; --pid $$ names the shell's own")
    return process
