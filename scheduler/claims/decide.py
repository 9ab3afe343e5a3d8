"""What may be claimed, by whom, and what is next: decided from the fold and the time, without writing anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ...mail.text.nearest import suggestion
from ..errors import ClaimError, LeaseConflict, LeaseExpired, NoSuchTask, VersionConflict
from ..kinds import ClaimState, Kind, TaskStatus
from .facts import Claim, OpenTask
from .fold import ClaimFold
from .lease import Look, presence, why_over

MOST_TOKEN = 1 << 53


@dataclass(frozen=True)
class Moment:
    """The claims as of a time. `look` tells whether the process of a claim goes on.

    `held` are the sessions of which nothing is started, each with the reason.
    """

    fold: ClaimFold
    now: datetime
    look: Look = presence
    held: Mapping[str, str] = field(default_factory=dict[str, str])

    def task(self, name: str) -> OpenTask:
        """Return a task by its name. Raises NoSuchTask."""
        if name not in self.fold.tasks:
            near = suggestion(name, self.fold.tasks) or "; team task add adds one"
            raise NoSuchTask(f"there is no task {name!r}{near}")
        return self.fold.tasks[name]

    def holder(self, task: OpenTask) -> Claim | None:
        """Return the claim of a task that is not over, None if nobody has it."""
        claim = task.current
        return claim if claim and not why_over(claim, self.now, self.look) else None

    def over(self) -> tuple[tuple[Claim, str], ...]:
        """Return the claims that are over though no event says so, each with the reason."""
        pairs = ((claim, why_over(claim, self.now, self.look)) for claim in self.fold.current)
        return tuple((claim, why) for claim, why in pairs if why)

    def open_before(self, task: OpenTask) -> tuple[str, ...]:
        """Return the tasks that a task comes after and that have not succeeded."""
        ends = ((name, self.fold.tasks[name].end if name in self.fold.tasks else None) for name in task.after)
        return tuple(name for name, end in ends if end is None or end.status != TaskStatus.SUCCESS)

    def state(self, task: OpenTask) -> ClaimState:
        """Return the state of a task."""
        if task.end:
            return ClaimState.DONE if task.end.status == TaskStatus.SUCCESS else ClaimState.FAILED
        if self.holder(task):
            return ClaimState.CLAIMED
        if task.is_spent:
            return ClaimState.ASIDE
        return ClaimState.WAITING if self.open_before(task) else ClaimState.OPEN

    def offered(self, personas: Collection[str], *, others: bool = True) -> tuple[OpenTask, ...]:
        """Return the tasks that one of some personas may claim, the next one first.

        Those are for one of them, or, with `others`, for anybody. A task that is set aside is offered to nobody, and
        neither is one whose paths somebody has, or whose session is paused.
        """
        wanted = {*personas, ""} if others else {*personas}
        tasks = [task for task in self.fold.tasks.values() if task.to in wanted and self.state(task) == ClaimState.OPEN]
        tasks = [task for task in tasks if task.session not in self.held]
        return tuple(sorted((task for task in tasks if not self._rival(task)), key=lambda task: task.rank))

    def check_free(self, task: OpenTask) -> None:
        """Raise the error by which a claim of a task is refused, if it is."""
        if claim := self.holder(task):
            raise LeaseConflict(f"{task.name} is {taken(claim)}")
        if task.end:
            done = "done" if task.end.status == TaskStatus.SUCCESS else "done, and failed"
            raise ClaimError(f"{task.name} is {done} by {task.end.sender} since {at(task.end.ts)}")
        if before := self.open_before(task):
            raise ClaimError(f"{task.name} comes after {', '.join(before)}, which did not succeed yet")
        if why := self.held.get(task.session or ""):
            raise ClaimError(f"{task.name} waits: {why}")
        if rival := self._rival(task):
            raise LeaseConflict(f"{task.name} may change {rival[1]}, which is {taken(rival[0])}")

    def check_apart(self, globs: Collection[str], names: Collection[str]) -> None:
        """Raise LeaseConflict if one of some paths or names is taken."""
        if rival := self._living_rival(globs, names):
            raise LeaseConflict(f"{rival[1]} is {taken(rival[0])}")

    def _rival(self, task: OpenTask) -> tuple[Claim, str] | None:
        return self._living_rival(task.globs, ())

    def _living_rival(self, globs: Collection[str], names: Collection[str]) -> tuple[Claim, str] | None:
        rival = self.fold.rival(globs, names)
        return rival if rival and not why_over(rival[0], self.now, self.look) else None


def check_version(task: OpenTask, expect: int | None) -> None:
    """Raise VersionConflict if a task is not of the version that the caller has seen."""
    if expect is not None and expect != task.version:
        raise VersionConflict(f"{task.name} is at version {task.version}, not {expect}: look at it again")


def claim_by(fold: ClaimFold, token: int, name: str | None) -> Claim:
    """Return the claim with a token, of the task `name`, or of paths if that is None. Raises NoSuchTask."""
    claim = fold.claim(token) if 0 < token < MOST_TOKEN else None
    if claim is None:
        raise NoSuchTask(f"{token} is the token of no claim; team claim prints the right one")
    if name is not None and claim.task != name:
        raise NoSuchTask(f"{token} is not a token of {name}, but of {claim.what}")
    if name is None and claim.task:
        raise NoSuchTask(f"{token} is a token of the task {claim.task}: name the task, too")
    return claim


def check_going(fold: ClaimFold, claim: Claim) -> None:
    """Raise LeaseExpired, or ClaimError for a task that is done, if a claim does not go on."""
    task = fold.tasks.get(claim.task)
    if task and task.end:
        raise ClaimError(f"{task.name} is done by {task.end.sender} since {at(task.end.ts)}")
    if claim.ended:
        raise LeaseExpired(lost(fold, claim))


def lost(fold: ClaimFold, claim: Claim) -> str:
    """Say how a claim that is over ended, and who has its task now."""
    task = fold.tasks.get(claim.task)
    last = task.claims[-1] if task else claim
    if last.token != claim.token:
        return f"the lease of {claim.what} is lost to {last.owner} (token {last.token}) at {at(last.since)}"
    how = f"was taken away by {claim.by}" if claim.forced else "was given back"
    how = "is over" if claim.ended == Kind.CLAIM_EXPIRED else how
    why = f": {claim.why}" if claim.why else ""
    return f"the claim of {claim.what} (token {claim.token}) {how} at {at(claim.at)}{why}"


def taken(claim: Claim) -> str:
    """Say who has a claim, and until when."""
    while_ = f", and while process {claim.process.get('pid')} goes on" if claim.process else ""
    return f"claimed by {claim.owner} until {claim.until:%Y-%m-%d %H:%M:%S}Z{while_} (token {claim.token})"


def at(ts: str) -> str:
    """Return the time of an event to the second."""
    return f"{datetime.fromisoformat(ts):%Y-%m-%d %H:%M:%S}Z"
