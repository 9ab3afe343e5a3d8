"""Requests in plain words: a planner makes tasks of one, they are dispatched, a reporter answers from their results.

All three are dispatches like any other, with traces of their own. What the planner makes is checked as a `tasks.json`
is; what is refused goes back to it with the reasons.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ...mail.errors import TeamMailError, UsageError
from ...mail.kinds import ExitCode
from ...mail.log.event import new_id
from ...mail.open import team_home
from ...personas.bundled import with_bundled
from ...personas.roster import own_roster
from ...scheduler.dispatch.output import DispatchOutput, TaskResult
from ...scheduler.errors import InvalidTasks, NotReady, SettingsError
from ...scheduler.kinds import AskStep, TaskStatus
from ...scheduler.planner.item import Overlap
from ...scheduler.planner.overlap import in_order
from ...scheduler.progress import Listener, Progress, silent
from ...scheduler.tasks.task import DispatchConfig, DispatchInput, Task
from ..interrupts import Interrupts, uninterrupted
from .dispatches import DispatchRequest, DispatchResult, dispatch, preview, read_tasks

PLANNER, REPORTER = "planner", "reporter"
TRIES = 3  # of the planner: the first one, and two with what was refused
_OWN = {PLANNER, REPORTER}
_PREFIX = "ask-"  # of the tasks that are theirs
_TRACE = re.compile(r"[\w./-]+\.json\b")
_MOST_REQUEST = 4_000  # characters of a request that the log repeats with each dispatch
_MOST_OUTPUT = 8_000  # characters of a task's output that the reporter is given


class NoPlan(TeamMailError):
    """The planner made nothing that can be carried out; `problems` has one line for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class AskInterrupted(TeamMailError):
    """Somebody ended it while it was planning or answering."""

    exit_code = ExitCode.INTERRUPTED


@dataclass(frozen=True)
class Asking:
    """What is asked, and how: who plays every task, where patches start from, the config of all dispatches.

    `id` is what its dispatches have in common on record.
    """

    request: str
    how: DispatchRequest = field(default_factory=DispatchRequest)
    config: DispatchConfig = field(default_factory=DispatchConfig)
    id: str = field(default_factory=new_id)

    def caused(self, step: str) -> DispatchRequest:
        """Return how a dispatch of this request is made: one that is to `plan`, to `work`, or to `answer`."""
        ask = {"id": self.id, "step": step, "request": self.request[:_MOST_REQUEST]}
        return replace(self.how, cause={**self.how.cause, "ask": ask})

    def run(self, task: Task, step: str, listener: Listener, interrupts: Interrupts) -> TaskResult:
        """Dispatch one task of our own. Raises AskInterrupted, NotReady."""
        how = self.caused(step)
        done = dispatch(DispatchInput(tasks=(task,), config=self.config), how, listener=listener, interrupts=interrupts)
        if done.interrupted:
            raise AskInterrupted(f"interrupted; {task.task_id} was not finished")
        if done.output.landed:
            where = f"they are on {done.output.branch} alone"
            listener(Progress(f"note: {task.agent} has changed files, which is not its part; {where}"))
        return done.output.results[0]


@dataclass(frozen=True)
class AskPlan:
    """The tasks that a request came to. `ordered` are those that could collide, and now run one after the other."""

    asking: Asking
    tasks: DispatchInput
    ordered: tuple[Overlap, ...]
    tries: int

    def document(self) -> dict[str, Any]:
        """Return the tasks as a `tasks.json`."""
        return self.tasks.model_dump(mode="json", exclude_unset=True)


@dataclass(frozen=True)
class Answer:
    """What the reporter wrote. `mend` says for each task that failed what would mend it; `traces` are all files.

    `missing` tells that it wrote none, and `invented` are traces that it names and that do not exist.
    """

    text: str
    mend: Mapping[str, str]
    traces: tuple[str, ...]
    missing: bool = False
    invented: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the JSON object of an answer; it is null if there is none."""
        return {
            "answer": None if self.missing else self.text, "mend": dict(self.mend), "traces": [*self.traces],
            "invented_traces": [*self.invented],
        }  # fmt: skip


def plan_of(asking: Asking, *, listener: Listener = silent, interrupts: Interrupts = uninterrupted) -> AskPlan:
    """Have the request turned into tasks, checked as a whole and put in order where they could collide.

    Raises NoPlan after the last try, AskInterrupted, NotReady.
    """
    roster = with_bundled(own_roster(asking.how.home or team_home(create=True)))
    people = [{"id": who.id, "description": who.description} for who in roster.personas if who.id not in _OWN]
    given: dict[str, Any] = {"request": _plain(asking.request), "personas": people}
    problems: Sequence[str] = ()
    for number in range(1, TRIES + 1):
        task = Task(
            task_id=f"ask-plan-{number}", agent=PLANNER, description="Make tasks of the request.", input_data=given
        )
        result = asking.run(task, AskStep.PLAN, listener, interrupts)
        if result.status != TaskStatus.SUCCESS:
            raise NoPlan([f"{PLANNER} failed: {result.error}"])
        try:
            return _checked(asking, result.output, number)
        except (NotReady, SettingsError):
            raise
        except UsageError as error:
            problems = error.problems if isinstance(error, InvalidTasks) else (str(error),)
        given |= {
            "rejected": _plain(json.dumps(result.output, ensure_ascii=False)),
            "problems": [*map(_plain, problems)],
        }
    raise NoPlan([f"{PLANNER} was refused {TRIES} times", *problems])


def _checked(asking: Asking, output: Any, number: int) -> AskPlan:
    """Read what the planner gave, put it in order, and check it as a dispatch does. Raises UsageError, NotReady."""
    tasks, ordered = in_order(_tasks_of(output, asking).tasks)
    plan = AskPlan(asking, DispatchInput(tasks=tasks, config=asking.config), ordered, number)
    preview(plan.tasks, asking.how)
    return plan


def _tasks_of(output: Any, asking: Asking) -> DispatchInput:
    """Read what the planner gave. Raises InvalidTasks."""
    document = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
    if "tasks" not in document:
        raise InvalidTasks(['the result has no "tasks": give {"tasks": [{"task_id": …, "agent": …}]} and nothing else'])
    given = read_tasks(json.dumps({"tasks": document["tasks"]}).encode(), home=asking.how.home)
    if taken := [task.task_id for task in given.tasks if task.task_id.lower().startswith(_PREFIX)]:
        raise InvalidTasks([f"{', '.join(taken)}: names that begin with {_PREFIX} are those of planner and reporter"])
    if own := [task.task_id for task in given.tasks if task.agent in _OWN]:
        raise InvalidTasks([f"{', '.join(own)}: {PLANNER} and {REPORTER} take no tasks of a request"])
    return given


def carry_out(plan: AskPlan, *, listener: Listener = silent, interrupts: Interrupts = uninterrupted) -> DispatchResult:
    """Dispatch the tasks of a plan. Raises NotReady, InvalidTasks."""
    return dispatch(plan.tasks, plan.asking.caused(AskStep.WORK), listener=listener, interrupts=interrupts)


def answer(
    asking: Asking, done: DispatchOutput, *, listener: Listener = silent, interrupts: Interrupts = uninterrupted
) -> Answer:
    """Have one answer written from the results of a dispatch; no task that failed goes without a word.

    Where the reporter fails, the answer says so. Raises AskInterrupted, NotReady.
    """
    given = {
        "request": _plain(asking.request),
        "results": [_result(result) for result in done.results],
        "branch": done.branch or "",
    }
    task = Task(
        task_id="ask-answer", agent=REPORTER, description="Answer the request from the results.", input_data=given
    )
    result = asking.run(task, AskStep.ANSWER, listener, interrupts)
    output = _given_by(result.output)
    text, advice = output.get("answer"), output.get("mend")
    missing = not isinstance(text, str) or not text.strip()
    if not isinstance(text, str) or missing:
        text = f"There is no answer: {result.error or f'{REPORTER} gave none'}. The results are in the traces."
    advice = cast("dict[str, Any]", advice) if isinstance(advice, dict) else {}
    failed = [each for each in done.results if each.status not in {TaskStatus.SUCCESS, TaskStatus.SKIPPED}]
    mend = {each.task_id: str(advice.get(each.task_id) or _by_itself(each, done.correlation_id)) for each in failed}
    traces = tuple(each.trace_file for each in done.results if each.trace_file)
    folders = {trace.rpartition("/")[0] for trace in traces}
    named = dict.fromkeys(name for name in _TRACE.findall(text) if name.rpartition("/")[0] in folders)
    return Answer(text.strip(), mend, traces, missing, tuple(name for name in named if name not in traces))


def _given_by(output: Any) -> dict[str, Any]:
    """Return what the reporter gave: an object with `answer`, or the one that stands in what it said."""
    table = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
    text = table.get("text")
    if "answer" in table or not isinstance(text, str):
        return table
    decoder = json.JSONDecoder()
    for match in re.finditer(r'\{\s*"', text):
        try:
            value = decoder.raw_decode(text, match.start())[0]
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and "answer" in value:
            return cast("dict[str, Any]", value)
    return {"answer": text}


def _by_itself(result: TaskResult, dispatch: str) -> str:
    why = result.error or result.status
    return f"{why}; see team trace {result.task_id}; team dispatch --resume {dispatch[-8:]} tries it again"


def _result(result: TaskResult) -> dict[str, Any]:
    """Return a result as the reporter is given it, its output as text that is cut where it is long."""
    output = result.output if isinstance(result.output, str) else json.dumps(result.output, ensure_ascii=False)
    cut = "" if len(output) <= _MOST_OUTPUT else f" … ({len(output) - _MOST_OUTPUT} more characters)"
    ending = {"output": _plain(output[:_MOST_OUTPUT]) + cut} if result.status == TaskStatus.SUCCESS else {}
    ending |= {"error": _plain(result.error)} if result.error else {}
    ending |= {"why": _plain(result.why)} if result.why else {}
    return {
        "task_id": result.task_id, "agent": result.agent, "status": str(result.status), **ending,
        "trace": result.trace_file or "",
    }  # fmt: skip


def _plain(text: str) -> str:
    """Return a text without what a dispatch would take for a reference to another task."""
    return text.replace("{{", "{ {")
