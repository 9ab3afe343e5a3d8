"""The tasks that are there to be claimed, and the claims that are over though no event says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...mail.clock import rfc3339
from ..claims.claims import Claims
from ..context import Context
from ..kinds import ClaimState

_ENDED = frozenset({ClaimState.DONE, ClaimState.FAILED})


@dataclass(frozen=True)
class WaitingTask:
    """A task without an end. `state` is a `ClaimState`; `owner` has it `until` a time, both "" if nobody does."""

    name: str
    state: str
    to: str = ""
    owner: str = ""
    until: str = ""

    def document(self) -> dict[str, Any]:
        """Return the task as a JSON object."""
        return {
            "task": self.name, "state": self.state, "to": self.to or None, "owner": self.owner or None,
            "until": self.until or None,
        }  # fmt: skip


@dataclass(frozen=True)
class StaleClaim:
    """A claim that is over: of what, by whom, its token, and why."""

    what: str
    owner: str
    token: int
    why: str


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
            tasks.append(WaitingTask(task.name, state, task.to, owner, until))
    stale = (StaleClaim(claim.what, claim.owner, claim.token, why) for claim, why in moment.over())
    return ClaimedWork(tuple(tasks), tuple(stale))
