"""Hints for workers on a server: a job of Procrastinate for each offer. The log decides, see `offers`.

A hint that is lost, doubled or late does no harm: the leader gives another, and who follows it finds in the log that
the run is taken or over. So nothing here is waited for, and an error is told and done without.

This is the only module that imports procrastinate.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ...mail.errors import LogError
from .offers import Offer

if TYPE_CHECKING:
    from procrastinate.jobs import Job

Result = TypeVar("Result")
_TASK = "run"
_URGENCY = {"urgent": 30, "high": 20, "normal": 10, "low": 0}
_BEAT = 2.0  # seconds between two signs of life of a worker
_STALLED = 10.0  # seconds without one, after which its jobs are given to others


class Rows(Protocol):
    """The server, as far as it is needed: queries in the schema of the queue, see `mail/remote/beside.py`."""

    def rows(self, text: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a query. Raises LogError."""
        ...

    def replace(self, script: str, known: str) -> bool:
        """Make the schema anew unless it is `known`. Raises LogError."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Hint(NamedTuple):
    """That a run is offered in an epoch; `job` is the number of its row."""

    run: str
    epoch: int
    job: int


class Queue:
    """The hints of one team. Threads may share it. Raises ImportError without procrastinate."""

    def __init__(self, beside: Rows) -> None:
        from procrastinate.connector import BaseConnector
        from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
        from procrastinate.jobs import Job, Status
        from procrastinate.manager import QUEUEING_LOCK_CONSTRAINT, JobManager

        class Connector(BaseConnector):
            """Procrastinate's way to the server, by the connection that is there."""

            def get_sync_connector(self) -> BaseConnector:
                return self

            def execute_query_all(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
                try:
                    return beside.rows(query, arguments)
                except LogError as error:
                    if QUEUEING_LOCK_CONSTRAINT in str(error):
                        raise UniqueViolation(constraint_name=QUEUEING_LOCK_CONSTRAINT, queueing_lock=None) from error
                    raise

            async def execute_query_async(self, query: str, **arguments: Any) -> None:
                self.execute_query_all(query, **arguments)

            async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
                return self.execute_query_all(query, **arguments)[0]

            async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
                return self.execute_query_all(query, **arguments)

        self._beside, self._jobs = beside, JobManager(Connector())
        self._job, self._known, self._over = Job, AlreadyEnqueued, Status.SUCCEEDED
        self._turn = threading.Lock()
        self._worker: int | None = None  # the number of this worker, once it has asked
        self._beaten = 0.0

    def defer(self, offer: Offer | None) -> bool:
        """Give a hint of an offer; tell whether there was none that waits. Raises LogError."""
        if offer is None:
            return False
        lock = f"{offer.run}/{offer.epoch}"
        job = self._job(
            queue=queue_of(offer.agent, offer.labels), priority=_URGENCY[offer.priority], lock=None,
            queueing_lock=lock, task_name=_TASK, task_kwargs={"run": offer.run, "epoch": offer.epoch},
        )  # fmt: skip
        with suppress(self._known):
            self._jobs.defer_job(job)
            return True
        return False

    def next(self, agents: Collection[str], labels: Collection[str], now: float) -> Hint | None:
        """Take the most urgent hint for a worker with some agents and labels. Raises LogError."""
        with self._turn:
            if self._worker is None:
                self._worker, self._beaten = _done(self._jobs.register_worker()), now
            elif now - self._beaten > _BEAT:
                _done(self._jobs.update_heartbeat(self._worker))
                self._beaten = now
            job = _done(self._jobs.fetch_job([*queues_of(agents, labels)], self._worker)) if agents else None
        return _hint(job) if job else None

    def done(self, hint: Hint) -> None:
        """Take the row of a hint away that was followed. Raises LogError."""
        _done(self._jobs.finish_job_by_id_async(hint.job, self._over, delete_job=True))

    def tend(self, offers: Sequence[Offer]) -> int:
        """See that each open offer has a hint, and that no other is left; return how many were given again.

        `offers` are all that there are. Raises LogError.
        """
        stalled = _done(self._jobs.get_stalled_jobs(task_name=_TASK, seconds_since_heartbeat=_STALLED))
        for job in stalled:
            self._drop(_hint(job))
        _done(self._jobs.prune_stalled_workers(_STALLED * 6))
        jobs = [_hint(job) for job in _done(self._jobs.list_jobs_async(task=_TASK))]
        wanted = {(offer.run, offer.epoch) for offer in offers}
        for hint in jobs:
            if hint[:2] not in wanted:
                self._drop(hint)
        hinted = {hint[:2] for hint in jobs}
        return sum(self.defer(offer) for offer in offers if offer.is_open and (offer.run, offer.epoch) not in hinted)

    def _drop(self, hint: Hint) -> None:
        """Take the row of a hint away, unless its worker was first."""
        with suppress(LogError):
            self.done(hint)

    def leave(self) -> None:
        """Say that this worker is gone; its jobs are given to others soon."""
        with self._turn, suppress(LogError):
            if self._worker is not None:
                _done(self._jobs.unregister_worker(self._worker))
            self._worker = None
        self._beside.close()


def install(beside: Rows) -> bool:
    """Make the tables of the queue on a server, or make them anew for another version; tell whether that was needed.

    What waits in them is lost, and given again by the leader. Raises LogError, and ImportError.
    """
    from importlib.metadata import version

    from procrastinate.schema import SchemaManager

    return beside.replace(SchemaManager.get_schema(), f"procrastinate {version('procrastinate')}")


def queue_of(agent: str, labels: Iterable[str]) -> str:
    """Return the name of the queue of runs of an agent that ask for some labels."""
    return "+".join((agent, *sorted(labels)))


def queues_of(agents: Iterable[str], labels: Collection[str]) -> Iterator[str]:
    """Yield the names of all queues that a worker can take from."""
    few = sorted(labels)
    subsets = [chosen for size in range(len(few) + 1) for chosen in combinations(few, size)]
    return (queue_of(agent, chosen) for agent in sorted(agents) for chosen in subsets)


def _hint(job: Job) -> Hint:
    """Return what a row says; a row of another form, which any worker can put there, is a hint of no run."""
    run, epoch = job.task_kwargs.get("run"), job.task_kwargs.get("epoch")
    if not isinstance(run, str) or not isinstance(epoch, int):
        return Hint("", 0, job.id or 0)
    return Hint(run, epoch, job.id or 0)


def _done(work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that never waits, since our connection does not."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    work.close()
    raise RuntimeError("a query of the queue waited")
