"""A sprint, open or finished, in the few figures that people and programs ask for first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..kinds import DeployOutcome, PatchStatus, RunStatus, SprintOutcome
from .facts import Run, Sprint
from .pulls import is_pull
from .sprints import State
from .usage import NO_USAGE, UsageTotal, total
from .windows import left_parked

_APART = {
    "parked",
    "outcome",
    "patches",
    "held",
    "started",
    "failed",
    "overrun",
    "unjudged",
    "decision",
    "deployed",
    "stuck",
}  # not part of the document
_UNDER_WAY = "under way, or cut off: scheduler approve deploy looks into it"
FAILED = frozenset({RunStatus.FAILED, RunStatus.SETUP, RunStatus.TIMEOUT, RunStatus.QUOTA})
_UNLANDED = frozenset({PatchStatus.CONFLICTED, PatchStatus.REFUSED, PatchStatus.REJECTED})


@dataclass(frozen=True)
class Summary:
    """A sprint's result. `seconds` is wall time, `started` a timestamp of the log.

    `landed` names personas, `patches` counts their landed patches, `conflicts` the patches in conflict. `set_aside`
    names personas that were given up, `held` those whose patch waits for approval. `failed` counts the runs that did
    not end well, and `overrun` those of them that the budget of a run ended. `outcome` is None while it is open.
    `usage` is what its runs used. `parked` says which agents took no more at its end, and until when. `unjudged` names
    the gates that judged nothing of what landed last, because they fail without any patch. `decision` is that of a
    supervised sprint, with the reasons, and `deployed` what became of it; it is `stuck` if that is to block, or if its
    deployment has failed.
    """

    sprint: int
    mode: str
    ticks: int
    converged: bool
    branch: str
    landed: tuple[str, ...]
    set_aside: tuple[str, ...]
    conflicts: int
    runs: int
    seconds: float
    outcome: str | None
    patches: int = 0
    held: tuple[str, ...] = ()
    started: str = ""
    failed: int = 0
    usage: UsageTotal = NO_USAGE
    overrun: int = 0
    parked: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    decision: str | None = None
    deployed: str | None = None
    stuck: bool = False

    def document(self) -> dict[str, Any]:
        """Return the JSON object that `scheduler sprint --json` ends with."""
        document = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _APART}
        lists = {"landed": [*self.landed], "set_aside": [*self.set_aside]}
        lists |= {"unjudged": [*self.unjudged]} if self.unjudged else {}
        lists |= {"decision": self.decision, "deploy": self.deployed} if self.decision else {}
        return document | lists | {"usage": self.usage.document()}


def waves(sprint: Sprint, runs: Sequence[Run]) -> int:
    """Return the ticks of a sprint: the most runs that any one persona had, and one for the landing at its end.

    A sprint that waits for each batch counts them, for it has that many.
    """
    if not sprint.rolling:
        return sprint.ticks
    own = Counter(run.persona for run in runs)
    return max(own.values(), default=0) + (sprint.outcome is not None)


def unjudged(sprint: Sprint) -> tuple[str, ...]:
    """Return the gates that judged nothing: of what landed last, or because the sprint ended before anything could."""
    return sprint.unjudged or (sprint.red if sprint.outcome == SprintOutcome.UNJUDGED else ())


def summary(state: State, sprint: Sprint, now: datetime) -> Summary:
    """Sum up a sprint; `now` stands in for the end of one that is open."""
    patches = [patch for patch in state.patches if patch.sprint == sprint.number]
    landed = [patch for patch in patches if patch.status == PatchStatus.LANDED]
    runs = [run for run in state.runs if run.sprint == sprint.number and not run.withdrawn]
    own = {patch.persona for patch in patches if patch.status in {PatchStatus.LANDED, PatchStatus.PRESENT}}
    open_ends = {p.persona for p in patches if p.status in _UNLANDED and not is_pull(p.persona)} - own
    held = sorted({patch.persona for patch in patches if patch.status == PatchStatus.HELD})
    aside = sorted({*state.aside, *open_ends} if sprint is state.sprints[-1] else open_ends)
    end = datetime.fromisoformat(sprint.finished) if sprint.finished else now.astimezone(UTC)
    seconds = round((end - datetime.fromisoformat(sprint.started)).total_seconds(), 3)
    return Summary(
        sprint.number, sprint.mode, waves(sprint, runs), sprint.outcome == SprintOutcome.CONVERGED, sprint.branch,
        tuple(dict.fromkeys(patch.persona for patch in landed)), tuple(aside),
        sum(patch.status == PatchStatus.CONFLICTED for patch in patches), len(runs), seconds, sprint.outcome,
        len(landed), tuple(held), sprint.started, sum(run.status in FAILED for run in runs),
        total(run.usage for run in runs), sum(run.status == RunStatus.QUOTA and run.hopeless for run in runs),
        left_parked(runs, end) if sprint.outcome else (),
        unjudged(sprint), *_decision(state, sprint),
    )  # fmt: skip


def _decision(state: State, sprint: Sprint) -> tuple[str | None, str | None, bool]:
    """Return the decision of a supervised sprint, with the reasons, what became of it, and whether it is stuck."""
    decided = next((each for each in reversed(state.decided) if each.sprint == sprint.number), None)
    if decided is None:
        return None, None, False
    deploys = (each for each in state.deploys if (each.sprint, each.commit) == (sprint.number, decided.commit))
    deploy = next(deploys, None)
    why = "; ".join(f"{gate}: {text}" for gate, passed, text in decided.gates if not passed)
    end = f"{deploy.outcome}: {deploy.why}" if deploy and deploy.outcome else None
    end = _UNDER_WAY if deploy and not deploy.outcome else end
    stuck = not decided.approved or bool(deploy and deploy.outcome == DeployOutcome.FAILED)
    return f"{decided.text} ({why})" if why else decided.text, end, stuck
