"""A list of runs, of sprints and of dispatches: who ran, for what, how it ended, and what became of the patch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...mail.errors import UsageError
from ...mail.text.nearest import suggestion
from ..context import Context
from ..kinds import Kind, RunStatus
from ..state.dispatches import read_dispatch
from ..state.facts import Fact, Patch, Run
from ..state.fold import Fold
from ..state.reading import read_some_runs


@dataclass(frozen=True)
class RunFilter:
    """Which runs are listed: those of a persona, with a `RunStatus`, of a sprint, of a dispatch by any of its names."""

    persona: str | None = None
    status: str | None = None
    sprint: int | None = None
    dispatch: str | None = None


@dataclass(frozen=True)
class ListedRun:
    """A run in a list. `seq` is that of its start; `dispatch` and `task` are None for one of a sprint."""

    seq: int
    run: Run
    patch: Patch | None
    dispatch: str | None
    task: str | None

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        run, patch = self.run, self.patch
        return {
            "seq": self.seq, "run": run.id, "persona": run.persona, "agent": run.agent, "sprint": run.sprint or None,
            "tick": run.tick, "dispatch": self.dispatch, "task": self.task, "attempt": run.attempt,
            "reason": run.reason, "status": run.status, "detail": run.detail, "started": run.started,
            "finished": run.finished, "seconds": run.seconds, "usage": run.usage.document(),
            "cost_usd": run.usage.usd,
            "patch": {"status": patch.status, "why": patch.why, "files": [*patch.files]} if patch else None,
        }  # fmt: skip


@dataclass(frozen=True)
class RunList:
    """Runs, the newest first. `older` is the seq before which there are more, None if there are not."""

    runs: tuple[ListedRun, ...]
    older: int | None = None

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `team runs --json`."""
        return [each.document() for each in self.runs]


def list_runs(context: Context, wanted: RunFilter, most: int, before: int | None = None) -> RunList:
    """List the last runs, so many, that began before a seq. Raises UsageError, NoSuchRun for an unknown dispatch."""
    if wanted.status is not None and wanted.status not in {*RunStatus}:
        raise UsageError(f"there is no status {wanted.status!r} of runs{suggestion(wanted.status, RunStatus)}")
    projections = context.mailbox.projections
    dispatch = read_dispatch(projections, wanted.dispatch).id if wanted.dispatch else None
    facts = read_some_runs(
        projections, most + 1, before, persona=wanted.persona, status=wanted.status, sprint=wanted.sprint,
        dispatch=dispatch,
    )  # fmt: skip
    found = sorted(_listed(facts), key=lambda each: -each.seq)
    return RunList(tuple(found[:most]), found[most - 1].seq if len(found) > most else None)


def _listed(facts: Iterable[Fact]) -> Iterable[ListedRun]:
    """Yield the runs that some facts are about."""
    fold, starts = Fold(), dict[str, Fact]()
    for fact in facts:
        fold.add(fact)
        if fact.kind == Kind.RUN_STARTED:
            starts.setdefault(str(fact.run), fact)
    for run, start in starts.items():
        if run in fold.runs:
            yield ListedRun(
                start.seq, fold.runs[run], fold.patches.get(run), start.data.get("dispatch"), start.data.get("task")
            )
