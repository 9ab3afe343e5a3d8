"""Landing what tasks made, so that those behind them start from it: one weave at a time, of all that waits by then.

The weaver and its rules are those of a sprint, gates included. A patch that must wait for a person's approval is
refused here, for nobody is there to wait: the person is told where it lies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ...mail.render import line
from ..context import Context
from ..landing.integrate import Integration, integrate
from ..landing.record import record
from ..progress import Listener, silent
from ..state.dispatches import DispatchState
from ..state.facts import Patch
from ..state.sprints import State
from ..weaver.result import Conflicted, Refused

_MOST = 3  # files in a line


@dataclass
class Landing:
    """The branch of a dispatch. `last` tells of a run whether its task will be tried no more if its patch fails."""

    context: Context
    found: DispatchState
    stop: threading.Event
    last: Callable[[Patch], bool]
    listener: Listener = silent
    _fates: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def tip(self) -> str:
        """The commit that the next run starts from."""
        sprints = self.found.work.sprints
        return (sprints[0].commits or (sprints[0].base,))[-1]

    def land(self, run: str) -> str | None:
        """Land a run's patch, and with it all others that wait; return why it did not land, None if it did.

        Raises Stopped while a gate is at work, BranchMoved, GitError, LogError.
        """
        with self._turn:
            if run not in self._fates:
                self._weave(self.found.work.state())
            return self._fates[run]

    def _weave(self, state: State) -> None:
        fine = {run.id for run in state.runs if run.status == "ok"}
        patches = [patch for patch in state.pending if patch.run in fine]
        done = _without_held(integrate(self.context, state, patches, self.stop, self.listener))
        human = self.context.settings.team.human
        done = replace(done, to={patch.run: human for patch in patches if self.last(patch)})
        record(self.context, done)
        self._fates |= _fates(done)


def _without_held(done: Integration) -> Integration:
    held = [
        Refused(one.submission, f"it changes {_files(one.files)}, which a person has to approve: apply it by hand")
        for one in done.woven.held
    ]
    return replace(done, woven=replace(done.woven, held=(), refused=(*done.woven.refused, *held)))


def _fates(done: Integration) -> Mapping[str, str | None]:
    """Say of each patch why it did not land, None if it did."""
    woven = done.woven
    fates: dict[str, str | None] = dict.fromkeys(one.submission.key for one in woven.landed)
    fates |= {one.submission.key: _conflict(one) for one in woven.conflicted}
    fates |= {one.submission.key: f"its patch was refused: {line(one.reason)}" for one in woven.refused}
    return fates | {
        submission.key: f"gate {verdict.gate} fails with its patch" for submission, verdict in done.rejected
    }


def _conflict(one: Conflicted) -> str:
    files = list(dict.fromkeys(hunk.file for hunk in one.hunks))
    rivals = sorted({who for hunk in one.hunks for who, _, _ in hunk.landed_by})
    by = f" with what {', '.join(rivals)} did" if rivals else ""
    return f"its patch conflicts{by} in {_files(files)}"


def _files(files: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(files) - _MOST} more" if len(files) > _MOST else ""
    return ", ".join(map(line, files[:_MOST])) + more
