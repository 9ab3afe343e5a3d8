"""The tasks that are there to be claimed, and the claims that are over though no event says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...mail.clock import rfc3339
from ..claims.claims import Claims
from ..claims.decide import Moment
from ..context import Context
from ..kinds import ClaimState

_ENDED = frozenset({ClaimState.DONE, ClaimState.FAILED})


@dataclass(frozen=True)
class WaitingTask:
    """A task without an end. `state` is a `ClaimState`; `owner` has it `until` a time, both "" if nobody does.

    `seq` is that of the last event about it.
    """

    name: str
    state: str
    to: str = ""
    owner: str = ""
    until: str = ""
    seq: int = 0

    def document(self) -> dict[str, Any]:
        """Return the task as a JSON object."""
        return {
            "task": self.name, "state": self.state, "to": self.to or None, "owner": self.owner or None,
            "until": self.until or None,
        }  # fmt: skip


@dataclass(frozen=True)
class StaleClaim:
    """A claim that is over: of what, by whom, its token, and why.

    `renewed` is the seq of the event from which its time counted, and `task` the one that it is of, "" for paths.
    """

    what: str
    owner: str
    token: int
    why: str
    renewed: int = 0
    task: str = ""


@dataclass(frozen=True)
class ClaimedWork:
    """The tasks without an end, and the stale claims."""

    tasks: tuple[WaitingTask, ...] = ()
    stale: tuple[StaleClaim, ...] = ()


def claimed_work(context: Context) -> ClaimedWork:
    """Read the tasks of a team that are there to be claimed, and its stale claims."""
    moment = Claims(context.mailbox, context.clock).moment()
    tasks: list[WaitingTask] = []
    for task in moment.fold.tasks.values():
        state, claim = moment.state(task), moment.holder(task)
        if state not in _ENDED:
            owner, until = (claim.owner, rfc3339(claim.until)) if claim else ("", "")
            tasks.append(WaitingTask(task.name, state, task.to, owner, until, task.version))
    return ClaimedWork(tuple(tasks), stale_claims(moment))


def stale_claims(moment: Moment) -> tuple[StaleClaim, ...]:
    """Return the claims that are over though no event says so."""
    return tuple(
        StaleClaim(claim.what, claim.owner, claim.token, why, claim.renewed, claim.task) for claim, why in moment.over()
    )
