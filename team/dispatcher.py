"""Dispatching from Python: tasks in, results out, as `team dispatch` does.

Everything is checked before anything starts. Events go to the team's log, traces into `trace_dir`.
"""

from __future__ import annotations

import shutil
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..mail.errors import TeamMailError
from ..mail.home import ignore_mail
from ..mail.log.event import Draft, Event, new_id
from ..mail.process import checked_session
from ..mail.text.units import counted
from ..personas.agent import Agent
from ..scheduler.context import Context
from ..scheduler.dispatch.dispatch import Dispatch, Heard
from ..scheduler.dispatch.events import dispatch_finished, started
from ..scheduler.dispatch.output import DispatchOutput
from ..scheduler.dispatch.places import names_paths, places_of
from ..scheduler.dispatch.preview import agents_for, choices_of
from ..scheduler.dispatch.resuming import check_base, input_of, open_launches
from ..scheduler.errors import InvalidTasks, NotReady, Stopped
from ..scheduler.hosts.choice import runner_for
from ..scheduler.kinds import Kind
from ..scheduler.leader import Lead, check_log, myself
from ..scheduler.limits.routing import Choice, Routing
from ..scheduler.liveness import is_led, liveness
from ..scheduler.payload import kept
from ..scheduler.progress import Listener, Progress, silent
from ..scheduler.runs.batch import BatchRunner
from ..scheduler.runs.local import LocalRunner, RunnerFactory
from ..scheduler.sessions.sessions import check_startable
from ..scheduler.setup import NO_SETUP, SetUpPreview, look_at_setup, setup_troubles
from ..scheduler.sprint.control import by_people_only
from ..scheduler.state.dispatches import DispatchState, facts_of, folded, read_dispatch, session_of
from ..scheduler.state.fold import fact_of
from ..scheduler.tasks.reader import problems_of, tasks_from
from ..scheduler.tasks.task import DispatchConfig, DispatchInput, Task
from .checks import notes_about
from .open import GIVEN, open_for_dispatch
from .pending import carried_out
from .session import notes

_NO_REPOSITORY = (
    "there is no git repository here, so tasks would work in empty folders and nothing could land; go to a repository, "
    "or say that you want none: --no-repository, or repository = false in [dispatch] of team.toml"
)


def _unheard(_: Sequence[Event]) -> None: ...


@dataclass(frozen=True)
class DispatchBegun(Progress):
    """A dispatch is on record and about to start its first tasks; `tasks` are those that are left to do."""

    tasks: tuple[Task, ...]


@dataclass
class ParallelDispatcher:
    """Carries out tasks, each as soon as all of its dependencies have succeeded.

    It may be used repeatedly, and by several threads. Where there is no git repository, it carries out tasks with an
    Agent of your own, in empty folders; with other agents only if the setting `dispatch.repository` is false.

    Attributes:
        config: How many tasks run at once, how long each may take, where traces go.
        agent: Who plays every task: the name of an agent in team.toml, "scripted" for the bundled one that needs no
            model, or an Agent of your own. By default each persona has its own or the team's.
        home: The `.team` folder; by default the one found from the current folder, or made there.
        base: The branch or commit that patches start from; they land on a branch of their own.
        listener: Is called with each run's start and end.
        executor: Makes an executor, given how many tasks may run at once.
        stop: Is set while all runs are being ended.
        flags: Settings that override team.toml, by key.
        runner: Makes what carries out the runs; by default workers if the settings say so, else this machine.
        cause: What the event of its start says besides: `ask` or `schedule`, each an object.
        session: The session that it belongs to, by default that of TEAM_SESSION.
        leaving: Lets runs outlive this process: once it is set, as `leave` does, those of commands go on.
    """

    config: DispatchConfig = field(default_factory=DispatchConfig)
    agent: Agent | str | None = None
    home: Path | None = None
    base: str | None = None
    listener: Listener = silent
    executor: Callable[[int], Executor] = ThreadPoolExecutor
    stop: threading.Event = field(default_factory=threading.Event)
    flags: Mapping[str, str] = field(default_factory=dict[str, str])
    runner: RunnerFactory = runner_for
    cause: Mapping[str, Any] = field(default_factory=dict[str, Any])
    session: str | None = None
    leaving: threading.Event | None = None
    _running: list[Dispatch] = field(default_factory=list[Dispatch])
    _taking: list[BatchRunner] = field(default_factory=list[BatchRunner])

    def dispatch(
        self, tasks: Iterable[Task | Mapping[str, Any]], id: str | None = None, heard: Heard = _unheard
    ) -> DispatchOutput:
        """Carry out tasks, objects or mappings as in `tasks.json`, and return the result of each.

        With an `id`, a UUID, the dispatch has that one, and is refused with NotReady if there is one of it. `heard` is
        given the events that it writes, in any thread, once they are durable.

        Within a running event loop the work is done in a thread, and `await dispatcher.dispatch(tasks)` lets the loop
        go on; its cancellation ends the runs. Raises InvalidTasks, NotReady; then nothing was started.
        """
        given, stop = tuple(tasks), threading.Event()
        return carried_out(lambda: self._dispatch(given, id, stop, heard), lambda: self._end(stop))

    def _dispatch(
        self, given: Sequence[Task | Mapping[str, Any]], own: str | None, stop: threading.Event, heard: Heard
    ) -> DispatchOutput:
        context, repository = self._open(tasks=True)
        by_people_only("team dispatch", context.home)
        check_log(context.home, context.mailbox.log, context.settings.team.base)
        check_startable(context.mailbox.projections, context.session)
        tasks = self._checked(context, given, repository=repository)
        base, id = self._base(context) if repository else "", own or new_id()  # noqa: A001
        routing = self._routing(context, tasks, self._name, base)
        branch = f"team/dispatch-{id[-8:]}"
        if repository and (trouble := context.branch_trouble(branch)):
            raise NotReady(trouble)
        for note in notes(context, "dispatch", repository=repository):
            self._notify(Progress(f"note: {note}"))
        state = DispatchState()
        with self._own_clones(context, id, repository) as own_context:
            if own and facts_of(context.mailbox.projections, own):  # now under the lock
                raise NotReady(f"there is a dispatch {own} already; team dispatch --resume {own} goes on with it")
            entry = kept(context.mailbox.blobs, "tasks", [task.model_dump(mode="json") for task in tasks])
            config = self.config.model_dump(mode="json", exclude_unset=True)
            draft = started(id, entry, config=config, base=base, branch=branch, agent=self._name, **self.cause)
            return self._carry_out(
                own_context, state, draft, stop, tasks=tasks, config=self.config, routing=routing, heard=heard
            )

    def resume(self, correlation_id: str, heard: Heard = _unheard) -> DispatchOutput:
        """Continue a dispatch: keep what is done and do the rest; it may be awaited as `dispatch` may.

        Its config applies, except for values set in this dispatcher's; `heard` is that of `dispatch`. Raises NoSuchRun,
        NotReady, NotLeader while it is running, and Stopped if it was left while its runs were being taken over.
        """
        stop = threading.Event()
        return carried_out(lambda: self._resume(correlation_id, stop, heard), lambda: self._end(stop))

    def _resume(self, correlation_id: str, stop: threading.Event, heard: Heard) -> DispatchOutput:
        context, repository = self._open()
        by_people_only("team dispatch --resume", context.home)
        check_log(context.home, context.mailbox.log, context.settings.team.base)
        state = read_dispatch(context.mailbox.projections, correlation_id)
        context.mailbox.log.session = session_of(state)
        check_startable(context.mailbox.projections, context.session)
        if state.base and not repository:
            raise NotReady(f"dispatch {state.id} works on a repository; go on with it there")
        given = input_of(context, state)
        config = given.config.model_copy(update=self.config.model_dump(exclude_unset=True))
        left = [task for task in given.tasks if not state.is_done(task.task_id)]
        if problems := _misplaced(context, left, repository=bool(state.base)):
            raise InvalidTasks(problems)
        name = self._name or (state.agent if state.agent != GIVEN else None)
        routing = self._routing(context, left, name, state.base)
        with self._own_clones(context, state.id, bool(state.base)) as own_context:
            state = folded(facts_of(context.mailbox.projections, state.id))  # again, now under the lock
            if is_led(state.supervisor) and state.supervisor != myself() and not state.finished:
                raise NotReady(f"dispatch {state.id} is running, as process {state.supervisor.get('pid')}")
            self._take_over(own_context, state, given.tasks, heard)
            if state.open:
                raise Stopped(f"dispatch {state.id} was left again, its runs go on; resume takes them over")
            check_base(own_context, state)
            draft = Draft(Kind.DISPATCH_RESUMED, "scheduler", data={"dispatch": state.id, "supervisor": myself()})
            return self._carry_out(
                own_context, state, draft, stop, tasks=given.tasks, config=config, routing=routing, heard=heard
            )

    def put_away(self, correlation_id: str, *, finish: bool = False) -> tuple[str, ...]:
        """Put on record how the runs of a dispatch that was cut off ended, remove its clones, and return these runs.

        What they had changed is kept as that of any lost run. With `finish` its end is put on record as well; either
        way, `resume` goes on with it. Raises NoSuchRun, NotReady, NotLeader while it is running.
        """
        context, repository = self._open()
        by_people_only("team clean", context.home)
        state = read_dispatch(context.mailbox.projections, correlation_id)
        context.mailbox.log.session = session_of(state)
        if state.base and not repository:
            raise NotReady(f"dispatch {state.id} works on a repository; clean up there")
        with self._own_clones(context, state.id, bool(state.base)) as own_context:
            state = folded(facts_of(context.mailbox.projections, state.id))  # again, now under the lock
            runs = tuple(attempt.run for attempt in state.open)
            if is_led(state.supervisor) or any(liveness(context.home, run).goes_on for run in state.open_runs):
                raise NotReady(f"dispatch {state.id}: its runs go on")
            self._take_over(own_context, state, input_of(context, state).tasks)
            if finish and not state.finished:
                context.append([dispatch_finished(state, len(input_of(context, state).tasks), state.seconds)])
        return runs

    def _take_over(
        self, context: Context, state: DispatchState, tasks: Sequence[Task], heard: Heard = _unheard
    ) -> None:
        """Put on record how the runs ended that a dispatch left open when it was cut off; what is lost is given up.

        If it is left meanwhile, they stay open.
        """
        turn = threading.Lock()

        def add(events: Sequence[Event]) -> None:
            with turn:
                for event in events:
                    state.add(fact_of(event._asdict()))
            self._tell(heard, events)

        questions = {task.task_id for task in tasks if task.keep != "all"}
        launches, batches = open_launches(state, questions)
        batch = BatchRunner(
            replace(context, on_append=add), self._notify, self.stop, self.leaving, executor=self.executor,
            runner=self.runner,
        )  # fmt: skip
        self._taking.append(batch)
        try:
            with batch.opened() as runs:
                runs.take_over(launches, batches, ())
                runs.finish()
        finally:
            self._taking.remove(batch)

    def end(self) -> None:
        """End all runs of the dispatches under way and start no more; may be called from a signal handler."""
        self.stop.set()
        for running in [*self._running, *self._taking]:
            running.end()

    def leave(self) -> None:
        """Let runs go on without this process, those of commands if there is `leaving`, and end the others.

        Nothing more is started; `resume` takes over what goes on. May be called from a signal handler.
        """
        if self.leaving:
            self.leaving.set()
        self.end()

    def cancel(self, task: str) -> bool:
        """Cancel a task that has not started yet; tell whether there is one. Several dispatches may have one."""
        return sum(running.cancel(task) for running in [*self._running]) > 0

    def _end(self, stop: threading.Event) -> None:
        """End the dispatch that has this event, or the start of it."""
        stop.set()
        for running in [*self._running]:
            if running.stop is stop:
                running.end()

    def look_ahead(
        self, tasks: Sequence[Task | Mapping[str, Any]]
    ) -> tuple[dict[str, Choice], SetUpPreview, list[str]]:
        """Check everything as `dispatch` does and change nothing.

        Return which agent would play each task, what each workspace would get, and what to know of the agents. Raises
        InvalidTasks, NotReady.
        """
        context, repository = self._open(tasks=True)
        checked = self._checked(context, tasks, repository=repository)
        routing = self._routing(context, checked, self._name, self._base(context) if repository else "")
        choices = choices_of(context, routing, checked)
        agents = dict.fromkeys(agent for choice in choices.values() for agent in choice.agents)
        setup = look_at_setup(context) if repository else NO_SETUP
        return choices, setup, notes_about(context, agents)

    def _open(self, *, tasks: bool = False) -> tuple[Context, bool]:
        agent = None if isinstance(self.agent, str) else self.agent
        context, repository = open_for_dispatch(self.home, agent, flags=self.flags, tasks=tasks)
        needs_repository = agent is None and self.runner in {LocalRunner, runner_for}
        if tasks and needs_repository and not repository and context.settings.dispatch.repository:
            raise NotReady(_NO_REPOSITORY)
        if self.session is not None:
            context.mailbox.log.session = checked_session(self.session)
        return context, repository

    @property
    def _name(self) -> str | None:
        return self.agent if isinstance(self.agent, str) or self.agent is None else GIVEN

    def _checked(
        self, context: Context, tasks: Iterable[Task | Mapping[str, Any]], *, repository: bool
    ) -> tuple[Task, ...]:
        given = DispatchInput(tasks=tasks_from(tasks), config=self.config)
        problems = problems_of(given, [persona.id for persona in context.roster.personas])
        if problems := [*problems, *_misplaced(context, given.tasks, repository=repository)]:
            raise InvalidTasks(problems)
        return given.tasks

    def _routing(self, context: Context, tasks: Sequence[Task], name: str | None, base: str) -> Routing:
        """Return which agents may play. Raises NotReady if there is a task for which none can be started."""
        routing = context.routing(base, name)
        asked = {agents: None for task in tasks for agents in agents_for(context, routing, task)}
        needed = [agents[0] for agents in asked if routing.missing.keys() >= {*agents} or len(agents) == 1]
        unready = [*setup_troubles(context), *context.gate_troubles()] if base else context.gate_troubles()
        if troubles := [*context.troubles(needed, base), *unready]:
            more = "" if (context.home / "team.toml").exists() else ", team init writes that file"
            raise NotReady("; ".join(troubles) + f"{more}; --agent scripted plays tasks without a model")
        return routing

    def _base(self, context: Context) -> str:
        """Return the commit to start from; without a team.toml, the checked-out one."""
        return context.base(self.base or (None if (context.home / "team.toml").exists() else "HEAD"))

    @contextmanager
    def _own_clones(self, context: Context, id: str, repository: bool) -> Generator[Context]:
        """Give a dispatch its own mirror and clones, because other dispatches or a sprint may be running."""
        folder = context.home / "work" / f"dispatch-{id[-8:]}"
        what, taken = {"is": "dispatch", "dispatch": id}, f"dispatch {id} is running"
        with Lead(folder, context.mailbox.log, what, taken, on_lost=lambda _: self.end()):
            ignore_mail(context.home)
            mirror = context.mirror.nested(folder.name) if repository else context.mirror
            try:
                yield replace(context, mirror=mirror)
            finally:  # the lock goes last: the next dispatch must not find what is being removed
                if not (self.leaving and self.leaving.is_set()):  # runs that go on need their clones
                    if repository:
                        with suppress(OSError, TeamMailError):  # what cannot be removed costs room
                            mirror.remove_all()
                    shutil.rmtree(folder, ignore_errors=True)
                elif repository:
                    mirror.settle()

    def _carry_out(
        self, context: Context, state: DispatchState, draft: Draft, stop: threading.Event, heard: Heard, **given: Any
    ) -> DispatchOutput:
        running = Dispatch(
            context, state, **given, stop=stop, listener=self._notify, runner=self.runner, leaving=self.leaving,
            heard=lambda events: self._tell(heard, events),
        )  # fmt: skip
        running.traces.prepare(running.tasks)
        self._running.append(running)
        if self.stop.is_set() or stop.is_set():
            running.end()
        try:
            running.context.append([draft])
            left = tuple(task for name, task in running.tasks.items() if not state.is_done(name))
            self._notify(DispatchBegun(f"dispatch {state.id}: {counted(len(left), 'task')} to do", left))
            done = running.run(self.executor)
        finally:
            self._running.remove(running)
            if not self._running:
                self.stop.clear()
        for problem in running.traces.problems:
            self._notify(Progress(problem))
        return done

    def _notify(self, progress: Progress) -> None:
        self._tell(self.listener, progress)

    def _tell(self, listener: Callable[[Any], object], news: Any) -> None:
        """Tell a listener; its exceptions fail no task."""
        try:
            listener(news)
        except Exception as error:  # noqa: BLE001 - see above
            warnings.warn(f"listener failed: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)


def _misplaced(context: Context, tasks: Sequence[Task], *, repository: bool) -> list[str]:
    """Name the paths in tasks that lead elsewhere; where the checkouts lie is asked only if there are any."""
    named = [task for task in tasks if names_paths(task.input_data)]
    return places_of(context, repository=repository).problems(named) if named else []
