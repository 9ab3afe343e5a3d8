"""Carries out what is done to claims: adds tasks, takes them and paths, renews, gives back, ends, and cleans up.

Each act reads the log, decides, appends, and reads on: only the fold says whether the act counts, as somebody else may
have been first. A claim of a task has an id derived from the task and the number of the claim, so that of many who try
at once one event is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...mail.clock import Clock, SystemClock
from ...mail.errors import UsageError
from ...mail.letter import ALIASES
from ...mail.log.event import PRIORITIES, Draft, Event, derived_id
from ...mail.mailbox import Mailbox
from ...mail.text.globs import checked
from ..errors import ClaimError, LeaseConflict, LeaseExpired, LeaseNotExpired
from ..kinds import Kind, TaskStatus
from ..payload import kept
from ..sessions.sessions import held
from ..tasks.name import task_name
from .decide import Moment, at, check_going, check_version, claim_by, lost, taken
from .facts import MOST_CLAIMS, Claim, OpenTask, TaskEnd, task_id
from .lease import Look, presence, why_over
from .mails import set_aside
from .reading import ClaimReader

_TRIES = 100  # of one claim, each of which somebody else was before


@dataclass(frozen=True)
class NewTask:
    """A task to add. `to` is a persona, "" for anybody; `paths` are globs of what it changes.

    With a `key`, the same one may be added again, and nothing is written.
    """

    name: str
    title: str = ""
    to: str = ""
    priority: str = "normal"
    after: Sequence[str] = ()
    paths: Sequence[str] = ()
    input: Any = None
    key: str = ""


@dataclass
class Claims:
    """The claims of one team. Threads may share it. `look` tells whether the process of a claim goes on.

    What is written names `run`, if that is who acts.
    """

    mailbox: Mailbox
    clock: Clock = field(default_factory=SystemClock)
    look: Look = presence
    run: str | None = None

    def __post_init__(self) -> None:
        self._reader = ClaimReader(self.mailbox.log, self.mailbox.projections)

    @property
    def home(self) -> Path:
        """The team's `.team` folder. Raises UsageError for a team in memory."""
        if self.mailbox.home is None:
            raise UsageError("these claims are of a team in memory, which has no folder")
        return self.mailbox.home

    def moment(self) -> Moment:
        """Return the claims as of now."""
        fold = self._reader.read()
        sessions = {task.session for task in fold.tasks.values() if task.session}
        waits = {name: why for name in sessions if (why := held(self.mailbox.projections, name))}
        return Moment(fold, self.clock.now(), self.look, waits)

    def add(self, task: NewTask, sender: str) -> OpenTask:
        """Add a task. Raises ClaimError if there is one of its name, UsageError, UnknownRecipient."""
        draft = self._opening(task, sender)
        repeats: list[Event] = []
        self.mailbox.log.append([draft], repeats)
        added = self.moment().task(task.name)
        if repeats and not (task.key and {**repeats[0].data, "session": None} == {**draft.data, "session": None}):
            raise ClaimError(f"there is a task {task.name!r} already, of {added.sender}; give this one another name")
        return added

    def claim(
        self,
        name: str,
        owner: str,
        lease: float,
        *,
        process: Mapping[str, Any] | None = None,
        expect: int | None = None,
    ) -> Claim:
        """Take a task for so many seconds. Raises NoSuchTask, LeaseConflict, VersionConflict, ClaimError.

        Args:
            name: The task.
            owner: The persona, or the human, that has it then.
            lease: Seconds until the claim is over unless it is renewed.
            process: The process, as `myself` names one, whose life holds the claim.
            expect: The version that the task must have.
        """
        for _ in range(_TRIES):
            moment = self.moment()
            task = moment.task(name)
            check_version(task, expect)
            moment.check_free(task)
            if self._clear_way(moment, task):
                continue
            data = _taking(lease, process, task.globs, task=task.name, epoch=task.epoch + 1)
            own = derived_id("claim", task.name, str(task.epoch + 1))
            if claim := self._take(Draft(Kind.CLAIM_TAKEN, owner, ref=task.id, data=data, id=own, since=task.seq)):
                return claim
        raise LeaseConflict(f"{name} was taken by others {_TRIES} times; try again")

    def next(
        self,
        owner: str,
        lease: float,
        *,
        personas: Collection[str] = (),
        others: bool = True,
        fits: Callable[[OpenTask], bool] = lambda _: True,
        process: Mapping[str, Any] | None = None,
    ) -> Claim | None:
        """Take the next task that is offered: the highest priority first, then the oldest. None if there is none.

        Offered is what is for the owner or for one of the `personas`, whose claim it is then, and with `others` what is
        for anybody; one that does not fit is left out.
        """
        refused: set[str] = set()
        moment = self.moment()
        spent = {task.name for task in moment.fold.tasks.values() if task.is_spent}
        self._expire([(claim, why) for claim, why in moment.over() if claim.task in spent])  # so that the human hears
        while True:
            offered = self.moment().offered({owner, *personas}, others=others)
            task = next((task for task in offered if task.name not in refused and fits(task)), None)
            if task is None:
                return None
            try:
                return self.claim(task.name, task.to or owner, lease, process=process)
            except ClaimError:
                refused.add(task.name)

    def hold(
        self,
        globs: Sequence[str],
        names: Sequence[str],
        owner: str,
        lease: float,
        *,
        process: Mapping[str, Any] | None = None,
    ) -> Claim:
        """Take paths, by globs from the top of the repository, and names. Raises LeaseConflict, UsageError."""
        globs, names = [_glob(glob) for glob in globs], [_name(name) for name in names]
        for _ in range(_TRIES):
            moment = self.moment()
            moment.check_apart(globs, names)
            if self._expire([(claim, why) for claim, why in moment.over() if claim.globs or claim.names]):
                continue
            data = _taking(lease, process, globs, names=names)
            if claim := self._take(Draft(Kind.CLAIM_TAKEN, owner, data=data)):
                return claim
        raise LeaseConflict(f"{', '.join((*globs, *names))}: taken by others {_TRIES} times; try again")

    def renew(
        self, name: str | None, token: int, sender: str, lease: float | None = None, *, expect: int | None = None
    ) -> Claim:
        """Let the time of a claim begin anew. `name` is its task, None for paths. Raises NoSuchTask, ClaimError."""
        claim, moment = self._own(name, token, expect)
        check_going(moment.fold, claim)
        data = _about(claim, expect) | {"lease": lease or claim.lease}
        (event,) = self._append(Draft(Kind.CLAIM_RENEWED, sender, ref=_ref(claim), data=data))
        return self._counted(claim, event, expect)

    def release(
        self, name: str | None, token: int, sender: str, why: str = "", *, expect: int | None = None
    ) -> tuple[Claim, bool]:
        """Give a claim back. Returns it, and whether it goes on no more only since now. Raises NoSuchTask, ClaimError.

        What was given back before stays so. Raises LeaseExpired if it was lost otherwise.
        """
        claim, moment = self._own(name, token, expect)
        if claim.ended == Kind.CLAIM_RELEASED and not claim.forced:
            return claim, False
        check_going(moment.fold, claim)
        self._end(moment, claim, Draft(Kind.CLAIM_RELEASED, sender, data=_about(claim, expect) | {"why": why}))
        return self._ended(claim, expect), True

    def take_away(self, name: str | None, token: int | None, sender: str, why: str, *, force: bool) -> Claim:
        """End a claim that is over, or with `force` one that goes on. Raises NoSuchTask, LeaseNotExpired, ClaimError.

        `name` is the task; of paths it is None, and `token` tells which.
        """
        moment = self.moment()
        claim = moment.task(name).current if name is not None else claim_by(moment.fold, token or 0, None)
        if claim is None:
            raise ClaimError(f"nobody has claimed {name}")
        check_going(moment.fold, claim)
        over = why_over(claim, moment.now, self.look)
        if over:
            self._expire([(claim, over)], sender)
        elif not force:
            raise LeaseNotExpired(f"{claim.what} is {taken(claim)}; --force --reason WHY takes it away all the same")
        else:
            data = _about(claim, None) | {"why": why, "force": True}
            self._end(moment, claim, Draft(Kind.CLAIM_RELEASED, sender, data=data))
        return self._ended(claim, None)

    def finish(
        self,
        name: str,
        token: int,
        sender: str,
        *,
        output: Any = None,
        error: str | None = None,
        expect: int | None = None,
    ) -> tuple[TaskEnd, bool]:
        """End a task, as failed if there is an `error`. Returns its end, and whether it has ended only now.

        Raises NoSuchTask, VersionConflict, and LeaseExpired if the claim was lost: then the output is kept as late, and
        is never used.
        """
        claim, moment = self._own(name, token, expect)
        task = moment.task(name)
        if task.end and task.end.token == token:
            return task.end, False
        status = TaskStatus.SUCCESS if error is None else TaskStatus.ERROR
        data = _about(claim, expect) | {"status": status, "error": error or ""}
        data |= kept(self.mailbox.blobs, "output", output) if output is not None else {}
        (event,) = self._append(Draft(Kind.TASK_FINISHED, sender, ref=task.id, data=data))
        moment = self.moment()
        task = moment.task(name)
        if task.end and task.end.seq == event.seq:
            return task.end, True
        claim = claim_by(moment.fold, token, name)
        if task.end is None and not claim.ended:
            check_version(task, expect)
        why = lost(moment.fold, claim) if claim.ended else f"{name} is done since {at(task.end.ts if task.end else '')}"
        raise LeaseExpired(f"{why}; what was made is kept as late, and never used")

    def clean(self, sender: str) -> tuple[Claim, ...]:
        """Put on record which claims are over. Returns those."""
        over = self.moment().over()
        self._expire(over, sender)
        return tuple(claim for claim, _ in over)

    def _opening(self, task: NewTask, sender: str) -> Draft:
        priority = ALIASES.get(task.priority, task.priority)
        if priority not in PRIORITIES:
            raise UsageError(f"priority {task.priority!r} must be one of {', '.join(PRIORITIES)}")
        name = _name(task.name)
        to = self.mailbox.directory.checked(task.to) if task.to else ""
        fold = self.moment()
        for before in task.after:
            fold.task(before)
        data: dict[str, Any] = {
            "task": name, "title": task.title, "to": to, "priority": priority, "after": [*task.after],
            "paths": [_glob(glob) for glob in task.paths],
        }  # fmt: skip
        data |= {"key": task.key} if task.key else {}
        try:
            data |= kept(self.mailbox.blobs, "input", task.input) if task.input is not None else {}
        except ValueError as error:
            raise UsageError(f"the input cannot be kept: {error}") from None
        return Draft(Kind.TASK_OPENED, sender, priority=priority, data=data, id=task_id(name))

    def _clear_way(self, moment: Moment, task: OpenTask) -> bool:
        """Put on record that claims are over which stand in the way of a task; tell whether there were any."""
        rivals = moment.fold.current if task.globs else filter(None, [task.current])
        pairs = [(claim, why_over(claim, moment.now, self.look)) for claim in rivals]
        return self._expire([(claim, why) for claim, why in pairs if why and (claim.globs or claim == task.current)])

    def _take(self, draft: Draft) -> Claim | None:
        """Write a claim and read on; None if somebody else was first."""
        repeats: list[Event] = []
        (event,) = self.mailbox.log.append([draft._replace(run=self.run)], repeats)
        claim = self._reader.read().claim(event.seq)
        return claim if claim and not repeats else None

    def _expire(self, over: Sequence[tuple[Claim, str]], sender: str | None = None) -> bool:
        for claim, why in over:
            data = _about(claim, None) | {"renewed": claim.renewed, "why": why}
            self._end(self.moment(), claim, Draft(Kind.CLAIM_EXPIRED, sender or claim.owner, data=data), why)
        return bool(over)

    def _end(self, moment: Moment, claim: Claim, draft: Draft, why: str = "") -> None:
        """Write the end of a claim, and a mail to the human if it is one too many for its task."""
        drafts = [draft._replace(ref=_ref(claim))]
        task = moment.fold.tasks.get(claim.task)
        if task and len(task.claims) >= MOST_CLAIMS and task.claims[-1].token == claim.token:
            directory, blobs = self.mailbox.directory, self.mailbox.blobs
            letter = set_aside(task, claim, why or draft.data["why"], directory.human)
            drafts = [drafts[0]._replace(data={**draft.data, "aside": True}), letter.draft(directory, blobs)]
        self._append(*drafts)

    def _append(self, *drafts: Draft) -> list[Event]:
        return self.mailbox.log.append([draft._replace(run=draft.run or self.run) for draft in drafts])

    def _own(self, name: str | None, token: int, expect: int | None) -> tuple[Claim, Moment]:
        moment = self.moment()
        if name is not None:
            moment.task(name)
        claim = claim_by(moment.fold, token, name)
        if name is not None:
            check_version(moment.task(name), expect)
        return claim, moment

    def _counted(self, claim: Claim, event: Event, expect: int | None) -> Claim:
        """Return a claim that was renewed by an event. Raises the error of what came before it."""
        moment = self.moment()
        now = claim_by(moment.fold, claim.token, claim.task or None)
        if now.renewed != event.seq:
            check_going(moment.fold, now)
            if claim.task:
                check_version(moment.task(claim.task), expect)
            if now.renewed < event.seq:
                raise ClaimError(f"{claim.what} was not renewed; try again")
        return now

    def _ended(self, claim: Claim, expect: int | None) -> Claim:
        """Return a claim that was ended. Raises the error of what came before that."""
        moment = self.moment()
        now = claim_by(moment.fold, claim.token, claim.task or None)
        if not now.ended:
            if claim.task:
                check_version(moment.task(claim.task), expect)
            raise LeaseNotExpired(f"{claim.what} was renewed meanwhile; try again")
        return now


def _taking(
    lease: float,
    process: Mapping[str, Any] | None,
    globs: Sequence[str],
    *,
    names: Sequence[str] = (),
    task: str = "",
    epoch: int = 0,
) -> dict[str, Any]:
    data = {"task": task, "epoch": epoch, "lease": lease, "paths": [*globs], "names": [*names]}
    return data | ({"process": dict(process)} if process else {})


def _about(claim: Claim, expect: int | None) -> dict[str, Any]:
    return {"task": claim.task, "token": claim.token} | ({"expect": expect} if expect is not None else {})


def _ref(claim: Claim) -> str | None:
    return task_id(claim.task) if claim.task else None


def _glob(text: str) -> str:
    try:
        return checked(text)
    except ValueError as error:
        raise UsageError(f"{text!r} {error}") from None


def _name(text: str) -> str:
    try:
        return task_name(text)
    except ValueError as error:
        raise UsageError(f"the name {text!r} {error}") from None
