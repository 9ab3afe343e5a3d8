"""A worker: it claims tasks, has them played, and ends them; or it takes runs that the leader offers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...mail.errors import UsageError
from ...mail.text.nearest import suggestion
from ...personas.persona import LABEL, MOST_LABELS
from ...scheduler.claims.lease import lease_of
from ...scheduler.context import Context
from ...scheduler.errors import NotReady
from ...scheduler.hosts.worker import GIVEN_BACK, RETURNED, HostWorker
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

    Where runs are offered to workers, and no personas are given, it takes such runs instead: those of `agents`, by
    default all that can start here, that ask for none but its `labels`.
    """

    personas: Sequence[str] = ()
    slots: int = 1
    drain: bool = False
    agent: str | None = None
    timeout: str = "30m"
    lease: str = "2m"
    home: Path | None = None
    agents: Sequence[str] = ()
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class WorkDone:
    """How many tasks ended how, or runs that were taken. `interrupted` tells that the worker was ended."""

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
            "released": counts[RELEASED], "returned": counts[RETURNED], "given_back": counts[GIVEN_BACK],
            "interrupted": self.interrupted,
        }  # fmt: skip


def work(request: WorkRequest, *, listener: Listener = silent, interrupts: Interrupts = uninterrupted) -> WorkDone:
    """Claim tasks and have them played, or take runs, until it is interrupted, or with `drain` until there is nothing.

    Raises NotReady if an agent cannot start, UsageError for an unknown persona, LogError.

    Args:
        request: Whose tasks, how many at once.
        listener: Is told what is taken and what comes of it, and of each run's start and end.
        interrupts: Ends the runs that are open, and their tasks are given back; those that were offered go on to
            their ends, but no more are taken.
    """
    context, _ = open_for_dispatch(request.home, host=not request.personas)
    by_people_only("team worker", context.home)
    worker = (
        _taking(request, context, listener) if _takes_runs(context, request) else _claiming(request, context, listener)
    )
    with interrupts(worker.end) as reasons:
        counts = worker.run()
    return WorkDone(counts, bool(reasons))


def _takes_runs(context: Context, request: WorkRequest) -> bool:
    """Tell whether a worker takes runs that are offered; one that is given personas claims their tasks."""
    return context.settings.workers.offer and not request.personas


def _claiming(request: WorkRequest, context: Context, listener: Listener) -> Worker:
    known = [persona.id for persona in context.roster.personas]
    for name in request.personas:
        if name not in known:
            raise UsageError(f"no persona {name!r}{suggestion(name, known)}")
    traces = str(context.home / "work" / "traces")
    config = read_config({"timeout_seconds": request.timeout, "trace_dir": traces, "max_workers": 1})
    return Worker(
        context, request.personas or known, bool(request.personas), request.slots, request.drain, config, request.agent,
        lease_of(request.lease), listener,
    )  # fmt: skip


def _taking(request: WorkRequest, context: Context, listener: Listener) -> HostWorker:
    agents, labels = _agents(request, context), frozenset(request.labels)
    for label in labels:
        if not re.fullmatch(LABEL, label):
            raise UsageError(f"label {label!r} must be of small letters, digits, '_', '.' and '-', at most 40")
    if len(labels) > MOST_LABELS:
        raise UsageError(f"{len(labels)} labels; a worker has {MOST_LABELS} at most")
    return HostWorker(context, agents, labels, request.slots, request.drain, listener)


def _agents(request: WorkRequest, context: Context) -> frozenset[str]:
    """Return the agents that a worker plays: those that it is given, or all that can start here.

    Raises NotReady if one of the given ones cannot, or none.
    """
    if request.agents:
        for name in request.agents:
            if name not in context.agents:
                raise UsageError(f"no agent {name!r}{suggestion(name, [*context.agents])}")
        if troubles := [trouble for name in request.agents if (trouble := context.agents[name].trouble())]:
            raise NotReady("; ".join(troubles))
        return frozenset(request.agents)
    troubles = {name: agent.trouble() for name, agent in context.agents.items()}
    return frozenset(name for name, trouble in troubles.items() if not trouble)
