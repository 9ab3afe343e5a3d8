"""The shipped fake: a Runner without agents, with results given in advance and the events of real runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...personas.agent import Outcome
from ...personas.kinds import OutcomeStatus
from ..context import Context
from ..progress import Listener, silent
from ..state.sprints import SCHEDULER_GONE
from .launch import Launch
from .local import RunnerFactory
from .progress import run_ended, run_started
from .record import RunRecord
from .run import Batch, Runner, RunResult
from .watch import Watch

_DONE = RunResult(Outcome(OutcomeStatus.OK, 0, 0.0, "exit 0"))


@dataclass
class ScriptedRunner:
    """Ends each run as scripted, for tests of what launches runs.

    `results` has the results of each persona's runs in their order, of which the last one repeats; a persona without
    any succeeds and changes nothing. `launches` are those that were carried out.
    """

    record: RunRecord
    results: Mapping[str, Sequence[RunResult]] = field(default_factory=dict[str, Sequence[RunResult]])
    listener: Listener = silent
    stop: threading.Event = field(default_factory=threading.Event)
    launches: list[Launch] = field(default_factory=list[Launch])
    _count: Counter[str] = field(default_factory=Counter[str])
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def factory(
        cls, results: Mapping[str, Sequence[RunResult]] | None = None, launches: list[Launch] | None = None
    ) -> RunnerFactory:
        """Return what makes such runners for `run_sprint` and `ParallelDispatcher`.

        Args:
            results: The results of each persona's runs, over all ticks of a sprint.
            launches: Is given the launches that were carried out.
        """
        done, count, turn = launches if launches is not None else list[Launch](), Counter[str](), threading.Lock()

        def make(context: Context, watch: Watch, listener: Listener) -> Runner:
            record = RunRecord(context.append, context.mailbox.blobs)
            return cls(record, results or {}, listener, watch.stop, done, count, turn)

        return make

    def run(self, launch: Launch, batch: Batch) -> RunResult | None:
        """Record a launch's start and its scripted end, as `Runner.run` does; all of its mail counts as delivered."""
        if self.stop.is_set():
            return None
        self.record.started(launch, batch, [mail.id for mail in launch.mail])
        self.listener(run_started(launch))
        result = self._next(launch)
        self.record.ended(launch, result, read=[mail.id for mail in launch.mail])
        self.listener(run_ended(launch, result))
        return result

    def harvest(self, launch: Launch, batch: Batch, *, stop: bool = False) -> RunResult | None:
        """Record that a run is lost: nothing of a scripted run goes on without its scheduler."""
        del batch, stop
        result = RunResult(Outcome.not_begun(), given_up=True, lost=SCHEDULER_GONE)
        self.record.ended(launch, result)
        self.listener(run_ended(launch, result))
        return result

    def _next(self, launch: Launch) -> RunResult:
        with self._turn:
            self.launches.append(launch)
            results = self.results.get(launch.persona) or [_DONE]
            number = min(self._count[launch.persona], len(results) - 1)
            self._count[launch.persona] += 1
        return results[number]
