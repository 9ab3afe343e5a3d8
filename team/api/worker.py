"""A worker: it claims tasks, has them played, and ends them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...mail.errors import UsageError
from ...mail.text.nearest import suggestion
from ...scheduler.claims.lease import lease_of
from ...scheduler.kinds import TaskStatus
from ...scheduler.progress import Listener, silent
from ...scheduler.sprint.control import by_people_only
from ..interrupts import Interrupts, uninterrupted
from ..open import open_for_dispatch
from ..work.worker import LATE, RELEASED, Worker
from .dispatches import read_config


@dataclass(frozen=True)
class WorkRequest:
    """What a worker does: whose tasks it takes, by default those of all personas, and how many at once.

    With `drain` it ends once there is nothing to claim. `agent` plays every task, by default each persona's own does.
    `timeout` is how long a run may take, `lease` how long a claim lasts unless it is renewed. `home` is the `.team`
    folder, by default the one found from the current folder.
    """

    personas: Sequence[str] = ()
    slots: int = 1
    drain: bool = False
    agent: str | None = None
    timeout: str = "30m"
    lease: str = "2m"
    home: Path | None = None


@dataclass(frozen=True)
class WorkDone:
    """How many tasks ended how. `interrupted` tells that the worker was ended."""

    counts: Counter[str]
    interrupted: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether no task failed."""
        return not self.counts[TaskStatus.ERROR]

    def document(self) -> dict[str, Any]:
        """Return the numbers as a JSON object."""
        counts = self.counts
        return {
            "successful": counts[TaskStatus.SUCCESS], "failed": counts[TaskStatus.ERROR], "late": counts[LATE],
            "released": counts[RELEASED], "interrupted": self.interrupted,
        }  # fmt: skip


def work(request: WorkRequest, *, listener: Listener = silent, interrupts: Interrupts = uninterrupted) -> WorkDone:
    """Claim tasks and have them played, until it is interrupted, or with `drain` until there is nothing to claim.

    Raises NotReady if an agent cannot start, UsageError for an unknown persona, LogError.

    Args:
        request: Whose tasks, how many at once.
        listener: Is told what is taken and what comes of it, and of each run's start and end.
        interrupts: Ends the runs that are open; their tasks are given back.
    """
    context, _ = open_for_dispatch(request.home)
    by_people_only("team worker", context.home)
    known = [persona.id for persona in context.roster.personas]
    for name in request.personas:
        if name not in known:
            raise UsageError(f"no persona {name!r}{suggestion(name, known)}")
    traces = str(context.home / "work" / "traces")
    config = read_config({"timeout_seconds": request.timeout, "trace_dir": traces, "max_workers": 1})
    worker = Worker(
        context, request.personas or known, bool(request.personas), request.slots, request.drain, config, request.agent,
        lease_of(request.lease), listener,
    )  # fmt: skip
    with interrupts(worker.end) as reasons:
        counts = worker.run()
    return WorkDone(counts, bool(reasons))
