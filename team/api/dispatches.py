"""Dispatches: read tasks, preview, carry out, resume, and repeat them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...mail.open import team_home
from ...personas.bundled import with_bundled
from ...personas.roster import own_roster
from ...scheduler.dispatch.output import DispatchOutput
from ...scheduler.dispatch.preview import DispatchPreview
from ...scheduler.dispatch.resuming import input_of
from ...scheduler.errors import InvalidTasks
from ...scheduler.kinds import DispatchStatus
from ...scheduler.problems import Problems
from ...scheduler.progress import Listener, silent
from ...scheduler.state.dispatches import read_dispatch
from ...scheduler.tasks.reader import read_input
from ...scheduler.tasks.task import DispatchConfig, DispatchInput, read_table
from ..dispatcher import ParallelDispatcher
from ..interrupts import Interrupts, uninterrupted
from ..open import GIVEN, open_for_dispatch


@dataclass(frozen=True)
class DispatchRequest:
    """How tasks are dispatched.

    `agent` plays every task; by default each persona's own agent does, or the team's. Patches start from `base`, by
    default `[team] base`. `home` is the `.team` folder, by default the one found from the current folder. `cause` is
    what asked for it, `{"ask": {…}}` or `{"schedule": {…}}`, for the log. It belongs to the `session`, by default to
    that of TEAM_SESSION. Without a `repository`, tasks work in empty folders; by default the settings say.
    """

    agent: str | None = None
    base: str | None = None
    home: Path | None = None
    cause: Mapping[str, Any] = field(default_factory=dict[str, Any])
    session: str | None = None
    repository: bool | None = None

    def dispatcher(self, config: DispatchConfig, listener: Listener = silent) -> ParallelDispatcher:
        """Return the dispatcher for this request."""
        return ParallelDispatcher(
            config, agent=self.agent, base=self.base, home=self.home, listener=listener, cause=self.cause,
            session=self.session, flags=self._flags,
        )  # fmt: skip

    @property
    def _flags(self) -> Mapping[str, str]:
        return {} if self.repository is None else {"dispatch.repository": str(self.repository).lower()}


@dataclass(frozen=True)
class DispatchResult:
    """The result of a dispatch. `interrupted` tells that it was ended early."""

    output: DispatchOutput
    interrupted: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether every task succeeded that was not skipped."""
        return self.output.status == DispatchStatus.SUCCESS

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team dispatch`."""
        return self.output.document()


def read_tasks(text: bytes, config: Mapping[str, Any] | None = None, home: Path | None = None) -> DispatchInput:
    """Read a `tasks.json` and check it completely.

    Raises InvalidTasks with everything that is wrong.

    Args:
        text: The file's bytes.
        config: Values that win over those of the file's `config`.
        home: The `.team` folder, whose personas can be given tasks beside the bundled ones.
    """
    roster = with_bundled(own_roster(home or team_home(create=True)))
    tasks = read_input(text, [persona.id for persona in roster.personas])
    return _configured(tasks, config or {})


def read_config(values: Mapping[str, Any]) -> DispatchConfig:
    """Check the config of a dispatch. Raises InvalidTasks with everything that is wrong."""
    problems = Problems()
    config = read_table(DispatchConfig, dict(values), ("config",), problems, "the config")
    if config is None:
        raise InvalidTasks(problems.messages())
    return config


def preview(tasks: DispatchInput, request: DispatchRequest = DispatchRequest()) -> DispatchPreview:
    """Check everything and return who would do what, after which tasks; nothing is started or written.

    Raises InvalidTasks, NotReady.
    """
    choices, setup, notes = request.dispatcher(tasks.config).look_ahead(tasks.tasks)
    return DispatchPreview(tasks.tasks, tasks.config, choices, setup, tuple(notes))


def dispatch(
    tasks: DispatchInput,
    request: DispatchRequest = DispatchRequest(),
    *,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> DispatchResult:
    """Carry out tasks, each as soon as all of its dependencies have succeeded.

    Raises InvalidTasks and NotReady before anything starts.

    Args:
        tasks: What is to be done, and the config.
        request: Who plays it, where it starts from.
        listener: Is told of each run's start and end.
        interrupts: Ends the runs that are open; `resume` goes on.
    """
    dispatcher = request.dispatcher(tasks.config, listener)
    with interrupts(dispatcher.end) as reasons:
        output = dispatcher.dispatch(tasks.tasks)
    return DispatchResult(output, bool(reasons))


def resume(
    name: str,
    config: Mapping[str, Any] | None = None,
    request: DispatchRequest = DispatchRequest(),
    *,
    listener: Listener = silent,
    interrupts: Interrupts = uninterrupted,
) -> DispatchResult:
    """Continue a dispatch: keep what is done and do the rest.

    Raises NoSuchRun, NotReady, and NotLeader while it is running.

    Args:
        name: Its correlation id, the beginning of it, or its last eight characters.
        config: Values that win over those it was started with.
        request: Who plays what is left, by default as before.
        listener: Is told of each run's start and end.
        interrupts: Ends the runs that are open; `resume` goes on.
    """
    dispatcher = request.dispatcher(read_config(config or {}), listener)
    with interrupts(dispatcher.end) as reasons:
        output = dispatcher.resume(name)
    return DispatchResult(output, bool(reasons))


def replayed(
    name: str,
    config: Mapping[str, Any] | None = None,
    request: DispatchRequest = DispatchRequest(),
) -> tuple[DispatchInput, DispatchRequest]:
    """Return the arguments with which `dispatch` or `preview` repeats a whole dispatch.

    `config` overrides the original; without an agent in `request`, the same one plays. Raises NoSuchRun.
    """
    context, _ = open_for_dispatch(request.home)
    state = read_dispatch(context.mailbox.projections, name)
    agent = request.agent or (state.agent if state.agent != GIVEN else None)
    tasks = _configured(input_of(context, state), config or {})
    repository = request.repository if state.base else False
    return tasks, replace(request, agent=agent, repository=repository)


def _configured(tasks: DispatchInput, config: Mapping[str, Any]) -> DispatchInput:
    merged = read_config(tasks.config.model_dump(exclude_unset=True) | dict(config))
    return tasks.model_copy(update={"config": merged})
