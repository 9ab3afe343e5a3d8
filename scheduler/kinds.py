"""The words of the engine: its event kinds and every status, each spelled here and nowhere else.

The tables of kinds, of the statuses of runs and patches and of the outcomes of sprints in docs/sprint.md are generated
from here by `kinds_table` and `statuses_table`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from ..personas.kinds import OutcomeStatus


class _Described(str):
    """A word with one sentence about it, and the program or person who writes it where it is an event kind."""

    __slots__ = ("meaning", "writer")
    writer: str
    meaning: str


def _kind(name: str, writer: str, meaning: str) -> _Described:
    described = _Described(name)
    described.writer, described.meaning = writer, meaning
    return described


def _status(name: str, meaning: str) -> _Described:
    return _kind(name, "", meaning)


class Status(StrEnum):
    """A status or outcome, with one sentence about it for the table in the documentation."""

    meaning: str

    def __new__(cls, described: _Described) -> Self:
        """Make a member whose value is the word alone."""
        member = str.__new__(cls, described)
        member._value_ = str(described)
        member.meaning = described.meaning
        return member


_OF_DISPATCHES = ("dispatch.", "task.")


class Kind(StrEnum):
    """A kind of event that the engine writes, with the program or person who writes it and what it says."""

    writer: str
    meaning: str

    def __new__(cls, described: _Described) -> Self:
        """Make a member whose value is the name alone."""
        member = str.__new__(cls, described)
        member._value_ = str(described)
        member.writer, member.meaning = described.writer, described.meaning
        return member

    SPRINT_STARTED = _kind(
        "sprint.started", "scheduler", "A sprint began: where it starts from, its mode, its first batch."
    )
    SPRINT_FINISHED = _kind("sprint.finished", "scheduler", "A sprint ended, and how.")
    TICK_DONE = _kind("tick.done", "scheduler", "A tick was carried out, or had nothing to do.")
    RUN_STARTED = _kind("run.started", "scheduler", "An attempt of a persona is about to start.")
    RUN_FINISHED = _kind("run.finished", "scheduler", "A run ended, and how.")
    RUN_LOST = _kind(
        "run.lost", "scheduler", "A run was given up because whoever supervised it is gone or was stopped."
    )
    RUN_STOPPED = _kind("run.stopped", "a person", "Somebody asked for the end of a run.")
    PATCH_CAPTURED = _kind("patch.captured", "scheduler", "What a run changed was captured.")
    PATCH_LANDED = _kind("patch.landed", "weaver", "A patch is on the branch.")
    PATCH_CONFLICTED = _kind("patch.conflicted", "weaver", "A patch conflicts with what landed before it.")
    PATCH_REFUSED = _kind("patch.refused", "weaver", "A patch does something that no patch may do.")
    PATCH_HELD = _kind("patch.held", "weaver", "A patch to sensitive files waits for a person's approval.")
    PATCH_APPROVED = _kind("patch.approved", "a person", "A held patch may land.")
    PATCH_REJECTED = _kind("patch.rejected", "weaver", "A gate fails with the patch and passes without it.")
    WEAVE_DONE = _kind("weave.done", "weaver", "A weave was carried out: the landing order and the conflicts.")
    GATE_STARTED = _kind("gate.started", "weaver", "A gate began to judge a commit.")
    GATE_JUDGED = _kind("gate.judged", "weaver", "A gate judged a tree.")
    PERSONA_SKIPPED = _kind("persona.skipped", "scheduler", "A persona was set aside for the rest of the sprint.")
    SCHEDULER_PAUSED = _kind("scheduler.paused", "a person", "Nothing more is started until it is resumed.")
    SCHEDULER_RESUMED = _kind("scheduler.resumed", "a person", "The scheduler starts runs again.")
    DISPATCH_STARTED = _kind("dispatch.started", "scheduler", "A dispatch began: its tasks and configuration.")
    DISPATCH_RESUMED = _kind("dispatch.resumed", "scheduler", "A dispatch that was cut off is continued.")
    DISPATCH_FINISHED = _kind("dispatch.finished", "scheduler", "A dispatch ended.")
    TASK_FINISHED = _kind("task.finished", "scheduler", "A task of a dispatch ended, and how.")


class Mode(StrEnum):
    """How a sprint runs: all personas of a tick at once, or one after the other."""

    PARALLEL = "parallel"
    SEQUENTIAL = "sequential"


class RunStatus(Status):
    """The status of a run: open, lost with its supervisor, or as its agent ended."""

    OPEN = _status("open", "It has not ended.")
    LOST = _status("lost", "Its scheduler is gone or was stopped; the attempt does not count.")
    OK = _status(OutcomeStatus.OK.value, "The agent ended well.")
    FAILED = _status(
        OutcomeStatus.FAILED.value,
        "The exit code is not 0, the agent was killed or could not be started, its JSON stream reports an error or "
        "breaks off, or it did not make what was asked for.",
    )
    TIMEOUT = _status(OutcomeStatus.TIMEOUT.value, "It took longer than its timeout, or was idle for too long.")
    QUOTA = _status(OutcomeStatus.QUOTA.value, "It took more room on disk, or sent more mail, than it may.")
    STOPPED = _status(OutcomeStatus.STOPPED.value, "`scheduler stop` ended it.")


class PatchStatus(Status):
    """The status of a patch."""

    PENDING = _status("pending", "It waits for the weaver.")
    LANDED = _status("landed", "It is on the branch.")
    CONFLICTED = _status("conflicted", "It conflicts with what landed before it; its author has mail.")
    REFUSED = _status("refused", "It does something that no patch may do; its author has mail.")
    HELD = _status(
        "held", "It changes sensitive files; the human has mail, and `scheduler approve` makes it pending again."
    )
    REJECTED = _status("rejected", "A gate fails with it and passes without it; its author has mail.")
    DROPPED = _status(
        "dropped",
        "Its run did not end well, so it may be half a change; the weaver never gets it, the next attempt does.",
    )


class TaskStatus(StrEnum):
    """How a task of a dispatch ended."""

    SUCCESS = "success"
    ERROR = "error"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


class DispatchStatus(StrEnum):
    """How a dispatch ended: all tasks succeeded, some, or none."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"


class SprintOutcome(Status):
    """How a sprint ended."""

    CONVERGED = _status("converged", "Nothing is left to do, and nobody was set aside.")
    SPENT = _status("spent", "Nothing is left to do, and somebody was set aside.")
    BROKEN = _status(
        "broken",
        "Every run failed, those of several personas and at least one retry: the agent itself "
        "does not work, and more runs would only cost.",
    )
    DEADLINE = _status("deadline", "The sprint's time was over, or would have been before the next retry.")


class LaunchReason(StrEnum):
    """Why a persona is launched: the sprint's first batch, unread mail, a retry, or a task of a dispatch."""

    BATCH = "batch"
    MAIL = "mail"
    RETRY = "retry"
    TASK = "task"


def kinds_table() -> str:
    """Return the Markdown table of the kinds that are written for sprints; dispatches have theirs elsewhere."""
    rows = [f"| `{kind}` | {kind.writer} | {kind.meaning} |" for kind in Kind if not kind.startswith(_OF_DISPATCHES)]
    return "\n".join(["| kind | written by | meaning |", "|---|---|---|", *rows])


def statuses_table(statuses: type[Status]) -> str:
    """Return the Markdown table of the statuses of one noun."""
    word = "outcome" if statuses is SprintOutcome else "status"
    return "\n".join([f"| {word} | meaning |", "|---|---|", *(f"| `{each}` | {each.meaning} |" for each in statuses)])
