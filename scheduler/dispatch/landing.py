"""Lands the patches of tasks on the branch of a dispatch: one weave at a time, of all patches that wait by then.

The weaver, its rules and the gates are those of a sprint. A patch that needs a person's approval is refused, because
a dispatch does not wait for people; mail tells the person where the patch is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...mail.render import line, listed
from ..context import Context
from ..hosts.pushing import Pushes
from ..hosts.regaining import regaining
from ..kinds import RunStatus
from ..landing.branch import weave_until_there
from ..landing.integrate import Integration, integrate
from ..landing.record import record
from ..landing.sift import Rejected
from ..progress import Listener, Progress, silent
from ..state.dispatches import DispatchState
from ..state.facts import Patch
from ..state.sprints import State
from ..weaver.result import Conflicted, Refused


@dataclass
class Landing:
    """The branch of a dispatch. `is_last` tells whether the task of a patch has no attempt left if the patch fails."""

    context: Context
    dispatch: DispatchState
    stop: threading.Event
    is_last: Callable[[Patch], bool]
    listener: Listener = silent
    pushes: Pushes = field(init=False)
    _reasons: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.pushes = Pushes(lambda text: self.listener(Progress(text)))

    @property
    def tip(self) -> str:
        """The commit that the next run starts from."""
        return self.dispatch.work.sprints[0].tip

    def _read(self) -> tuple[State, Sequence[Patch]]:
        """Return the state, and the patches that wait."""
        state = self.dispatch.work.state()
        succeeded = {run.id for run in state.runs if run.status == RunStatus.OK}
        return state, [patch for patch in state.pending if patch.run in succeeded]

    def land(self, run: str) -> str | None:
        """Land a run's patch together with all others that wait; return why it did not land, None if it did.

        Raises Stopped if the dispatch is ended while a gate runs, BranchMoved, GitError, LogError.
        """
        with self._lock:
            if run not in self._reasons:
                self._weave(*self._read())
            return self._reasons[run]

    def put_back(self) -> None:
        """Bring the branch to where the log says it is; raises as `land`."""
        with self._lock:
            self._weave(self.dispatch.work.state(), ())

    def _weave(self, state: State, patches: Sequence[Patch]) -> None:
        regain = regaining(self.context, patches, self.listener)
        weave_until_there(self.context, state, patches, self._read, self._weave_once, regain)
        self.pushes.follow(self.context, self.dispatch.work.state())

    def _weave_once(self, state: State, patches: Sequence[Patch]) -> bool:
        integration = _without_held(integrate(self.context, state, patches, self.stop, self.listener))
        human = self.context.settings.team.human
        integration = replace(integration, to={patch.run: human for patch in patches if self.is_last(patch)})
        there = record(self.context, integration)
        self._reasons |= _reasons(integration)
        return there


def _without_held(integration: Integration) -> Integration:
    """Refuse the patches that need a person's approval."""
    woven = integration.woven
    refused = [
        Refused(
            held.submission,
            f"it changes {listed(held.files)} ({held.why}), which a person has to approve: apply it by hand",
        )
        for held in woven.held
    ]
    return replace(integration, woven=replace(woven, held=(), refused=(*woven.refused, *refused)))


def _reasons(integration: Integration) -> Mapping[str, str | None]:
    """Return for each patch why it did not land, None if it did."""
    woven = integration.woven
    reasons: dict[str, str | None] = dict.fromkeys(
        settled.submission.key for settled in (*woven.landed, *woven.present)
    )
    reasons |= {conflicted.submission.key: _conflict(conflicted) for conflicted in woven.conflicted}
    reasons |= {refused.submission.key: f"its patch was refused: {line(refused.reason)}" for refused in woven.refused}
    return reasons | {
        rejected.submission.key: f"gate {rejected.result.gate} fails with its patch{_with(rejected)}"
        for rejected in integration.rejected
    }


def _with(rejected: Rejected) -> str:
    return f" and that of {rejected.partner.persona}" if rejected.partner else ""


def _conflict(conflicted: Conflicted) -> str:
    files = list(dict.fromkeys(hunk.file for hunk in conflicted.hunks))
    rivals = sorted({author for hunk in conflicted.hunks for author, _, _ in hunk.landed_by})
    by = f" with what {', '.join(rivals)} did" if rivals else ""
    return f"its patch conflicts{by} in {listed(files)}"
