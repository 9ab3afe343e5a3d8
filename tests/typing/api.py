"""Read by the type checker, not run: what a user of the public API is told their values are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

from team_mail import (
    Agent,
    Batch,
    Blobs,
    CommandAgent,
    Context,
    Directory,
    DispatchInput,
    DispatchOutput,
    Draft,
    Event,
    EventLog,
    FakeJules,
    FileBlobs,
    FunctionAgent,
    JulesClient,
    Launch,
    Letter,
    Listener,
    Log,
    Mailbox,
    MemoryBlobs,
    MemoryLog,
    MemoryProjections,
    Message,
    ParallelDispatcher,
    Progress,
    Projections,
    ReplayAgent,
    Runner,
    RunResult,
    ScriptedAgent,
    ScriptedRunner,
    SprintResult,
    Task,
    TaskBuilder,
    detect_circular_dependencies,
    open_team,
    run_sprint,
    validate_task_dependencies,
)
from team_mail.mail import get_inbox, send_message

with FakeJules(key="any") as jules:
    assert_type(JulesClient("any", url=jules.url).create_session("Look", title="Look"), dict[str, Any])

logs: list[Log] = [EventLog(Path("mail")), MemoryLog()]
assert_type(logs[0].append([Draft("mail.sent", "boss", ("curator",))]), list[Event])
assert_type(logs[0].read(after=3), Iterator[Event])

assert_type(logs[0].head().seq, int)
blobs: list[Blobs] = [FileBlobs(Path("blobs")), MemoryBlobs()]
assert_type(blobs[0].read("00"), bytes)
projections: Projections = MemoryProjections(logs[1])
mailbox = Mailbox(logs[1], blobs[1], projections, Directory(frozenset({"curator"})))
assert_type(mailbox.send(Letter("boss", ["curator"], "Work")), Event)
assert_type(mailbox.inbox("curator", unread=True), list[Message])
assert_type(mailbox.read("curator", "2").body, str)
assert_type(mailbox.watch("curator"), Iterator[Message])

assert_type(send_message("boss", "curator", "Work", "…", attachments=["plan.md"]), str)
assert_type(get_inbox("curator"), list[dict[str, Any]])

agents: list[Agent] = [CommandAgent("shell", ("true",)), ReplayAgent(Path("patches")), ScriptedAgent({})]
context = open_team(Path(".team"))
assert_type(context, Context)
texts: list[str] = []


def listen(progress: Progress) -> None:
    """Take the line of each progress."""
    texts.append(progress.text)


assert_type(run_sprint(context, "parallel", listener=listen), SprintResult)

builder = TaskBuilder()
task = builder.create_task("write-up", "scribe", "Write it up", input_data={"about": "{{ tasks.find.output.cause }}"})
entry: dict[str, Any] = task
assert_type(task.task, Task)
mixed: list[Task | dict[str, Any]] = [task, task.task, {"task_id": "more", "dependencies": ["write-up"]}]
assert_type(validate_task_dependencies(mixed), list[str])
assert_type(detect_circular_dependencies(mixed), list[str])
given = DispatchInput.model_validate({"tasks": []})
assert_type(given.tasks, tuple[Task, ...])
dispatcher = ParallelDispatcher(given.config, agent=FunctionAgent(lambda job: {"of": job.persona}))
assert_type(dispatcher.dispatch(given.tasks), DispatchOutput)
assert_type(dispatcher.dispatch([task, task.task, {"task_id": "more", "agent": "scribe"}]), DispatchOutput)
assert_type(dispatcher.resume("fd379d65").model_dump_json(indent=2), str)


class Own:
    """A runner of the caller's own."""

    def run(self, launch: Launch, batch: Batch) -> RunResult | None:
        """Stop every launch before it begins."""
        return None

    def harvest(self, launch: Launch, batch: Batch, *, stop: bool = False) -> RunResult | None:
        """Take nothing over."""
        return None


def own(context: Context, watch: object, listener: Listener) -> Runner:
    """Make a runner, as `run_sprint` asks for it."""
    return Own()


assert_type(run_sprint(context, runner=own), SprintResult)
assert_type(ParallelDispatcher(runner=ScriptedRunner.factory(), listener=listen).dispatch(given.tasks), DispatchOutput)


async def awaited() -> None:
    """A coroutine awaits what a function gets at once."""
    assert_type(await dispatcher.dispatch(given.tasks), DispatchOutput)
