"""Works through the tasks that can be claimed: takes one, has its persona play it, and ends it by its token.

Each task is a dispatch of its own, with an id derived from the task, so that it has the clone, the limits, the landing
and the gates of any other. Whoever claims a task whose worker was killed goes on with that same dispatch: what has
landed stays landed, and what a lost run has left is there for the next one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.log.event import derived_id
from ...personas.running.warden_process import leased
from ...scheduler.claims.claims import Claims
from ...scheduler.claims.facts import Claim, OpenTask
from ...scheduler.context import Context
from ...scheduler.dispatch.output import TaskResult, task_result
from ...scheduler.errors import ClaimError, InvalidTasks, LeaseExpired, NotLeader, NotReady
from ...scheduler.kinds import PatchStatus, TaskStatus
from ...scheduler.leader import myself
from ...scheduler.payload import held
from ...scheduler.progress import Listener, Progress, silent
from ...scheduler.state.dispatches import facts_of, folded
from ...scheduler.tasks.task import DispatchConfig, Task
from ..dispatcher import ParallelDispatcher

LEASE = 120.0  # seconds; while the worker's process works, its claims go on in any case
RELEASED, LATE = "released", "late"
_LOOK = 0.2  # seconds between two looks for something to claim
_PUT_OFF = 5.0  # seconds between two looks whether there is a commit to start from


@dataclass(frozen=True)
class _Played:
    """What came of a task that was played, and the branch that it landed on."""

    result: TaskResult
    dispatch: str
    branch: str | None

    def output(self) -> dict[str, Any]:
        return {"result": self.result.output, "dispatch": self.dispatch, "branch": self.branch}


@dataclass
class Worker:
    """One worker, which may be used once.

    Attributes:
        context: The team, as `open_for_dispatch` opens it.
        personas: Whose tasks it takes.
        others: Whether it also takes tasks for anybody, which the first of the personas plays.
        slots: How many tasks it works on at once.
        drain: Whether it ends once there is nothing to claim.
        config: The config of its dispatches.
        agent: Who plays every task, by default the agent of each persona.
        lease: Seconds; a claim is renewed when a third of that is over.
        listener: Is told what it takes and what comes of it, and of each run's start and end.
    """

    context: Context
    personas: Sequence[str]
    others: bool = False
    slots: int = 1
    drain: bool = False
    config: DispatchConfig = field(default_factory=DispatchConfig)
    agent: str | None = None
    lease: float = LEASE
    listener: Listener = silent
    stop: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter[str])
    _playing: dict[int, tuple[Claim, ParallelDispatcher]] = field(
        default_factory=dict[int, tuple[Claim, ParallelDispatcher]]
    )

    def __post_init__(self) -> None:
        self._claims = Claims(self.context.mailbox, self.context.clock)
        self._turn = threading.Lock()
        self._put_off: dict[str, float] = {}

    def run(self) -> Counter[str]:
        """Work until `end`, or with `drain` until there is nothing to claim; return how many tasks ended how.

        Raises NotReady if an agent cannot start, and LogError.
        """
        with leased(), ThreadPoolExecutor(self.slots, thread_name_prefix="slot") as threads:
            slots = [threads.submit(self._slot) for _ in range(self.slots)]
            over = threading.Event()
            renewing = threading.Thread(target=self._renew, args=(over,), name="renew", daemon=True)
            renewing.start()
            try:
                self._wait(slots)
            finally:
                self.end()
                over.set()
                renewing.join()
        return self.counts

    def end(self) -> None:
        """Take nothing more, and end what is played; it is given back. A signal's handler may call it."""
        self.stop.set()
        for _, dispatcher in [*self._playing.values()]:
            dispatcher.end()

    def _wait(self, slots: Sequence[Future[None]]) -> None:
        """Wait for all slots; the first one that fails ends the others. Raises what it raised."""
        try:
            for slot in slots:
                slot.result()
        except BaseException:
            self.end()
            raise

    def _slot(self) -> None:
        while not self.stop.is_set():
            claim = self._claims.next(
                self.personas[0], self.lease, personas=self.personas, others=self.others, fits=self._fits,
                process=myself(),
            )  # fmt: skip
            if claim is not None:
                self._work(claim)
            elif self.drain and not self._playing:
                return
            else:
                self.stop.wait(_LOOK)

    def _fits(self, task: OpenTask) -> bool:
        """Tell whether there is a commit to start a task from; of one that has none, look again a little later."""
        if task.name in self._put_off and self.context.clock.monotonic() < self._put_off[task.name]:
            return False
        try:
            self._base(task)
        except NotReady as error:
            if task.name not in self._put_off:
                self.listener(Progress(f"{task.name}: not yet, {error}"))
            self._put_off[task.name] = self.context.clock.monotonic() + _PUT_OFF
            return False
        return True

    def _work(self, claim: Claim) -> None:
        """Have a claimed task played, and put on record what came of it."""
        self.listener(Progress(f"{claim.task}: {claim.owner} has it (token {claim.token})"))
        task = self._claims.moment().task(claim.task)
        try:
            played = self._play(claim, task)
        except InvalidTasks as error:
            self._finish(claim, error=str(error))
        except TeamMailError as error:
            self._give_back(claim, str(error))
            raise
        else:
            result = played.result
            if result.status == TaskStatus.SUCCESS:
                self._finish(claim, output=played.output())
            elif result.status == TaskStatus.CANCELLED:
                self._give_back(claim, "its worker was ended")
            else:
                self._finish(claim, error=result.error or result.why)
        finally:
            with self._turn:
                self._playing.pop(claim.token, None)

    def _play(self, claim: Claim, task: OpenTask) -> _Played:
        own = derived_id("dispatch", task.id)
        try:
            return self._dispatched(claim, task, own)
        except NotLeader:  # a worker that is suspended, and has lost the task, still has that one: begin anew
            return self._dispatched(claim, task, derived_id("dispatch", task.id, str(claim.token)))

    def _dispatched(self, claim: Claim, task: OpenTask, own: str) -> _Played:
        """Dispatch a task, or go on with that dispatch. Raises NotLeader, InvalidTasks, NotReady, LogError."""
        given, mailbox = self._given(claim, task), self.context.mailbox
        state = folded(facts_of(mailbox.projections, own)) if claim.epoch > 1 else None
        if state and state.finished and state.status(claim.task) != TaskStatus.CANCELLED:
            landed = any(patch.status == PatchStatus.LANDED for patch in state.work.patches.values())
            result = task_result(state, Task.model_validate(given), mailbox.blobs, None)
            return _Played(result, own, state.branch if landed else None)
        dispatcher = ParallelDispatcher(self.config, self.agent, self.context.home, self._base(task), self.listener)
        with self._turn:
            self._playing[claim.token] = claim, dispatcher
        if self.stop.is_set():
            dispatcher.end()
        done = dispatcher.resume(own) if state and state.id else dispatcher.dispatch([given], own)
        return _Played(done.results[0], own, done.branch)

    def _given(self, claim: Claim, task: OpenTask) -> Mapping[str, Any]:
        """Return the task as a dispatch takes it, without its files: those are held by the claim."""
        value: Any = held(self.context.mailbox.blobs, task.data, "input")
        value = {} if value is None else value if isinstance(value, dict) else {"input": value}  # pyright: ignore[reportUnknownVariableType]
        return {
            "task_id": task.name, "agent": claim.owner, "description": task.title, "input_data": value,
        }  # fmt: skip

    def _base(self, task: OpenTask) -> str | None:
        """Return the commit that has the work of all tasks before this one; None for the team's base.

        Raises NotReady if no commit has it.
        """
        git, branches = self.context.git, self._branches(task)
        tips = {tip for branch in branches if (tip := self._tip(branch))}
        if not tips:
            return None
        for commit in (self.context.base(), *sorted(tips)):
            if all(git.is_ancestor(tip, commit) for tip in tips):
                return commit
        base, names = self.context.settings.team.base, ", ".join(branches)
        raise NotReady(f"it comes after work on {names}, and no commit has all of it: merge them into {base}")

    def _branches(self, task: OpenTask) -> tuple[str, ...]:
        """Return the branches that the tasks before a task have landed on."""
        tasks = self._claims.moment().fold.tasks
        ends = (tasks[name].end for name in task.after)
        outputs: list[Any] = [held(self.context.mailbox.blobs, end.data, "output") for end in ends if end]
        named: list[Any] = [output.get("branch") for output in outputs if isinstance(output, dict)]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return tuple(branch for branch in named if isinstance(branch, str))

    def _tip(self, branch: str) -> str:
        found = self.context.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{branch}^{{commit}}")
        return found.stdout.decode().strip() if found.returncode == 0 else ""

    def _finish(self, claim: Claim, *, output: Any = None, error: str | None = None) -> None:
        status = str(TaskStatus.SUCCESS if error is None else TaskStatus.ERROR)
        try:
            self._claims.finish(claim.task, claim.token, claim.owner, output=output, error=error)
        except ClaimError as late:
            status = LATE
            self.listener(Progress(f"{claim.task}: {late}"))
        else:
            self.listener(Progress(f"{claim.task}: {status}{f', {error}' if error else ''}"))
        self._count(status)

    def _give_back(self, claim: Claim, why: str) -> None:
        try:
            self._claims.release(claim.task, claim.token, claim.owner, why)
        except ClaimError as late:
            why = str(late)
        self.listener(Progress(f"{claim.task}: given back, {why}"))
        self._count(RELEASED)

    def _count(self, status: str) -> None:
        with self._turn:
            self.counts[status] += 1

    def _renew(self, over: threading.Event) -> None:
        """Renew the claims of what is played; end the play of one that was lost."""
        while not over.wait(self.lease / 3):
            for claim, dispatcher in [*self._playing.values()]:
                try:
                    self._claims.renew(claim.task, claim.token, claim.owner)
                except LeaseExpired as lost:
                    self.listener(Progress(f"{claim.task}: {lost}"))
                    dispatcher.end()
                except TeamMailError as error:  # the log may be full or locked for a while: the lease bears that
                    self.listener(Progress(f"{claim.task}: not renewed, {error}"))
