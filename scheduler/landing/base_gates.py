"""Gates on the commit that a sprint starts from: one that fails there, without any patch, can judge none.

What is on record of that tree is said before anything starts, and costs nothing. What is not is judged in a thread of
its own while the first runs work, so that no gate delays them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...mail.errors import TeamMailError
from ..context import Context
from ..errors import Stopped
from ..progress import Listener, Progress, silent
from ..state.facts import Judged, Sprint
from ..state.sprints import State
from .gate import Gate, GateResult
from .judging import Judging, gates_of
from .record import red_before

_LOOK = 0.1  # seconds
_TWICE = 2
_SHORT = 12


@dataclass(frozen=True)
class BaseGate:
    """A gate on the base, as the log has it: `judged` is how it judged that tree."""

    gate: Gate
    commit: str
    judged: Judged

    @property
    def is_red(self) -> bool:
        """Whether it has failed there, and never passed."""
        return not self.judged.passed and self.judged.failed + self.judged.earlier > 0

    @property
    def is_new(self) -> bool:
        """Whether it has yet to judge the base for this sprint: a failure of an earlier one may be mended."""
        return not self.judged.passed and self.judged.failed < _TWICE

    @property
    def text(self) -> str:
        """What to know of it before anything starts; empty if it passes."""
        at = f"gate {self.gate.name}"
        if self.is_red:
            return f"{at} is red on the base, {self.commit[:_SHORT]}, when last tried: it judges nothing while it is"
        return f"{at} was not tried on the base, {self.commit[:_SHORT]}, yet: it is, while the first runs work"


def base_gates(context: Context, state: State, commit: str) -> list[BaseGate]:
    """List the gates that are not known to pass on the base of a sprint. Nothing is run. Raises GitError."""
    gates = gates_of(context)
    tree = context.git.line("rev-parse", "--verify", f"{commit}^{{tree}}") if gates else ""
    all_gates = (BaseGate(gate, commit, state.judged.get((gate.mark, tree), Judged())) for gate in gates)
    return [each for each in all_gates if not each.judged.passed]


@dataclass
class BaseJudging:
    """Judges the base of a sprint in a thread of its own, until it is ended."""

    context: Context
    listener: Listener = silent
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self, sprint: Sprint, tick: int, gates: Sequence[BaseGate], *, later: bool = False) -> None:
        """Say what is known of the base's gates, and begin to run the others, unless nobody will be here."""
        for each in gates:
            if each.is_red:
                self.listener(Progress(each.text))
        work = [each.gate for each in gates if each.is_new]
        if work and not later:
            self._thread = threading.Thread(target=self._judge, args=(sprint, tick, work), name="base gates")
            self._thread.start()

    def wait(self, stop: threading.Event) -> None:
        """Wait until all have judged, or `stop` is set."""
        while self._thread and self._thread.is_alive() and not stop.is_set():
            self._thread.join(_LOOK)

    def end(self) -> None:
        """End what still runs."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _judge(self, sprint: Sprint, tick: int, gates: list[Gate]) -> None:
        judging = Judging(self.context, sprint, tick, self.listener, on_base=True)
        try:
            for gate in gates:
                if result := self._red(judging, gate, sprint.base):
                    self.context.append([red_before(self.context, result)])
                    self.listener(Progress(f"gate {gate.name} is red on the base: it judges nothing while it is"))
        except Stopped:
            return
        except (TeamMailError, OSError) as error:  # the weave runs the gate again, and raises it if it is still so
            self.listener(Progress(f"the gates of the base were not judged: {error}"))

    def _red(self, judging: Judging, gate: Gate, commit: str) -> GateResult | None:
        """Return the failure of a gate, None if it passes; what fails is run once more."""
        result = judging(gate, commit, self._stop)
        result = result if result.passed else judging(gate, commit, self._stop)
        return None if result.passed else result
