"""Sprints: preview the next tick, carry one out, run a sprint to its end, lead a team until told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...mail.errors import LogUnavailable
from ...mail.render import listed
from ...scheduler.appends import AppendTimes
from ...scheduler.context import Context
from ...scheduler.errors import NotReady
from ...scheduler.forge.entering import announced
from ...scheduler.hosts.choice import runner_for
from ...scheduler.kinds import ModeRequest, RunStatus
from ...scheduler.leader import SCHEDULER, Lead, stand_by
from ...scheduler.progress import Listener, Progress, silent
from ...scheduler.runs.batch import BatchRunner
from ...scheduler.runs.local import RunnerFactory
from ...scheduler.schedules.cron import following
from ...scheduler.schedules.timetable import Ended, Starter, end_of_sprint, no_starter, planned
from ...scheduler.sessions.sessions import check_startable
from ...scheduler.settings.schedules import ScheduleSettings
from ...scheduler.sprint.control import by_people_only, end_left_runs
from ...scheduler.sprint.decide import ASKED, StartRequest
from ...scheduler.sprint.loop import run_sprint as run_to_end
from ...scheduler.sprint.loop import run_tick
from ...scheduler.sprint.plan import TickPlan
from ...scheduler.sprint.preview import Preview, look_ahead
from ...scheduler.sprint.tick import Done, Ticker
from ...scheduler.sprint.triggers import due
from ...scheduler.state.reading import LAST
from ...scheduler.state.sprints import State
from ...scheduler.state.summary import Summary
from ...scheduler.state.summary import summary as summarized
from ...scheduler.supervisor.supervise import supervision
from ..checks import notes_about
from ..interrupts import Interrupts, uninterrupted

if TYPE_CHECKING:
    from ...scheduler.sprint.daemon import Rhythm


@dataclass(frozen=True)
class TickResult:
    """The plan that a tick carried out. `interrupted` tells that it was ended early, and `left` whose runs go on.

    `ended` is the sprint that it ended.
    """

    plan: TickPlan
    interrupted: bool = False
    left: tuple[str, ...] = ()
    ended: Summary | None = None

    @property
    def idle(self) -> str | None:
        """Why the tick had nothing to do; None if it had."""
        if self.plan.wait_until and not self.plan.idle:
            return f"next try at {self.plan.wait_until:%H:%M:%S}Z"
        return self.plan.idle

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler tick --json`."""
        return self.plan.document()


@dataclass(frozen=True)
class SprintResult:
    """How a sprint ended; `summary` is None if none could start. `idle` says why it went no further."""

    summary: Summary | None
    idle: str | None = None
    interrupted: bool = False

    @property
    def converged(self) -> bool:
        """Whether nothing is left to do: no gate blocks what landed, and its deployment has not failed."""
        return bool(self.summary and self.summary.converged and not self.summary.stuck)

    def document(self) -> dict[str, Any] | None:
        """Return the JSON object of `scheduler sprint --json`."""
        return self.summary.document() if self.summary else None


@dataclass(frozen=True)
class Notice(Progress):
    """The leading scheduler waits, has read new settings, or met a problem that may go away."""


@dataclass(frozen=True)
class SprintEnded(Progress):
    """A sprint of the led team has ended."""

    summary: Summary


def preview_tick(context: Context, mode: str = ModeRequest.AUTO) -> Preview:
    """Return what the next tick would do, and why; nothing is written.

    Args:
        context: The team.
        mode: One of `ModeRequest`: "auto" or "cycle", "parallel", "sequential".
    """
    state = context.state(sprints=LAST)
    preview = _with_notes(context, look_ahead(_ticker(context), _due(context, state, mode), state))
    return replace(preview, schedules=tuple(planned(context, following, state)))


def preview_sprint(context: Context, mode: str = ModeRequest.AUTO, base: str | None = None) -> Preview:
    """Return what the first tick of a new sprint would do; nothing is written. Arguments as for `run_sprint`."""
    return _with_notes(context, look_ahead(_ticker(context, base=base), StartRequest(ASKED, mode)))


def _with_notes(context: Context, preview: Preview) -> Preview:
    """Add what to know of the agents that would be launched."""
    notes = [*notes_about(context, _agents(preview.plan)), *announced(context)]
    return replace(preview, plan=replace(preview.plan, notes=(*preview.plan.notes, *notes)))


def tick(
    context: Context,
    mode: str = ModeRequest.AUTO,
    *,
    seen: str = "",
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> TickResult:
    """Carry out one tick: continue the open sprint, or start one if it is due.

    In a rolling sprint its runs go on, and a later tick takes them over; else it waits for them. Raises NotLeader while
    another scheduler leads the team, NotReady before anything starts.

    Args:
        context: The team.
        mode: One of `ModeRequest`: "auto" or "cycle", "parallel", "sequential".
        seen: A digest of settings and roster, by which a later tick knows that nothing changed; may be empty.
        listener: Is told of plans, runs, and weaves.
        interrupts: Ends the tick early; its runs go on, and the next tick takes them over.
    """
    ticker = _ticker(context, listener, leaving=threading.Event())
    ticker.seen = seen
    with _lead(context, ticker), interrupts(ticker.dispatcher.leave) as reasons, ticker:
        state = ticker.read()
        request = _due(context, state, mode)
        done = run_tick(ticker, request, state)
    left = _going(context) if reasons or done.plan.rolling else ()
    return TickResult(done.plan, bool(reasons), left, _ended(context, done))


def _ended(context: Context, done: Done) -> Summary | None:
    """Summarize the sprint that a tick has ended."""
    sprint = done.state.sprints[-1] if done.plan.finish and done.state.sprints else None
    return summarized(done.state, sprint, context.clock.now()) if sprint and sprint.outcome else None


def run_sprint(
    context: Context,
    mode: str = ModeRequest.AUTO,
    *,
    base: str | None = None,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
    runner: RunnerFactory = runner_for,
) -> SprintResult:
    """Start a sprint, or continue the open one, and tick until it ends.

    Raises NotLeader while another scheduler leads the team, NotReady before anything starts, BranchMoved,
    and SessionError if its session is paused.

    Args:
        context: The team.
        mode: One of `ModeRequest`: "auto" or "cycle", "parallel", "sequential".
        base: The branch or commit to start from; by default `[team] base`.
        listener: Is told of plans, runs, and weaves.
        interrupts: Ends the open runs, and leaves the sprint open.
        runner: Makes what carries out the runs; by default they are processes of this machine.
    """
    check_members(context)
    check_startable(context.mailbox.projections, context.session)
    ticker = _ticker(context, listener, base, runner)
    with _lead(context, ticker), interrupts(ticker.dispatcher.end) as reasons:
        summary = run_to_end(ticker, StartRequest(ASKED, mode))
    if reasons:
        return SprintResult(summary, interrupted=True)
    if summary and summary.outcome:
        return SprintResult(summary)
    return SprintResult(summary, ticker.plan(StartRequest() if summary else StartRequest(ASKED)).idle)


def run_scheduled(
    context: Context,
    name: str,
    schedule: ScheduleSettings,
    *,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> Ended:
    """Run the sprint of a schedule, or continue the open one, until it ends. Raises as `run_sprint`."""
    personas = schedule.sprint if isinstance(schedule.sprint, tuple) else ()
    check_members(context)
    ticker = _ticker(context, listener)
    with _lead(context, ticker), interrupts(ticker.dispatcher.end):
        summary = run_to_end(ticker, StartRequest(f"schedule {name}", personas=personas))
    return end_of_sprint(summary)


def run(
    context: Context,
    reopen: Callable[[], Context],
    *,
    continuous: bool = False,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
    starter: Starter = no_starter,
) -> None:
    """Lead the team until interrupted: sprints by `every` or `cron` of the settings, and at once on new mail.

    With `continuous`, rounds follow each other as long as there is a reason for the next one. While another host leads,
    this one stands by, and goes on from the log once that is gone.

    Raises NotLeader while another scheduler of this host leads the team, NotReady, SettingsError for a cron line that
    never comes.

    Args:
        context: The team.
        reopen: Opens the team again after its settings or personas changed.
        continuous: Whether a round is started as soon as one is called for, whatever the time.
        listener: Is told of plans, runs, and weaves, with a Notice or SprintEnded in between.
        interrupts: Lets `run` return and leaves the sprint open; its runs go on for the next scheduler to take over.
        starter: Carries out the asks and dispatches of `[schedules]`.
    """
    check_members(context)
    if cron := context.settings.sprint.cron:
        following(cron, context.clock.now())
    rhythm = _rhythm(listener) if continuous else None
    over, reigns = threading.Event(), list[_Reign]()

    def end() -> None:
        over.set()
        for reign in reigns:
            reign.end()

    with interrupts(end):
        while not over.is_set():
            reigns[:] = [reign := _Reign(context, reopen, listener, rhythm, starter)]
            if over.is_set() or not reign.run(over):  # the former since before `end` could know of it
                break
            context = reopen()


def _rhythm(listener: Listener) -> Rhythm:
    from ...scheduler.supervisor.continuous import Continuous

    return Continuous(lambda told: listener(Notice(told.text)))


class _Reign:
    """The time in which this process leads the team, with what it waits for before it does."""

    def __init__(
        self,
        context: Context,
        reopen: Callable[[], Context],
        listener: Listener,
        rhythm: Rhythm | None,
        starter: Starter,
    ) -> None:
        from ...scheduler.forge.watch import Watcher
        from ...scheduler.notify.notifier import Notifier
        from ...scheduler.sprint.daemon import Daemon
        from ...scheduler.traces.exporter import Exporter

        self._reopen, self._listener = reopen, listener
        self._times = AppendTimes(context.home)
        self._context = context = replace(context, timed=self._times.add)
        self._beside = (
            Notifier(context, self._say), Exporter(context, self._say), Watcher(context, self._say)
        )  # fmt: skip
        self._daemon = Daemon(
            _ticker(context, listener, leaving=threading.Event()), self._reopened, self._say, self._ended, rhythm,
            starter=starter,
        )  # fmt: skip

    def end(self) -> None:
        """Let `run` return; its runs go on. A signal handler may call it."""
        self._daemon.end()

    def run(self, over: threading.Event) -> bool:
        """Wait until no other host leads, and lead until `end`; return whether the lead was lost instead.

        Raises NotLeader, and what a tick raised, unless a later tick may succeed.
        """
        context = self._context
        lead = Lead(context.home / "work", context.mailbox.log, {"is": SCHEDULER}, on_lost=self._daemon.lose)
        if not stand_by(lead, context.mailbox.log, over, self._say, lambda: end_left_runs(context)):
            return False
        with ExitStack() as stack:
            stack.push(lead)
            for each in self._beside:
                stack.enter_context(each)
            self._say(f"leading {context.home}")
            self._daemon.run()
        if self._daemon.lost:
            return True
        names = _going(context)
        goes = f"{listed(names)} {'goes' if len(names) == 1 else 'go'} on" if names else "nothing is running"
        self._say(f"ended; {goes}")
        return False

    def _say(self, text: str) -> None:
        self._listener(Notice(text))

    def _ended(self, summary: Summary) -> None:
        self._listener(SprintEnded(f"sprint {summary.sprint} ended: {summary.outcome}", summary))

    def _reopened(self) -> Context:
        again = replace(self._reopen(), timed=self._times.add)
        for each in self._beside:
            each.renew(again)
        return again


def _going(context: Context) -> tuple[str, ...]:
    """Return the personas whose runs go on, although no scheduler waits for them; `scheduler stop` ends one."""
    state = context.state(whole=False)
    return tuple(run.persona for run in state.runs if run.id in state.left or run.status == RunStatus.OPEN)


def check_members(context: Context) -> None:
    """Raise NotReady if nobody takes part in sprints."""
    if not context.members:
        more = f" ({'; '.join(context.roster.problems)})" if context.roster.problems else ""
        raise NotReady(f"nobody on the roster is scheduled; add a persona to .team/personas, or run team init{more}")


def _ticker(
    context: Context,
    listener: Listener = silent,
    base: str | None = None,
    runner: RunnerFactory = runner_for,
    leaving: threading.Event | None = None,
) -> Ticker:
    dispatcher = BatchRunner(context, listener, runner=runner, leaving=leaving)
    return Ticker(context, dispatcher, base, listener, supervision=supervision)


def _agents(plan: TickPlan) -> Iterator[str]:
    """Yield the agents that a plan starts, and those that may take their place."""
    for launch in plan.launches:
        yield from launch.route.agents if launch.route else (launch.agent,)


@contextmanager
def _lead(context: Context, ticker: Ticker) -> Generator[None]:
    """Lead the team for a command that ends all of its runs if it loses the lead. Raises LogUnavailable then."""
    by_people_only("scheduler", context.home)
    lost = list[str]()

    def lose(why: str) -> None:
        lost.append(why)
        ticker.dispatcher.end()

    with Lead(context.home / "work", context.mailbox.log, {"is": SCHEDULER}, on_lost=lose):
        yield
    if lost:
        raise LogUnavailable(f"{lost[0]}: the runs here were ended, and the next scheduler that leads goes on")


def _due(context: Context, state: State, mode: str) -> StartRequest:
    now = context.clock.now()
    return due(state, context.settings.sprint, now, following, mode, parked=context.parked(state, now))
